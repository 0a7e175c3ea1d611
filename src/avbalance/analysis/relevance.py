"""How much a classifier relies on each modality, as functions of its predictions (modality-relevance, section 5).

Accuracies and the like are in percent, differences in points. The zero-division policy of precision is read off the
published numbers: a macro precision of 83.61 at 6.29 % accuracy is only possible when a class that is never predicted
counts as 1. Numbers may be arrays, a value for each drawing of the test clips. Importing
this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.analysis.conditions import CONDITIONS, PUBLISHED
from avbalance.errors import UserError

AUDIO_MODEL, VIDEO_MODEL, INTACT = "audio-model", "video-model", "both"
ROWS = (AUDIO_MODEL, VIDEO_MODEL, *PUBLISHED)  # of every table, in the published order
LABELS: Mapping[str, str] = {
    AUDIO_MODEL: "Audio Model",
    VIDEO_MODEL: "Video Model",
    **{name: CONDITIONS[name].label for name in PUBLISHED},
}
# The paper's two stand-ins of each modality: the "appropriate default", then noise.
DEFAULT_AND_NOISE = {"audio": ("silent-audio", "gaussian-audio"), "visual": ("black-video", "gaussian-video")}
BALANCED = "balanced_accuracy"
SAME = 1e-9
FEWEST_CLASSES = 4  # of which statements on classes can be made

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]
Value = Any  # a number, or an array of them


@dataclass(frozen=True)
class Metrics:
    """Metrics of one row in percent. Precision, recall and F1 are means over the classes that occur in the truth.

    precision_zd1: a class that is never predicted counts as 1, as in the paper; precision_zd0: as 0. weighted_f1:
    mean weighted by the clips of each class, which is what the paper printed as F1 in four cells. The first five are
    those of the paper.
    """

    accuracy: Value
    balanced_accuracy: Value
    precision_zd1: Value
    recall: Value
    macro_f1: Value
    precision_zd0: Value
    weighted_f1: Value


Rows = Mapping[str, Metrics]


def metrics(label: Labels, predicted: Labels) -> Metrics:
    """Metrics of predicted class indices (N,) against the true ones (N,); raises UserError without a clip."""
    if len(label) == 0:
        raise UserError("no clip was predicted; evaluate on a part that is not empty.")
    found = tally(label, predicted, int(max(label.max(), predicted.max())) + 1, np.ones((1, len(label)))).metrics()
    return Metrics(**{name: float(value[0]) for name, value in vars(found).items()})


@dataclass(frozen=True)
class Tally:
    """Clips counted by class under D weightings, each (D, C): named rightly, named so at all, and true."""

    hits: Floats
    predicted: Floats
    true: Floats

    @property
    def recalls(self) -> Floats:
        """Accuracy of each class in percent (D, C); NaN for a class that does not occur in the truth."""
        return _share(100 * self.hits, self.true)

    def metrics(self) -> Metrics:
        """Metrics whose values are arrays (D,)."""
        precision = _share(100 * self.hits, self.predicted)  # NaN for a class that is never predicted
        f1 = _share(200 * self.hits, self.predicted + self.true)
        occurs, total = self.true > 0, self.true.sum(axis=1)
        balanced = np.nanmean(self.recalls, axis=1)

        def macro(values: Floats) -> Floats:
            return np.where(occurs, values, 0).sum(axis=1) / occurs.sum(axis=1)

        return Metrics(
            accuracy=100 * self.hits.sum(axis=1) / total,
            balanced_accuracy=balanced,
            precision_zd1=macro(np.nan_to_num(precision, nan=100.0)),
            recall=balanced,
            macro_f1=macro(f1),
            precision_zd0=macro(np.nan_to_num(precision, nan=0.0)),
            weighted_f1=np.where(occurs, f1 * self.true, 0).sum(axis=1) / total,
        )


def tally(label: Labels, predicted: Labels, classes: int, weights: Floats) -> Tally:
    """Count predicted class indices (N,) against the true ones (N,) under weights (D, N)."""
    true, named = np.eye(classes)[label], np.eye(classes)[predicted]
    return Tally(weights @ (true * named), weights @ named, weights @ true)


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def per_class_accuracy(label: Labels, predicted: Labels, classes: int) -> Floats:
    """Recall of each class in percent, (C,); NaN for a class that does not occur in the truth."""
    recalls: Floats = tally(label, predicted, classes, np.ones((1, len(label)))).recalls[0]
    return recalls


def rows_of(label: Labels, predicted: Mapping[str, Labels]) -> dict[str, Metrics]:
    """Metrics by row, of class indices (N,) that each row's model and condition predicted for the same clips."""
    return {row: metrics(label, values) for row, values in predicted.items()}


