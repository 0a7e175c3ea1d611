"""Weighted sums of scores by hand: the kinds difference and by_seed, and what cannot be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from claims_paper import DIFFERENCE, SEEDS, evidence_of, made, outcome_of, outcomes_of

from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.outcomes import CLAIMED, INCONCLUSIVE, UNTESTABLE, Outcome
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.evaluation.predictions import write_predictions

PUBLISHED = """dataset,method,subset,accuracy,accuracy_audio
D,Left,overall,60,50
D,Right,overall,59,50
D,Third,overall,58,
"""
SPECS = [{"file": "t.csv", "values": {"accuracy": "accuracy", "accuracy_audio": "accuracy_audio"}}]
RIGHT = {  # run -> seed -> clips of 200 that are named rightly by the prediction and by the audio head
    "left": {6: (120, 100), 0: (124, 102), 1: (128, 98)},
    "right": {0: (120, 100), 1: (122, 100), 6: (118, 100), 9: (0, 0)},
    "third": {0: (122, 80)},
}
Right = Mapping[str, Mapping[int, Sequence[int]]]


def logits_of(right: int, n: int, start: int) -> list[list[float]]:
    """Class 0 or 1 of n clips, of which `right` are of the true class k % 2, counted from clip `start` on."""
    hit = (np.arange(n) - start) % n < right
    return np.eye(2)[np.where(hit, np.arange(n) % 2, 1 - np.arange(n) % 2)].tolist()


def small(folder: Path, right: Right = RIGHT, n: int = 200) -> Evidence:
    """Evidence on one data set D; at best-test each prediction is right on 20 clips more."""
    runs = []
    for run, seeds in right.items():
        for seed, (own, audio) in seeds.items():
            parts = []
            for checkpoint, more in (("selected", 0), ("best-test", 20)):
                columns = {"id": [f"{k:03d}" for k in range(n)], "label": (np.arange(n) % 2).astype("int16")}
                logits = {"logits": logits_of(own + more, n, 0), "logits_audio": logits_of(audio, n, 7)}
                parts.append(pd.DataFrame(columns | logits).assign(checkpoint=checkpoint))
            path = folder / f"{run}-{seed}.parquet"
            write_predictions(path, pd.concat(parts, ignore_index=True).assign(split="test", condition="both"))
            runs.append(RunFile(run, run.capitalize(), "made", seed, str(path)))
    (folder / "t.csv").write_text(PUBLISHED)
    datasets = {"d": DatasetInfo("d", "D", "made", "made up"), "e": DatasetInfo("e", "E", None, "left out")}
    paper = Paper("s", "t", str(folder), datasets, {run: run.capitalize() for run in (*right, "none")}, tuple(runs))
    return evidence_of(paper, {"published": SPECS, "statistics": {"draws": 200}})


def compared(evidence: Evidence, **block: Any) -> list[Outcome]:
    return outcomes_of(evidence, **{"kind": "by_seed", "dataset": "d", "metrics": ["accuracy"], **block})


def test_a_difference_on_a_subset(tmp_path: Path) -> None:
    evidence = evidence_of(*made(tmp_path))
    outcome = outcome_of(evidence, "estimated", **DIFFERENCE)
    # 100 % against 75 % on 100 clips; published 80 - 70; standard error sqrt(0.75 * 0.25 / 100) = 4.33 points.
    assert (outcome.effect, outcome.n, outcome.published, outcome.verdict) == (25.0, 100, 10.0, CLAIMED)
    assert (outcome.text, outcome.seeds, outcome.numbers) == ("D, audio_preferred: Fused > Audio", (25.0,) * 3, SEEDS)
    # A clip that is lost with one seed is not with the next: the error of the mean is smaller than that of one seed.
    assert outcome.error is not None and 1 < outcome.error < 4.33
    assert outcome_of(evidence, **{**DIFFERENCE, "subsets": ["overall"]}).effect == 12.5


def test_a_difference_on_the_seeds_that_both_have(tmp_path: Path) -> None:
    (outcome,) = compared(small(tmp_path), left=["left"], right=["right"])
    # Seeds 0, 1, 6: 2, 3, 1. Seed 9 has no partner. Over seeds sd 1; a clip is named by both or only by the left one.
    assert outcome.text == "D, accuracy: Left > Right"
    assert (outcome.numbers, outcome.seeds, outcome.effect, outcome.n) == ((0, 1, 6), (2.0, 3.0, 1.0), 2.0, 200)
    assert outcome.error is not None and outcome.error > 1 / np.sqrt(3)
    assert (outcome.verdict, outcome.published) == (INCONCLUSIVE, 1.0)
    (surer,) = compared(small(tmp_path, {**RIGHT, "right": {0: (60, 0), 1: (64, 0)}}), left=["left"], right=["right"])
    assert surer.verdict == CLAIMED and surer.seeds == (32.0, 32.0)


def test_each_metric_or_their_mean(tmp_path: Path) -> None:
    block = {"metrics": ["accuracy", "accuracy_audio"], "left": ["left"], "right": ["right"]}
    assert [(each.text, each.effect, each.published) for each in compared(small(tmp_path), **block)] == [
        ("D, accuracy: Left > Right", 2.0, 1.0),
        ("D, accuracy audio: Left > Right", 0.0, 0.0),
    ]
    (mean,) = compared(small(tmp_path), **block, over="mean")
    # (2 + 1, 3 - 1, 1 + 0) / 2 by seed 0, 1, 6.
    assert (mean.seeds, mean.effect, mean.published) == (pytest.approx((1.5, 1.0, 0.5)), pytest.approx(1.0), 0.5)
    assert mean.text == "D, mean of accuracy, accuracy audio: Left > Right"


def test_chains_weighted_sums_and_one_seed(tmp_path: Path) -> None:
    evidence = small(tmp_path)
    chain = compared(evidence, chain=["left", "right", "third"])
    assert [(each.text, each.verdict, each.reason) for each in chain] == [
        ("D, accuracy: Left > Right", INCONCLUSIVE, ""),
        ("D, accuracy: Right > Third", UNTESTABLE, "one seed"),
    ]
    pieces = [{"coefficient": number, "run": run} for number, run in ((1, "left"), (-2, "right"), (1, "third"))]
    (outcome,) = compared(evidence, pieces=pieces)
    assert (outcome.text, outcome.effect, outcome.reason, outcome.published) == (
        "D, accuracy: Left + Third > 2 Right", 3.0, "one seed", 0.0
    )  # fmt: skip
    (named,) = compared(evidence, pieces=pieces, text="in words")
    assert named.text == "D, accuracy: in words"


def test_a_margin_is_what_must_be_exceeded(tmp_path: Path) -> None:
    (more,) = compared(small(tmp_path), left=["left"], right=["right"], at_least=2)
    assert (more.text, more.seeds, more.published) == ("D, accuracy: Left > Right + 2", (0.0, 1.0, -1.0), -1.0)
    (less,) = compared(small(tmp_path), left=["right"], right=["left"], at_least=-30)
    assert (less.text, less.seeds, less.verdict) == ("D, accuracy: Right > Left - 30", (28.0, 27.0, 29.0), CLAIMED)


@pytest.mark.parametrize(("checkpoint", "more"), [("selected", 0.0), ("best-test", 10.0)])
def test_what_looks_at_nothing_and_another_checkpoint(checkpoint: str, more: float, tmp_path: Path) -> None:
    (outcome,) = compared(small(tmp_path), left=["left"], right=["majority-label"], checkpoint=checkpoint)
    assert (outcome.seeds, outcome.published) == ((12.0 + more, 14.0 + more, 10.0 + more), None)
    named = ", best-test" if more else ""
    assert outcome.text == f"D, accuracy{named}: Left > the most frequent class"


@pytest.mark.parametrize(
    ("block", "n", "reason"),
    [
        ({"left": ["left"], "right": ["right"], "metrics": ["m3"]}, 200, r"left has no m3 on D \(test, .*\)"),
        ({"left": ["left"], "right": ["no-event"]}, 200, r"no-event has no accuracy on D .*"),
        ({"left": ["left"], "right": ["right"]}, 19, "too few clips: 19 of D, fewer than 20"),
        ({"left": ["left"], "right": ["right"], "condition": "silent-audio"}, 200, r"left has no .*silent-audio.*"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_says_why(block: dict[str, Any], n: int, reason: str, tmp_path: Path) -> None:
    (outcome,) = compared(small(tmp_path, n=n), **block)
    assert outcome.verdict == UNTESTABLE
    assert re.fullmatch(reason, outcome.reason)


def test_runs_without_a_common_seed_cannot_be_compared(tmp_path: Path) -> None:
    right = {"left": {0: (10, 10)}, "right": {1: (10, 10)}}
    (outcome,) = compared(small(tmp_path, right), left=["left"], right=["right"])
    assert outcome.reason == "its runs have no seed in common"
