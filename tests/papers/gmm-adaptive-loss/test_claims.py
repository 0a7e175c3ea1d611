"""Claims of gmm-adaptive-loss: mixtures, weaker heads and other papers' numbers, worked by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from claims_paper import evidence_of, outcome_of, outcomes_of
from gap_runs import declarations, fit, made_up_paper

from avbalance.errors import UserError
from avbalance.evaluation.claims import assess
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.outcomes import CLAIMED, CONTRARY, INCONCLUSIVE, UNTESTABLE, Outcome
from avbalance.evaluation.paper import Paper
from flowkeeper.files import read_json, write_json

OURS = "Adaptive loss (our formulation)"


@pytest.fixture(scope="module")
def evidence(made: tuple[Paper, Path]) -> Evidence:
    return evidence_of(made[0], declarations(), made[1])


def mixture(evidence: Evidence, measured: str, runs: tuple[str, ...] = ("ours",), **more: Any) -> Outcome:
    file = "gaps.json" if measured == "nulls" else "mixtures.json"
    block = {"dataset": "cremad", "file": file, "runs": list(runs), "measure": measured, **more}
    return outcome_of(evidence, kind="by_seed_mixture", **block)


def test_two_gaussians_against_one_and_against_unimodal_distributions(evidence: Evidence) -> None:
    outcome = mixture(evidence, "bic")
    assert (outcome.seeds, outcome.unit, outcome.verdict) == ((300.0, 300.0, 300.0), "BIC", CLAIMED)
    assert outcome.text == f"CREMA-D: {OURS}, after warm-up: BIC of one Gaussian > BIC of two"
    outcome = mixture(evidence, "nulls")
    assert outcome.verdict == CLAIMED and min(outcome.seeds) > 50  # the scores have two humps


def test_the_distance_of_the_means_and_its_margin(evidence: Evidence) -> None:
    outcome = mixture(evidence, "separation", at_least=0.2)
    assert outcome.seeds == pytest.approx((0.3, 0.3, 0.3))  # 0.6 - 0.1 - 0.2
    assert outcome.text.endswith("mu_I - mu_B > 0.2")
    assert mixture(evidence, "separation", at_least=0.6).verdict == CONTRARY


def test_the_mean_gap_at_the_end_against_a_share_of_the_other(evidence: Evidence) -> None:
    outcome = mixture(evidence, "mean", ("heads", "ours"), lower_by=0.2)
    # 0.8 * 0.3 - (0.15 - seed / 100)
    assert outcome.seeds == pytest.approx((0.09, 0.10, 0.11)) and outcome.verdict == CLAIMED
    words = f"mean gap at the end of training: {OURS} more than 20 % below Fusion + unimodal heads"
    assert outcome.text == f"CREMA-D: {words}"
    assert mixture(evidence, "mean", ("heads", "ours"), lower_by=0.9).verdict == CONTRARY


def test_shrinking_from_the_first_fit_to_the_last(evidence: Evidence) -> None:
    # 0.5, then 0.3; the fit in between has no mixture
    assert mixture(evidence, "separation-shrinks").seeds == pytest.approx((0.2, 0.2, 0.2))
    share = mixture(evidence, "share-shrinks")
    assert share.seeds == pytest.approx((0.2, 0.21, 0.22)) and share.unit == "share"
    assert mixture(evidence, "share-shrinks", ("heads",)).verdict == INCONCLUSIVE  # 0.4 both times


def test_fits_without_a_mixture(tmp_path: Path) -> None:
    paper = made_up_paper(tmp_path, seeds=(0,), right={"ours": (80, 60, 60)})
    evidence, path = evidence_of(paper, declarations()), tmp_path / "ours" / "seed0" / "mixtures.json"
    record = read_json(path)
    whole, bare = record["fits"][0], fit(4, None, 0.1, 0.0)

    def of(fits: list[Any], measured: str, **more: Any) -> Outcome:
        write_json(path, {**record, "fits": fits})
        return mixture(evidence, measured, **more)

    for measured, expected in (("separation-shrinks", 0.5), ("share-shrinks", 0.4)):
        assert of([whole, bare], measured).seeds == pytest.approx((expected,))
        outcome = of([whole], measured)
        assert (outcome.verdict, outcome.reason) == (UNTESTABLE, "a training has one fit only")
    reason = "there was no mixture after warm-up, because made up"
    assert of([bare, bare], "separation-shrinks").reason == reason
    assert of([bare, bare], "separation", at_least=0.2).seeds == (-0.2,)
    unfitted = {**bare, "bic_1": None, "bic_2": None}
    assert of([unfitted], "bic").reason == "nothing could be fitted, because made up"


def test_another_papers_number_counts_where_it_is_asked_for_and_says_so(evidence: Evidence) -> None:
    block = {"kind": "by_seed", "dataset": "cremad", "metrics": ["accuracy"], "left": ["ours"], "right": ["concat"]}
    plain = outcome_of(evidence, **block)
    assert (plain.published, plain.context) == (None, False)
    concat, heads = outcomes_of(evidence, **{**block, "right": ["concat", "heads"]}, context=True, at_least=2)
    assert concat.published == pytest.approx(80.65 - 65.50 - 2) and concat.context
    assert (heads.published, heads.context) == (None, False)  # nobody prints it


def test_methods_of_other_papers_that_are_not_trained_here(evidence: Evidence) -> None:
    effects = {}
    for role in ("cremad", "ave", "kinetics-sounds"):
        outcome = outcome_of(evidence, kind="context", dataset=role, metric="accuracy", run="ours")
        assert outcome.verdict == UNTESTABLE and outcome.context and "is not trained here" in outcome.reason
        effects[role] = round(outcome.published or 0.0, 2)
    # MMPareto 79.97, CAL 74.21 and CAL 74.82.
    assert effects == {"cremad": 0.68, "ave": -3.81, "kinetics-sounds": -2.40}
    with pytest.raises(UserError, match="no other paper's recall on AVE"):
        outcome_of(evidence, kind="context", dataset="ave", metric="recall", run="ours")


def test_the_weaker_head_gains_more(evidence: Evidence) -> None:
    block = {"kind": "by_seed_weaker", "dataset": "cremad", "metrics": ["accuracy_audio", "accuracy_visual"]}
    outcome = outcome_of(evidence, **block, before="heads", after="ours")
    # Visual is weaker (48 < 66 of 120): it gains 12 clips, audio 1.
    assert outcome.seeds == pytest.approx((100 * 11 / 120,) * 3) and outcome.verdict == CLAIMED
    assert "accuracy visual, the weaker before, gains more than accuracy audio" in outcome.text
    assert outcome_of(evidence, **block, before="ours", after="heads").verdict == CONTRARY
    absent = outcome_of(evidence, **block, before="heads", after="greedy")
    assert absent.reason == "greedy was not run on CREMA-D in this tier"


def test_the_papers_own_claims_are_assessed(made: tuple[Paper, Path]) -> None:
    report = assess(made[0], declarations(), made[1])
    verdicts = {claim["id"]: claim["results"]["none"]["verdict"] for claim in report["claims"]}
    assert {verdicts[name] for name in ("C1", "C3", "C4", "C5", "C9")} == {CLAIMED}
    assert {verdicts[name] for name in ("C7", "C7b")} == {UNTESTABLE}
    assert {claim["own"] for claim in report["claims"]} == {False}
    published = {claim["id"]: claim["published"] for claim in report["claims"]}
    assert {name for name, signs in published.items() if signs["comparisons"]} == {"C1", "C2"}
    assert published["C2"]["borrowed"] and published["C2"]["right"] < published["C2"]["comparisons"]
    # 80.65 - 65.50 - 2 on CREMA-D, 72.42 - 65.63 - 0.5 on KineticSound; no concatenation on AVE is printed.
    assert published["C1"] == {"comparisons": 2, "right": 2, "smallest": 6.29, "largest": 13.15, "borrowed": True}
    outcomes = report["checks"][0]["results"]["none"]["outcomes"]
    ours = next(each for each in outcomes if each["text"].startswith(f"CREMA-D, accuracy: {OURS}"))
    assert ours["seeds"] == [pytest.approx(100 * (84 + seed) / 120 - 100 / 6, abs=1e-5) for seed in range(3)]
