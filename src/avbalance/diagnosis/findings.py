"""Everything that a diagnosis measures, as plain numbers with intervals; verdict.py says it in words.

Models: `audio` and `visual` hear or see alone, `both` is trained on the two together (run baseline), `ensemble` is the
mean of the two lone models' probabilities. All numbers are of the test part; where one of several models is chosen, the
validation part chooses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.analysis.instruments import (
    Interval,
    calibration_gaps,
    correct,
    decomposed,
    information,
    mean_of,
    shapley,
    temperature,
)
from avbalance.diagnosis.answers import ENSEMBLE, GATED, JOINT, Answers, Floats
from avbalance.diagnosis.clips import log_mean, striking_clips
from avbalance.plan.data import MODALITIES

_NO_METHOD = ("reference-", "frozen-")  # how the names of further runs begin
MAIN = ("audio", "visual", JOINT, ENSEMBLE)


def findings(
    answers: Mapping[str, Answers], groups: Mapping[str, str] | None = None, classes: Sequence[str] | None = None
) -> dict[str, Any]:
    """All instruments of one data set.

    answers: run -> answers, with at least audio, visual, baseline and late-ensemble, see `with_best_joint`.
    groups: clip id -> group; classes: their names. Values are in percent of the test clips, those of `information` in
    bits.
    """
    runs = answers
    labels, ids = runs[JOINT].labels, runs[JOINT].ids
    names = np.array(classes or [str(number) for number in range(runs[JOINT].both.shape[-1])])
    right = {name: correct(run.both, labels) for name, run in runs.items()}
    alone = best_alone(runs)
    chance = 100.0 * np.bincount(labels).max() / len(labels)
    return {
        "clips": len(labels),
        "classes": len(names),
        "seeds": len(runs[JOINT].both),
        "chance": chance,
        "accuracy": {name: told(values) for name, values in right.items()},
        "best_alone": alone,
        "differences": {
            "both_less_audio": told(right[JOINT] - right["audio"]),
            "both_less_visual": told(right[JOINT] - right["visual"]),
            "both_less_best_alone": told(right[JOINT] - right[alone]),
            "both_less_ensemble": told(right[JOINT] - right[ENSEMBLE]),
            "ensemble_less_best_alone": told(right[ENSEMBLE] - right[alone]),
            "audio_less_visual": told(right["audio"] - right["visual"]),
        },
        "methods": methods(runs, right),
        "linear": linear(right),
        "frozen": told(right["frozen-both"] - right["reference-audio"]) if "frozen-both" in runs else None,
        **interplay(runs[JOINT], chance),
        "information": decomposition(runs),
        "under_trained": under_trained(runs),
        "own_subset": own_subsets(runs, right),
        "disturbed": under_noise(runs),
        "calibration": {name: told(_gaps(runs[name])) for name in MAIN},
        "by_class": by_kind(runs, right, names[labels]),
        "by_group": by_kind(runs, right, np.array([groups[name] for name in ids])) if groups else [],
        **striking_clips(runs["audio"], runs["visual"], names),
    }


def linear(right: Mapping[str, Floats]) -> dict[str, Any]:
    """Modality -> what it adds to the other one for linear models of the features; empty where these were not made."""
    if not {f"reference-{name}" for name in (*MODALITIES, "both")} <= right.keys():
        return {}
    other = dict(zip(MODALITIES, reversed(MODALITIES), strict=True))
    return {name: told(right["reference-both"] - right[f"reference-{other[name]}"]) for name in MODALITIES}


def told(values: Floats) -> dict[str, float | bool | None]:
    """The interval of values (S, N) as plain data; of a single clip there is none."""
    # An interval over clips needs a spread over clips.
    if values.shape[1] < 2:
        return {"value": float(values.mean()), "low": None, "high": None, "detectable": None, "decided": False}
    interval: Interval = mean_of(values)
    return {**asdict(interval), "decided": interval.decided}


def with_best_joint(answers: Mapping[str, Answers]) -> dict[str, Answers]:
    """The answers with the better one, on validation, of both joint models under the name JOINT."""
    runs = dict(answers)
    gated = runs.pop(GATED, None)
    if gated is not None and _on_validation(gated) > _on_validation(runs[JOINT]):
        runs[JOINT] = gated
    return runs


def _on_validation(run: Answers) -> float:
    return float(correct(run.validation, run.validation_labels).mean())


def best_alone(runs: Mapping[str, Answers]) -> str:
    """The modality whose lone model is right more often on the validation part; sound where they are equal."""
    return max(MODALITIES, key=lambda name: _on_validation(runs[name]))


def interplay(joint: Answers, chance: float) -> dict[str, Any]:
    """What the joint model uses: nothing where its network cannot be asked (see training/interplay.py)."""
    if "additive" not in joint.logits:
        return {"uses": {}, "shapley": {}, "interaction": None}
    right = {name: correct(logits, joint.labels) for name, logits in joint.logits.items()}
    whole, sound, picture = right["both"], right["given-audio"], right["given-visual"]
    values = shapley(whole, sound, picture, np.full_like(whole, chance))
    return {
        "uses": {"audio": told(whole - picture), "visual": told(whole - sound)},
        "shapley": {name: told(each) for name, each in values.items()},
        "interaction": told(whole - right["additive"]),
    }


def decomposition(runs: Mapping[str, Answers]) -> dict[str, Any]:
    """Redundant, unique and synergistic information in bits, from predictions scaled by their temperature."""
    labels = runs[JOINT].labels
    classes = runs[JOINT].both.shape[-1]
    # One is added to every class: a class that the validation part lacks must not have the prior 0.
    counts = np.bincount(runs[JOINT].validation_labels, minlength=classes) + 1.0
    prior = np.log(counts / counts.sum())[labels]
    scaled = {name: information(_scaled(runs[name]), labels) for name in (JOINT, *MODALITIES)}
    parts = decomposed(scaled[JOINT], scaled["audio"], scaled["visual"], prior)
    # From nats to bits.
    return {name: told(values / np.log(2)) for name, values in parts.items()}


def _scaled(run: Answers) -> Floats:
    """Logits (S, N, C), each training's divided by the temperature that its validation clips want."""
    heats = np.array([temperature(logits, run.validation_labels) for logits in run.validation])
    scaled: Floats = run.both / heats[:, None, None]
    return scaled


