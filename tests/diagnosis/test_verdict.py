"""Findings, gates and answers on models of which all is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avbalance.diagnosis.answers import Answers
from avbalance.diagnosis.findings import findings
from avbalance.diagnosis.gates import gates
from avbalance.diagnosis.verdict import verdicts

CLASSES, CLIPS, SEEDS = 4, 400, 3
LABELS = np.arange(CLIPS) % CLASSES
GOOD = {"learned": True, "converged": True, "value": 80.0, "chance": 25.0}


def model(run: str, right: float) -> Answers:
    """A model that is right on about this share of the clips, on others than models of other names."""
    generator = np.random.default_rng(len(run))
    base = generator.random(CLIPS) < right
    flips = np.random.default_rng(len(run)).random((SEEDS, CLIPS)) < 0.03
    hits = base ^ flips
    named = np.where(hits, LABELS, (LABELS + 1 + generator.integers(0, CLASSES - 1, CLIPS)) % CLASSES)
    logits = 3.0 * np.eye(CLASSES)[named]
    record = {"learning": GOOD, "selected_epoch": 5, "epochs_run": 9}
    ids = np.array([f"c{number:03d}" for number in range(CLIPS)])
    return Answers(run, ids, LABELS, {"both": logits}, LABELS, logits, [record] * SEEDS)


def world(audio: float, visual: float, both: float, ensemble: float) -> dict[str, Answers]:
    shares = {"audio": audio, "visual": visual, "baseline": both, "late-ensemble": ensemble}
    return {run: model(run, share) for run, share in shares.items()}


def answered(answers: dict[str, Answers]) -> dict[str, str]:
    found = findings(answers)
    return {each.question: each.answer for each in verdicts(found, gates(answers, found, {}))}


def test_both_are_needed_where_each_lone_model_is_worse() -> None:
    told = answered(world(0.6, 0.55, 0.9, 0.85))
    assert told["Does seeing add to sound?"] == told["Does sound add to pictures?"] == "yes"
    assert told["Does training together lose something?"] == "no"


def test_a_modality_that_adds_nothing_is_said_to() -> None:
    answers = world(0.9, 0.3, 0.9, 0.9)
    answers["baseline"] = Answers(**{**vars(answers["audio"]), "run": "baseline"})
    answers["late-ensemble"] = Answers(**{**vars(answers["audio"]), "run": "late-ensemble"})
    assert answered(answers)["Does seeing add to sound?"] == "no"


def test_training_together_that_loses_against_the_ensemble_is_said() -> None:
    assert answered(world(0.7, 0.65, 0.6, 0.85))["Does training together lose something?"] == "yes"


def test_what_rests_on_a_model_that_learnt_nothing_is_not_stated() -> None:
    answers = world(0.6, 0.25, 0.6, 0.6)
    record = {"learning": {**GOOD, "learned": False, "value": 26.0}, "selected_epoch": 1, "epochs_run": 9}
    answers["visual"].records[:] = [record] * SEEDS
    found = findings(answers)
    told = gates(answers, found, {})
    assert told[0].sentence == "The picture model learnt nothing: 26 % on validation, guessing 25 %."
    needed = verdicts(found, told)[0]
    assert needed.answer == "undecided" and "the picture model cannot be relied on" in needed.sentence


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"learning": {**GOOD, "converged": False}, "selected_epoch": 5, "epochs_run": 9}, "was still learning"),
        ({"learning": GOOD, "selected_epoch": 9, "epochs_run": 9}, "best epoch of the joint model was its last"),
    ],
)
def test_trainings_that_may_not_have_ended_are_named(change: dict[str, Any], sentence: str) -> None:
    answers = world(0.6, 0.6, 0.8, 0.7)
    answers["baseline"].records[:] = [change] * SEEDS
    assert any(sentence in gate.sentence and not gate.stops for gate in gates(answers, {}, {}))


def test_a_collapsed_model_a_better_linear_one_and_absent_frames_are_named() -> None:
    answers = world(0.6, 0.6, 0.8, 0.7)
    answers["audio"].logits["both"][:] = np.eye(CLASSES)[0]
    answers["reference-visual"] = model("reference-visual", 0.9)
    told = " ".join(gate.sentence for gate in gates(answers, {}, {"clips": 100, "wanted": 3, "fewer": 40}))
    assert "sound model has collapsed: 100 % of its answers name one class" in told
    assert "picture model is worse than a linear model on the same features" in told
    assert "40 of 100 clips have less than half of the 3 pictures" in told


def test_what_the_joint_model_uses_is_read_from_exchanged_clips() -> None:
    answers = world(0.6, 0.3, 0.8, 0.7)
    joint = answers["baseline"]
    joint.logits["given-audio"] = joint.both  # as good with pictures of other clips
    joint.logits["given-visual"] = model("none", 0.25).both
    joint.logits["additive"] = joint.both
    found = findings(answers)
    told = {each.question: each.answer for each in verdicts(found, [])}
    assert told["Does the joint model use sound?"] == "yes" and told["Does the joint model use pictures?"] == "no"
    assert told["Does the joint model combine the two beyond adding them?"] == "no"
    parts = found["shapley"]
    assert parts["audio"]["value"] > 5 * abs(parts["visual"]["value"])
    assert parts["audio"]["value"] + parts["visual"]["value"] == pytest.approx(
        found["accuracy"]["baseline"]["value"] - found["chance"]
    )
