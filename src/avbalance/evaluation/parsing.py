"""How well videos are parsed: the ten F-scores of audio-visual video parsing, per video and over a data set.

Tian et al. 2020 (ECCV, "Unified Multisensory Perception"), as their code (YapengTian/AVVP-ECCV20) computes them: every
video has a score of its own, and a data set's score is the plain mean over its videos. Fu, Gao and Xu, "Evaluation
Metrics", call 0.5 the "mIoU threshold to determine the positive snippets"; decision: that mixes two thresholds which
happen to be equal, the probability from which a segment counts (`THRESHOLD`) and the overlap from which two events
match (at least half of the union), and both stand as in the public code.

Axes: N videos, C classes, T segments; of the axis of length 2, index 0 is audio and 1 visual.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import UserError

LEVELS = ("segment", "event")
QUANTITIES = ("A", "V", "AV", "Type", "Event")  # the papers' order; Type and Event are Type@AV and Event@AV
METRICS = tuple(f"{level}_{quantity}" for level in LEVELS for quantity in QUANTITIES)
GATES = ("global", "modality")
THRESHOLD = 0.5

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Probabilities = NDArray[np.floating[Any]]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class ParsingScores:
    """Scores in [0, 1] of N videos: `per_video (N, 10)`, columns as `METRICS`."""

    per_video: FloatArray

    def of(self, metric: str) -> FloatArray:
        """Scores (N,) of every video on one metric, for statistics paired by video."""
        if metric not in METRICS:
            raise UserError(f"unknown parsing metric {metric!r}; use one of {', '.join(METRICS)}.")
        return self.per_video[:, METRICS.index(metric)]

    def dataset(self) -> dict[str, float]:
        """The ten numbers in percent; Type, linear in A, V and AV, is the mean of their data set scores too."""
        return dict(zip(METRICS, (100 * self.per_video.mean(axis=0)).tolist(), strict=True))


def evaluate(
    frame_prob: Probabilities,
    P: Probabilities,
    p_a: Probabilities,
    p_v: Probabilities,
    gt_a: BoolArray,
    gt_v: BoolArray,
    gate: str,
) -> ParsingScores:
    """Score probabilities against the truth.

    `frame_prob (N, T, 2, C)`; video level `P`, `p_a`, `p_v` `(N, C)`; `gt_a`, `gt_v` `(N, C, T)`; `gate` as in
    `open_gates`. Raises UserError for an empty prediction, one that is not finite, and arrays that do not fit.
    """
    _refuse_unfit(frame_prob, {"P": P, "p_a": p_a, "p_v": p_v}, gt_a, gt_v)
    segments = active_segments(frame_prob, open_gates(gate, P, p_a, p_v))
    return score_segments(segments[:, 0], segments[:, 1], gt_a, gt_v)


def open_gates(gate: str, P: Probabilities, p_a: Probabilities, p_v: Probabilities) -> BoolArray:
    """Which classes (N, 2, C) a video may show in which modality, from video-level probabilities (N, C).

    "global": both modalities by P, as HAN, MM-Pyramid and CVCMS do; "modality": audio by p_a, visual by p_v, as MA and
    JoMoLD do. A probability of exactly 0.5 opens. Raises UserError for another gate.
    """
    if gate not in GATES:
        raise UserError(f"unknown gate {gate!r}; use one of {', '.join(GATES)}.")
    pair = (P, P) if gate == "global" else (p_a, p_v)
    return np.stack(pair, axis=1) >= THRESHOLD


def active_segments(frame_prob: Probabilities, gates: BoolArray) -> BoolArray:
    """Predicted segments (N, 2, C, T): probability (N, T, 2, C) of at least 0.5 where the gate (N, 2, C) is open."""
    active: BoolArray = (frame_prob >= THRESHOLD).transpose(0, 2, 3, 1) & gates[..., None]
    return active


def score_segments(segments_a: BoolArray, segments_v: BoolArray, gt_a: BoolArray, gt_v: BoolArray) -> ParsingScores:
    """Score predicted segments against the truth, all (N, C, T) bool.

    Audio-visual segments are those active in both modalities. Raises UserError for an empty prediction, N = 0.
    """
    _refuse_unlike(segments_a=segments_a, segments_v=segments_v, gt_a=gt_a, gt_v=gt_v)
    predicted = np.stack([segments_a, segments_v, segments_a & segments_v], axis=1)
    true = np.stack([gt_a, gt_v, gt_a & gt_v], axis=1)
    levels = [_video_scores(counts(predicted, true)) for counts in (segment_counts, event_counts)]
    return ParsingScores(np.concatenate(levels, axis=1))


def segment_counts(predicted: BoolArray, true: BoolArray) -> Counts:
    """Segments (..., T) counted: TP, FP and FN, stacked (3, ...)."""
    pairs = (predicted & true, predicted & ~true, ~predicted & true)
    return np.stack([pair.sum(axis=-1, dtype=np.int64) for pair in pairs])


def event_counts(predicted: BoolArray, true: BoolArray) -> Counts:
    """Events, that is maximal runs of active segments (..., T), counted: TP, FP and FN, stacked (3, ...).

    A predicted event is TP when some true event of its row covers at least half of their union, else FP; a true event
    is FN when no predicted one does so. Runs are parted by gaps, so an event cannot match two: TP counted from either
    side is the same.
    """
    guesses, facts = _Runs.of(predicted), _Runs.of(true)
    base = max(len(facts.length), 1)
    shared = guesses.number[true.flat[guesses.cells]] * base + facts.number[predicted.flat[facts.cells]]
    pairs, overlap = np.unique(shared, return_counts=True)
    guess, fact = np.divmod(pairs, base)
    matching = 2 * overlap >= guesses.length[guess] + facts.length[fact] - overlap
    hit, missed = np.zeros(len(guesses.length), dtype=bool), np.ones(len(facts.length), dtype=bool)
    hit[guess[matching]], missed[fact[matching]] = True, False
    shape = predicted.shape[:-1]
    rows = (guesses.row[hit], guesses.row[~hit], facts.row[missed])
    return np.stack([np.bincount(row, minlength=math.prod(shape)).reshape(shape) for row in rows])


@dataclass(frozen=True)
class _Runs:
    """Maximal runs of a mask (..., T): flat index and run of each active cell; row and length of each run."""

    cells: Counts
    number: Counts
    row: Counts
    length: Counts

    @classmethod
    def of(cls, mask: BoolArray) -> _Runs:
        segments = mask.shape[-1]
        cells = np.flatnonzero(mask)
        starts = (cells % segments == 0) | (np.diff(cells, prepend=-2) > 1)
        number = starts.cumsum() - 1
        return cls(cells, number, cells[starts] // segments, np.bincount(number))


def _video_scores(counts: Counts) -> FloatArray:
    """A, V, AV, Type and Event (N, 5) from counts (3, N, 3, C) of A, V and AV; Event sums those of A and V first."""
    events = counts[:, :, :2].sum(axis=2, keepdims=True)
    scores = mean_f(np.concatenate([counts, events], axis=2))
    return np.insert(scores, 3, scores[:, :3].mean(axis=1), axis=1)


def mean_f(counts: Counts) -> FloatArray:
    """F = 2 TP / (2 TP + FP + FN), averaged over the classes that occur: counts (3, ..., C) to (...).

    A class occurs when it is predicted or true; 1.0 where none does.
    """
    twice = 2 * counts[0]
    total = twice + counts[1] + counts[2]
    f = np.divide(twice, total, out=np.zeros(total.shape), where=total > 0)
    occurring = (total > 0).sum(axis=-1)
    return np.where(occurring > 0, f.sum(axis=-1) / np.maximum(occurring, 1), 1.0)


def _refuse_unfit(
    frame_prob: Probabilities, video_prob: dict[str, Probabilities], gt_a: BoolArray, gt_v: BoolArray
) -> None:
    _refuse_empty(frame_prob)
    if frame_prob.ndim != 4 or frame_prob.shape[2] != 2:
        raise UserError(f"frame_prob has the shape {frame_prob.shape}; it must be videos x segments x 2 x classes.")
    videos, segments, _, classes = frame_prob.shape
    wanted = {name: (videos, classes) for name in video_prob} | dict.fromkeys(
        ("gt_a", "gt_v"), (videos, classes, segments)
    )
    for name, array in {**video_prob, "gt_a": gt_a, "gt_v": gt_v}.items():
        if array.shape != wanted[name]:
            raise UserError(f"{name} has the shape {array.shape}, which frame_prob {frame_prob.shape} does not fit.")
    for name, array in {"frame_prob": frame_prob, **video_prob}.items():
        finite = np.isfinite(array).reshape(videos, -1).all(axis=1)
        if not finite.all():
            raise UserError(f"{name} of video {finite.argmin()} (from 0) is not finite; train the run again.")


def _refuse_unlike(**arrays: BoolArray) -> None:
    first = next(iter(arrays.values()))
    _refuse_empty(first)
    for name, array in arrays.items():
        if array.ndim != 3 or array.shape != first.shape or array.dtype != np.bool_:
            raise UserError(f"{name} is {array.dtype} {array.shape}; it must be bool, videos x classes x segments.")


def _refuse_empty(array: NDArray[Any]) -> None:
    if len(array) == 0:
        raise UserError("empty prediction: there is no video to score; run the model on the split again.")
