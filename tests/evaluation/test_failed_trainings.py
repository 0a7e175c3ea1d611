"""Comparisons that rest on trainings which did not learn or not converge are not testable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from claims_paper import DIFFERENCE, evidence_of, made, outcome_of

from avbalance.errors import UserError
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.measure import measure
from avbalance.evaluation.outcomes import CLAIMED, CONTRARY, UNTESTABLE
from avbalance.table_files import read_parquet, write_parquet

CHOSEN = {"audio": "audio", "visual": "other", "rule": {"min_delta": 0.1, "patience": 5, "floor": 2}}
SHARE = {"kind": "share", "datasets": ["set"], "higher": "audio_preferred", "lower": "visual_preferred", "factor": 0.5}


def measured(folder: Path, protocol: str = "none", **rows: dict[str, Any]) -> Path:
    """measurements.parquet of the made-up paper with rows of learned and converged: run -> metric -> value by seed."""
    path = folder / "measurements.parquet"
    measure(made(folder)[0], {}, path)
    frame = read_parquet(path, ("run",), "measure")
    place = {"dataset": "d", "split": "val", "subset": "overall", "condition": "none", "checkpoint": "none", "n": 1}
    more = [
        {**place, "protocol": protocol, "run": run, "seed": seed, "metric": metric, "value": value}
        for run, metrics in rows.items()
        for metric, values in metrics.items()
        for seed, value in enumerate(values)
    ]
    write_parquet(path, pd.concat([frame, pd.DataFrame(more)], ignore_index=True) if more else frame)
    return path


def evidence(folder: Path, protocol: str = "none", confidence: Any = None, **rows: dict[str, Any]) -> Evidence:
    paper, declared = made(folder)
    return evidence_of(paper, {**declared, "confidence": confidence}, measured(folder, protocol, **rows))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ({"audio": {"learned": (1.0, 0.0, 1.0), "converged": (1.0, 1.0, 1.0)}}, "Audio did not learn with seed 1 on D"),
        ({"fused": {"converged": (1.0, 0.0, 0.0)}}, "Fused did not converge with seed 1 on D"),
        ({"fused": {"converged": (1.0, 1.0, 0.0)}}, ""),  # one of three: their mean is at rest
        ({"fused": {"learned": (1.0, 1.0, 0.0), "converged": (1.0, 1.0, 0.0)}}, "Fused did not learn with seed 2 on D"),
        ({"other": {"learned": (0.0, 0.0, 0.0)}}, ""),
    ],
)
def test_what_rests_on_a_training_that_failed_is_not_testable(rows: Any, reason: str, tmp_path: Path) -> None:
    outcome = outcome_of(evidence(tmp_path, **rows), "estimated", **DIFFERENCE)
    assert (outcome.verdict, outcome.reason) == (UNTESTABLE if reason else CLAIMED, reason)


def test_so_do_the_subsets_that_it_chooses_but_not_planted_ones(tmp_path: Path) -> None:
    failed = evidence(tmp_path, confidence=CHOSEN, other={"learned": (0.0, 1.0, 1.0)})
    assert outcome_of(failed, "estimated", **DIFFERENCE).reason == "Other did not learn with seed 0 on D"
    assert outcome_of(failed, "estimated", **SHARE).reason == "Other did not learn with seed 0 on D"
    assert outcome_of(failed, "planted", **DIFFERENCE).verdict == CLAIMED


def test_against_what_looks_at_nothing_that_is_the_very_question(tmp_path: Path) -> None:
    failed = evidence(tmp_path, fused={"learned": (0.0, 0.0, 0.0)})
    block = {"kind": "by_seed", "dataset": "set", "metrics": ["accuracy"], "left": ["fused"]}
    assert outcome_of(failed, **block, right=["majority-label"]).verdict == CONTRARY  # all clips are of one class


def test_what_half_models_did_says_nothing_of_the_run_that_they_stand_in_for(tmp_path: Path) -> None:
    failed = {"converged": (1.0, 0.0, 0.0)}
    assert outcome_of(evidence(tmp_path, audio=failed), "estimated", **DIFFERENCE).verdict == UNTESTABLE
    assert outcome_of(evidence(tmp_path, "cross-fitted", audio=failed), "estimated", **DIFFERENCE).verdict == CLAIMED


def test_measurements_of_other_runs_are_refused(tmp_path: Path) -> None:
    path = measured(tmp_path)
    frame = read_parquet(path, ("run",), "measure")
    write_parquet(path, frame[(frame["run"] != "audio") | (frame["seed"] != 2)])
    with pytest.raises(UserError, match="holds nothing of audio with seed 2 on d; it was made from other runs"):
        evidence_of(*made(tmp_path), path)
