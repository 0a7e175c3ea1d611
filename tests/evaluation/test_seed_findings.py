"""Claims of modality-relevance: all of them, their published verdicts, our effects by seed, what cannot be tested."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from relevance_files import CONFUSIONS, RECALLS, SEEDS, declarations, labels, made_up_paper

from avbalance.analysis.conditions import CONDITIONS
from avbalance.errors import UserError
from avbalance.evaluation.claims import assess
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.measure import measure
from avbalance.evaluation.outcomes import CLAIMED, UNTESTABLE, Outcome, judged
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.seed_findings import by_seed_classes, by_seed_finding

BINARY = {"kind": "by_seed_finding", "dataset": "audioset"}
URBAN = {"audio": "urban-rural-audio", "visual": "urban-rural-visual", "both": "urban-rural-student"}
SPEECH = {"audio": "speech-audio", "visual": "speech-visual", "both": "speech-student"}
KS = {"audio": "ks-audio", "visual": "ks-visual", "both": "ks-fusion"}
CLASSES = {"kind": "by_seed_classes", "dataset": "kinetics-sounds", "runs": KS}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paper, Path]:
    folder = tmp_path_factory.mktemp("relevance")
    paper = made_up_paper(folder)
    measure(paper, declarations()["measures"], folder / "measurements.parquet")
    return paper, folder / "measurements.parquet"


@pytest.fixture(scope="module")
def evidence(made: tuple[Paper, Path]) -> Evidence:
    return Evidence(made[0], declarations(), made[1])


@pytest.fixture(scope="module")
def report(made: tuple[Paper, Path]) -> dict[str, Any]:
    return assess(made[0], declarations(), made[1])


def outcomes(report: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    entries = {entry["id"]: entry for key in ("claims", "checks") for entry in report[key]}
    found: list[dict[str, Any]] = entries[name]["results"]["none"]["outcomes"]
    return found


def found_by(kind: Any, evidence: Evidence, block: Mapping[str, Any]) -> list[Outcome]:
    return [outcome for each in kind(evidence, block, "none") for outcome in judged([each], 0.95)]


def test_every_claim_is_declared_and_follows_from_the_printed_numbers(report: dict[str, Any]) -> None:
    signs = {claim["id"]: claim["published"] for claim in report["claims"]}
    assert list(signs) == [
        *(f"T1.{number}" for number in range(1, 6)),
        "T2.6", "T2.7", "T2.7b", "T2.8", "T2.9", "T2.10", "T2.10b", "T12.11",
        "T3.12", "T3.13", "T3.14", "T3.15", "T3.15b", "T3.16",
        *(f"F4.{number}" for number in range(1, 7)),
    ]  # fmt: skip
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
    evidence = Evidence(made[0], declarations(), made[1])
    data = str(evidence.info("audioset").data)
    evidence._unfit = {(data, "speech-visual", SEEDS[1]): "did not learn"}
    claims = {claim["id"]: claim["tests"][0] for claim in declarations()["claims"] if "tests" in claim}
    for name in ("T2.6", "T2.7"):
        assert all("did not learn" in each.reason for each in found_by(by_seed_finding, evidence, claims[name]))
    for name in ("T2.8", "T2.9", "T2.10", "T12.11"):
        assert not any(each.reason for each in found_by(by_seed_finding, evidence, claims[name]))
    evidence._unfit = {(data, "speech-student", SEEDS[1]): "did not learn"}
    for name in ("T2.6", "T2.8", "T12.11"):
        assert all("did not learn" in each.reason for each in found_by(by_seed_finding, evidence, claims[name]))


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


def test_chance_is_of_the_classes_that_there_are(evidence: Evidence) -> None:
    block = {"kind": "by_seed_finding", "dataset": "kinetics-sounds", "table": "kinetics-sounds", "runs": KS}
    found = {each.text: each for each in found_by(by_seed_finding, evidence, {**block, "classes": 26})}
    twice = found["Kinetics-Sounds: audio model above twice chance"]
    assert twice.effect == pytest.approx(26 - 2 * 100 / 5) and twice.published == pytest.approx(16.22 - 2 * 100 / 26)


def test_classes_by_hand(evidence: Evidence) -> None:
    found = {each.text: each for each in found_by(by_seed_classes, evidence, CLASSES)}
    (heard,) = (each for text, each in found.items() if "three classes" in text)
    assert heard.effect == pytest.approx((80 + 90 + 90) / 3 - 50)
    assert heard.published is None and heard.n == 100
    black = found["Kinetics-Sounds, classes: most classes: Black Video more than 30 points below the intact model"]
    assert black.effect == pytest.approx(100 * (4 / 5 - 0.5))
    assert {each.unit for each in found.values()} == {"points", "rho"}


def test_what_does_not_vary_has_no_correlation(tmp_path: Path) -> None:
    flat = copy.deepcopy(RECALLS) | {"ks-fusion": {**RECALLS["ks-fusion"], "silent-audio": (50,) * 5}}
    evidence = Evidence(made_up_paper(tmp_path, recalls=flat), declarations())
    found = found_by(by_seed_classes, evidence, {**CLASSES, "claim": "correlation"})
    assert [each.verdict for each in found] == [UNTESTABLE] * 2
    assert {each.reason for each in found} == {"the accuracies of the classes do not vary"}


def test_an_effect_of_nothing(evidence: Evidence) -> None:
    # Silence costs 4 points of accuracy, as noise does: their difference is 0, which agrees with "within".
    block = {"kind": "by_seed_finding", "dataset": "kinetics-sounds", "table": "kinetics-sounds", "runs": KS}
    costs, differ = found_by(by_seed_finding, evidence, {**block, "claim": "without-audio", "classes": 26})
    assert costs.effect == pytest.approx(3 - 4)
    assert differ.effect == pytest.approx(1 - 1)


def without(paper: Paper, *runs: str) -> Paper:
    return replace(paper, runs=tuple(each for each in paper.runs if each.run not in runs))


def test_what_cannot_be_compared_says_why(made: tuple[Paper, Path], tmp_path: Path) -> None:
    paper = without(made[0], "speech-audio", "ks-audio")
    measure(paper, declarations()["measures"], tmp_path / "measurements.parquet")
    evidence = Evidence(paper, declarations(), tmp_path / "measurements.parquet")
    (task,) = found_by(by_seed_finding, evidence, {**BINARY, "table": "task", "runs": URBAN, "against": SPEECH})
    assert (task.verdict, task.reason) == (UNTESTABLE, "speech-audio was not run on AudioSet in this tier")
    assert task.published == pytest.approx(4.085)
    classes = found_by(by_seed_classes, evidence, {**CLASSES, "claim": "video-good"})
    assert [each.reason for each in classes] == ["ks-audio was not run on Kinetics-Sounds in this tier"]
    few = Evidence(paper, {**declarations(), "statistics": {"min_n": 728}}, tmp_path / "measurements.parquet")
    (found, _) = found_by(by_seed_finding, few, {**BINARY, "table": "urban-rural", "claim": "between", "runs": URBAN})
    assert found.reason == "too few clips: 727 of AudioSet, fewer than 728"
    block = {**BINARY, "table": "urban-rural", "claim": "between", "runs": URBAN}
    (found, _) = found_by(by_seed_finding, evidence, {**block, "stand_ins": {"silent-audio": "silent-audio@fusion"}})
    assert found.reason == "urban-rural-student has no accuracy on AudioSet (test, silent-audio@fusion, none, selected)"


def test_wrong_declarations_are_refused(evidence: Evidence) -> None:
    with pytest.raises(UserError, match="no table 'table1'; known are urban-rural, speech"):
        found_by(by_seed_finding, evidence, {**BINARY, "table": "table1", "runs": URBAN})
    with pytest.raises(UserError, match="no finding is of the claim 'other'; known are teachers, between"):
        found_by(by_seed_finding, evidence, {**BINARY, "table": "urban-rural", "claim": "other", "runs": URBAN})


def test_declared_runs_claims_and_conditions_exist() -> None:
    declared = declarations()
    blocks = [block for key in ("claims", "checks") for entry in declared[key] for block in entry["tests"]]
    for block in blocks:
        runs = [run for key in ("runs", "against") for run in block.get(key, {}).values()]
        runs += [piece["run"] for piece in block.get("pieces", ())]
        runs += [run for key in ("left", "right") for run in block.get(key, ()) if not run.startswith("majority-label")]
        assert runs and set(runs) <= set(labels())
        conditions = {piece.get("condition", "both") for piece in block.get("pieces", ())}
        conditions |= {name for pair in block.get("stand_ins", {}).items() for name in pair}
        assert conditions <= set(CONDITIONS)


def test_seeds_that_only_some_runs_have_are_left_out(made: tuple[Paper, Path], tmp_path: Path) -> None:
    kept = [each for each in made[0].runs if (each.run, each.seed) != ("urban-rural-audio", 1)]
    paper = replace(made[0], runs=tuple(kept))
    measure(paper, declarations()["measures"], tmp_path / "measurements.parquet")
    evidence = Evidence(paper, declarations(), tmp_path / "measurements.parquet")
    (found, _) = found_by(
        by_seed_finding, evidence, {**BINARY, "table": "urban-rural", "claim": "between", "runs": URBAN}
    )
    assert found.numbers == (0, 2) and np.allclose(found.seeds, found.effect)
