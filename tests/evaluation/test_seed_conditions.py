"""Comparisons by seed under conditions in which a modality is missing, and their published numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from relevance_files import declarations, made_up_paper

from avbalance.errors import UserError
from avbalance.evaluation.comparisons import by_seed, evaluate
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.outcomes import Outcome
from avbalance.evaluation.published import load_published

BLOCK = {"kind": "by_seed", "dataset": "audioset", "metrics": ["accuracy"]}


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("relevance")
    return Evidence(made_up_paper(folder), declarations())


def compared(evidence: Evidence, **block: Any) -> Outcome:
    (comparison,) = by_seed(evidence, {**BLOCK, **block}, "none")
    return evaluate(evidence, comparison).outcome


def test_a_published_row_may_have_a_condition(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("method,condition,a\nM,both,1.5\nM,silent-audio,2.5\n")
    spec: dict[str, Any] = {"file": "t.csv", "dataset": "D", "subset": "overall", "values": {"a": "accuracy"}}
    found = load_published(tmp_path, [{**spec, "condition": "{condition}"}])
    assert found == {("D", "M", "overall", "accuracy"): 1.5, ("D", "M", "overall", "accuracy", "silent-audio"): 2.5}
    with pytest.raises(UserError, match=r"line 3: 2\.5"):
        load_published(tmp_path, [spec])  # both rows would be the same number


def test_a_condition_of_a_piece_and_of_a_block(evidence: Evidence) -> None:
    student = "urban-rural-student"
    pieces = [{"coefficient": 1, "run": student}, {"coefficient": -1, "run": student, "condition": "black-video"}]
    lost = compared(evidence, pieces=pieces)
    assert lost.text == "AudioSet, accuracy: AV Model, urban/rural > AV Model, urban/rural (Black Video)"
    # 266 + 255 of 727 less 262 + 187; printed 71.66 and 61.76
    assert lost.effect == pytest.approx(100 * 72 / 727) and lost.published == pytest.approx(9.9)
    silent = compared(evidence, left=[student], right=["speech-student"], condition="silent-audio")
    assert silent.text == "AudioSet, accuracy, silent-audio: AV Model, urban/rural > AV Model, speech"
    assert silent.effect == pytest.approx(100 * (260 + 261 - 170 - 316) / 727)
    assert silent.published == pytest.approx(71.66 - 66.85)


def test_the_majority_of_a_further_labelling(evidence: Evidence) -> None:
    found = compared(evidence, left=["speech-audio"], right=["majority-label-speech"])
    assert found.text == "AudioSet, accuracy: Audio Model, speech > the most frequent class"
    assert found.effect == pytest.approx(100 * (146 + 351 - 440) / 727) and found.published is None


def test_a_condition_that_was_not_tested(evidence: Evidence) -> None:
    found = compared(evidence, left=["speech-audio"], right=["speech-student"], condition="silent-audio")
    assert found.reason == "speech-audio has no accuracy on AudioSet (test, silent-audio, none, selected)"
