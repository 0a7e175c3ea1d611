"""How well videos are parsed: the ten F-scores of audio-visual video parsing, per video and over a data set.

And four more, of what is only heard or only seen: `score_alone`.

Tian et al. 2020 (ECCV, "Unified Multisensory Perception"), as their code (YapengTian/AVVP-ECCV20) computes them: every
video has a score of its own, and a data set's score is the plain mean over its videos. Fu, Gao and Xu, "Evaluation
Metrics", call 0.5 the "mIoU threshold to determine the positive snippets"; decision: that mixes two thresholds which
happen to be equal, the probability from which a segment counts (`THRESHOLD`) and the overlap from which two events
match (at least half of the union), and both stand as in the public code.

Axes: N videos, C classes, T segments (at most 10); of the axis of length 2, index 0 is audio and 1 visual. Inside,
a row of T segments is one number, its *code*: bit t is segment t. Counting segments is then counting bits, and the
events of a row are looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import UserError

LEVELS = ("segment", "event")
QUANTITIES = ("A", "V", "AV", "Type", "Event")  # the papers' order; Type and Event are Type@AV and Event@AV
METRICS = tuple(f"{level}_{quantity}" for level in LEVELS for quantity in QUANTITIES)
MEANS = {f"{level}_mean": tuple(name for name in METRICS if name.startswith(level)) for level in LEVELS} | {
    "average": METRICS
}  # mean of several metrics -> these
ALONE = tuple(f"{level}_{quantity}" for level in LEVELS for quantity in ("Ao", "Vo"))  # only heard, only seen
MODALITY_METRICS = tuple(tuple(f"{level}_{letter}" for level in LEVELS) for letter in "AV")  # of one modality alone
GATES = ("global", "modality")
THRESHOLD = 0.5
LONGEST = 10  # segments of a row: its 55 possible events fit the bits of one number

BoolArray = NDArray[np.bool_]
Codes = NDArray[np.uint16]
FloatArray = NDArray[np.float64]
Probabilities = NDArray[np.floating[Any]]
SmallCounts = NDArray[np.uint8]  # far below 256
Counted = tuple[SmallCounts, SmallCounts]  # how many are predicted and true; predicted plus true: 2 TP + FP + FN


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
    `open_gates`. Raises UserError for an empty prediction and one that is not finite.
    """
    _check(frame_prob, P, p_a, p_v)
    gates = open_gates(gate, P, p_a, p_v)
    predicted = _codes(np.moveaxis(frame_prob >= THRESHOLD, 1, -1))
    return _score(predicted * gates, np.stack([_codes(gt_a), _codes(gt_v)], axis=1))


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
    return (frame_prob >= THRESHOLD).transpose(0, 2, 3, 1) & gates[..., None]


def score_segments(segments_a: BoolArray, segments_v: BoolArray, gt_a: BoolArray, gt_v: BoolArray) -> ParsingScores:
    """Score predicted segments against the truth, all (N, C, T) bool.

    Audio-visual segments are those active in both modalities. Raises UserError for an empty prediction, N = 0.
    """
    _check(segments_a)
    predicted, true = (
        np.stack([_codes(audio), _codes(visual)], axis=1) for audio, visual in ((segments_a, segments_v), (gt_a, gt_v))
    )
    return _score(predicted, true)


def score_alone(segments: BoolArray, truth: BoolArray) -> dict[str, FloatArray]:
    """Scores (N,) in [0, 1] of what one modality alone has, by the names of `ALONE`; segments, truth: (N, 2, C, T).

    A segment is only heard (Ao) where a class is active in the sound and not in the pictures, and only seen (Vo) the
    other way round, in the prediction as in the truth. The F-scores are those of A and V over such segments and their
    events; AV is their counterpart for what both have. An event of the sound that is partly seen leaves its other part.
    Sardari et al. 2024 (CoLeaF, ECCV, arXiv 2405.10690), "audible-only" and "visible-only" events, as their code
    (faeghehsardari/coleaf, main.py) makes them. Raises UserError for an empty prediction, N = 0.
    """
    _check(segments)
    both = (_codes(segments), _codes(truth))
    # Reversed along the axis of modalities: audio less visual, and visual less audio.
    predicted, true = (codes & ~codes[:, ::-1] for codes in both)
    f = np.concatenate([_mean_f(*count(predicted, true)) for count in (_segments_counted, _events_counted)], axis=1)
    return dict(zip(ALONE, f.T, strict=True))


