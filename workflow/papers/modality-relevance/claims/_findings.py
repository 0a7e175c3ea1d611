"""What modality-relevance says of its tables 1 to 3 and of figure 4, as margins by which each statement is right.

Accuracies and the like are in percent, differences in points. Thresholds are decisions, the paper states none. Numbers
may be arrays, a value for each drawing of the test clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avbalance.analysis.conditions import CONDITIONS, PUBLISHED
from avbalance.analysis.relevance import BALANCED, INTACT, Floats, Metrics, Value
from avbalance.declared import nearest, refusal
from avbalance.evaluation.rows import ACCURACY

AUDIO_MODEL, VIDEO_MODEL = "audio-model", "video-model"
ROWS = (AUDIO_MODEL, VIDEO_MODEL, *PUBLISHED)  # of every table, in the published order
# The paper's two stand-ins of each modality: the "appropriate default", then noise.
DEFAULT_AND_NOISE = {"audio": ("silent-audio", "gaussian-audio"), "visual": ("black-video", "gaussian-video")}
# Deviations below it are rounding of a constant row, and dividing by them would make a correlation of noise.
SAME = 1e-9
FEWEST_CLASSES = 4  # of which statements on classes can be made

Table = Mapping[str, Metrics]  # row -> metrics


@dataclass(frozen=True)
class Finding:
    """One comparison of a claim: `margin` is at least 0 where it is right, above 0 if `strict`; in `unit`."""

    claim: str
    text: str
    margin: Value
    strict: bool = False
    unit: str = "points"


def of_claim(findings: Iterable[Finding], claim: str) -> list[Finding]:
    """The findings of a claim, all where none is named; a refusal of the declaration where it has none."""
    findings = list(findings)
    names = dict.fromkeys(each.claim for each in findings)
    if claim and claim not in names:
        raise refusal(f"no finding is of the claim {claim!r}{nearest(claim, names)}; known are {', '.join(names)}")
    return [each for each in findings if claim in ("", each.claim)]


def table_findings(name: str, tables: Sequence[Mapping[str, Any]], classes: int) -> tuple[Finding, ...]:
    """The findings of a table, by its name in claims.yaml; tables: that one, of task those of both tasks.

    Of name classes, those of figure 4, a table is row -> accuracies of the classes.
    """
    if name == "classes":
        return class_findings(tables[0])
    if name == "task":
        return (task_contrast(tables[0], tables[1]),)
    if name == "kinetics-sounds":
        return kinetics_sounds_findings(tables[0], classes)
    return urban_rural_findings(tables[0]) if name == "urban-rural" else speech_findings(tables[0])


def three_models(table: Table, metric: str) -> list[Value]:
    """A metric of the audio model, the video model and the multimodal one with all its inputs."""
    return [getattr(table[row], metric) for row in (AUDIO_MODEL, VIDEO_MODEL, INTACT)]


def lost(table: Table, modality: str, metric: str = BALANCED) -> list[Value]:
    """Points that the multimodal model loses without a modality, under both stand-ins; negative when it gains."""
    return [
        getattr(table[INTACT], metric) - getattr(table[condition], metric) for condition in DEFAULT_AND_NOISE[modality]
    ]


def visual_reliance(table: Table) -> Value:
    """Points lost without video minus those lost without audio, means over the stand-ins: 0 for equal reliance."""
    audio, video = (sum(lost(table, modality)) / 2 for modality in ("audio", "visual"))
    return video - audio


def representation_gap(table: Table, modality: str, metric: str = BALANCED) -> Value:
    """Points by which silence, or a black video, does better than noise; negative where noise does."""
    default, noise = DEFAULT_AND_NOISE[modality]
    return getattr(table[default], metric) - getattr(table[noise], metric)


def urban_rural_findings(table: Table) -> tuple[Finding, ...]:
    """What the paper says of Table 1: video tells more, and the student hardly uses audio."""
    audio, video, both = three_models(table, BALANCED)
    without_audio, without_video = (sum(lost(table, modality)) / 2 for modality in ("audio", "visual"))
    # Three times a loss of nearly 0 would be met by noise, hence at least 0.5 points: a mean loss of 1.5.
    margin = without_video - 3 * np.maximum(without_audio, 0.5)
    return (
        Finding("teachers", "video teacher at least 5 points above audio teacher", video - audio - 5),
        Finding("teachers", "audio teacher above chance", audio - 50, True),
        Finding("between", "student above audio teacher", both - audio, True),
        Finding("between", "student below video teacher", video - both, True),
        *_each_loss(table, "audio", "without-audio", "at most", 3),
        *_each_loss(table, "visual", "without-video", "at least", 5),
        Finding("video-dominates", "mean loss without video at least 1.5 and three times that without audio", margin),
    )


def speech_findings(table: Table) -> tuple[Finding, ...]:
    """What the paper says of Table 2: teachers alike, no removal is catastrophic, missing audio hurts more.

    The text has the student between its teachers. The published accuracies agree, the balanced accuracies do not: both
    are compared, the latter as "between-balanced".
    """
    audio, video, both = three_models(table, BALANCED)
    without_audio, without_video = (lost(table, modality) for modality in ("audio", "visual"))
    by_accuracy = _between(*three_models(table, ACCURACY))
    return (
        Finding("teachers", "teachers within 4 points", 4 - abs(audio - video)),
        Finding("between", "accuracy of the student between those of the teachers", by_accuracy),
        Finding("between-balanced", "balanced accuracy of the student between those", _between(audio, video, both)),
        Finding("no-catastrophe", "no loss above 8 points", 8 - np.maximum.reduce(without_audio + without_video)),
        Finding(
            "audio-hurts",
            "greatest loss without audio at least that without video",
            np.maximum(*without_audio) - np.maximum(*without_video),
        ),
        Finding("representation", "silence above noise as audio", representation_gap(table, "audio"), True),
        Finding("representation", "noise not below black as video", -representation_gap(table, "visual")),
    )


def task_contrast(urban_rural: Table, speech: Table) -> Finding:
    """The main claim: with inputs and networks alike, the target decides which modality is relied on."""
    margin = visual_reliance(urban_rural) - visual_reliance(speech) - 5
    return Finding("task", "reliance on video at least 5 points greater for urban/rural than for speech", margin)


def kinetics_sounds_findings(table: Table, classes: int) -> tuple[Finding, ...]:
    """What the paper says of Table 3: late fusion adds little to video and ignores audio; chance is 1 / classes."""
    chance = 100 / classes
    audio, video, both = three_models(table, ACCURACY)
    left = {CONDITIONS[row].label: table[row].accuracy for row in DEFAULT_AND_NOISE["visual"]}  # without video
    silence_or_noise = representation_gap(table, "audio", ACCURACY)
    black_or_noise = {
        word: representation_gap(table, "visual", metric)
        for metric, word in {ACCURACY: "accuracy", "recall": "recall", "macro_f1": "F1"}.items()
    }
    return (
        Finding("unimodal", "audio model above twice chance", audio - 2 * chance, True),
        Finding("unimodal", "video model at least 30 points above audio model", video - audio - 30),
        Finding("marginal-gain", "late fusion at most 1 point below video model", both - video + 1),
        Finding("marginal-gain", "late fusion at most 3 points above video model", 3 - (both - video)),
        Finding("without-audio", "silence costs at most 3 points", 3 - lost(table, "audio", ACCURACY)[0]),
        Finding("without-audio", "silence and noise as audio within 1 point", 1 - abs(silence_or_noise)),
        *_each_loss(table, "visual", "without-video", "at least", 40, ACCURACY),
        *(Finding("near-chance", f"{name}: within three times chance", 3 * chance - own) for name, own in left.items()),
        *(Finding("unused-audio", f"{name}: below the audio model", audio - own, True) for name, own in left.items()),
        *(
            Finding("video-representation", f"black and noise as video within 3 points of {word}", 3 - abs(gap))
            for word, gap in black_or_noise.items()
        ),
    )


def _each_loss(
    table: Table, modality: str, claim: str, side: str, points: float, metric: str = BALANCED
) -> list[Finding]:
    """One finding for each stand-in of a modality: that it costs "at least" or "at most" so many points."""
    sign = 1 if side == "at least" else -1
    return [
        Finding(claim, f"{CONDITIONS[row].label}: loses {side} {points:g} points", sign * (points_lost - points))
        for row, points_lost in zip(DEFAULT_AND_NOISE[modality], lost(table, modality, metric), strict=True)
    ]


def _between(first: Value, second: Value, value: Value) -> Value:
    """Distance of a value from the nearer end of an interval, negative outside it."""
    return np.minimum(value - np.minimum(first, second), np.maximum(first, second) - value)


def class_findings(series: Mapping[str, Floats]) -> tuple[Finding, ...]:
    """What the paper says of Figure 4; per-class accuracies (..., C) in percent by row, NaN for a class without a clip.

    Rows: audio-model, video-model, both, silent-audio, black-video. Margins of shares of classes are in points. "A
    significant number" of classes is read as 5 of 26, in other data as that share. All margins are NaN for fewer than 4
    classes, and a margin of Pearson's correlation over classes where one row is constant.
    """
    whole = np.stack([series[row] for row in (AUDIO_MODEL, VIDEO_MODEL, INTACT, "silent-audio", "black-video")])
    whole = np.where(np.isfinite(whole).all(axis=0), whole, np.nan)  # comparisons with NaN are false
    audio, video, both, silent, black = whole
    classes = np.isfinite(audio).sum(axis=-1)
    classes = np.where(classes < FEWEST_CLASSES, np.nan, classes)
    best = np.argsort(-audio, axis=-1, kind="stable")[..., :3]  # NaN comes last
    rest = np.ones(audio.shape, dtype=bool)
    np.put_along_axis(rest, best, False, axis=-1)
    # Adds NaN where there are too few classes, and else 0.
    best_silent = np.take_along_axis(silent, best, axis=-1).mean(axis=-1) + 0 * classes
    silent_rho, black_rho = _correlation(both, silent), _correlation(both, black)

    def most(claim: str, text: str, of_class: Floats, of: Value = classes) -> Finding:
        return Finding(claim, f"most {text}", 100 * (of_class.sum(axis=-1) / of - 0.5), True)

    return (
        most("unlike-audio", "classes: audio model more than 20 points from the intact one", abs(both - audio) > 20),
        Finding(
            "best-heard",
            "the three classes that the audio model names best: Silent Audio at least 50 on average",
            best_silent - 50,
        ),
        most(
            "rest-unheard",
            "other classes: audio model below 20, Silent Audio above 50",
            (audio < 20) & (silent > 50) & rest,
            classes - 3,
        ),
        most("video-good", "classes: video model above 50", video > 50),
        most("black-falls", "classes: Black Video more than 30 points below the intact model", black < both - 30),
        Finding(
            "video-beats",
            "video model above the intact one in at least 5 of 26 classes",
            100 * ((video > both).sum(axis=-1) / classes - 5 / 26),
        ),
        Finding("correlation", "correlation of intact and Silent Audio above 0.9", silent_rho - 0.9, True, "rho"),
        Finding("correlation", "that of intact and Black Video is lower", silent_rho - black_rho, True, "rho"),
    )


def _correlation(x: Floats, y: Floats) -> Value:
    """Pearson's over the last axis, without NaN."""
    first, second = (each - np.nanmean(each, axis=-1, keepdims=True) for each in (x, y))
    scale = np.sqrt(np.nansum(first**2, axis=-1) * np.nansum(second**2, axis=-1))
    return np.nansum(first * second, axis=-1) / np.where(scale > SAME, scale, np.nan)
