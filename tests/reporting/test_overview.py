"""The page of all claims of all papers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avbalance.errors import UserError
from avbalance.evaluation.claims import COUNTED
from avbalance.reporting.overview import evidence, render_overview
from flowkeeper.files import write_json


def outcome(verdict: str, effect: float | None, text: str = "A > B", width: float = 1.0, **more: Any) -> dict[str, Any]:
    sides = {"low": None, "high": None} if effect is None else {"low": effect - width / 2, "high": effect + width / 2}
    found = {"text": text, "verdict": verdict, "effect": effect, **sides, "unit": "points", "n": 40}
    return {**found, "seeds": [1.0, 2.0], "reason": "", "headline": False, **more}


def claim(name: str, verdict: str, outcomes: list[dict[str, Any]], right: int = 1, own: bool = False) -> dict[str, Any]:
    others = [each["verdict"] for each in outcomes if not each["headline"]]
    counts = {key: others.count(word) for key, word in COUNTED.items()}
    published = {"comparisons": 1, "right": right, "borrowed": False}
    result = {"verdict": verdict, **counts, "outcomes": outcomes}
    return {"id": name, "text": f"statement | {name}", "own": own, "published": published, "results": {"none": result}}


def report(path: Path, slug: str, claims: list[dict[str, Any]]) -> Path:
    data = [{"label": "Set", "name": "synthetic-set", "describe": "synthetic stand-in for Set"}]
    write_json(path, {"paper": slug, "title": f"Title of {slug}", "data": data, "claims": claims})
    return path


def test_every_claim_of_every_paper_has_a_row(tmp_path: Path) -> None:
    holds, contrary = outcome("as claimed", 2.5, width=3.0), outcome("contrary", -3.0, "C > D")
    own = claim("C2", "contrary", [holds, contrary], right=0, own=True)
    first = report(tmp_path / "a.json", "first", [claim("C1", "as claimed", [holds]), own])
    untested = outcome("not testable here", None, reason="no such set")
    second = report(tmp_path / "b.json", "second", [claim("I.1", "not testable here", [untested])])
    render_overview("demo", [first, second], tmp_path / "claims.md")
    page = (tmp_path / "claims.md").read_text()
    assert "3 claims of 2 papers" in page
    assert "| [C1](first/claims.md) | statement \\| C1 | right sign in 1 of 1 | holds on these data | " in page
    assert "| A &gt; B: +2.50 (+1.00 to +4.00) points, 2 seeds, n 40 |" in page
    assert "| right sign in 0 of 1 | not reproduced (1 as claimed, 1 contrary) | C &gt; D: -3.00 (" in page
    assert "| [I.1](second/claims.md) |" in page and "not testable here | no such set |" in page
    assert page.count("synthetic stand-in for Set (synthetic-set)") == 2
    # Only the words that occur have a column: not reproduced, not testable here, holds on these data.
    assert "| Paper | Claims | Not reproduced | Not testable here | Holds on these data |" in page
    assert "| Title of first | 2 | 1 | 0 | 1 |" in page


def test_the_evidence_is_the_headline_or_what_speaks_most_against_the_claim() -> None:
    found = [outcome("as claimed", 0.1), outcome("inconclusive", 0.5, "W"), outcome("inconclusive", 0.2, "V")]
    assert evidence({"outcomes": found}).startswith("V: +0.20")
    head = outcome("as claimed", 3.0, "H", headline=True)
    assert evidence({"outcomes": [*found, head]}).startswith("H: +3.00")
    contrary = [outcome("contrary", -1.0, "F"), outcome("contrary", -0.7)]
    assert evidence({"outcomes": [*found, head, *contrary]}).startswith("F: -1.00")


def test_effects_of_different_units_are_compared_in_widths_of_their_intervals() -> None:
    sure = outcome("contrary", -0.2, "sure", width=0.02, unit="nats")
    vague = outcome("contrary", -3.0, "vague", width=5.0)
    assert evidence({"outcomes": [vague, sure]}).startswith("sure: ")


def test_the_papers_own_definition_of_the_subsets_counts(tmp_path: Path) -> None:
    entry = claim("C1", "as claimed", [outcome("as claimed", 2.5)])
    own = entry["results"].pop("none")
    other = {**own, "verdict": "contrary", "claimed": 0, "contrary": 1}
    other["outcomes"] = [outcome("contrary", -3.0, "C > D")]
    entry["results"] = {"planted": other, "estimated": own, "cross-fitted": other}
    render_overview("demo", [report(tmp_path / "a.json", "first", [entry])], tmp_path / "claims.md")
    page = (tmp_path / "claims.md").read_text()
    assert "| Title of first | 1 | 1 |" in page
    assert "| estimated: holds on these data; cross-fitted: contrary on these data; planted" in page
    assert "A &gt; B: +2.50 (+2.00 to +3.00) points" in page and "C &gt; D" not in page


def test_a_file_without_claims_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"paper": "first"})
    with pytest.raises(UserError, match=r"a\.json: holds no claims of a paper"):
        render_overview("demo", [tmp_path / "a.json"], tmp_path / "claims.md")
    assert not (tmp_path / "claims.md").exists()
