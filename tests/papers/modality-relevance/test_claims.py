"""Claims of modality-relevance: published margins, our effects by seed, what cannot be tested."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from claims_paper import evidence_of, outcome_of, outcomes_of
from relevance_files import CONFUSIONS, RECALLS, SEEDS, declarations, made_up_paper

from avbalance.evaluation.claims import assess
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.measure import measure
from avbalance.evaluation.outcomes import CLAIMED, UNTESTABLE
from avbalance.evaluation.paper import Paper

URBAN = {"audio": "urban-rural-audio", "visual": "urban-rural-visual", "both": "urban-rural-student"}
SPEECH = {"audio": "speech-audio", "visual": "speech-visual", "both": "speech-student"}
KS = {"audio": "ks-audio", "visual": "ks-visual", "both": "ks-fusion"}
CLASSES = {"kind": "by_seed_finding", "dataset": "kinetics-sounds", "table": "classes", "runs": KS}
SOUNDS = {**CLASSES, "table": "kinetics-sounds", "classes": 26}
BETWEEN = {"kind": "by_seed_finding", "dataset": "audioset", "table": "urban-rural", "claim": "between", "runs": URBAN}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paper, Path]:
    folder = tmp_path_factory.mktemp("relevance")
    paper = made_up_paper(folder)
    measure(paper, declarations()["measures"], folder / "measurements.parquet")
    return paper, folder / "measurements.parquet"


@pytest.fixture(scope="module")
def evidence(made: tuple[Paper, Path]) -> Evidence:
    return evidence_of(made[0], declarations(), made[1])


@pytest.fixture(scope="module")
def report(made: tuple[Paper, Path]) -> dict[str, Any]:
    return assess(made[0], declarations(), made[1])


def fewer_runs(paper: Paper, folder: Path, *left_out: tuple[str, int]) -> tuple[Paper, Path]:
    """The paper without some seeds of runs, and its measurements."""
    paper = replace(paper, runs=tuple(each for each in paper.runs if (each.run, each.seed) not in left_out))
    measure(paper, declarations()["measures"], folder / "measurements.parquet")
    return paper, folder / "measurements.parquet"


def outcomes(report: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    entries = {entry["id"]: entry for key in ("claims", "checks") for entry in report[key]}
    return entries[name]["results"]["none"]["outcomes"]


def test_every_claim_follows_from_the_printed_numbers(report: dict[str, Any]) -> None:
    signs = {claim["id"]: claim["published"] for claim in report["claims"]}
    assert [name for name, found in signs.items() if not found["comparisons"]] == [f"F4.{k}" for k in range(1, 7)]
    wrong = {name: found["comparisons"] - found["right"] for name, found in signs.items()}
    assert {name: number for name, number in wrong.items() if number} == {"T2.7b": 1}


@pytest.mark.parametrize(
    ("claim", "margins"),
    [
        ("T1.1", [77.71 - 61.79 - 5, 61.79 - 50]), ("T1.2", [71.65 - 61.79, 77.71 - 71.65]),
        ("T1.3", [3 - (71.65 - 71.66), 3 - (71.65 - 70.91)]), ("T1.4", [71.65 - 61.76 - 5, 71.65 - 61.81 - 5]),
        ("T1.5", [(9.89 + 9.84) / 2 - 3 * 0.5]), ("T2.6", [4 - (65.32 - 63.67)]),
        ("T2.7", [68.09 - 67.54 - 0.28]), ("T2.7b", [65.32 - 67.28]), ("T2.8", [8 - (67.28 - 61.63)]),
        ("T2.9", [5.65 - 4.41]), ("T2.10", [65.53 - 61.63, 63.46 - 62.87]),
        ("T2.10b", [0.75, 0.05, 3.9, 0.59, 0.0, 0.81]),
        ("T12.11", [(9.89 + 9.84 + 0.01 - 0.74) / 2 - (4.41 + 3.82 - 1.75 - 5.65) / 2 - 5]),
        ("T3.12", [16.22 - 200 / 26, 77.20 - 16.22 - 30]), ("T3.13", [1.15, 2.85]), ("T3.14", [2.3, 1.0]),
        ("T3.15", [77.35 - 6.29 - 40, 77.35 - 5.94 - 40, 300 / 26 - 6.29, 300 / 26 - 5.94]),
        ("T3.15b", [16.22 - 6.29, 16.22 - 5.94]), ("T3.16", [3 - 0.35, 3 - 0.81, 3 - 1.28]),
    ],
)  # fmt: skip
def test_published_margins(report: dict[str, Any], claim: str, margins: Sequence[float]) -> None:
    assert [each["published"] for each in outcomes(report, claim)] == pytest.approx(margins, abs=1e-6)


def test_our_margins_follow_from_the_rebuilt_counts(report: dict[str, Any]) -> None:
    # The binary runs were made to fit the printed tables, whose slips are at most 0.11 points of balanced accuracy.
    for claim in ("T1.1", "T1.2", "T1.3", "T1.4", "T1.5", "T2.6", "T2.8", "T2.9", "T2.10", "T12.11"):
        for each in outcomes(report, claim):
            assert each["numbers"] == SEEDS and each["n"] == 727
            assert each["effect"] == pytest.approx(each["published"], abs=0.12)
    assert {outcomes(report, name)[0]["verdict"] for name in ("T1.1", "T1.2", "T1.5", "T12.11")} == {CLAIMED}


def test_a_teacher_that_did_not_learn_leaves_what_the_student_says_of_itself(made: tuple[Paper, Path]) -> None:
    evidence = evidence_of(made[0], declarations(), made[1])
    data = str(evidence.info("audioset").data)
    claims = {claim["id"]: claim["tests"][0] for claim in declarations()["claims"]}
    for run, failing, left in (
        ("speech-visual", ("T2.6", "T2.7"), ("T2.8", "T2.9", "T2.10", "T12.11")),
        ("speech-student", ("T2.6", "T2.8", "T12.11"), ()),
    ):
        evidence.failed.of = {(data, run, SEEDS[1]): "did not learn"}
        for name in failing:
            assert all("did not learn" in each.reason for each in outcomes_of(evidence, **claims[name]))
        for name in left:
            assert not any(each.reason for each in outcomes_of(evidence, **claims[name]))


def test_margins_are_made_again_for_every_drawing(report: dict[str, Any]) -> None:
    # Video teacher less audio teacher less 5: of independent answers, the errors of the two recalls' means add up.
    (lead, _) = outcomes(report, "T1.1")
    variance = sum(
        2500 * (a * b / (a + b) ** 3 + c * d / (c + d) ** 3)
        for a, b, c, d in (CONFUSIONS[run]["both"] for run in ("urban-rural-audio", "urban-rural-visual"))
    )
    # The made-up clips that both name wrongly are the same ones, so that their difference varies less.
    assert 0.4 * np.sqrt(variance) < lead["error"] < np.sqrt(variance)


def test_controls_take_the_place_of_the_papers_stand_ins(report: dict[str, Any]) -> None:
    (task,) = outcomes(report, "K2")
    assert task["published"] is None and task["verdict"] == CLAIMED
    # mean audio loses nothing, shuffled audio what noise lost, mean video what black did, shuffled video what noise did
    reliance = []
    for run in ("urban-rural-student", "speech-student"):
        balanced = {name: 50 * (a / (a + b) + d / (c + d)) for name, (a, b, c, d) in CONFUSIONS[run].items()}
        video = 2 * balanced["both"] - balanced["gaussian-video"] - balanced["black-video"]
        reliance.append((video - (balanced["both"] - balanced["gaussian-audio"])) / 2)
    assert task["effect"] == pytest.approx(reliance[0] - reliance[1] - 5, abs=1e-6)


def test_conditions_of_pieces_and_blocks_and_the_majority_of_a_labelling(evidence: Evidence) -> None:
    student, block = "urban-rural-student", {"kind": "by_seed", "dataset": "audioset", "metrics": ["accuracy"]}
    pieces = [{"coefficient": 1, "run": student}, {"coefficient": -1, "run": student, "condition": "black-video"}]
    lost = outcome_of(evidence, **block, pieces=pieces)
    assert lost.text == "AudioSet, accuracy: AV Model, urban/rural > AV Model, urban/rural (Black Video)"
    # 266 + 255 of 727 less 262 + 187; printed 71.66 and 61.76
    assert lost.effect == pytest.approx(100 * 72 / 727) and lost.published == pytest.approx(9.9)
    silent = outcome_of(evidence, **block, left=[student], right=["speech-student"], condition="silent-audio")
    assert silent.text == "AudioSet, accuracy, silent-audio: AV Model, urban/rural > AV Model, speech"
    assert silent.effect == pytest.approx(100 * (260 + 261 - 170 - 316) / 727)
    assert silent.published == pytest.approx(71.66 - 66.85)
    guess = outcome_of(evidence, **block, left=["speech-audio"], right=["majority-label-speech"])
    assert guess.text == "AudioSet, accuracy: Audio Model, speech > the most frequent class"
    assert guess.effect == pytest.approx(100 * (146 + 351 - 440) / 727) and guess.published is None


def test_findings_on_kinetics_sounds_by_hand(evidence: Evidence) -> None:
    by_text = {each.text: each for each in outcomes_of(evidence, **SOUNDS)}
    twice = by_text["Kinetics-Sounds: audio model above twice chance"]  # chance is of the classes that there are
    assert twice.effect == pytest.approx(26 - 2 * 100 / 5) and twice.published == pytest.approx(16.22 - 2 * 100 / 26)
    # Silence costs 4 points of accuracy, as noise does: their difference is 0, which agrees with "within".
    costs, differ = outcomes_of(evidence, **SOUNDS, claim="without-audio")
    assert (costs.effect, differ.effect) == (pytest.approx(3 - 4), pytest.approx(1 - 1))


def test_classes_by_hand(evidence: Evidence) -> None:
    by_text = {each.text: each for each in outcomes_of(evidence, **CLASSES)}
    (heard,) = (each for text, each in by_text.items() if "three classes" in text)
    assert heard.effect == pytest.approx((80 + 90 + 90) / 3 - 50)
    assert heard.published is None and heard.n == 100
    black = by_text["Kinetics-Sounds, classes: most classes: Black Video more than 30 points below the intact model"]
    assert black.effect == pytest.approx(100 * (4 / 5 - 0.5))
    assert {each.unit for each in by_text.values()} == {"points", "rho"}


def test_what_does_not_vary_has_no_correlation(tmp_path: Path) -> None:
    flat = copy.deepcopy(RECALLS) | {"ks-fusion": {**RECALLS["ks-fusion"], "silent-audio": (50,) * 5}}
    evidence = evidence_of(made_up_paper(tmp_path, recalls=flat), declarations())
    for each in outcomes_of(evidence, **CLASSES, claim="correlation"):
        assert (each.verdict, each.reason) == (UNTESTABLE, "the accuracies of the classes do not vary")


def test_what_cannot_be_compared_says_why(made: tuple[Paper, Path], tmp_path: Path) -> None:
    left_out = [(run, seed) for run in ("speech-audio", "ks-audio") for seed in SEEDS]
    paper, path = fewer_runs(made[0], tmp_path, *left_out)
    evidence = evidence_of(paper, declarations(), path)
    task = outcome_of(evidence, **{**BETWEEN, "table": "task", "claim": "", "against": SPEECH})
    assert (task.verdict, task.reason) == (UNTESTABLE, "speech-audio was not run on AudioSet in this tier")
    assert task.published == pytest.approx(4.085)
    classes = outcome_of(evidence, **CLASSES, claim="video-good")
    assert classes.reason == "ks-audio was not run on Kinetics-Sounds in this tier"
    few = evidence_of(paper, {**declarations(), "statistics": {"min_n": 728}}, path)
    assert outcomes_of(few, **BETWEEN)[0].reason == "too few clips: 727 of AudioSet, fewer than 728"
    other = outcomes_of(evidence, **BETWEEN, stand_ins={"silent-audio": "silent-audio@fusion"})[0]
    assert other.reason == "urban-rural-student has no accuracy on AudioSet (test, silent-audio@fusion, none, selected)"


def test_seeds_that_only_some_runs_have_are_left_out(made: tuple[Paper, Path], tmp_path: Path) -> None:
    paper, path = fewer_runs(made[0], tmp_path, ("urban-rural-audio", 1))
    outcome = outcomes_of(evidence_of(paper, declarations(), path), **BETWEEN)[0]
    assert outcome.numbers == (0, 2) and np.allclose(outcome.seeds, outcome.effect)
