"""Fetching, with real git and DVC: all, parts, and on top of own work."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small import ARRAY, FILES, HISTORY, LATER, LEDGER, MANIFEST, TABLE, Clone, refusal

from flowkeeper.errors import UserError
from flowkeeper.ledger import Ledger, read_ledger, write_ledger

GET = "dvc fetch results/flowkeeper-transfer.dvc"
OWN = "results/demo/runs/greedy/seed1/predictions.parquet"


@pytest.fixture(autouse=True)
def _pretended(nothing_pending: None) -> None:
    """Publishers have nothing to do."""


def next_version(publisher: Clone) -> None:
    """The training and the table are done again by other code, and published."""
    publisher.job("train", LATER, "v2")
    publisher.job("table", LATER + 100, "v2")
    publisher.publish()
    publisher.commit()


def own_file(clone: Clone) -> Path:
    """A file of the colleague's that no published set has."""
    clone.write(OWN, b"mine", LATER)
    return clone.root / OWN


# --- What comes ---


def test_the_whole_set_comes_with_its_records_and_times(publisher: Clone, colleague: Clone) -> None:
    assert colleague.fetch().restored == len(FILES)
    shared = publisher.files()
    del shared[ARRAY]
    assert colleague.files() == shared
    for path in FILES:
        assert colleague.record(path) == publisher.record(path)
        assert colleague.time(path) == pytest.approx(publisher.record(path)["endtime"], abs=1e-3)
    assert colleague.commands == ["dvc fetch results/demo/provenance.jsonl", GET]
    size = sum((publisher.root / path).stat().st_size for path in FILES)
    told = next(line for line in colleague.said if "are asked for" in line)
    assert told.startswith(f"7 of its 7 files are asked for, {size / 1e3:.1f} kB; to download: 6 files, ")
    assert colleague.said.index(told) < colleague.said.index(f"$ {GET}")
    assert colleague.said[-1].startswith("next: `snakemake -n`") and "note:" not in "".join(colleague.said)
    again = colleague.fetch()
    assert (again.restored, again.kept) == (0, len(FILES))
    assert colleague.commands == [], "nothing is left to be asked for"


def test_a_part_comes_with_ledger_and_manifests_and_the_rest_comes_later(colleague: Clone, publisher: Clone) -> None:
    colleague.fetch("tables")
    assert set(colleague.files()) == {TABLE, LEDGER, MANIFEST}
    own = own_file(colleague)
    colleague.fetch("records", "tables")
    assert set(colleague.files()) == {TABLE, LEDGER, MANIFEST, HISTORY, OWN}
    colleague.fetch()
    assert colleague.contents(*FILES) == publisher.contents(*FILES)
    assert own.read_bytes() == b"mine", "unpublished work stays"


def test_another_environment_than_the_publishers_is_told(colleague: Clone) -> None:
    (colleague.root / "requirements.lock").write_text("x==1\n")
    colleague.changes["versions"] = lambda: {"python": "3.12.1", "torch": "2"}
    colleague.fetch()
    assert any(line.startswith("note: made with python 3.11.0 (here 3.12.1); ") for line in colleague.said)


def test_another_lock_file_is_told(publisher: Clone, colleague: Clone) -> None:
    republish(publisher, lock_sha256="0" * 64)
    colleague.git("pull", "-q")
    (colleague.root / "requirements.lock").write_text("x==1\n")
    colleague.fetch()
    assert any(line.startswith("note: made with another requirements.lock; ") for line in colleague.said)


# --- On top of own work ---


def test_own_files_of_the_same_name_are_not_overwritten(colleague: Clone) -> None:
    colleague.job("table", LATER, "mine")
    said = refusal(colleague)
    assert said.startswith(f"1 file here would be overwritten and never was published: {TABLE}; publish")
    colleague.fetch("records")
    assert b"mine" in (colleague.root / TABLE).read_bytes()


def test_own_files_with_the_published_bytes_are_no_hindrance(colleague: Clone) -> None:
    colleague.job("table", LATER, "v1")
    colleague.fetch()
    assert colleague.record(TABLE)["endtime"] > LATER, "made here later: its own record stays"


def test_a_later_version_takes_the_place_of_an_earlier_one_and_that_comes_back_with_its_branch(
    colleague: Clone, publisher: Clone
) -> None:
    old = publisher.contents(*FILES)
    colleague.fetch()
    colleague.git("branch", "earlier")
    next_version(publisher)
    colleague.git("pull", "-q")
    with pytest.raises(UserError, match="earlier version"):
        shutil.copy(publisher.root / LEDGER, colleague.root / LEDGER)
        colleague.restore()
    colleague.fetch("tables")
    assert colleague.contents(*FILES) == publisher.contents(*FILES), "a part is asked for; what is here is renewed"
    colleague.git("checkout", "-q", "earlier")
    colleague.fetch()
    assert colleague.contents(*FILES) == old
    assert "v1" in colleague.record(TABLE)["params"][0]


@pytest.mark.slow
def test_a_manifest_comes_in_the_version_of_the_set(colleague: Clone, publisher: Clone) -> None:
    """data.dvc went on while the set stayed."""
    published = publisher.contents(MANIFEST)
    publisher.write(MANIFEST, b"made anew", 1_800_000_000)
    publisher.dvc("add", "--quiet", "data")
    publisher.dvc("push", "--quiet", "data.dvc")
    publisher.commit()
    colleague.git("pull", "-q")
    colleague.fetch()
    assert colleague.contents(MANIFEST) == published


# --- Bad input ---


def test_arrays_that_were_not_published_cannot_be_had(colleague: Clone) -> None:
    assert "published without features.npy; the next training that needs it" in refusal(colleague, bulk=True)


# --- Sets that were not published as they should ---


def republish(publisher: Clone, **header: object) -> None:
    """Publish another ledger, by hand."""
    ledger = read_ledger(publisher.results)
    write_ledger(publisher.root / LEDGER, Ledger({**ledger.header, **header}, ledger.entries))
    publish_by_hand(publisher)


def publish_by_hand(publisher: Clone) -> None:
    publisher.dvc("add", "--quiet", "results/demo")
    publisher.dvc("push", "--quiet", "results/demo.dvc")
    publisher.commit()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"format": 1}, "a ledger of format 1, this keep reads format 2; check out the commit that published it"),
        pytest.param({"record_format_version": 5}, "Snakemake's record format 5, here it is 6", marks=pytest.mark.slow),
        pytest.param({"name": "elsewhere"}, "the ledger of another result set, elsewhere", marks=pytest.mark.slow),
    ],
)
def test_a_ledger_of_another_version_or_set(
    publisher: Clone, tmp_path: Path, header: dict[str, object], said: str
) -> None:
    republish(publisher, **header)
    assert said in refusal(publisher.clone(tmp_path / "late"))


def test_files_that_were_added_by_hand_after_the_ledger_or_without_one(publisher: Clone, tmp_path: Path) -> None:
    publisher.damage(TABLE, keep_times=False)
    publish_by_hand(publisher)
    late = publisher.clone(tmp_path / "late")
    assert f"its ledger is that of another publication ({TABLE})" in refusal(late)
    publisher.delete(LEDGER)
    publish_by_hand(publisher)
    late.git("pull", "-q")
    assert "not published with `keep publish`" in refusal(late)
