"""Claims about mixtures, margins, weaker heads and other papers' numbers, by numbers that are worked by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from avbalance.errors import UserError
from avbalance.evaluation.claims import assess
from avbalance.evaluation.comparisons import against_context, by_seed, evaluate
from avbalance.evaluation.context import context_lines, context_value, load_context
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.gap_files import read_fine_tuning, read_gaps, read_mixtures
from avbalance.evaluation.measure import measure
from avbalance.evaluation.outcomes import CLAIMED, CONTRARY, INCONCLUSIVE, UNTESTABLE, Outcome, judged
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.published import load_published
from avbalance.evaluation.seed_mixtures import MEASURES, by_seed_mixture
from avbalance.evaluation.seed_weaker import by_seed_weaker
from avbalance.files import read_json, write_json

sys.path.insert(0, str(Path(__file__).parents[1]))

from gap_runs import declarations, fit, made_up_paper

OURS = "Adaptive loss (our formulation)"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paper, Path]:
    folder = tmp_path_factory.mktemp("gap-claims")
    paper = made_up_paper(folder)
    measure(paper, declarations()["measures"], folder / "measurements.parquet")
    return paper, folder / "measurements.parquet"


@pytest.fixture(scope="module")
def evidence(made: tuple[Paper, Path]) -> Evidence:
    return Evidence(made[0], declarations(), made[1])


def mixture(evidence: Evidence, measure: str, runs: list[str], **more: Any) -> Any:
    block = {"dataset": "cremad", "file": "mixtures.json", "runs": runs, "measure": measure, **more}
    (found,) = judged(by_seed_mixture(evidence, block, "none"), 0.95)
    return found


def compared(evidence: Evidence, block: dict[str, Any]) -> list[Outcome]:
    found = [evaluate(evidence, comparison) for comparison in by_seed(evidence, block, "none")]
    return [outcome for each in found for outcome in judged([each], 0.95)]


def test_two_gaussians_against_one(evidence: Evidence) -> None:
    found = mixture(evidence, "bic", ["ours"])
    assert (found.seeds, found.unit, found.verdict) == ((300.0, 300.0, 300.0), "BIC", CLAIMED)
    assert found.text == f"CREMA-D: {OURS}, after warm-up: BIC of one Gaussian > BIC of two"


def test_against_unimodal_distributions(evidence: Evidence) -> None:
    found = mixture(evidence, "nulls", ["ours"], file="gaps.json")
    assert found.verdict == CLAIMED and min(found.seeds) > 50  # the scores have two humps


def test_the_distance_of_the_means_and_its_margin(evidence: Evidence) -> None:
    found = mixture(evidence, "separation", ["ours"], at_least=0.2)
    assert found.seeds == pytest.approx((0.3, 0.3, 0.3))  # 0.6 - 0.1 - 0.2
    assert found.text.endswith("mu_I - mu_B > 0.2")
    assert mixture(evidence, "separation", ["ours"], at_least=0.6).verdict == CONTRARY


def test_the_mean_gap_at_the_end_against_a_share_of_the_other(evidence: Evidence) -> None:
    found = mixture(evidence, "mean", ["heads", "ours"], lower_by=0.2)
    # 0.8 * 0.3 - (0.15 - seed / 100)
    assert found.seeds == pytest.approx((0.09, 0.10, 0.11)) and found.verdict == CLAIMED
    assert found.text == (
        f"CREMA-D: mean gap at the end of training: {OURS} more than 20 % below Fusion + unimodal heads"
    )
    assert mixture(evidence, "mean", ["heads", "ours"], lower_by=0.9).verdict == CONTRARY


def test_shrinking_from_the_first_fit_to_the_last(evidence: Evidence) -> None:
    apart = mixture(evidence, "separation-shrinks", ["ours"])
    assert apart.seeds == pytest.approx((0.2, 0.2, 0.2))  # 0.5, then 0.3; the fit in between has no mixture
    share = mixture(evidence, "share-shrinks", ["ours"])
    assert share.seeds == pytest.approx((0.2, 0.21, 0.22)) and share.unit == "share"
    assert mixture(evidence, "share-shrinks", ["heads"]).verdict == INCONCLUSIVE  # 0.4 both times


@pytest.mark.parametrize(("last", "apart", "share"), [(fit(4, None, 0.1, 0.0), 0.5, 0.4), (None, None, None)])
def test_fits_without_a_mixture(last: Any, apart: float | None, share: float | None, tmp_path: Path) -> None:
    paper = made_up_paper(tmp_path, seeds=(0,), right={"ours": (80, 60, 60)})
    path = tmp_path / "ours" / "seed0" / "mixtures.json"
    record = read_json(path)
    record["fits"] = [record["fits"][0], last] if last else [record["fits"][0]]
    write_json(path, record)
    evidence = Evidence(paper, declarations())
    for measured, expected in (("separation-shrinks", apart), ("share-shrinks", share)):
        found = mixture(evidence, measured, ["ours"])
        if expected is None:
            assert (found.verdict, found.reason) == (UNTESTABLE, "a training has one fit only")
        else:
            assert (found.seeds, found.reason) == (pytest.approx((expected,)), "one seed")
    record["fits"] = [fit(2, None, 0.1, 0.0), fit(4, None, 0.1, 0.0)]
    write_json(path, record)
    assert (
        mixture(evidence, "separation-shrinks", ["ours"]).reason
        == "there was no mixture after warm-up, because made up"
    )
    assert mixture(evidence, "separation", ["ours"], at_least=0.2).seeds == (-0.2,)
    record["fits"] = [{**record["fits"][0], "bic_1": None, "bic_2": None}]
    write_json(path, record)
    assert mixture(evidence, "bic", ["ours"]).reason == "nothing could be fitted, because made up"


def test_what_cannot_be_compared_says_why(evidence: Evidence) -> None:
    found = mixture(evidence, "bic", ["ours"], dataset="ave")
    assert (found.verdict, found.reason) == (UNTESTABLE, "AVE is not made in this tier")
    assert mixture(evidence, "bic", ["warm-up-0"]).reason == "warm-up-0 was not run on CREMA-D in this tier"
    with pytest.raises(UserError, match=f"use one of {', '.join(MEASURES)}"):
        mixture(evidence, "width", ["ours"])
    with pytest.raises(UserError, match="measure mean of by_seed_mixture needs 2 runs, not 1"):
        mixture(evidence, "mean", ["ours"])


@pytest.mark.parametrize("name", ["mixtures.json", "gaps.json", "fine_tuning.json"])
@pytest.mark.parametrize("content", ["{}", "{", '{"fits": [], "warm_up_epochs": 1}'])
def test_files_that_are_no_records_are_one_sentence(name: str, content: str, tmp_path: Path) -> None:
    paper = made_up_paper(tmp_path, seeds=(0,), right={"ours": (80, 60, 60)})
    run = paper.runs[0]
    run.beside(name).write_text(content)
    read = {"mixtures.json": read_mixtures, "gaps.json": read_gaps, "fine_tuning.json": read_fine_tuning}[name]
    with pytest.raises(UserError, match=rf"{name}: (not a record|holds no fit)"):
        read(run)
    run.beside(name).unlink()
    with pytest.raises(UserError, match=rf"{name}: not a record"):
        read(run)


def test_a_margin_is_what_must_be_exceeded(evidence: Evidence) -> None:
    block = {"dataset": "cremad", "metrics": ["accuracy"], "left": ["ours"], "right": ["concat"]}
    (plain,) = compared(evidence, block)
    (more,) = compared(evidence, {**block, "at_least": 2})
    (less,) = compared(evidence, {**block, "left": ["concat"], "right": ["ours"], "at_least": -30})
    # 84 and 66 of 120 clips, a clip more by seed for both: 15 points.
    assert plain.seeds == pytest.approx((15.0,) * 3) and more.seeds == pytest.approx((13.0,) * 3)
    assert less.seeds == pytest.approx((15.0,) * 3) and less.verdict == CLAIMED
    assert more.text == f"CREMA-D, accuracy: {OURS} > Concat + 2"
    assert less.text == f"CREMA-D, accuracy: Concat > {OURS} - 30"
    assert (plain.published, plain.context) == (None, False)


def test_another_papers_number_counts_where_it_is_asked_for_and_says_so(evidence: Evidence) -> None:
    block = {
        "dataset": "cremad",
        "metrics": ["accuracy"],
        "left": ["ours"],
        "right": ["concat", "heads"],
        "context": True,
    }
    concat, heads = compared(evidence, {**block, "at_least": 2})
    assert concat.published == pytest.approx(80.65 - 65.50 - 2) and concat.context
    assert (heads.published, heads.context) == (None, False)  # nobody prints it


def test_methods_of_other_papers_that_are_not_trained_here(evidence: Evidence) -> None:
    effects = {}
    for role in ("cremad", "ave", "kinetics-sounds"):
        (found,) = judged(
            against_context(evidence, {"dataset": role, "metric": "accuracy", "run": "ours"}, "none"), 0.95
        )
        assert found.verdict == UNTESTABLE and found.context and "is not trained here" in found.reason
        effects[role] = round(found.published or 0.0, 2)
    # MMPareto 79.97, CAL 74.21 and CAL 74.82.
    assert effects == {"cremad": 0.68, "ave": -3.81, "kinetics-sounds": -2.40}
    with pytest.raises(UserError, match="no other paper's f1 on AVE"):
        against_context(evidence, {"dataset": "ave", "metric": "f1", "run": "ours"}, "none")


def test_context_is_kept_apart_from_published_numbers(evidence: Evidence) -> None:
    specs = declarations()["published"]
    published = load_published(evidence.paper.published, specs)
    assert len(published) == 5
    context = load_context(evidence.paper.published, specs)
    assert {each.source for each in context} == {"BalanceBenchmark", "CAL, arXiv:2510.26289"}
    assert len(context) == 80 + 3
    assert context_value(context, "CREMA-D", "Concat", "macro_f1") == 65.07
    assert context_value(context, "AVE", "Concat", "accuracy") is None
    (line,) = context_lines(context, ["AVE"], ["accuracy"])
    assert line == (
        "Context, from another paper (CAL, arXiv:2510.26289), not numbers of this one: AVE, accuracy (%): CAL 74.21."
    )


def test_the_weaker_head_gains_more(evidence: Evidence) -> None:
    block = {"dataset": "cremad", "metrics": ["accuracy_audio", "accuracy_visual"], "before": "heads", "after": "ours"}
    (found,) = judged(by_seed_weaker(evidence, block, "none"), 0.95)
    # Visual is weaker (48 < 66 of 120): it gains 12 clips, audio 1.
    assert found.seeds == pytest.approx((100 * 11 / 120,) * 3) and found.verdict == CLAIMED
    assert "accuracy visual, the weaker before, gains more than accuracy audio" in found.text
    (back,) = judged(by_seed_weaker(evidence, {**block, "before": "ours", "after": "heads"}, "none"), 0.95)
    assert back.seeds == pytest.approx((-100 * 11 / 120,) * 3) and back.verdict == CONTRARY
    (absent,) = judged(by_seed_weaker(evidence, {**block, "after": "greedy"}, "none"), 0.95)
    assert absent.reason == "greedy was not run on CREMA-D in this tier"


# The paper's own declarations

CLAIMS = ["C0", "C1", "C1b", "C2", "C3", "C4", "C5", "C6", "C6b", "C7", "C7b", "C8", "C9"]


@pytest.fixture(scope="module")
def report(made: tuple[Paper, Path]) -> dict[str, Any]:
    return assess(made[0], declarations(), made[1])


def test_all_claims_are_declared_and_assessed(report: dict[str, Any]) -> None:
    assert [claim["id"] for claim in report["claims"]] == CLAIMS
    assert [check["id"] for check in report["checks"]] == ["K1", "K2", "K3"]
    verdicts = {claim["id"]: claim["results"]["none"]["verdict"] for claim in report["claims"]}
    assert {verdicts[name] for name in ("C1", "C3", "C4", "C5", "C9")} == {CLAIMED}
    assert {verdicts[name] for name in ("C7", "C7b")} == {UNTESTABLE}
    assert {claim["own"] for claim in report["claims"]} == {False}


def test_published_signs_rest_on_five_numbers_and_say_where_others_help(report: dict[str, Any]) -> None:
    published = {claim["id"]: claim["published"] for claim in report["claims"]}
    assert {name for name, found in published.items() if found["comparisons"]} == {"C1", "C2"}
    assert published["C1"]["borrowed"] and published["C2"]["borrowed"]
    assert published["C1"]["right"] == 2 and published["C2"]["right"] < published["C2"]["comparisons"]
    first = next(claim for claim in report["claims"] if claim["id"] == "C1")
    # 80.65 - 65.50 - 2 on CREMA-D, 72.42 - 65.63 - 0.5 on KineticSound; no concatenation on AVE is printed.
    assert (first["published"]["largest"], first["published"]["smallest"]) == (13.15, 6.29)
    assert first["published"]["comparisons"] == 2


def test_checks_ask_for_more_than_the_most_frequent_class(report: dict[str, Any]) -> None:
    outcomes = report["checks"][0]["results"]["none"]["outcomes"]
    ours = next(each for each in outcomes if each["text"].startswith(f"CREMA-D, accuracy: {OURS}"))
    assert ours["seeds"] == [pytest.approx(100 * (84 + seed) / 120 - 100 / 6, abs=1e-5) for seed in range(3)]
