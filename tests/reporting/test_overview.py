"""The page of all claims of all papers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avbalance.errors import UserError
from avbalance.files import write_json
from avbalance.reporting.overview import evidence, render_overview


def outcome(verdict: str, effect: float | None, text: str = "A > B", **more: Any) -> dict[str, Any]:
    found = {"text": text, "verdict": verdict, "effect": effect, "low": None, "high": None, "unit": "points", "n": 40}
    return {**found, "seeds": [1.0, 2.0], "reason": "", **more}


def claim(name: str, verdict: str, outcomes: list[dict[str, Any]], published: str = "yes") -> dict[str, Any]:
    counts = {key: sum(each["verdict"] == word for each in outcomes) for key, word in COUNTED.items()}
    result = {"verdict": verdict, **counts, "outcomes": outcomes}
    return {"id": name, "text": f"statement | {name}", "published": {"verdict": published}, "results": {"none": result}}


COUNTED = {"holds": "holds", "weak": "weak", "fails": "fails", "untestable": "not testable"}


def report(path: Path, slug: str, claims: list[dict[str, Any]]) -> Path:
    data = [{"label": "Set", "name": "synthetic-set", "describe": "synthetic stand-in for Set"}]
    write_json(path, {"paper": slug, "title": f"Title of {slug}", "data": data, "claims": claims})
    return path


def test_every_claim_of_every_paper_has_a_row(tmp_path: Path) -> None:
    holds, fails = outcome("holds", 2.5, low=1.0, high=4.0), outcome("fails", -3.0, "C > D")
    first = report(
        tmp_path / "a.json",
        "first",
        [claim("C1", "reproduced", [holds]), claim("C2", "not reproduced", [holds, fails], "no")],
    )
    second = report(
        tmp_path / "b.json",
        "second",
        [claim("I.1", "not testable here", [outcome("not testable", None, reason="no such set")])],
    )
    render_overview("demo", [first, second], tmp_path / "claims.md")
    page = (tmp_path / "claims.md").read_text()
    assert "3 claims of 2 papers" in page
    assert "| [C1](first/claims.md) | statement \\| C1 | yes | reproduced (1 hold, 0 weak, 0 fail) | " in page
    assert "| A &gt; B: +2.50 (+1.00 to +4.00) points, 2 seeds, n 40 |" in page
    assert "| no | not reproduced (1 hold, 0 weak, 1 fail) | C &gt; D: -3.00 points, 2 seeds, n 40 |" in page
    assert "| [I.1](second/claims.md) |" in page and "not testable here | no such set |" in page
    assert page.count("synthetic stand-in for Set (synthetic-set)") == 2
    assert "| Title of first | 2 | 1 | 0 | 0 | 1 | 0 |" in page


def test_the_evidence_is_what_speaks_most_against_the_claim() -> None:
    found = [outcome("holds", 0.1), outcome("weak", 0.5, "W"), outcome("weak", 0.2, "V"), outcome("holds", 9.0)]
    assert evidence({"outcomes": found}).startswith("V: +0.20")
    assert evidence({"outcomes": [*found, outcome("fails", -1.0, "F"), outcome("fails", -0.5)]}).startswith("F: -1.00")


def test_effects_of_different_units_are_compared_in_widths_of_their_intervals() -> None:
    sure = outcome("fails", -0.2, "sure", low=-0.21, high=-0.19, unit="nats")
    vague = outcome("fails", -3.0, "vague", low=-9.0, high=3.0)
    bare = outcome("fails", -50.0, "bare")
    assert evidence({"outcomes": [bare, vague, sure]}).startswith("sure: ")
    assert evidence({"outcomes": [bare, vague]}).startswith("vague: ")


def test_the_papers_own_definition_of_the_subsets_counts(tmp_path: Path) -> None:
    entry = claim("C1", "reproduced", [outcome("holds", 2.5)])
    own = entry["results"].pop("none")
    other = {**own, "verdict": "not reproduced", "holds": 0, "fails": 1, "outcomes": [outcome("fails", -3.0, "C > D")]}
    entry["results"] = {"planted": other, "estimated": own, "cross-fitted": other}
    render_overview("demo", [report(tmp_path / "a.json", "first", [entry])], tmp_path / "claims.md")
    page = (tmp_path / "claims.md").read_text()
    assert "| Title of first | 1 | 1 | 0 | 0 | 0 | 0 |" in page
    assert "| estimated: reproduced (1 hold, 0 weak, 0 fail); cross-fitted: not reproduced" in page
    assert "A &gt; B: +2.50 points" in page and "C &gt; D" not in page


def test_a_file_without_claims_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"paper": "first"})
    with pytest.raises(UserError, match=r"a\.json: holds no claims of a paper"):
        render_overview("demo", [tmp_path / "a.json"], tmp_path / "claims.md")
    assert not (tmp_path / "claims.md").exists()