def drop(rows: Rows, condition: str, metric: str = BALANCED) -> Value:
    """Points that the multimodal model loses under a condition; negative when it gains."""
    return _value(rows, INTACT, metric) - _value(rows, condition, metric)


def modality_drop(rows: Rows, modality: str, metric: str = BALANCED) -> Value:
    """Points lost without a modality, mean over its two stand-ins (decision)."""
    return sum(drop(rows, condition, metric) for condition in DEFAULT_AND_NOISE[modality]) / 2


def visual_reliance(rows: Rows, metric: str = BALANCED) -> Value:
    """Points lost without video minus those lost without audio: 0 for a model that relies on both alike."""
    return modality_drop(rows, "visual", metric) - modality_drop(rows, "audio", metric)


def representation_gap(rows: Rows, modality: str, metric: str = BALANCED) -> Value:
    """Points by which silence, or a black video, leaves the model better off than noise does.

    Negative where noise is the better stand-in for nothing.
    """
    default, noise = DEFAULT_AND_NOISE[modality]
    return _value(rows, default, metric) - _value(rows, noise, metric)


def unused_audio(rows: Rows, condition: str, metric: str = "accuracy") -> Value:
    """Points by which the audio model exceeds the multimodal one that has only audio left, under `condition`."""
    return _value(rows, AUDIO_MODEL, metric) - _value(rows, condition, metric)


def _value(rows: Rows, row: str, metric: str) -> Value:
    if row not in rows:
        raise UserError(f"no row {row!r} among {', '.join(rows)}; evaluate the models under every published condition.")
    return getattr(rows[row], metric)


@dataclass(frozen=True)
class Finding:
    """One comparison of a claim: `margin` in points is at least 0 where it is right, above 0 if `strict`.

    `claim` is a short constant; thresholds in `text` are decisions, the paper has none. `unit` of the margin.
    """

    claim: str
    text: str
    margin: Value
    strict: bool = False
    unit: str = "points"

    @property
    def holds(self) -> bool:
        """Whether the comparison is as the paper says, of a margin that is a single number."""
        return bool(self.margin > 0 if self.strict else self.margin >= 0)


def urban_rural_findings(rows: Rows) -> tuple[Finding, ...]:
    """What the paper says of Table 1: video tells more, and the student hardly uses audio."""
    audio, video, both = (_value(rows, row, BALANCED) for row in (AUDIO_MODEL, VIDEO_MODEL, INTACT))
    lost_audio, lost_video = modality_drop(rows, "audio"), modality_drop(rows, "visual")
    return (
        Finding("teachers", "video teacher at least 5 points above audio teacher", video - audio - 5),
        Finding("teachers", "audio teacher above chance", audio - 50, True),
        Finding("between", "student above audio teacher", both - audio, True),
        Finding("between", "student below video teacher", video - both, True),
        *_each_drop(rows, "audio", "without-audio", "at most", 3),
        *_each_drop(rows, "visual", "without-video", "at least", 5),
        Finding(
            "video-dominates",
            "mean loss without video at least 1.5 and three times that without audio",
            lost_video - 3 * np.maximum(lost_audio, 0.5),
        ),
    )


