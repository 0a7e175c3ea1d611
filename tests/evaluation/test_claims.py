"""Verdicts by hand-worked cases: the rule, kinds of comparison, published numbers, bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from avbalance.analysis.flatness import grid_counts, square_divergence
from avbalance.analysis.statistics import Estimate
from avbalance.errors import UserError
from avbalance.evaluation.claims import PROTOCOLS, assess, comparisons, published_signs, summary
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.measure import measure
from avbalance.evaluation.outcomes import (
    CLAIMED,
    CONTRARY,
    INCONCLUSIVE,
    UNTESTABLE,
    Outcome,
    Trial,
    best,
    combined,
    judged,
    trial_of,
)
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile, declarations_of
from avbalance.evaluation.predictions import write_predictions
from avbalance.frames import read_parquet, write_parquet
from avbalance.reporting.claims_report import claims_markdown

N = 200
SEEDS = (0, 1, 2)


def by_error(effect: float, error: float, headline: bool = False, looks: int = 1) -> Trial:
    """A comparison with that effect and a standard error from very many clips."""
    bare = Outcome(f"{effect} {error}", effect=effect, headline=headline)
    return Trial(bare, Estimate(effect, 0.0, 2, error**2, 10**6), looks)


def test_the_rule() -> None:
    # 2.24 standard errors at 97.5 %, 1.96 at 95 %.
    found = judged([by_error(2.3, 1), by_error(-2.0, 1)], 0.95)
    assert [each.verdict for each in found] == [CLAIMED, CONTRARY]
    assert [each.level for each in found] == pytest.approx([0.975, 0.95])
    # The first step fails, so that the second is not taken, and both intervals are those of the first step.
    found = judged([by_error(2.2, 1), by_error(-2.0, 1)], 0.95)
    assert [each.verdict for each in found] == [INCONCLUSIVE] * 2 and {each.level for each in found} == {0.975}
    for each in found:
        assert each.low is not None and each.high is not None and each.low < 0 < each.high
    assert judged([by_error(0.0, 0.0)], 0.95)[0].verdict == INCONCLUSIVE


def test_an_interval_excludes_0_exactly_if_the_comparison_is_decided() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        effects, seeds = generator.normal(0, 3, 6), generator.uniform(0, 0.3, 6)
        found = [Trial(Outcome(str(e)), Estimate(e, s, 4, 1.0, 99), looks) for e, s, looks in
                 zip(effects, seeds, (1, 1, 1, 2, 4, 1), strict=True)]  # fmt: skip
        for each in judged(found, 0.95):
            assert each.low is not None and each.high is not None
            assert (each.low > 0, each.high < 0) == (each.verdict == CLAIMED, each.verdict == CONTRARY)


def test_a_headline_stands_alone() -> None:
    found = judged([by_error(2.0, 1, headline=True), by_error(2.0, 1), by_error(0.5, 1)], 0.95)
    assert [each.verdict for each in found] == [CLAIMED, INCONCLUSIVE, INCONCLUSIVE]


@pytest.mark.parametrize(
    ("verdicts", "headline", "expected"),
    [
        ([CLAIMED, CLAIMED], CLAIMED, CLAIMED),
        ([CLAIMED, INCONCLUSIVE], None, INCONCLUSIVE),
        ([CLAIMED, INCONCLUSIVE, CONTRARY], CLAIMED, CONTRARY),
        ([UNTESTABLE, CLAIMED], None, CLAIMED),
        ([UNTESTABLE, CLAIMED], UNTESTABLE, UNTESTABLE),
        ([UNTESTABLE, CONTRARY], UNTESTABLE, CONTRARY),
        ([UNTESTABLE, UNTESTABLE], None, UNTESTABLE),
    ],
)
def test_a_claim_follows_from_its_comparisons(verdicts: list[str], headline: str | None, expected: str) -> None:
    found = [Outcome("t", verdict) for verdict in verdicts]
    found += [] if headline is None else [Outcome("h", headline, headline=True)]
    assert combined(found) == expected
    counts = summary(found)
    assert [counts[key] for key in ("claimed", "contrary", "inconclusive", "untestable")] == [
        verdicts.count(verdict) for verdict in (CLAIMED, CONTRARY, INCONCLUSIVE, UNTESTABLE)
    ]


@pytest.mark.parametrize(
    ("spread", "n", "reason"),
    [
        (1.0, 19, "too few clips: 19 of D, fewer than 20"),
        (0.0, 29, "too few clips: 29 of D, on which the effect does not vary"),
        (float("nan"), 30, "it cannot be evaluated on most drawings of the 30 clips of D"),
    ],
)
def test_scarcity(spread: float, n: int, reason: str) -> None:
    values = 5 + spread * np.random.default_rng(0).normal(0, 1, (2, 101))
    values[:, 0] = 5
    found = trial_of(Outcome("t"), dict(enumerate(values)), n, 20, "of D")
    assert found == Trial(Outcome("t", n=n, reason=reason))


def test_a_single_seed_never_decides_and_shows_its_effect() -> None:
    found = trial_of(Outcome("t"), {3: np.array([4.0, 4.1, 3.9])}, 200, 20)
    (outcome,) = judged([found], 0.95)
    assert (outcome.verdict, outcome.reason, outcome.effect, outcome.numbers) == (UNTESTABLE, "one seed", 4.0, (3,))
    assert outcome.low is None and outcome.p is None


def test_the_alternative_that_decides_is_reported() -> None:
    wide, narrow, wrong = by_error(9, 5), by_error(2, 0.5), by_error(-1, 0.05)
    assert best([wrong, wide]) == 1
    assert best([wide, narrow, wrong]) == 1
    assert best([by_error(-5, 1), by_error(-1, 1)]) == 1  # of negative ones, the one that is least sure
    # 2.24 standard errors for one of two, and both must be contrary for the comparison to be.
    assert judged([by_error(2.1, 1, looks=2)], 0.95)[0].verdict == INCONCLUSIVE


def test_signs_of_published_numbers() -> None:
    found = [Outcome("one", published=1.5), Outcome("two", published=-0.5), Outcome("none")]
    assert published_signs(found) == {
        "comparisons": 2, "right": 1, "smallest": -0.5, "largest": 1.5, "borrowed": False
    }  # fmt: skip
    assert published_signs([Outcome("tie", published=0.0)])["right"] == 0
    assert published_signs([Outcome("tie", published=0.0, tie_agrees=True)])["right"] == 1
    assert published_signs([])["smallest"] is None
    assert published_signs([Outcome("b", published=1.0, context=True)])["borrowed"]


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    """200 clips, the front half audio-preferred: audio is right on 3/4 of it, fused on all; seeds turn the clips."""
    return Evidence(*made(tmp_path))


def made(tmp_path: Path) -> tuple[Paper, dict[str, Any]]:
    """The paper and what it declares."""
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
        for seed in SEEDS:
            turned = np.concatenate([np.roll(half, seed) for half in np.split(correct, 2)])
            path = tmp_path / f"{name}-{seed}.parquet"
            logits = [[1.0, 0.0] if good else [0.0, 1.0] for good in turned]
            frame = pd.DataFrame({"id": ids, "label": 0, "logits": logits})
            write_predictions(path, frame.assign(split="test", condition="both", checkpoint="selected"))
            runs.append(RunFile(name, name.capitalize(), "d", seed, str(path)))
    values = np.where(front, 0.3, -0.3) + np.linspace(0, 0.2, N) * np.where(front, 1, -1)
    subsets = [
        pd.DataFrame({"id": ids, "definition": name, "discrepancy": values, "preferred": "-"})
        for name in ("estimated", "planted", *(f"seed-matched-{seed}" for seed in SEEDS))
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
    return paper, declared


def one(evidence: Evidence, protocol: str = "estimated", **block: Any) -> Outcome:
    found = judged(comparisons(evidence, {"datasets": ["set"], **block}, protocol), evidence.level)
    assert len(found) == 1
    return found[0]


def test_difference(evidence: Evidence) -> None:
    outcome = one(evidence, kind="difference", subsets=["audio_preferred"], left=["fused"], right=["audio"])
    # 100 % against 75 % on 100 clips; published 80 - 70; standard error sqrt(0.75 * 0.25 / 100) = 4.33 points.
    assert (outcome.effect, outcome.n, outcome.published, outcome.verdict) == (25.0, 100, 10.0, CLAIMED)
    assert (outcome.seeds, outcome.numbers) == ((25.0,) * 3, SEEDS)
    # A clip that is lost with one seed is not with the next: the error of the mean is smaller than that of one seed.
    assert outcome.error is not None and 1 < outcome.error < 4.33


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
    assert (outcome.effect, outcome.verdict, outcome.published) == (0.0, INCONCLUSIVE, None)


def test_any_of_takes_the_best(evidence: Evidence) -> None:
    block = {"kind": "any_of", "subsets": ["audio_preferred"], "right": ["audio"]}
    assert one(evidence, **block, left=["other", "fused"]).effect == 25.0
    assert one(evidence, **block, left=["other"]).verdict == CONTRARY


def test_any_of_reports_one_and_the_same_alternative(evidence: Evidence) -> None:
    block = {"kind": "any_of", "subsets": ["audio_preferred"], "right": ["audio"]}
    outcome = one(evidence, **block, left=["slight", "fused"])
    # Published: Slight - Audio = 5, Fused - Audio = 10. Ours: -5 and +25.
    assert (outcome.effect, outcome.published, outcome.seeds) == (25.0, 10.0, (25.0,) * 3)
    assert outcome.text.endswith("; shown: Fused") and outcome.verdict == CLAIMED
    # -75 and -5: the larger effect decides.
    outcome = one(evidence, **block, left=["other", "slight"])
    assert (outcome.effect, outcome.published) == (-5.0, None) and outcome.verdict != CLAIMED


def test_never_both(evidence: Evidence) -> None:
    sides = [
        {"subset": "audio_preferred", "rival": "audio"},
        {"subset": "visual_preferred", "rival": "audio"},
    ]
    outcome = one(evidence, kind="never_both", runs=["fused"], sides=sides)
    # It leads by 25 on one side and ties on the other, which it does not beat. Published there: 20 - 10.
    assert (outcome.effect, outcome.published, outcome.verdict) == (0.0, 10.0, INCONCLUSIVE)
    assert outcome.text.endswith("; shown: Audio minus Fused on visual_preferred")
    assert one(evidence, kind="never_both", runs=["other"], sides=sides).verdict == CLAIMED
    # It leads on both: not what is claimed.
    both = [{"subset": "audio_preferred", "rival": name} for name in ("audio", "other")]
    assert one(evidence, kind="never_both", runs=["fused"], sides=both).verdict == CONTRARY


def test_never_both_is_corrected_for_two_looks(evidence: Evidence) -> None:
    sides = [{"subset": "audio_preferred", "rival": "audio"}] * 2
    outcome = one(evidence, kind="never_both", runs=["slight"], sides=sides)
    alone = one(evidence, kind="difference", subsets=["audio_preferred"], left=["audio"], right=["slight"])
    assert outcome.effect == alone.effect == 5.0 and outcome.level == pytest.approx(0.975)
    assert outcome.p == pytest.approx(min(2 * (alone.p or 0.0), 1.0))
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
    assert one(evidence, **block, factor=2).verdict == CONTRARY
    assert one(evidence, "planted", **block, factor=0.5).numbers == ()  # no training enters


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


def test_annotated_subsets_are_asked_where_people_said_what_they_perceive(tmp_path: Path) -> None:
    paper, declared = made(tmp_path)
    claims = [{"id": "A", "text": "a", "tests": [{**BLOCK, "datasets": ["set"]}]}]
    assert list(assess(paper, {**declared, "claims": claims})["claims"][0]["results"]) == list(PROTOCOLS[:3])
    path = str(paper.datasets["set"].subsets)
    frame = read_parquet(Path(path), ("id",), "subsets")
    people = frame[frame["definition"] == "planted"].assign(definition="annotated")
    people["discrepancy"] = np.sign(people["discrepancy"]).where(np.arange(N) % 5 > 0)  # nobody said a fifth
    people["preferred"] = np.where(people["discrepancy"].isna(), "outside", "-")
    write_parquet(path, pd.concat([frame, people]))
    report = assess(paper, {**declared, "claims": claims})
    assert list(report["claims"][0]["results"]) == list(PROTOCOLS)
    page = claims_markdown({**report, "cuts": []})
    assert "| Planted | Annotated |" in page and "*annotated*: by what people heard and saw" in page
    evidence = Evidence(paper, declared)
    outcome = one(evidence, "annotated", **BLOCK)
    # Of the 80 clips that are left in the front half audio misses every fourth: 20, but for the turning of seeds.
    assert outcome.n == 80 and outcome.effect == 25.0
    share = {"kind": "share", "higher": "audio_preferred", "lower": "visual_preferred", "factor": 0.5}
    outcome = one(evidence, "annotated", **share)
    assert (outcome.effect, outcome.n, outcome.numbers) == (25.0, 160, ())
    outcome = one(evidence, "annotated", **{**BLOCK, "subsets": ["audio_dominated@0.4"]})
    assert outcome.reason == "people say heard or seen, not by how much"


def test_unknown_kinds_and_lacking_keys_are_told(evidence: Evidence) -> None:
    with pytest.raises(UserError, match="unknown kind 'magic'"):
        comparisons(evidence, {"kind": "magic"}, "estimated")
    with pytest.raises(UserError, match="lacks 'right'"):
        comparisons(evidence, {"kind": "difference", "datasets": ["set"], "subsets": ["overall"], "left": []}, "none")
    block = {"kind": "difference", "datasets": ["set"], "subsets": ["overall"], "left": ["fused"], "headline": True}
    with pytest.raises(UserError, match="a headline is one comparison, but a block of kind difference has 2"):
        comparisons(evidence, {**block, "right": ["audio", "other"]}, "none")


BLOCK = {"kind": "difference", "subsets": ["audio_preferred"], "left": ["fused"], "right": ["audio"]}


def test_each_seed_has_the_subsets_of_its_own_unimodal_models(evidence: Evidence) -> None:
    path = str(evidence.paper.datasets["set"].subsets)
    frame = read_parquet(Path(path), ("id",), "subsets")
    back = (frame["definition"] == "seed-matched-1").to_numpy()
    frame.loc[back, "discrepancy"] *= -1  # the other half of the clips, on which neither is right
    write_parquet(path, frame)
    assert one(evidence, **BLOCK).seeds == (25.0, 0.0, 25.0)
    assert one(evidence, "planted", **BLOCK).seeds == (25.0, 25.0, 25.0)
    write_parquet(path, frame[~back])
    assert one(Evidence(evidence.paper, declarations_of({})), **BLOCK).seeds == (25.0, 25.0, 25.0)


def test_share_by_a_single_training_is_not_testable(evidence: Evidence) -> None:
    path = str(evidence.paper.datasets["set"].subsets)
    frame = read_parquet(Path(path), ("id",), "subsets")
    write_parquet(path, frame[frame["definition"] == "estimated"])
    block = {"kind": "share", "higher": "audio_preferred", "lower": "visual_preferred", "factor": 0.5}
    assert one(evidence, **block).reason == "one seed"


def measured(tmp_path: Path, **rows: dict[str, Any]) -> tuple[Paper, dict[str, Any], Path]:
    """The paper with measurements, to which rows of the metrics learned and converged are added: run -> values."""
    paper, declared = made(tmp_path)
    path = tmp_path / "measurements.parquet"
    measure(paper, {}, path)
    frame = read_parquet(path, ("run",), "measure")
    place = {"dataset": "d", "split": "val", "subset": "overall", "condition": "none", "protocol": "none"}
    more = [
        {**place, "checkpoint": "none", "run": run, "seed": seed, "metric": metric, "value": value, "n": 1}
        for run, metrics in rows.items()
        for metric, values in metrics.items()
        for seed, value in enumerate(values)
    ]
    write_parquet(path, pd.concat([frame, pd.DataFrame(more)], ignore_index=True) if more else frame)
    return paper, declared, path


def test_what_rests_on_a_training_that_failed_is_not_testable(tmp_path: Path) -> None:
    whole = {"learned": (1.0, 1.0, 1.0), "converged": (1.0, 1.0, 1.0)}
    evidence = Evidence(*measured(tmp_path, fused=whole, audio={**whole, "learned": (1.0, 0.0, 1.0)}))
    found = one(evidence, **BLOCK)
    assert (found.verdict, found.reason) == (UNTESTABLE, "Audio did not learn with seed 1 on D")
    assert one(evidence, **BLOCK | {"right": ["other"]}).verdict == CLAIMED
    evidence = Evidence(*measured(tmp_path, fused={"converged": (1.0, 0.0, 0.0)}))
    assert one(evidence, **BLOCK).reason == "Fused did not converge with seed 1 on D"
    evidence = Evidence(*measured(tmp_path, fused={"converged": (1.0, 1.0, 0.0)}))
    assert one(evidence, **BLOCK).verdict == CLAIMED  # one of three: their mean is at rest
    evidence = Evidence(*measured(tmp_path, fused={"learned": (1.0, 1.0, 0.0), "converged": (1.0, 1.0, 0.0)}))
    assert one(evidence, **BLOCK).reason == "Fused did not learn with seed 2 on D"
    # So do the subsets that it chooses, but not those that are planted.
    paper, declared, path = measured(tmp_path, other={"learned": (0.0, 1.0, 1.0)})
    chosen = {"audio": "audio", "visual": "other", "rule": {}}
    evidence = Evidence(paper, {**declared, "confidence": chosen}, path)
    assert one(evidence, **BLOCK).reason == "Other did not learn with seed 0 on D"
    assert one(evidence, "planted", **BLOCK).verdict == CLAIMED
    share = {"kind": "share", "higher": "audio_preferred", "lower": "visual_preferred", "factor": 0.5}
    assert one(evidence, **share).reason == "Other did not learn with seed 0 on D"
    # Against what looks at nothing, that is the very question: 50 % right where all clips have the one class.
    block = {"kind": "by_seed", "dataset": "set", "metrics": ["accuracy"], "left": ["fused"]}
    assert one(evidence, "none", **block, right=["majority-label"]).verdict == CONTRARY


def test_what_half_models_did_says_nothing_of_the_run_that_they_stand_in_for(tmp_path: Path) -> None:
    failed = {"converged": (1.0, 0.0, 0.0)}
    paper, declared, path = measured(tmp_path, audio=failed)
    assert one(Evidence(paper, declared, path), **BLOCK).verdict == UNTESTABLE
    frame = read_parquet(path, ("run",), "measure")
    write_parquet(path, frame.assign(protocol=frame["protocol"].mask(frame["metric"] == "converged", "cross-fitted")))
    assert one(Evidence(paper, declared, path), **BLOCK).verdict == CLAIMED


def test_subsets_under_cross_fitting_rest_on_the_half_models(tmp_path: Path) -> None:
    paper, declared, path = measured(tmp_path)
    halves = {"audio": {"a": "half-a", "b": "half-b"}}
    declared = {**declared, "confidence": {"audio": "audio", "visual": "other", "rule": {}}}
    evidence = Evidence(paper, {**declared, "measures": {**declared["measures"], "cross_fitted": halves}}, path)
    assert evidence.estimators("estimated") == ["audio", "other"]
    assert evidence.estimators("cross-fitted") == ["half-a", "half-b"]
    assert evidence.estimators("planted") == []


def test_measurements_of_other_runs_are_refused(tmp_path: Path) -> None:
    paper, declared, path = measured(tmp_path)
    frame = read_parquet(path, ("run",), "measure")
    write_parquet(path, frame[(frame["run"] != "audio") | (frame["seed"] != 2)])
    with pytest.raises(UserError, match="holds nothing of audio with seed 2 on d; it was made from other runs"):
        Evidence(paper, declared, path)


def test_runs_on_other_clips_are_refused(evidence: Evidence) -> None:
    path = evidence.paper.run_files("set", "audio")[1].predictions
    frame = read_parquet(Path(path), ("id",), "train")
    write_predictions(path, frame.iloc[1:])
    with pytest.raises(UserError, match=r"audio-1\.parquet: test has other clips or labels than .*audio-0\.parquet"):
        one(evidence, **BLOCK | {"left": ["audio"], "right": ["fused"]})


def test_a_seed_without_predictions_is_told(evidence: Evidence) -> None:
    path = Path(evidence.paper.run_files("set", "audio")[1].predictions)
    path.unlink()
    with pytest.raises(UserError, match=r"audio-1\.parquet: not a readable table"):
        one(evidence, **BLOCK)


def test_claims_name_whose_data_they_are_about(tmp_path: Path) -> None:
    paper, declared = made(tmp_path)
    claims = [{"id": "A", "text": "a", "tests": [{**BLOCK, "datasets": ["set"]}]}]
    assert not assess(paper, {**declared, "claims": claims})["claims"][0]["own"]
    own = replace(paper, datasets={**paper.datasets, "set": replace(paper.datasets["set"], own=True)})
    claims.append({"id": "B", "text": "b", "tests": [{**BLOCK, "datasets": ["absent"]}]})
    report = assess(own, {**declared, "claims": claims})
    assert [claim["own"] for claim in report["claims"]] == [True, False]  # nothing of the second is made


def test_all_declared_claims_get_a_verdict(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path
) -> None:
    report = assess(fabricated_paper, balanced_declarations, measurements)
    assert [claim["id"] for claim in report["claims"]] == [f"C{number}" for number in range(1, 17)]
    # Every claim is what the paper's own numbers say; VGG-Sound's map was never measured, yet one pair is.
    assert all(claim["published"]["right"] == claim["published"]["comparisons"] > 0 for claim in report["claims"])
    by_id = {claim["id"]: claim for claim in report["claims"]}
    assert by_id["C2"]["published"]["smallest"] == pytest.approx(7.40)
    assert by_id["C3"]["published"]["smallest"] == pytest.approx(5.68)
    assert by_id["C8"]["published"]["smallest"] == pytest.approx(2.52)
    assert list(by_id["C1"]["results"]) == ["none"]
    assert list(by_id["C3"]["results"]) == ["estimated", "cross-fitted", "planted"]
    assert by_id["C1"]["results"]["none"]["comparisons"] == 9  # the headline is one of them
    assert by_id["C15"]["results"]["cross-fitted"]["verdict"] == UNTESTABLE
    assert by_id["C6"]["results"]["planted"]["verdict"] == CLAIMED
    assert report["statistics"]["min_n"] == 20


def test_maps_are_drawn_by_the_models_of_each_seed(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any]
) -> None:
    confidence = {"audio": "audio", "visual": "visual", "rule": {"min_delta": 0.5, "patience": 3, "floor": 2}}
    evidence = Evidence(fabricated_paper, {**balanced_declarations, "confidence": confidence})
    block = {"kind": "flatness", "larger": ["kinetics-sounds"], "smaller": ["balanced"], "split": "train"}
    (estimated,) = comparisons(evidence, block, "estimated")
    assert estimated.outcome.numbers == (0, 1) and estimated.outcome.n == 160
    u = fabricated_paper.datasets["kinetics-sounds"], fabricated_paper.datasets["balanced"]
    frames = [read_parquet(Path(str(info.confidence)) / "confidence.parquet", ("id",), "c") for info in u]
    parts = [frame[frame["split"] == "train"] for frame in frames]
    j2 = [square_divergence(grid_counts(part["u_audio"], part["u_visual"])) for part in parts]
    assert estimated.outcome.seeds[0] == pytest.approx(j2[0] - j2[1], abs=0.05)  # the same but for the rule of the stop
    (planted,) = comparisons(evidence, block, "planted")
    assert planted.outcome.numbers == () and planted.outcome.effect is not None and planted.outcome.effect > 0.1
    assert planted.estimate is not None and planted.estimate.seeds == 0
    (half,) = comparisons(evidence, block, "cross-fitted")
    assert half.outcome.reason == "the map has no cross-fitted form"
