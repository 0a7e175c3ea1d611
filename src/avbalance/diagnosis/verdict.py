"""The findings in words. The rules, in this order, stand in docs/how-to/your-own-data.md too.

A difference is there when its interval leaves 0 out, and absent when its interval ends below SMALL; else it is
undecided, and the sentence says the smallest difference that this test part could have shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from avbalance.diagnosis.findings import JOINT
from avbalance.diagnosis.gates import Gate

SMALL = 2.0  # points: a smaller gain would hardly pay for a second modality
WORDS = {"audio": "sound", "visual": "pictures"}
OTHER = {"audio": "visual", "visual": "audio"}
Answer = Literal["yes", "no", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """A question, its answer, and the sentence that gives the numbers."""

    question: str
    answer: Answer
    sentence: str


def verdicts(found: Mapping[str, Any], told: Sequence[Gate]) -> list[Verdict]:
    """The answers to the questions of a diagnosis, the most important one first.

    told: the gates; a question that rests on a run that stops is undecided, and says so.
    """
    stopped = {gate.run for gate in told if gate.stops}
    questions = [_needed("visual", found), _needed("audio", found), _joint(found)]
    questions += [_used(name, found) for name in WORDS if found["uses"]]
    questions += [_under_trained(name, found) for name in WORDS if name in found["under_trained"]]
    questions += [_together(found)] if found["interaction"] else []
    return [_unless_stopped(verdict, rests, stopped) for verdict, rests in questions]


def _unless_stopped(verdict: Verdict, rests: set[str], stopped: set[str]) -> Verdict:
    doubtful = sorted(rests & stopped)
    if not doubtful:
        return verdict
    named = " and ".join({"audio": "sound", "visual": "picture", JOINT: "joint"}[run] for run in doubtful)
    return Verdict(verdict.question, "undecided", f"Not stated: the {named} model cannot be relied on, see above.")


def _answer(difference: Mapping[str, Any]) -> Answer:
    if difference["low"] > 0:
        return "yes"
    return "no" if difference["high"] < SMALL else "undecided"


def _numbers(difference: Mapping[str, Any]) -> str:
    return f"{difference['value']:.1f} points, {difference['low']:.1f} to {difference['high']:.1f}"


def _too_few(difference: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    return (
        f"{found['clips']} test clips are too few to say: a difference below {difference['detectable']:.1f} points "
        "would not have been seen"
    )


def _needed(name: str, found: Mapping[str, Any]) -> tuple[Verdict, set[str]]:
    """Whether a modality adds something to the other one, by whichever of joint model and ensemble is better."""
    other = OTHER[name]
    ways = {"trained together": found["differences"][f"both_less_{other}"]}
    if found["best_alone"] == other:
        ways["averaged"] = found["differences"]["ensemble_less_best_alone"]
    way = max(ways, key=lambda each: ways[each]["value"])
    difference = ways[way]
    answer = _answer(difference)
    alone = f"{WORDS[other]} alone {found['accuracy'][other]['value']:.1f} %"
    sentence = {
        "yes": f"{WORDS[name].capitalize()} add to {WORDS[other]}: {way}, {_numbers(difference)} more than {alone}.",
        "no": f"{WORDS[other].capitalize()} alone {_is(other)} as good as both ({_numbers(difference)}).",
        "undecided": f"{_too_few(difference, found)} ({way}, {_numbers(difference)} beside {alone}).",
    }[answer]
    return Verdict(f"Does {_the(name)} add to {WORDS[other]}?", answer, sentence), {name, other, JOINT}


def _joint(found: Mapping[str, Any]) -> tuple[Verdict, set[str]]:
    """Whether training together loses something that the two lone models have."""
    lost = {key: found["differences"]["both_less_ensemble"][key] for key in ("value", "low", "high", "detectable")}
    difference = {**lost, "value": -lost["value"], "low": -lost["high"], "high": -lost["low"]}
    answer = _answer(difference)
    sentence = {
        "yes": f"The mean of the two lone models is better than training together ({_numbers(difference)}): one "
        "modality is held back. Try OGM-GE, Greedy or Gradient-Blending.",
        "no": f"Training together loses nothing beside the mean of the two lone models ({_numbers(difference)}).",
        "undecided": f"{_too_few(difference, found)} ({_numbers(difference)}).",
    }[answer]
    return Verdict("Does training together lose something?", answer, sentence), {"audio", "visual", JOINT}


def _used(name: str, found: Mapping[str, Any]) -> tuple[Verdict, set[str]]:
    difference = found["uses"][name]
    answer = _answer(difference)
    exchanged = f"with the {WORDS[name]} of other clips it loses {_numbers(difference)}"
    sentence = {
        "yes": f"The joint model uses {WORDS[name]}: {exchanged}.",
        "no": f"The joint model does not use {WORDS[name]}: {exchanged}.",
        "undecided": f"{_too_few(difference, found)} ({exchanged}).",
    }[answer]
    return Verdict(f"Does the joint model use {WORDS[name]}?", answer, sentence), {JOINT}


def _under_trained(name: str, found: Mapping[str, Any]) -> tuple[Verdict, set[str]]:
    difference = found["under_trained"][name]
    answer = _answer(difference)
    sentence = {
        "yes": f"Learnt alone, the encoder of {WORDS[name]} tells {_numbers(difference)} more: the joint model "
        f"neglects {WORDS[name]}.",
        "no": f"The joint model's encoder of {WORDS[name]} tells as much as one trained alone "
        f"({_numbers(difference)}).",
        "undecided": f"{_too_few(difference, found)} ({_numbers(difference)}).",
    }[answer]
    return Verdict(f"Are {WORDS[name]} learnt less well together than alone?", answer, sentence), {name, JOINT}


def _together(found: Mapping[str, Any]) -> tuple[Verdict, set[str]]:
    difference = found["interaction"]
    answer = _answer(difference)
    sentence = {
        "yes": f"The joint model answers {_numbers(difference)} more than the sum of what each modality says.",
        "no": f"What the joint model knows is the sum of what each modality says ({_numbers(difference)}).",
        "undecided": f"{_too_few(difference, found)} ({_numbers(difference)}).",
    }[answer]
    return Verdict("Does the joint model combine the two beyond adding them?", answer, sentence), {JOINT}


def _is(name: str) -> str:
    return "is" if name == "audio" else "are"


def _the(name: str) -> str:
    return "sound" if name == "audio" else "seeing"