def speech_findings(rows: Rows) -> tuple[Finding, ...]:
    """What the paper says of Table 2: teachers alike, no removal is catastrophic, missing audio hurts more.

    The text has the student between its teachers. The published accuracies agree, the balanced accuracies do not: both
    are compared, the latter as "between-balanced".
    """
    audio, video, both = (_value(rows, row, BALANCED) for row in (AUDIO_MODEL, VIDEO_MODEL, INTACT))
    plain = [_value(rows, row, "accuracy") for row in (AUDIO_MODEL, VIDEO_MODEL, INTACT)]
    lost = {
        modality: [drop(rows, condition) for condition in DEFAULT_AND_NOISE[modality]] for modality in DEFAULT_AND_NOISE
    }
    return (
        Finding("teachers", "teachers within 4 points", 4 - abs(audio - video)),
        Finding("between", "accuracy of the student between those of the teachers", _between(*plain)),
        Finding("between-balanced", "balanced accuracy of the student between those", _between(audio, video, both)),
        Finding("no-catastrophe", "no loss above 8 points", 8 - np.maximum.reduce(lost["audio"] + lost["visual"])),
        Finding(
            "audio-hurts",
            "greatest loss without audio at least that without video",
            np.maximum(*lost["audio"]) - np.maximum(*lost["visual"]),
        ),
        Finding("representation", "silence above noise as audio", representation_gap(rows, "audio"), True),
        Finding("representation", "noise not below black as video", -representation_gap(rows, "visual")),
    )


def task_contrast(urban_rural: Rows, speech: Rows) -> Finding:
    """The main claim: with inputs and networks alike, the target decides which modality is relied on."""
    margin = visual_reliance(urban_rural) - visual_reliance(speech) - 5
    return Finding("task", "reliance on video at least 5 points greater for urban/rural than for speech", margin)


def kinetics_sounds_findings(rows: Rows, classes: int) -> tuple[Finding, ...]:
    """What the paper says of Table 3: late fusion adds little to video and ignores audio; chance is 1 / classes."""
    chance = 100 / classes
    audio, video, both = (_value(rows, row, "accuracy") for row in (AUDIO_MODEL, VIDEO_MODEL, INTACT))
    without_video = DEFAULT_AND_NOISE["visual"]
    return (
        Finding("unimodal", "audio model above twice chance", audio - 2 * chance, True),
        Finding("unimodal", "video model at least 30 points above audio model", video - audio - 30),
        Finding("marginal-gain", "late fusion at most 1 point below video model", both - video + 1),
        Finding("marginal-gain", "late fusion at most 3 points above video model", 3 - (both - video)),
        Finding("without-audio", "silence costs at most 3 points", 3 - drop(rows, "silent-audio", "accuracy")),
        Finding(
            "without-audio",
            "silence and noise as audio within 1 point",
            1 - abs(representation_gap(rows, "audio", "accuracy")),
        ),
        *_each_drop(rows, "visual", "without-video", "at least", 40, "accuracy"),
        *(
            Finding("near-chance", f"{LABELS[row]}: within three times chance", 3 * chance - rows[row].accuracy)
            for row in without_video
        ),
        *(
            Finding("unused-audio", f"{LABELS[row]}: below the audio model", unused_audio(rows, row), True)
            for row in without_video
        ),
        *(
            Finding(
                "video-representation",
                f"black and noise as video within 3 points of {word}",
                3 - abs(representation_gap(rows, "visual", metric)),
            )
            for metric, word in {"accuracy": "accuracy", "recall": "recall", "macro_f1": "F1"}.items()
        ),
    )


def _each_drop(
    rows: Rows, modality: str, claim: str, side: str, points: float, metric: str = BALANCED
) -> tuple[Finding, ...]:
    """One finding for each stand-in of a modality: that it costs "at least" or "at most" so many points."""
    sign = 1 if side == "at least" else -1
    return tuple(
        Finding(claim, f"{LABELS[row]}: loses {side} {points:g} points", sign * (drop(rows, row, metric) - points))
        for row in DEFAULT_AND_NOISE[modality]
    )


def _between(first: Value, second: Value, value: Value) -> Value:
    """Distance of a value from the nearer end of an interval, negative outside it."""
    return np.minimum(value - np.minimum(first, second), np.maximum(first, second) - value)


