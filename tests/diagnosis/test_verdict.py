"""Findings, gates and answers on models of which all is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avbalance.diagnosis.answers import Answers
from avbalance.diagnosis.findings import findings
from avbalance.diagnosis.gates import Gate, gates, withheld
from avbalance.diagnosis.report_tables import NOT_STATED, markdown, tables
from avbalance.diagnosis.verdict import WORDS, _too_few, headline, verdicts

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


def test_a_modality_that_does_harm_is_said_whatever_its_own_model_has_learnt() -> None:
    answers = world(0.25, 0.9, 0.6, 0.7)
    record = {"learning": {**GOOD, "learned": False}, "selected_epoch": 1, "epochs_run": 9}
    answers["audio"].records[:] = [record] * SEEDS
    found = findings(answers, dict.fromkeys(answers["audio"].ids.tolist(), "ann"))
    told = gates(answers, found, {})
    harm = {each.question: each for each in verdicts(found, told)}["Is training together worse than pictures alone?"]
    assert harm.answer == "yes" and "Leave sound out" in harm.sentence
    assert any("All test clips are of one group (ann)" in gate.sentence for gate in told)


def test_what_rests_on_a_model_that_learnt_nothing_is_not_stated() -> None:
    answers = world(0.6, 0.25, 0.6, 0.6)
    record = {"learning": {**GOOD, "learned": False, "value": 26.0}, "selected_epoch": 1, "epochs_run": 9}
    answers["visual"].records[:] = [record] * SEEDS
    found = findings(answers)
    told = gates(answers, found, {})
    assert told[0].sentence == "The picture model cannot be told from guessing: 26 % on validation, guessing 25 %."
    needed = verdicts(found, told)[0]
    assert needed.answer == "undecided" and "the picture model cannot be relied on" in needed.sentence


def test_no_preference_is_stated_by_a_lone_model_or_a_half_of_one_that_learnt_nothing() -> None:
    nothing = {"learning": {**GOOD, "learned": False, "value": 26.0}, "selected_epoch": 1, "epochs_run": 9}
    answers = world(0.6, 0.6, 0.8, 0.7)
    answers |= {f"{name}-half-{half}": model(f"{name}-half-{half}", 0.6) for name in WORDS for half in "ab"}
    assert withheld(gates(answers, {}, {})) == {}
    answers["visual-half-b"].records[:] = [nothing] * SEEDS
    answers["late-ensemble-half-a"] = answers["visual-half-b"]  # chooses nothing
    own = {"own_subset": {name: {"gain": -0.1, "share": 40.0} for name in WORDS}}
    told = gates(answers, own, {})
    assert dict.fromkeys(("cross-fitted", "cross-fitted-a", "cross-fitted-b"), (
        "Which modality clips prefer by cross-fitting is not stated. The picture model of half B cannot be told from "
        "guessing: 26 % on validation, guessing 25 %."
    )) == withheld(told)  # fmt: skip
    assert sum("On the clips that prefer" in gate.sentence for gate in told) == 2
    answers["audio"].logits["both"][:] = np.eye(CLASSES)[0]
    told = gates(answers, own, {})
    assert set(withheld(told)) == {"estimated", "seed-matched", "cross-fitted", "cross-fitted-a", "cross-fitted-b"}
    assert set(withheld(told).values()) == {
        "Which modality clips prefer is not stated. The sound model has collapsed: 100 % of its answers name one class,"
        " which 25 % of the clips have."
    }
    assert not any("On the clips that prefer" in gate.sentence for gate in told)
    answers["visual"].records[:] = [nothing] * SEEDS
    told = gates(answers, own, {})
    assert [gate.run for gate in told if gate.stops] == ["audio", "visual"]  # of the halves no more


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


def test_the_headline_says_what_the_first_two_answers_say() -> None:
    def told(answers: dict[str, Answers]) -> str:
        found = findings(answers)
        return headline(verdicts(found, gates(answers, found, {})), found)

    assert told(world(0.6, 0.55, 0.9, 0.85)) == "Both sound and pictures are needed"
    alone = world(0.9, 0.3, 0.9, 0.9)
    for run in ("baseline", "late-ensemble"):
        alone[run] = Answers(**{**vars(alone["audio"]), "run": run})
    assert told(alone) == "Sound alone is as good as both (0.0 points, 0.0 to 0.0)"
    alone["audio"].records[:] = [{"learning": {**GOOD, "learned": False}, "selected_epoch": 1, "epochs_run": 9}] * SEEDS
    assert told(alone) == "No answer yet: the sound and joint model cannot be relied on"  # which is the same here


def test_the_method_that_validation_takes_is_asked_about() -> None:
    answers = world(0.6, 0.6, 0.7, 0.7) | {"ogm-ge": model("ogm-ge", 0.72), "my-own": model("my-own", 0.95)}
    found = findings(answers)
    told = {each.question: each for each in verdicts(found, [])}["Does a method against imbalance help?"]
    assert told.answer == "yes" and told.sentence.startswith("my-own, the best on validation, gains")
    assert set(found["methods"]["gain"]) == {"ogm-ge", "my-own"}


def test_linear_models_answer_where_a_network_has_learnt_too_little() -> None:
    answers = world(0.5, 0.3, 0.5, 0.5)
    for name, share in {"audio": 0.8, "visual": 0.3, "both": 0.8}.items():
        answers[f"reference-{name}"] = model(f"reference-{name}", share)
    answers["reference-both"] = Answers(**{**vars(answers["reference-audio"]), "run": "reference-both"})
    found = findings(answers)
    told = verdicts(found, gates(answers, found, {}))
    said = {each.question: each.answer for each in told}
    assert said["Does seeing add to sound?"] == "undecided"
    assert said["Do pictures add to sound, for linear models?"] == "no"
    assert said["Does sound add to pictures, for linear models?"] == "yes"
    right = {name: f"{found['accuracy'][f'reference-{name}']['value']:.0f} %" for name in ("audio", "visual", "both")}
    by_linear = (
        f"linear models are right on {right['audio']} by sound, {right['visual']} by pictures, {right['both']} by both"
    )
    assert headline(told, found) == f"No answer yet: the sound and joint model cannot be relied on; {by_linear}"


def test_a_frozen_network_that_sees_more_forbids_to_rely_on_the_picture_model() -> None:
    answers = world(0.6, 0.3, 0.6, 0.6) | {"frozen-visual": model("frozen-visual", 0.9)}
    answers |= {"frozen-both": model("frozen-both", 0.95), "reference-audio": model("reference-audio", 0.5)}
    found = findings(answers)
    told = gates(answers, found, {})
    assert "frozen network's view of the pictures is better than the picture model" in told[0].sentence
    answered = {each.question: each.answer for each in verdicts(found, told)}
    assert answered["Does seeing add to sound?"] == "undecided"
    assert answered["Would pictures add to sound, seen by a network that has learnt elsewhere?"] == "yes"


def test_noise_is_told_of_each_model_and_the_ensemble_of_a_noisy_and_a_clean_one() -> None:
    answers = world(0.8, 0.7, 0.9, 0.9)
    for modality in ("audio", "visual"):
        answers[modality].logits[f"noisy-{modality}-6"] = np.zeros((SEEDS, CLIPS, CLASSES))
        answers["baseline"].logits[f"noisy-{modality}-6"] = answers["baseline"].both
        answers["baseline"].logits[f"without-{modality}"] = np.zeros((SEEDS, CLIPS, CLASSES))
    rows = findings(answers)["disturbed"]
    assert [(row["disturbed"], row["snr_db"]) for row in rows] == [
        ("audio", -6), ("audio", None), ("visual", -6), ("visual", None),
    ]  # fmt: skip
    noisy, missing = ({run: each["value"] for run, each in row["accuracy"].items()} for row in rows[:2])
    pictures = findings(answers)["accuracy"]["visual"]["value"]
    assert noisy["audio"] == missing["baseline"] == 25.0
    assert noisy["late-ensemble"] == missing["late-ensemble"] == pictures  # the noisy model says nothing


def test_tables_leave_out_what_rests_on_a_stopped_model_and_kinds_have_preferences() -> None:
    answers = world(0.8, 0.6, 0.9, 0.9)
    names = ["ant", "bee", "cat", "dog"]
    groups = {name: "ann" if place < CLIPS - 1 else "bob" for place, name in enumerate(answers["audio"].ids)}
    found = findings(answers, groups, names)
    shown = {table.title: table for table in tables(found, [], {})}
    assert [row[0] for row in sorted(shown["By class (%)"].rows)] == names
    assert all(
        15 < row["prefer_audio"]["value"] < 50 for row in found["by_class"]
    )  # the others know nothing, or both do
    assert next(row for row in shown["By group (%)"].rows if row[0] == "bob")[2].endswith("(one clip)")
    stopped = {table.title: table for table in tables(found, [Gate("audio", "x", True)], {})}
    assert stopped["What the modalities tell (bits a clip)"].note == NOT_STATED
    assert {row[-1] for row in stopped["By class (%)"].rows} == {"not stated"}
    lines = list(markdown(shown["Calibration error (%)"]))
    assert "## Calibration error (%)" in lines and lines[-1].startswith("| Mean of both alone | ")


def test_striking_clips_come_with_what_each_model_names() -> None:
    answers = world(0.8, 0.8, 0.9, 0.9)
    found = findings(answers, classes=["ant", "bee", "cat", "dog"])
    first = found["disagree"][0]
    assert first["audio"]["class"] != first["visual"]["class"] and first["audio"]["percent"] > 50
    wrong = found["mislabelled"][0]
    assert wrong["audio"]["class"] == wrong["visual"]["class"] != wrong["label"]


@pytest.mark.parametrize(
    ("least", "told"), [(12.34, "a difference below 12.3 points would not"), (201.6, "no difference would")]
)
def test_what_could_not_have_been_seen_stays_within_a_hundred_points(least: float, told: str) -> None:
    sentence = _too_few({"detectable": least}, {"clips": 42, "seeds": 2})
    assert sentence == f"42 test clips and 2 seeds are too few to say: {told} have been seen"
