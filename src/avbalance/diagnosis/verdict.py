"""The findings in words. The rules, in this order, stand in docs/how-to/your-own-data.md too.

A difference is there when its interval leaves 0 out, and absent when its interval ends below SMALL; else it is
undecided, and the sentence says the smallest difference that this test part could have shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from avbalance.diagnosis.answers import JOINT
from avbalance.diagnosis.gates import Gate

SMALL = 2.0  # points: a smaller gain would hardly pay for a second modality
WORDS = {"audio": "sound", "visual": "pictures"}
METHODS = {"ogm-ge": "OGM-GE", "gradient-blending": "Gradient-Blending", "greedy": "Greedy"}
OTHER = {"audio": "visual", "visual": "audio"}
DOUBTED = {"audio": "sound", "visual": "picture", JOINT: "joint"}
NOT_STATED = "Not stated"
Answer = Literal["yes", "no", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """A question, its answer, and the sentence that gives the numbers."""

    question: str
    answer: Answer
    sentence: str


def verdicts(findings: Mapping[str, Any], told: Sequence[Gate]) -> list[Verdict]:
    """The answers to the questions of a diagnosis, the most important one first.

    told: the gates; a question that rests on a run that stops is undecided, and says so.
    """
    stopped = {gate.run for gate in told if gate.stops}
    questions = [_needed("visual", findings), _needed("audio", findings), _worse(findings), _joint(findings)]
    questions += [_linear(name, findings) for name in findings["linear"]]
    questions += [_frozen(findings)] if findings["frozen"] else []
    questions += [_method(findings)] if findings["methods"]["best"] else []
    questions += [_used(name, findings) for name in WORDS if findings["uses"]]
    questions += [_under_trained(name, findings) for name in WORDS if name in findings["under_trained"]]
    questions += [_together(findings)] if findings["interaction"] else []
    return [_unless_stopped(verdict, rests, stopped) for verdict, rests in questions]


def headline(answered: Sequence[Verdict], findings: Mapping[str, Any]) -> str:
    """The whole in one sentence, from the answers to the first two questions: does seeing, does sound add something?"""
    seeing, sound = answered[0], answered[1]
    if any(each.sentence.startswith(NOT_STATED) for each in (seeing, sound)):
        doubt = next(each.sentence for each in (seeing, sound) if each.sentence.startswith(NOT_STATED))
        answer = f"No answer yet: {doubt.removeprefix(f'{NOT_STATED}: ').removesuffix(', see above.')}"
        return answer + (f"; {_in_linear_models(findings)}" if findings["linear"] else "")
    if seeing.answer == sound.answer == "yes":
        return "Both sound and pictures are needed"
    if seeing.answer == sound.answer == "no":
        return "Either one is enough: both together are no better than sound alone, or pictures alone"
    alone = {"audio": "Sound alone is as good as both", "visual": "Pictures alone are as good as both"}
    for name, question in (("audio", seeing), ("visual", sound)):
        if question.answer == "no":
            return f"{alone[name]} ({_numbers(_better(OTHER[name], findings)[1])})"
    for name, question in (("visual", seeing), ("audio", sound)):
        if question.answer == "yes":
            add = f"{WORDS[name].capitalize()} {_add(name)} to {WORDS[OTHER[name]]}"
            return f"{add}; whether {_the(OTHER[name])} adds to {WORDS[name]}, too few clips tell"
    return "Too few clips to say whether both sound and pictures are needed"


def _in_linear_models(findings: Mapping[str, Any]) -> str:
    """What linear models say, where networks cannot be relied on."""
    right = {name: f"{findings['accuracy'][f'reference-{name}']['value']:.0f} %" for name in (*WORDS, "both")}
    return (
        f"linear models are right on {right['audio']} by sound, {right['visual']} by pictures, {right['both']} by both"
    )


def _unless_stopped(verdict: Verdict, rests: set[str], stopped: set[str]) -> Verdict:
    doubtful = rests & stopped
    if not doubtful:
        return verdict
    named = " and ".join(DOUBTED[run] for run in DOUBTED if run in doubtful)
    return Verdict(verdict.question, "undecided", f"{NOT_STATED}: the {named} model cannot be relied on, see above.")


def _answer(difference: Mapping[str, Any]) -> Answer:
    if difference["low"] > 0:
        return "yes"
    return "no" if difference["high"] < SMALL else "undecided"


def _numbers(difference: Mapping[str, Any]) -> str:
    return f"{difference['value']:.1f} points, {difference['low']:.1f} to {difference['high']:.1f}"


def _too_few(difference: Mapping[str, Any], findings: Mapping[str, Any]) -> str:
    least = difference["detectable"]
    unseen = f"a difference below {least:.1f} points would not" if least < 100 else "no difference would"
    return f"{findings['clips']} test clips and {findings['seeds']} seeds are too few to say: {unseen} have been seen"


def _better(name: str, findings: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """What a modality adds to the other one by the better of joint model and ensemble, and which one that is."""
    other = OTHER[name]
    ways = {"trained together": findings["differences"][f"both_less_{other}"]}
    if findings["best_alone"] == other:
        ways["averaged"] = findings["differences"]["ensemble_less_best_alone"]
    way = max(ways, key=lambda each: ways[each]["value"])
    return way, ways[way]


def _needed(name: str, findings: Mapping[str, Any]) -> tuple[Verdict, set[str]]:
    """Whether a modality adds something to the other one."""
    other = OTHER[name]
    way, difference = _better(name, findings)
    answer = _answer(difference)
    alone = f"{WORDS[other]} alone {findings['accuracy'][other]['value']:.1f} %"
    word, others = WORDS[name].capitalize(), WORDS[other]
    sentence = {
        "yes": f"{word} {_add(name)} to {others}: {way}, {_numbers(difference)} more than {alone}.",
        "no": f"{others.capitalize()} alone {_is(other)} as good as both ({_numbers(difference)}).",
        "undecided": f"{_too_few(difference, findings)} ({way}, {_numbers(difference)} beside {alone}).",
    }[answer]
    return Verdict(f"Does {_the(name)} add to {others}?", answer, sentence), {name, other, JOINT}


def _worse(findings: Mapping[str, Any]) -> tuple[Verdict, set[str]]:
    """Whether the better lone model beats training together, so that the other modality does harm."""
    name = findings["best_alone"]
    difference = _turned(findings["differences"]["both_less_best_alone"])
    answer = _answer(difference)
    alone = f"{WORDS[name].capitalize()} alone {_is(name)}"
    sentence = {
        "yes": f"{alone} better by {_numbers(difference)}: training together does harm. Leave {WORDS[OTHER[name]]} "
        "out, average the two lone models, or try a method against imbalance.",
        "no": f"{alone} not better ({_numbers(difference)}).",
        "undecided": f"{_too_few(difference, findings)} ({_numbers(difference)}).",
    }[answer]
    return Verdict(f"Is training together worse than {WORDS[name]} alone?", answer, sentence), {name, JOINT}


def _turned(difference: Mapping[str, Any]) -> dict[str, Any]:
    """The same difference the other way round."""
    return {**difference, "value": -difference["value"], "low": -difference["high"], "high": -difference["low"]}


def _joint(findings: Mapping[str, Any]) -> tuple[Verdict, set[str]]:
    """Whether training together loses something that the two lone models have."""
    difference = _turned(findings["differences"]["both_less_ensemble"])
    answer = _answer(difference)
    sentence = {
        "yes": f"The mean of the two lone models is better than training together ({_numbers(difference)}): "
        "that is what they would add if both were learnt as well as alone. Average the two, or try OGM-GE, Greedy or "
        "Gradient-Blending.",
        "no": f"Training together loses nothing beside the mean of the two lone models ({_numbers(difference)}).",
        "undecided": f"{_too_few(difference, findings)} ({_numbers(difference)}).",
    }[answer]
    return Verdict("Does training together lose something?", answer, sentence), {"audio", "visual", JOINT}


def _linear(name: str, findings: Mapping[str, Any]) -> tuple[Verdict, set[str]]:
    """Whether a modality adds something to the other one for linear models, on which no gate bears."""
    difference = findings["linear"][name]
    answer = _answer(difference)
    model = f"A linear model of {WORDS[OTHER[name]]}"
    sentence = {
        "yes": f"{model} gains {_numbers(difference)}.",
        "no": f"{model} gains nothing ({_numbers(difference)}).",
        "undecided": f"{_too_few(difference, findings)} ({_numbers(difference)}).",
    }[answer]
    question = f"{_does(name)} {WORDS[name]} add to {WORDS[OTHER[name]]}, for linear models?"
    return Verdict(question, answer, sentence), set()


def _frozen(findings: Mapping[str, Any]) -> tuple[Verdict, set[str]]:
    """Whether what a frozen network sees adds to the sound; of linear models alone, on which no gate bears."""
    difference = findings["frozen"]
    answer = _answer(difference)
    sentence = {
        "yes": f"A linear model of the sound gains {_numbers(difference)}: take an encoder that has learnt elsewhere.",
        "no": f"A linear model of the sound gains nothing ({_numbers(difference)}).",
        "undecided": f"{_too_few(difference, findings)} ({_numbers(difference)}).",
    }[answer]
    return Verdict("Would pictures add to sound, seen by a network that has learnt elsewhere?", answer, sentence), set()


def _method(findings: Mapping[str, Any]) -> tuple[Verdict, set[str]]:
    """Whether the method against imbalance that the validation part would take is better than training together."""
    name = findings["methods"]["best"]
    difference = findings["methods"]["gain"][name]
    answer = _answer(difference)
    best = f"{METHODS.get(name, name)}, the best on validation"
    sentence = {
        "yes": f"{best}, gains {_numbers(difference)}; take it.",
        "no": f"{best}, is no better than training together ({_numbers(difference)}).",
        "undecided": f"{_too_few(difference, findings)} ({best}: {_numbers(difference)}).",
    }[answer]
    return Verdict("Does a method against imbalance help?", answer, sentence), {JOINT, name}


def _used(name: str, findings: Mapping[str, Any]) -> tuple[Verdict, set[str]]:
    difference = findings["uses"][name]
    answer = _answer(difference)
    exchanged = f"with the {WORDS[name]} of other clips it loses {_numbers(difference)}"
    sentence = {
        "yes": f"The joint model uses {WORDS[name]}: {exchanged}.",
        "no": f"The joint model does not use {WORDS[name]}: {exchanged}.",
        "undecided": f"{_too_few(difference, findings)} ({exchanged}).",
    }[answer]
    return Verdict(f"Does the joint model use {WORDS[name]}?", answer, sentence), {JOINT}


def _under_trained(name: str, findings: Mapping[str, Any]) -> tuple[Verdict, set[str]]:
    difference = findings["under_trained"][name]
    answer = _answer(difference)
    sentence = {
        "yes": f"Learnt alone, the encoder of {WORDS[name]} tells {_numbers(difference)} more: the joint model "
        f"neglects {WORDS[name]}.",
        "no": f"The joint model's encoder of {WORDS[name]} tells as much as one trained alone "
        f"({_numbers(difference)}).",
        "undecided": f"{_too_few(difference, findings)} ({_numbers(difference)}).",
    }[answer]
    return Verdict(f"{_is(name).capitalize()} {WORDS[name]} learnt less well together than alone?", answer, sentence), {
        name,
        JOINT,
    }


def _together(findings: Mapping[str, Any]) -> tuple[Verdict, set[str]]:
    difference = findings["interaction"]
    answer = _answer(difference)
    sentence = {
        "yes": f"The joint model answers {_numbers(difference)} more than the sum of what each modality says.",
        "no": f"What the joint model knows is the sum of what each modality says ({_numbers(difference)}).",
        "undecided": f"{_too_few(difference, findings)} ({_numbers(difference)}).",
    }[answer]
    return Verdict("Does the joint model combine the two beyond adding them?", answer, sentence), {JOINT}


def _is(name: str) -> str:
    return "is" if name == "audio" else "are"


def _does(name: str) -> str:
    return "Does" if name == "audio" else "Do"


def _add(name: str) -> str:
    return "adds" if name == "audio" else "add"


def _the(name: str) -> str:
    return "sound" if name == "audio" else "seeing"