def class_statements(series: Mapping[str, Floats]) -> dict[str, Value]:
    """The quantities that the paper's remarks on Figure 4 are about; per-class accuracies (..., C) in percent by row.

    Rows: audio-model, video-model, both, silent-audio, black-video; classes without a test clip (NaN) are left out.
    Shares are of classes: `audio_differs` |both - audio| > 20; `rest_unheard`, of all but the three best heard: audio <
    20 and still silent > 50; `video_good` video > 50; `black_falls` black < both - 30; `video_beats` video > both.
    `best_heard_silent`: mean silent accuracy of the three classes with the best audio. `correlation_silent`,
    `correlation_black`: Pearson's, of both with each over classes, NaN where one is constant. All are NaN for fewer
    than 4 classes.
    """
    names = (AUDIO_MODEL, VIDEO_MODEL, INTACT, "silent-audio", "black-video")
    whole = np.stack([series[name] for name in names])
    whole = np.where(np.isfinite(whole).all(axis=0), whole, np.nan)  # comparisons with NaN are false
    audio, video, both, silent, black = whole
    classes = np.isfinite(audio).sum(axis=-1)
    classes = np.where(classes < FEWEST_CLASSES, np.nan, classes)
    best = np.argsort(-audio, axis=-1, kind="stable")[..., :3]  # NaN comes last
    rest = np.ones(audio.shape, dtype=bool)
    np.put_along_axis(rest, best, False, axis=-1)
    return {
        "audio_differs": (np.abs(both - audio) > 20).sum(axis=-1) / classes,
        "best_heard_silent": np.take_along_axis(silent, best, axis=-1).mean(axis=-1) + 0 * classes,
        "rest_unheard": ((audio < 20) & (silent > 50) & rest).sum(axis=-1) / (classes - 3),
        "video_good": (video > 50).sum(axis=-1) / classes,
        "black_falls": (black < both - 30).sum(axis=-1) / classes,
        "video_beats": (video > both).sum(axis=-1) / classes,
        "correlation_silent": _correlation(both, silent),
        "correlation_black": _correlation(both, black),
    }


def class_findings(series: Mapping[str, Floats]) -> tuple[Finding, ...]:
    """What the paper says of Figure 4, on the quantities of `class_statements`; margins of shares of classes in points.

    "A significant number" of classes is read as 5 of 26, in other data as that share. A margin is NaN where a
    correlation does not exist.
    """
    found = class_statements(series)
    silent, black = found["correlation_silent"], found["correlation_black"]
    return (
        _most("unlike-audio", "classes: audio model more than 20 points from the intact one", found["audio_differs"]),
        Finding(
            "best-heard",
            "the three classes that the audio model names best: Silent Audio at least 50 on average",
            found["best_heard_silent"] - 50,
        ),
        _most("rest-unheard", "other classes: audio model below 20, Silent Audio above 50", found["rest_unheard"]),
        _most("video-good", "classes: video model above 50", found["video_good"]),
        _most("black-falls", "classes: Black Video more than 30 points below the intact model", found["black_falls"]),
        Finding(
            "video-beats",
            "video model above the intact one in at least 5 of 26 classes",
            100 * (found["video_beats"] - 5 / 26),
        ),
        Finding("correlation", "correlation of intact and Silent Audio above 0.9", silent - 0.9, True, "rho"),
        Finding("correlation", "that of intact and Black Video is lower", silent - black, True, "rho"),
    )


def _most(claim: str, text: str, share: Value) -> Finding:
    return Finding(claim, f"most {text}", 100 * (share - 0.5), True)


def _correlation(x: Floats, y: Floats) -> Value:
    """Pearson's over the last axis, without NaN."""
    first, second = (each - np.nanmean(each, axis=-1, keepdims=True) for each in (x, y))
    scale = np.sqrt(np.nansum(first**2, axis=-1) * np.nansum(second**2, axis=-1))
    return np.nansum(first * second, axis=-1) / np.where(scale > SAME, scale, np.nan)
