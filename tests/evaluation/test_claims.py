"""Claims as a whole: which protocols they have, headlines, what is counted, and the paper that the golden test has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from claims_paper import DIFFERENCE, N, evidence_of, made, outcome_of

from avbalance.errors import UserError
from avbalance.evaluation.claims import assess, published_signs, summary
from avbalance.evaluation.declarations import PROTOCOLS
from avbalance.evaluation.outcomes import CLAIMED, CONTRARY, UNTESTABLE, Outcome
from avbalance.evaluation.paper import Paper
from avbalance.reporting.claims_report import claims_markdown
from avbalance.table_files import read_parquet, write_parquet


def claim(name: str, *blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": name, "text": "a sentence", "tests": list(blocks), **more}


def test_counts_of_verdicts() -> None:
    verdicts = [CLAIMED, CLAIMED, CONTRARY, UNTESTABLE]
    counts = summary([*(Outcome("t", verdict) for verdict in verdicts), Outcome("h", CLAIMED, headline=True)])
    assert [counts[key] for key in ("claimed", "contrary", "inconclusive", "untestable")] == [2, 1, 0, 1]
    assert (counts["comparisons"], counts["verdict"]) == (5, CONTRARY)


def test_signs_of_published_numbers() -> None:
    outcomes = [Outcome("one", published=1.5), Outcome("two", published=-0.5), Outcome("none")]
    assert published_signs(outcomes) == {
        "comparisons": 2, "right": 1, "smallest": -0.5, "largest": 1.5, "borrowed": False
    }  # fmt: skip
    assert published_signs([Outcome("tie", published=0.0)])["right"] == 0
    assert published_signs([Outcome("tie", published=0.0, tie_agrees=True)])["right"] == 1
    assert published_signs([])["smallest"] is None
    assert published_signs([Outcome("b", published=1.0, context=True)])["borrowed"]


def test_a_headline_is_one_comparison_and_counts_once(tmp_path: Path) -> None:
    paper, declared = made(tmp_path)
    block = {**DIFFERENCE, "right": ["audio", "other"]}
    report = assess(paper, {**declared, "claims": [claim("A", {**DIFFERENCE, "headline": True}, block)]})
    outcomes = report["claims"][0]["results"]["estimated"]["outcomes"]
    assert [(outcome["headline"], outcome["text"][-5:]) for outcome in outcomes] == [(True, "Audio"), (False, "Other")]
    with pytest.raises(UserError, match=r"claims\.yaml: A: a headline is one comparison, difference has 2\."):
        assess(paper, {**declared, "claims": [claim("A", {**block, "headline": True})]})


def test_protocols_are_those_that_the_data_have(tmp_path: Path) -> None:
    paper, declared = made(tmp_path)
    overall = {**DIFFERENCE, "subsets": ["overall"]}
    claims = [claim("A", DIFFERENCE), claim("B", overall), claim("C", DIFFERENCE, protocols=["planted"])]

    def protocols() -> list[list[str]]:
        return [list(entry["results"]) for entry in assess(paper, {**declared, "claims": claims})["claims"]]

    assert protocols() == [list(PROTOCOLS[:3]), ["none"], ["planted"]]
    path = str(paper.datasets["set"].subsets)
    frame = read_parquet(Path(path), ("id",), "subsets")
    people = frame[frame["definition"] == "planted"].assign(definition="annotated")
    people["discrepancy"] = np.sign(people["discrepancy"]).where(np.arange(N) % 5 > 0)  # nobody said a fifth
    people["preferred"] = np.where(people["discrepancy"].isna(), "outside", "-")
    write_parquet(path, pd.concat([frame, people]))
    assert protocols() == [list(PROTOCOLS), ["none"], ["planted"]]
    page = claims_markdown({**assess(paper, {**declared, "claims": claims}), "cuts": []})
    assert "| Planted | Annotated |" in page and "*annotated*: by what people heard and saw" in page
    evidence = evidence_of(paper, declared)
    outcome = outcome_of(evidence, "annotated", **DIFFERENCE)
    # Of the 80 clips that are left in the front half audio misses every fourth: 20, but for the turning of seeds.
    assert outcome.n == 80 and outcome.effect == 25.0
    share = {
        "kind": "share",
        "datasets": ["set"],
        "higher": "audio_preferred",
        "lower": "visual_preferred",
        "factor": 0.5,
    }
    outcome = outcome_of(evidence, "annotated", **share)
    assert (outcome.effect, outcome.n, outcome.numbers) == (25.0, 160, ())
    outcome = outcome_of(evidence, "annotated", **{**DIFFERENCE, "subsets": ["audio_dominated@0.4"]})
    assert outcome.reason == "annotations say heard or seen, not by how much"


def test_claims_name_whose_data_they_are_about(tmp_path: Path) -> None:
    paper, declared = made(tmp_path)
    claims = [claim("A", DIFFERENCE), claim("B", {**DIFFERENCE, "datasets": ["absent"]})]
    assert not assess(paper, {**declared, "claims": claims})["claims"][0]["own"]
    own = replace(paper, datasets={**paper.datasets, "set": replace(paper.datasets["set"], own=True)})
    report = assess(own, {**declared, "claims": claims})
    assert [entry["own"] for entry in report["claims"]] == [True, False]  # nothing of the second is made


def test_an_illustration_has_no_verdict(tmp_path: Path) -> None:
    paper, declared = made(tmp_path)
    (entry,) = assess(paper, {**declared, "illustrations": [claim("I", DIFFERENCE)]})["illustrations"]
    assert {result["verdict"] for result in entry["results"].values()} == {"illustration"}


def test_all_declared_claims_get_a_verdict(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path
) -> None:
    report = assess(fabricated_paper, balanced_declarations, measurements)
    assert [entry["id"] for entry in report["claims"]] == [f"C{number}" for number in range(1, 17)]
    # Every claim is what the paper's own numbers say; VGG-Sound's map was never measured, yet one pair is.
    assert all(entry["published"]["right"] == entry["published"]["comparisons"] > 0 for entry in report["claims"])
    by_id = {entry["id"]: entry for entry in report["claims"]}
    smallest = [by_id[name]["published"]["smallest"] for name in ("C2", "C3", "C8")]
    assert smallest == pytest.approx([7.40, 5.68, 2.52])
    assert by_id["C1"]["results"]["none"]["comparisons"] == 9  # the headline is one of them
    assert by_id["C15"]["results"]["cross-fitted"]["verdict"] == UNTESTABLE
    assert report["statistics"] == {"draws": 200, "level": 0.95, "seed": 0, "min_n": 20}
