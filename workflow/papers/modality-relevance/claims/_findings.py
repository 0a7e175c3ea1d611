"""What modality-relevance says of its tables 1 to 3 and of figure 4, as margins by which each statement is right.

Accuracies and the like are in percent, differences in points. Numbers may be arrays, a value for each drawing of the
test clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avbalance.analysis.conditions import CONDITIONS, PUBLISHED
from avbalance.analysis.relevance import BALANCED, INTACT, Floats, Metrics, Value
from avbalance.declared import nearest, refusal
from avbalance.errors import UserError

AUDIO_MODEL, VIDEO_MODEL = "audio-model", "video-model"
ROWS = (AUDIO_MODEL, VIDEO_MODEL, *PUBLISHED)  # of every table, in the published order
# The paper's two stand-ins of each modality: the "appropriate default", then noise.
DEFAULT_AND_NOISE = {"audio": ("silent-audio", "gaussian-audio"), "visual": ("black-video", "gaussian-video")}
SAME = 1e-9
FEWEST_CLASSES = 4  # of which statements on classes can be made

Table = Mapping[str, Metrics]  # row -> metrics


def drop(rows: Table, condition: str, metric: str = BALANCED) -> Value:
    """Points that the multimodal model loses under a condition; negative when it gains."""
    return _value(rows, INTACT, metric) - _value(rows, condition, metric)


def modality_drop(rows: Table, modality: str, metric: str = BALANCED) -> Value:
    """Points lost without a modality, mean over its two stand-ins (decision)."""
    return sum(drop(rows, condition, metric) for condition in DEFAULT_AND_NOISE[modality]) / 2


def visual_reliance(rows: Table, metric: str = BALANCED) -> Value:
    """Points lost without video minus those lost without audio: 0 for a model that relies on both alike."""
    return modality_drop(rows, "visual", metric) - modality_drop(rows, "audio", metric)


def representation_gap(rows: Table, modality: str, metric: str = BALANCED) -> Value:
    """Points by which silence, or a black video, leaves the model better off than noise does.

    Negative where noise is the better stand-in for nothing.
    """
    default, noise = DEFAULT_AND_NOISE[modality]
    return _value(rows, default, metric) - _value(rows, noise, metric)


def unused_audio(rows: Table, condition: str, metric: str = "accuracy") -> Value:
    """Points by which the audio model exceeds the multimodal one that has only audio left, under `condition`."""
    return _value(rows, AUDIO_MODEL, metric) - _value(rows, condition, metric)


def _value(rows: Table, row: str, metric: str) -> Value:
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


def urban_rural_findings(rows: Table) -> tuple[Finding, ...]:
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


def speech_findings(rows: Table) -> tuple[Finding, ...]:
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


def task_contrast(urban_rural: Table, speech: Table) -> Finding:
    """The main claim: with inputs and networks alike, the target decides which modality is relied on."""
    margin = visual_reliance(urban_rural) - visual_reliance(speech) - 5
    return Finding("task", "reliance on video at least 5 points greater for urban/rural than for speech", margin)


def kinetics_sounds_findings(rows: Table, classes: int) -> tuple[Finding, ...]:
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
            Finding(
                "near-chance", f"{CONDITIONS[row].label}: within three times chance", 3 * chance - rows[row].accuracy
            )
            for row in without_video
        ),
        *(
            Finding("unused-audio", f"{CONDITIONS[row].label}: below the audio model", unused_audio(rows, row), True)
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


def table_findings(table: str, rows: Sequence[Table], classes: int) -> tuple[Finding, ...]:
    """The findings of a table, by its name in claims.yaml; rows: of the table, of task those of both its tables."""
    known: Mapping[str, Callable[[], tuple[Finding, ...]]] = {
        "urban-rural": lambda: urban_rural_findings(rows[0]),
        "speech": lambda: speech_findings(rows[0]),
        "task": lambda: (task_contrast(rows[0], rows[1]),),
        "kinetics-sounds": lambda: kinetics_sounds_findings(rows[0], classes),
    }
    return known[table]()


def of_claim(findings: Iterable[Finding], claim: str) -> list[Finding]:
    """The findings of a claim, all where none is named; a refusal of the declaration where it has none."""
    findings = list(findings)
    names = dict.fromkeys(each.claim for each in findings)
    if claim and claim not in names:
        raise refusal(f"no finding is of the claim {claim!r}{nearest(claim, names)}; known are {', '.join(names)}")
    return [each for each in findings if claim in ("", each.claim)]


def _each_drop(
    rows: Table, modality: str, claim: str, side: str, points: float, metric: str = BALANCED
) -> tuple[Finding, ...]:
    """One finding for each stand-in of a modality: that it costs "at least" or "at most" so many points."""
    sign = 1 if side == "at least" else -1
    return tuple(
        Finding(
            claim, f"{CONDITIONS[row].label}: loses {side} {points:g} points", sign * (drop(rows, row, metric) - points)
        )
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
    told = class_statements(series)
    silent, black = told["correlation_silent"], told["correlation_black"]
    return (
        _most("unlike-audio", "classes: audio model more than 20 points from the intact one", told["audio_differs"]),
        Finding(
            "best-heard",
            "the three classes that the audio model names best: Silent Audio at least 50 on average",
            told["best_heard_silent"] - 50,
        ),
        _most("rest-unheard", "other classes: audio model below 20, Silent Audio above 50", told["rest_unheard"]),
        _most("video-good", "classes: video model above 50", told["video_good"]),
        _most("black-falls", "classes: Black Video more than 30 points below the intact model", told["black_falls"]),
        Finding(
            "video-beats",
            "video model above the intact one in at least 5 of 26 classes",
            100 * (told["video_beats"] - 5 / 26),
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
