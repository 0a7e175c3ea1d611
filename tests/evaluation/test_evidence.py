"""Subsets and scores of every seed, and runs that cannot be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from claims_paper import DIFFERENCE, evidence_of, made, outcome_of

from avbalance.errors import UserError
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.outcomes import UNTESTABLE
from avbalance.evaluation.predictions import write_predictions
from avbalance.table_files import read_parquet, write_parquet


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return evidence_of(*made(tmp_path))


def test_each_seed_has_the_subsets_of_its_own_unimodal_models(evidence: Evidence, tmp_path: Path) -> None:
    path = str(evidence.paper.datasets["set"].subsets)
    frame = read_parquet(Path(path), ("id",), "subsets")
    back = (frame["definition"] == "seed-matched-1").to_numpy()
    frame.loc[back, "discrepancy"] *= -1  # the other half of the clips, on which neither is right
    write_parquet(path, frame)
    assert outcome_of(evidence, "estimated", **DIFFERENCE).seeds == (25.0, 0.0, 25.0)
    assert outcome_of(evidence, "planted", **DIFFERENCE).seeds == (25.0, 25.0, 25.0)
    write_parquet(path, frame[~back])
    again = evidence_of(evidence.paper, {})
    assert outcome_of(again, "estimated", **DIFFERENCE).seeds == (25.0, 25.0, 25.0)
    assert "no cross-fitted-a subsets of D" in outcome_of(again, "cross-fitted", **DIFFERENCE).reason


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ({"datasets": ["absent"]}, "E is not made in this tier"),
        ({"left": ["never"]}, "never was not run on D in this tier"),
        ({"subsets": ["audio_dominated@0.9"]}, "no test clip of D is in audio_dominated@0.9"),
        # The discrepancy of clip k of the front half is 0.3 + 0.2 k / 199: clips 85 to 99 lie above 0.385.
        ({"subsets": ["audio_dominated@0.385"]}, "too few clips: 15 of D in audio_dominated@0.385, fewer than 20"),
    ],
)
def test_what_cannot_be_tested_says_why(evidence: Evidence, block: dict[str, Any], reason: str) -> None:
    outcome = outcome_of(evidence, "estimated", **{**DIFFERENCE, **block})
    assert outcome.verdict == UNTESTABLE and outcome.reason.startswith(reason)


def test_subsets_under_cross_fitting_rest_on_the_half_models(tmp_path: Path) -> None:
    paper, declared = made(tmp_path)
    rule = {"min_delta": 0.1, "patience": 5, "floor": 2}
    confidence = {"audio": "audio", "visual": "other", "rule": rule}
    halves = {"cross_fitted": {"audio": {"a": "half-a", "b": "half-b"}}}
    evidence = evidence_of(paper, {**declared, "confidence": confidence, "measures": halves})
    assert evidence.estimators("estimated") == ["audio", "other"]
    assert evidence.estimators("cross-fitted") == ["half-a", "half-b"]
    assert evidence.estimators("planted") == []


def test_runs_on_other_clips_are_refused(evidence: Evidence) -> None:
    path = evidence.paper.run_files("set", "audio")[1].predictions
    write_predictions(path, read_parquet(Path(path), ("id",), "train").iloc[1:])
    with pytest.raises(UserError, match=r"audio-1\.parquet: test has other clips or labels than .*audio-0\.parquet"):
        outcome_of(evidence, "estimated", **{**DIFFERENCE, "left": ["audio"], "right": ["fused"]})