def _codes(active: BoolArray) -> Codes:
    """Codes (...) of rows (..., T) of segments."""
    if active.shape[-1] > LONGEST:
        raise UserError(f"{active.shape[-1]} segments: videos are parsed in at most {LONGEST}.")
    codes = active[..., 0].astype(np.uint16)
    for segment in range(1, active.shape[-1]):
        codes |= active[..., segment].astype(np.uint16) << segment
    return codes


def _score(predicted: Codes, true: Codes) -> ParsingScores:
    """Scores of codes (N, 2, C); the audio-visual rows are those of segments active in both modalities."""
    predicted, true = (
        np.concatenate([codes, codes[:, :1] & codes[:, 1:]], axis=1, dtype=np.uint16) for codes in (predicted, true)
    )
    levels = [_video_scores(*count(predicted, true)) for count in (_segments_counted, _events_counted)]
    return ParsingScores(np.concatenate(levels, axis=1))


def _segments_counted(predicted: Codes, true: Codes) -> Counted:
    return np.bitwise_count(predicted & true), np.bitwise_count(predicted) + np.bitwise_count(true)


def _events_counted(predicted: Codes, true: Codes) -> Counted:
    """Events, that is maximal runs of active segments.

    A predicted event is a hit when some true event of its row covers at least half of their union. Runs are parted by
    gaps, so an event cannot match two: hits counted from either side are the same.
    """
    hits, events = _event_tables()
    return hits.take(predicted.astype(np.intp) << LONGEST | true), events.take(predicted) + events.take(true)


@cache
def _event_tables() -> tuple[SmallCounts, SmallCounts]:
    """By code: how many events of a predicted row match one of a true row (1024, 1024), flat; events of a row (1024).

    Made from two sets for each row, of the 55 possible events as bits of one number: those it has, and those that would
    match one of them. A shorter row has the events of the row filled up with zeros.
    """
    spans = [(first, end) for first in range(LONGEST) for end in range(first + 1, LONGEST + 1)]
    matches = {
        span: sum(1 << number for number, other in enumerate(spans) if _half_shared(span, other)) for span in spans
    }
    held, matched = [0] * (1 << LONGEST), [0] * (1 << LONGEST)
    for code in range(1 << LONGEST):
        for number, (first, end) in enumerate(spans):
            # The bit before the event, its bits, and the bit behind it: an event is a run with a 0 on either side.
            window = code >> first << 1 | (code >> (first - 1) & 1 if first else 0)
            if window & ((1 << (end - first + 2)) - 1) == ((1 << (end - first)) - 1) << 1:
                held[code] |= 1 << number
                matched[code] |= matches[first, end]
    own, near = (np.array(each, dtype=np.uint64) for each in (held, matched))
    return np.bitwise_count(own[:, None] & near).ravel(), np.bitwise_count(own)


def _half_shared(one: tuple[int, int], another: tuple[int, int]) -> bool:
    """Whether two events [first, end) share at least half of their union."""
    shared = min(one[1], another[1]) - max(one[0], another[0])
    # In whole numbers: an overlap of exactly a half counts, and no division can round it away.
    return 2 * shared >= one[1] - one[0] + another[1] - another[0] - shared


def _video_scores(hits: SmallCounts, total: SmallCounts) -> FloatArray:
    """A, V, AV, Type and Event (N, 5) from numbers (N, 3, C) of A, V and AV; Event sums those of A and V first."""
    scores = np.empty((len(hits), len(QUANTITIES)))
    scores[:, [0, 1, 2, 4]] = _mean_f(
        *(np.concatenate([each, each[:, :1] + each[:, 1:2]], axis=1, dtype=np.uint8) for each in (hits, total))
    )
    scores[:, 3] = scores[:, :3].mean(axis=1)
    return scores


def _mean_f(hits: SmallCounts, total: SmallCounts) -> FloatArray:
    """F = 2 TP / (predicted + true), averaged over the classes that occur, in either: counts (..., C) to (...).

    1.0 where none occurs.
    """
    f = np.divide(2 * hits, np.maximum(total, 1), dtype=np.float64)
    occurring = np.count_nonzero(total, axis=-1)
    # As in the public code: a video without events of a kind in which none is predicted is parsed perfectly.
    return np.where(occurring > 0, f.sum(axis=-1) / np.maximum(occurring, 1), 1.0)


def _check(*arrays: NDArray[Any]) -> None:
    """Raise UserError for arrays without a video, and for numbers that are not finite."""
    if len(arrays[0]) == 0:
        raise UserError("empty prediction: there is no video to score; run the model on the split again.")
    for array in arrays:
        finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
        if not finite.all():
            raise UserError(f"the prediction of video {finite.argmin()} (from 0) is not finite; train the run again.")
