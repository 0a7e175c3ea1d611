"""What a result set says of itself: RO-Crate metadata and codecheck.yml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rocrate.rocrate import ROCrate

from avbalance.errors import UserError
from avbalance.reporting.crate import describe
from flowkeeper.files import sha256_file, write_json

REPOSITORY = Path(__file__).parents[2]
TABLE = "results/demo/papers/balanced-audiovisual/table2.csv"
RECORD = "results/demo/runs/balanced-audiovisual/synthetic-balanced/baseline/seed0/record.json"


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A result set of two files and two runs."""
    monkeypatch.chdir(tmp_path)
    Path("CITATION.cff").write_bytes((REPOSITORY / "CITATION.cff").read_bytes())
    files = [TABLE, "results/demo/papers/claims.md"]
    for path in map(Path, files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("accuracy\n", encoding="utf-8")
    records = [RECORD, RECORD.replace("seed0", "seed1")]
    for number, path in enumerate(records):
        Path(path).parent.mkdir(parents=True)
        code = {"commit": "c0ffee", "dirty": bool(number)}
        write_json(path, {"code": code, "finished": f"2026-11-2{number + 4}T10:00:00+00:00"})
    paper = {"title": "Balanced data", "reference": "Xia et al.; arXiv:2302.10912"}
    return {
        "name": "demo", "papers": {"balanced-audiovisual": paper}, "files": files, "records": records,
        "titles": {"balanced-audiovisual/table2": "Table 2. Accuracy (%)"},
        "datasets": {"grid-colours": "real recordings"}, "sources": ["GRID (Cooke et al. 2006): words"],
    }  # fmt: skip


def test_the_crate_can_be_read_and_leads_to_every_file(spec):
    describe(spec, Path("results/demo"))
    crate = ROCrate("results/demo")
    table = crate.get(TABLE.removeprefix("results/demo/"))
    assert table["name"] == "Table 2. Accuracy (%) (balanced-audiovisual)"
    assert (table["sha256"], table["contentSize"]) == (sha256_file(TABLE), "9")
    assert {entity.id for entity in crate.data_entities} == {table.id, "papers/claims.md", "runs/"}
    action = crate.get("#balanced-audiovisual")
    assert action["result"] == [table]
    assert [code.id for code in action["instrument"]] == ["#code-c0ffee", "#code-c0ffee-dirty"]
    root = crate.root_dataset
    assert root["datePublished"] == "2026-11-25", "when the last run ended"
    assert {work["name"].split()[0] for work in root["citation"]} == {"Balanced", "An"}  # the paper, and GRID
    assert root["license"] == "https://spdx.org/licenses/MIT"


def test_codecheck_lists_what_is_to_be_compared(spec):
    describe(spec, Path("results/demo"))
    text = Path("results/demo/codecheck.yml").read_text(encoding="utf-8")
    assert text.startswith("---\n") and "FIXME" not in text
    content = yaml.safe_load(text)
    assert content["manifest"][0] == {
        "file": "papers/balanced-audiovisual/table2.csv",
        "comment": "Table 2. Accuracy (%) (balanced-audiovisual)",
    }
    assert all((Path("results/demo") / entry["file"]).is_file() for entry in content["manifest"])
    assert content["paper"]["authors"] == [{"name": "The avbalance maintainers"}]
    assert content["version"] == "https://codecheck.org.uk/spec/config/1.0/"


def test_the_same_results_are_described_by_the_same_bytes(spec):
    made = []
    for _ in range(2):
        describe(spec, Path("results/demo"))
        made.append([Path(f"results/demo/{name}").read_bytes() for name in ("ro-crate-metadata.json", "codecheck.yml")])
    assert made[0] == made[1]
    assert json.loads(made[0][0])["@context"] == "https://w3id.org/ro/crate/1.1/context"


def test_who_has_no_records_is_told_of_no_code(spec):
    for path in spec["records"]:
        Path(path).unlink()
    describe(spec, Path("results/demo"))
    crate = ROCrate("results/demo")
    assert crate.root_dataset["datePublished"] == "2026-11-21", "the release of the software"
    assert "instrument" not in crate.get("#balanced-audiovisual").as_jsonld()


def test_a_record_that_cannot_be_read_is_named(spec):
    Path(RECORD).write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"seed0/record\.json: not valid JSON"):
        describe(spec, Path("results/demo"))
