"""Verdicts by hand-worked cases: kinds of comparison, judging, combining, published numbers."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest

from avbalance.analysis.statistics import Estimate, Term, paired_bootstrap, resample_counts
from avbalance.errors import UserError
from avbalance.evaluation.claims import assess, combine, published_verdict
from avbalance.evaluation.comparisons import (
    FAILS,
    HOLDS,
    UNTESTABLE,
    WEAK,
    Outcome,
    best,
    judge,
    outcomes,
    scarcity,
)
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile, declarations_of
from avbalance.evaluation.predictions import write_predictions
from avbalance.frames import write_parquet

N = 200


@pytest.mark.parametrize(
    ("effect", "low", "verdict"),
    [(1.0, 0.5, HOLDS), (1.0, -0.5, WEAK), (1.0, 0.0, WEAK), (-1.0, -2.0, FAILS), (0.0, -1.0, FAILS)],
)
def test_judging(effect: float, low: float, verdict: str) -> None:
    assert judge(Estimate(effect, low, 2.0, 1.0, 2.8)) == verdict


def test_a_tie_is_weak_where_it_agrees() -> None:
    assert judge(Estimate(0.0, -1.0, 2.0, 1.0, 2.8), tie_agrees=True) == WEAK
    assert judge(Estimate(-0.1, -1.0, 2.0, 1.0, 2.8), tie_agrees=True) == FAILS


@pytest.mark.parametrize(
    ("error", "n", "reason"),
    [
        (1.0, 19, "too few clips: 19 of D, fewer than 20"),
        (0.0, 29, "too few clips: 29 of D, on which the effect does not vary"),
        (1.0, 20, ""),
        (0.0, 30, ""),
        (float("nan"), 30, "no variation between the 30 clips of D, or draws without any"),
    ],
)
def test_scarcity(error: float, n: int, reason: str) -> None:
    assert scarcity(Estimate(5.0, 5.0 - error, 5.0, error, 2.8 * error), n, 20, "of D") == reason


def test_the_alternative_that_holds_is_reported_else_the_largest_effect() -> None:
    wide, narrow, wrong = Estimate(9, -1, 19, 5, 14), Estimate(2, 1, 3, 0.5, 1.4), Estimate(-1, -1.1, -0.9, 0.05, 0.1)
    assert best([wrong, wide]) == 1
    # The lower bound of the tight interval is the higher one, but only the wide one has the right sign.
    assert best([Estimate(-0.1, -0.2, 0.0, 0.05, 0.1), wide]) == 1
    assert best([wide, narrow, wrong]) == 1
    assert best([narrow, Estimate(3, 1, 5, 1, 2.8)]) == 1


def test_one_of_two_holds_by_chance_in_no_more_than_the_level() -> None:
    # Two sides of 100 clips, on each of which the truth is a tie; 2.5 % are meant, the smaller difference's own
    # percentile interval gives some 11 %.
    held, generator = 0, np.random.default_rng(5)
    masks = np.arange(N) < N // 2, np.arange(N) >= N // 2
    for _ in range(300):
        values = generator.integers(-1, 2, N).astype(float)
        counts = resample_counts(N, 400, generator)
        estimates = [paired_bootstrap([Term(values, mask, 1)], counts, 0.975) for mask in masks]
        held += judge(estimates[best(estimates)]) == HOLDS
    assert held / 300 < 0.06


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([HOLDS, HOLDS], "reproduced"),
        ([HOLDS, WEAK], "direction only"),
        ([HOLDS, WEAK, FAILS], "not reproduced"),
        ([UNTESTABLE, HOLDS], "reproduced where testable"),
        ([UNTESTABLE, WEAK], "direction only"),
        ([UNTESTABLE, FAILS], "not reproduced"),
        ([UNTESTABLE, UNTESTABLE], "not testable here"),
    ],
)
def test_combining(verdicts: list[str], expected: str) -> None:
    assert combine(verdicts) == expected


def test_published_verdict_needs_every_comparison() -> None:
    found = [Outcome("one", HOLDS, published=1.5), Outcome("two", HOLDS, published=0.5)]
    assert published_verdict(found) == {"verdict": "yes", "comparisons": 2, "smallest": 0.5, "largest": 1.5}
    assert published_verdict([*found, Outcome("three", HOLDS, published=-0.1)])["verdict"] == "no"
    assert published_verdict([Outcome("none", HOLDS)])["verdict"] == "no numbers"
    # Our best alternative may be one that falls behind in the paper; the claim rests on the paper's own best.
    assert published_verdict([Outcome("any", HOLDS, published=-1.0, claimed=2.0)])["verdict"] == "yes"
    assert published_verdict([Outcome("tie", HOLDS, published=0.0)])["verdict"] == "no"
    assert published_verdict([Outcome("tie", HOLDS, published=0.0, tie_agrees=True)])["verdict"] == "yes"


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    """200 clips, the front half audio-preferred: audio is right on 3/4 of it, fused on all of it."""
    ids = [f"{number:03d}" for number in range(N)]
    front = np.arange(N) < N // 2
    other = np.zeros(N, dtype=bool)
    # Against audio, slight wins 12 and loses 17 clips of the front half, and is equal on the back half.
    slight = front & (np.arange(N) % 4 != 0)
    slight[np.flatnonzero(front & ~slight)[:12]] = True
    slight[np.flatnonzero(front & (np.arange(N) % 4 == 1))[:17]] = False
    right = {"audio": front & (np.arange(N) % 4 != 0), "fused": front, "other": other, "slight": slight}
    runs = []
    for name, correct in right.items():
        logits = [[1.0, 0.0] if good else [0.0, 1.0] for good in correct]
        frame = pd.DataFrame(
            {
                "id": ids,
                "label": 0,
                "split": "test",
                "condition": "both",
                "checkpoint": "selected",
                "logits": logits,
            }
        )
        write_predictions(tmp_path / f"{name}.parquet", frame)
        runs.append(RunFile(name, name.capitalize(), "d", 0, str(tmp_path / f"{name}.parquet")))
    values = np.where(front, 0.3, -0.3) + np.linspace(0, 0.2, N) * np.where(front, 1, -1)
    subsets = [
        pd.DataFrame({"id": ids, "definition": name, "discrepancy": values, "preferred": "-"})
        for name in ("estimated", "planted")
    ]
    write_parquet(tmp_path / "subsets.parquet", pd.concat(subsets))
    (tmp_path / "published.csv").write_text(
        "dataset,method,subset,accuracy\nD,Fused,audio_preferred,80\nD,Audio,audio_preferred,70\n"
        "D,Slight,audio_preferred,75\nD,Fused,visual_preferred,10\nD,Audio,visual_preferred,20\nD,Fused,overall,66\nD,Audio,overall,45\n"
    )
    datasets = {
        "set": DatasetInfo("set", "D", "d", "made up", subsets=str(tmp_path / "subsets.parquet")),
        "absent": DatasetInfo("absent", "E", None, ""),
    }
    labels = {run.run: run.label for run in runs} | {"never": "Never"}
    paper = Paper("slug", "Title", str(tmp_path), datasets, labels, tuple(runs))
    published = [{"file": "published.csv", "value": "accuracy"}]
    declared = declarations_of({"published": published, "statistics": {"draws": 300}})
    return Evidence(paper, declared)


def one(evidence: Evidence, protocol: str = "estimated", **block: Any) -> Outcome:
    found = outcomes(evidence, {"datasets": ["set"], **block}, protocol)
    assert len(found) == 1
    return found[0]


def test_difference(evidence: Evidence) -> None:
    outcome = one(evidence, kind="difference", subsets=["audio_preferred"], left=["fused"], right=["audio"])
    # 100 % against 75 % on 100 clips; published 80 - 70; standard error sqrt(0.75 * 0.25 / 100) = 4.33 points.
    assert (outcome.effect, outcome.n, outcome.published, outcome.verdict) == (25.0, 100, 10.0, HOLDS)
    assert outcome.seeds == (25.0,)
    assert outcome.detectable == pytest.approx(2.80 * 4.33, rel=0.2)


def test_overall_ignores_the_protocol(evidence: Evidence) -> None:
    block = {"kind": "difference", "subsets": ["overall"], "left": ["fused"], "right": ["audio"]}
    assert one(evidence, "none", **block).effect == 12.5


def test_between_subsets(evidence: Evidence) -> None:
    block = {"kind": "between_subsets", "runs": ["audio"], "higher": "audio_preferred"}
    assert one(evidence, **block, lower="visual_preferred").effect == 75.0


def test_growth(evidence: Evidence) -> None:
    subsets = ["audio_preferred", "audio_dominated@0.35"]
    outcome = one(evidence, kind="growth", left=["fused"], right=["other"], subsets=subsets)
    # Both differences are 100 points: no growth, hence no success; the paper prints no curve.
    assert (outcome.effect, outcome.verdict, outcome.published) == (0.0, FAILS, None)


def test_any_of_takes_the_best(evidence: Evidence) -> None:
    block = {"kind": "any_of", "subsets": ["audio_preferred"], "right": ["audio"]}
    assert one(evidence, **block, left=["other", "fused"]).effect == 25.0
    assert one(evidence, **block, left=["other"]).verdict == FAILS


def test_any_of_reports_one_and_the_same_alternative(evidence: Evidence) -> None:
    block = {"kind": "any_of", "subsets": ["audio_preferred"], "right": ["audio"]}
    outcome = one(evidence, **block, left=["slight", "fused"])
    # Published: Slight - Audio = 5, Fused - Audio = 10. Ours: -5 and +25.
    assert (outcome.effect, outcome.published, outcome.claimed, outcome.seeds) == (25.0, 10.0, 10.0, (25.0,))
    assert outcome.text.endswith("; shown: Fused")
    back = one(evidence, **block | {"subsets": ["visual_preferred"]}, left=["other", "slight"])
    assert (back.effect, back.verdict, back.claimed) == (0.0, FAILS, None)
    # -75 and -5: neither holds, the larger effect is shown though the other's interval is as far from 0.
    outcome = one(evidence, **block, left=["other", "slight"])
    assert (outcome.effect, outcome.published, outcome.verdict) == (-5.0, 5.0, FAILS)


def test_never_both(evidence: Evidence) -> None:
    sides = [
        {"subset": "audio_preferred", "rival": "audio"},
        {"subset": "visual_preferred", "rival": "audio"},
    ]
    outcome = one(evidence, kind="never_both", runs=["fused"], sides=sides)
    # It leads by 25 on one side and ties on the other, which it does not beat. Published there: 20 - 10.
    assert (outcome.effect, outcome.published, outcome.verdict) == (0.0, 10.0, WEAK)
    assert outcome.text.endswith("; shown: Audio minus Fused on visual_preferred")
    assert one(evidence, kind="never_both", runs=["other"], sides=sides).verdict == HOLDS
    # It leads on both: not what is claimed.
    both = [{"subset": "audio_preferred", "rival": name} for name in ("audio", "other")]
    assert one(evidence, kind="never_both", runs=["fused"], sides=both).verdict == FAILS


def test_never_both_is_corrected_for_two_looks(evidence: Evidence) -> None:
    sides = [{"subset": "audio_preferred", "rival": "audio"}] * 2
    outcome = one(evidence, kind="never_both", runs=["slight"], sides=sides)
    # 17 clips lost, 12 won: 5 points, standard error sqrt(29 - 0.25) / 100 = 5.4 points: 0.9 of them.
    assert (outcome.effect, outcome.verdict) == (5.0, WEAK)
    alone = one(evidence, kind="difference", subsets=["audio_preferred"], left=["audio"], right=["slight"])
    assert alone.detectable == pytest.approx(2.80 * 5.4, rel=0.2)
    # On the same draws, z of 98.75 % and of 80 % against z of 97.5 % and of 80 %.
    z = NormalDist().inv_cdf
    ratio = (z(0.9875) + z(0.8)) / (z(0.975) + z(0.8))
    assert outcome.detectable == pytest.approx(ratio * (alone.detectable or 0.0))
    assert outcome.low is not None and alone.low is not None and outcome.low < alone.low


def test_small_subsets_are_not_testable(evidence: Evidence) -> None:
    block = {"kind": "growth", "left": ["fused"], "right": ["audio"]}
    # The discrepancy of clip k of the front half is 0.3 + 0.2 k / 199: clips 85 to 99 lie above 0.385.
    outcome = one(evidence, **block, subsets=["audio_preferred", "audio_dominated@0.385"])
    assert (outcome.verdict, outcome.effect, outcome.n) == (UNTESTABLE, None, 15)
    assert outcome.reason == "too few clips: 15 of D in audio_dominated@0.385, fewer than 20"
    evidence.min_n = 15
    assert one(evidence, **block, subsets=["audio_preferred", "audio_dominated@0.385"]).verdict != UNTESTABLE
    sides = {"kind": "difference", "subsets": ["audio_dominated@0.385"], "left": ["fused"], "right": ["other"]}
    assert one(evidence, **sides).reason.endswith("on which the effect does not vary")


def test_share(evidence: Evidence) -> None:
    block = {"kind": "share", "higher": "audio_preferred", "lower": "visual_preferred"}
    outcome = one(evidence, **block, factor=0.5)
    # 50 - 0.5 * 50. Published r: (66 - 10) / 70 = 0.8 and (45 - 20) / 50 = 0.5, median 0.65: 65 - 0.5 * 35.
    assert outcome.effect == 25.0
    assert outcome.published == pytest.approx(47.5)
    assert one(evidence, **block, factor=2).verdict == FAILS


def test_correlation(evidence: Evidence) -> None:
    assert one(evidence, "planted", kind="correlation", at_least=0.5).effect == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ({"datasets": ["absent"]}, "E is not made in this tier"),
        ({"left": ["never"]}, "never was not run on D in this tier"),
        ({"subsets": ["audio_dominated@0.9"]}, "no test clip of D is in audio_dominated@0.9"),
    ],
)
def test_what_cannot_be_tested_says_why(evidence: Evidence, block: dict[str, Any], reason: str) -> None:
    whole = {"kind": "difference", "subsets": ["audio_preferred"], "left": ["fused"], "right": ["audio"]}
    outcome = one(evidence, **{**whole, **block})
    assert outcome.verdict == UNTESTABLE
    assert outcome.reason.startswith(reason)


def test_missing_definitions_are_not_testable(evidence: Evidence) -> None:
    block = {"kind": "difference", "subsets": ["audio_preferred"], "left": ["fused"], "right": ["audio"]}
    assert "no cross-fitted-a subsets of D" in one(evidence, "cross-fitted", **block).reason


def test_unknown_kinds_and_lacking_keys_are_told(evidence: Evidence) -> None:
    with pytest.raises(UserError, match="unknown kind 'magic'"):
        outcomes(evidence, {"kind": "magic"}, "estimated")
    with pytest.raises(UserError, match="lacks 'right'"):
        outcomes(evidence, {"kind": "difference", "datasets": [], "subsets": [], "left": []}, "estimated")


def test_all_declared_claims_get_a_verdict(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path
) -> None:
    report = assess(fabricated_paper, balanced_declarations, measurements)
    assert [claim["id"] for claim in report["claims"]] == [f"C{number}" for number in range(1, 17)]
    # Every claim is what the paper's own numbers say; VGG-Sound's map was never measured, yet one pair is.
    assert {claim["published"]["verdict"] for claim in report["claims"]} == {"yes"}
    by_id = {claim["id"]: claim for claim in report["claims"]}
    assert by_id["C2"]["published"]["smallest"] == pytest.approx(7.40)
    assert by_id["C3"]["published"]["smallest"] == pytest.approx(5.68)
    assert by_id["C8"]["published"]["smallest"] == pytest.approx(2.52)
    assert list(by_id["C1"]["results"]) == ["none"]
    assert list(by_id["C3"]["results"]) == ["estimated", "cross-fitted", "planted"]
    assert by_id["C15"]["results"]["cross-fitted"]["verdict"] == "not testable here"
    assert by_id["C6"]["results"]["estimated"]["verdict"] == "reproduced"
    assert report["statistics"]["min_n"] == 20