def under_trained(runs: Mapping[str, Answers]) -> dict[str, Any]:
    """How much more a linear probe reads from a lone model's encoder than from the joint model's, by modality."""
    gains = {}
    for name in MODALITIES:
        probe = f"probe-{name}"
        if probe in runs[name].logits and probe in runs[JOINT].logits:
            lone, joint = (correct(runs[run].logits[probe], runs[run].labels) for run in (name, JOINT))
            gains[name] = told(lone - joint)
    return gains


def own_subsets(runs: Mapping[str, Answers], right: Mapping[str, Floats]) -> dict[str, Any]:
    """Whether each lone model is the better one on the clips that prefer it (claim C7 of balanced-audiovisual).

    A clip prefers the modality that is surer of its class, judged by the other seeds of the models, so that no training
    judges itself; with one seed the check has nothing to say.
    """
    labels = runs[JOINT].labels
    sure = {name: np.exp(information(runs[name].both, labels)) for name in MODALITIES}
    seeds = min(len(values) for values in sure.values())
    if seeds < 2:
        return {}
    subsets = {}
    for name, other in (("audio", "visual"), ("visual", "audio")):
        lead = sure[name][:seeds] - sure[other][:seeds]
        # The mean of all seeds but the one whose gain is measured.
        by_others = (lead.sum(0) - lead) / (seeds - 1)
        gain = right[name][:seeds] - right[other][:seeds]
        shares = [(by_others[seed] > 0) for seed in range(seeds)]
        held = [float(gain[seed][mask].mean()) for seed, mask in enumerate(shares) if mask.any()]
        share = float(np.mean([mask.mean() for mask in shares]))
        subsets[name] = {"share": 100 * share, "gain": float(np.mean(held)) if held else None}
    return subsets


def methods(runs: Mapping[str, Answers], right: Mapping[str, Floats]) -> dict[str, Any]:
    """What each method, also of a user's own, gains on the joint model, and which one validation would take."""
    made = [
        name for name in runs if name not in (*MAIN, GATED) and not name.startswith(_NO_METHOD) and "-half-" not in name
    ]
    if not made:
        return {"gain": {}, "best": None}
    gains = {name: told(right[name] - right[JOINT]) for name in made}
    return {"gain": gains, "best": max(made, key=lambda name: _on_validation(runs[name]))}


def under_noise(runs: Mapping[str, Answers]) -> list[dict[str, Any]]:
    """Accuracy with noise in one modality, by level, and without it: of the lone model, the joint one, the ensemble.

    snr_db: None where the modality is missing; the lone model then says nothing, and the ensemble is the other one.
    """
    rows: list[dict[str, Any]] = []
    for name, other in (("audio", "visual"), ("visual", "audio")):
        labels, clean = runs[name].labels, runs[other].both
        for condition, joint in runs[JOINT].logits.items():
            accuracy = {JOINT: told(correct(joint, labels))}
            if condition == f"without-{name}":
                accuracy[ENSEMBLE] = told(correct(clean, labels))
                rows.append({"disturbed": name, "snr_db": None, "accuracy": accuracy})
            # The ensemble hears the disturbed modality with noise and the other one as it is.
            elif condition.startswith(f"noisy-{name}") and condition in runs[name].logits:
                noisy = runs[name].logits[condition]
                seeds = min(len(noisy), len(clean))
                both = np.stack([log_mean(np.stack(pair)) for pair in zip(noisy[:seeds], clean[:seeds], strict=True)])
                accuracy |= {name: told(correct(noisy, labels)), ENSEMBLE: told(correct(both, labels))}
                # The condition without a number is noise as loud as the signal, 0 dB.
                level = int(condition.removeprefix(f"noisy-{name}") or 0)
                rows.append({"disturbed": name, "snr_db": level, "accuracy": accuracy})
    return sorted(rows, key=lambda row: (row["disturbed"], row["snr_db"] is None, -(row["snr_db"] or 0)))


def _gaps(run: Answers) -> Floats:
    return np.stack([calibration_gaps(logits, run.labels) for logits in run.both])


def by_kind(runs: Mapping[str, Answers], right: Mapping[str, Floats], kinds: NDArray[np.str_]) -> list[dict[str, Any]]:
    """Of the clips of each kind: their number, accuracies, and how many prefer sound.

    prefer_audio: percent of the clips of whose class the sound model is surer than the picture model.
    """
    sure = {name: information(runs[name].both, runs[JOINT].labels) for name in MODALITIES}
    seeds = min(map(len, sure.values()))
    prefer: Floats = 100.0 * (sure["audio"][:seeds] > sure["visual"][:seeds]).astype(np.float64)
    rows = []
    for kind in np.unique(kinds):
        mask = kinds == kind
        accuracy = {name: told(right[name][:, mask]) for name in MAIN}
        rows.append(
            {
                "kind": str(kind),
                "clips": int(mask.sum()),
                "accuracy": accuracy,
                "prefer_audio": told(prefer[:, mask]),
            }
        )
    return rows
