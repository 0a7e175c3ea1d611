"""What forbids to read a finding: models that learnt nothing, collapsed, or lacked what they should see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avbalance.analysis.instruments import correct, mean_of
from avbalance.diagnosis.answers import JOINT, Answers
from avbalance.evaluation import rows
from avbalance.plan.data import MODALITIES

NAMES = {"audio": "the sound model", "visual": "the picture model", JOINT: "the joint model"}
COLLAPSED = 2.0  # times a class's own share of the clips, and half of all answers, if one class gets more
FEW_GROUPS = 4  # of the test part
FRAMES_ABSENT = 0.1  # share of the clips
_HALF = "-half-"  # in the name of a run on half of the training part


@dataclass(frozen=True)
class Gate:
    """One reason to doubt: the run it is about, what was seen, in one sentence, and whether results still count.

    stops: what rests on the run is not stated at all.
    """

    run: str
    sentence: str
    stops: bool


def gates(answers: Mapping[str, Answers], findings: Mapping[str, Any], frames: Mapping[str, Any]) -> list[Gate]:
    """All reasons to doubt, those that stop first; frames: clips, wanted, and fewer (clips with fewer pictures)."""
    told: list[Gate] = []
    for run, name in NAMES.items():
        told += _learning(run, name, answers[run])
        told += _collapse(run, name, answers[run])
        told += _reference(run, name, answers)
    told += _frozen(answers)
    told += _halves(answers, {gate.run for gate in told if gate.stops})
    told += [] if rows.ESTIMATED in withheld(told) else _own_subset(findings.get("own_subset", {}))
    told += _groups(findings.get("by_group", []))
    told += _frames(frames)
    return sorted(told, key=lambda gate: not gate.stops)


def withheld(told: Sequence[Gate]) -> dict[str, str]:
    """Definition of subsets -> why none of them is stated: a model that chose them cannot be relied on."""
    stopped = [gate for gate in told if gate.stops]
    lone = [gate.sentence for gate in stopped if gate.run in MODALITIES]
    halves = [gate.sentence for gate in stopped if _HALF in gate.run]
    by_lone, by_halves = (rows.ESTIMATED, rows.SEED_MATCHED), (rows.CROSS_FITTED, *rows.HALVES)
    if lone:
        return dict.fromkeys((*by_lone, *by_halves), " ".join(["Which modality clips prefer is not stated.", *lone]))
    why = " ".join(["Which modality clips prefer by cross-fitting is not stated.", *halves])
    return dict.fromkeys(by_halves, why) if halves else {}


def _learning(run: str, name: str, answers: Answers) -> list[Gate]:
    blocks: Sequence[Mapping[str, Any]] = [record.get("learning") or {} for record in answers.records]  # type: ignore[misc]
    failed = [block for block in blocks if block.get("learned") is False]
    # More than half of the seeds: one bad start must not silence the others.
    if 2 * len(failed) > len(blocks):
        value, chance = (np.mean([block[key] for block in failed]) for key in ("value", "chance"))
        return [
            Gate(
                run,
                f"{_cap(name)} cannot be told from guessing: {value:.0f} % on validation, guessing {chance:.0f} %.",
                True,
            )
        ]
    told = []
    late = [block for block in blocks if block.get("converged") is False]
    if 2 * len(late) > len(blocks):
        told.append(Gate(run, f"{_cap(name)} was still learning when its training ended; give it more epochs.", False))
    last = [record["selected_epoch"] == record["epochs_run"] for record in answers.records]
    if not late and 2 * sum(last) > len(last):
        told.append(Gate(run, f"The best epoch of {name} was its last one; more epochs may help.", False))
    return told


def _collapse(run: str, name: str, answers: Answers) -> list[Gate]:
    classes = answers.both.shape[-1]
    named = np.bincount(answers.both.argmax(-1).ravel(), minlength=classes) / answers.both[..., 0].size
    own = np.bincount(answers.labels, minlength=classes) / len(answers.labels)
    most = int(named.argmax())
    # Both bounds: of many classes twice a share is still little, and of unequal ones one may rightly get most answers.
    if named[most] > 0.5 and named[most] > COLLAPSED * own[most]:
        share = (
            f"{100 * named[most]:.0f} % of its answers name one class, which {100 * own[most]:.0f} % of the clips have"
        )
        return [Gate(run, f"{_cap(name)} has collapsed: {share}.", True)]
    return []


def _reference(run: str, name: str, answers: Mapping[str, Answers]) -> list[Gate]:
    reference = {"audio": "reference-audio", "visual": "reference-visual", JOINT: "reference-both"}[run]
    if reference not in answers:
        return []
    own, linear = (correct(answers[each].both, answers[run].labels) for each in (run, reference))
    lead = mean_of(linear.mean(0, keepdims=True) - own)
    if lead.low <= 0:
        return []
    return [
        Gate(
            run,
            f"{_cap(name)} is worse than a linear model on the same features, by {lead.value:.1f} points "
            f"({lead.low:.1f} to {lead.high:.1f}): it has learnt too little.",
            True,
        )
    ]


def _halves(answers: Mapping[str, Answers], stopped: set[str]) -> list[Gate]:
    """What stops of the lone models of each half of the training part: they choose the subsets of cross-fitting.

    Nothing of a modality of which the model of the whole part is stopped already.
    """
    told = []
    for run, own in answers.items():
        modality, _, half = run.partition(_HALF)
        if half and modality in MODALITIES and modality not in stopped:
            name = f"{NAMES[modality]} of half {half.upper()}"
            told += [gate for gate in (*_learning(run, name, own), *_collapse(run, name, own)) if gate.stops]
    return told


def _frozen(answers: Mapping[str, Answers]) -> list[Gate]:
    if "frozen-visual" not in answers:
        return []
    frozen, own = (correct(answers[run].both, answers[run].labels) for run in ("frozen-visual", "visual"))
    lead = mean_of(frozen.mean(0, keepdims=True) - own)
    if lead.low <= 0:
        return []
    sentence = (
        f"A linear model on a frozen network's view of the pictures is better than the picture model, by "
        f"{lead.value:.1f} points ({lead.low:.1f} to {lead.high:.1f}): so few clips have not taught it what they show."
    )
    return [Gate("visual", sentence, True)]


def _own_subset(checks: Mapping[str, Any]) -> list[Gate]:
    told = []
    for modality, check in checks.items():
        if check["gain"] is not None and check["gain"] <= 0 and check["share"] > 1:
            other = "visual" if modality == "audio" else "audio"
            told.append(
                Gate(
                    modality,
                    f"On the clips that prefer {_WORDS[modality]}, {NAMES[modality]} is no better than "
                    f"{NAMES[other]}: preferences of single clips mean nothing here.",
                    False,
                )
            )
    return told


def _groups(kinds: Sequence[Mapping[str, Any]]) -> list[Gate]:
    if not 0 < len(kinds) < FEW_GROUPS:
        return []
    named = ", ".join(str(kind["kind"]) for kind in kinds)
    some = "one group" if len(kinds) == 1 else f"{len(kinds)} groups"
    sentence = (
        f"All test clips are of {some} ({named}): the intervals say nothing about other groups, such as speakers."
    )
    return [Gate(JOINT, sentence, False)]


def _frames(frames: Mapping[str, Any]) -> list[Gate]:
    fewer = frames.get("fewer", 0)
    if fewer <= FRAMES_ABSENT * frames.get("clips", 1):
        return []
    return [
        Gate(
            "visual",
            f"{fewer} of {frames['clips']} clips have less than half of the {frames['wanted']} pictures of the recipe; "
            "the last one is repeated. Take a recipe of fewer seconds, or of more pictures a second.",
            False,
        )
    ]


_WORDS = {"audio": "sound", "visual": "pictures"}


def _cap(name: str) -> str:
    return name[0].upper() + name[1:]
