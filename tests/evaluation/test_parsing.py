"""The ten parsing scores: worked examples, a plain slow reference, and the real annotations."""

from __future__ import annotations

import os
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from plain_parsing import plain_scores

from avbalance.analysis.parsing_scores import (
    GATES,
    METRICS,
    ParsingScores,
    active_segments,
    evaluate,
    event_counts,
    mean_f,
    open_gates,
    score_segments,
)
from avbalance.data.llp import read_segments, read_split
from avbalance.errors import UserError

CLASSES, SEGMENTS = 25, 10
# Three videos: per class a string of segments. Truth and frame predictions, audio then visual; classes let through.
TRUTH = (
    ({0: "1110000000", 3: "0000011111"}, {3: "0000111111"}),
    ({11: "1111111111"}, {}),
    ({}, {6: "0011100000"}),
)
FRAMES = (
    (
        {0: "1100000000", 3: "0000011110", 1: "1000000000"},
        {3: "0000001111", 0: "1111000000"},
    ),
    ({11: "1101111011"}, {11: "1111100000"}),
    ({}, {6: "0111110000"}),
)
OPEN = {"P": ((0, 3), (11,), (6,)), "p_a": ((0, 3), (11,), ()), "p_v": ((3,), (), (6,))}
# Per gate and video: A, V, Event, AV; worked by hand as fractions.
SEGMENT = {
    "global": (("38/45", "2/5", "110/171", "3/8"), ("8/9", "0", "16/23", "0"), ("1", "3/4", "3/4", "1")),
    "modality": (("38/45", "4/5", "78/95", "3/4"), ("8/9", "1", "8/9", "1"), ("1", "3/4", "3/4", "1")),
}
EVENT = {
    "global": (("1", "1/2", "5/6", "1/2"), ("0", "0", "0", "0"), ("1", "1", "1", "1")),
    "modality": (("1", "1", "1", "1"), ("0", "1", "0", "1"), ("1", "1", "1", "1")),
}
# What the public evaluation printed for them: segment A V AV Type Event, event A V AV Type Event.
PRINTED = {
    "global": "91.1111 38.3333 45.8333 58.4259 69.6309 66.6667 50.0 50.0 55.5556 61.1111",
    "modality": "91.1111 85.0 91.6667 89.2593 81.9981 66.6667 100.0 100.0 88.8889 66.6667",
}


def cells(rows: dict[int, str]) -> np.ndarray:
    """Rows by class as (25, 10) bool."""
    mask = np.zeros((CLASSES, SEGMENTS), dtype=bool)
    for index, row in rows.items():
        mask[index] = [cell == "1" for cell in row]
    return mask


def video_prob(videos: tuple[tuple[int, ...], ...]) -> np.ndarray:
    return np.array([[0.9 if index in active else 0.1 for index in range(CLASSES)] for active in videos])


def three_videos() -> dict[str, np.ndarray]:
    """The arguments of evaluate() for the worked example, all but the gate."""
    active = np.array([[cells(audio), cells(visual)] for audio, visual in FRAMES])
    return {
        "frame_prob": np.where(active, 0.8, 0.2).transpose(0, 3, 1, 2),
        **{name: video_prob(videos) for name, videos in OPEN.items()},
        "gt_a": np.array([cells(audio) for audio, _ in TRUTH]),
        "gt_v": np.array([cells(visual) for _, visual in TRUTH]),
    }


@pytest.mark.parametrize("gate", GATES)
def test_the_worked_example(gate: str) -> None:
    scores = evaluate(**three_videos(), gate=gate)
    for level, expected in (("segment", SEGMENT[gate]), ("event", EVENT[gate])):
        for quantity, values in zip(("A", "V", "Event", "AV"), zip(*expected, strict=True), strict=True):
            exact = [float(Fraction(value)) for value in values]
            np.testing.assert_allclose(scores.of(f"{level}_{quantity}"), exact, atol=1e-9, rtol=0)
        kinds = [sum(Fraction(video[place]) for place in (0, 1, 3)) / 3 for video in expected]
        np.testing.assert_allclose(scores.of(f"{level}_Type"), [float(kind) for kind in kinds], atol=1e-9, rtol=0)
    assert list(scores.dataset()) == list(METRICS)
    printed = [float(number) for number in PRINTED[gate].split()]
    np.testing.assert_allclose(list(scores.dataset().values()), printed, atol=6e-5, rtol=0)


def test_the_worked_example_as_printed_with_six_digits() -> None:
    scores = evaluate(**three_videos(), gate="global")
    printed = {"segment_A": 0.844444, "segment_V": 0.4, "segment_Event": 0.643275, "segment_AV": 0.375}
    printed |= {"event_A": 1.0, "event_V": 0.5, "event_Event": 0.833333, "event_AV": 0.5}
    assert {name: scores.of(name)[0] for name in printed} == pytest.approx(printed, abs=1e-6)
    assert scores.of("segment_Event")[1] == pytest.approx(0.695652, abs=1e-6)


@pytest.mark.parametrize(
    ("truth", "predicted", "score"),
    [
        ("1111000000", "1100000000", 1.0),  # exactly half of the union
        ("1111100000", "1100000000", 0.0),  # 0.4
        ("1101100110", "1111111111", 0.0),  # one long event covers none of three short ones by half
        ("1110000000", "0111000000", 1.0),  # two of four
        ("1111111111", "1111011111", 2 / 3),  # broken in two: the right half matches, the left does not
        ("0000000011", "1111111100", 0.0),  # no overlap
    ],
)
def test_events_match_from_half_of_their_union(truth: str, predicted: str, score: float) -> None:
    none = np.zeros((1, CLASSES, SEGMENTS), dtype=bool)
    scores = score_segments(cells({4: predicted})[None], none, cells({4: truth})[None], none)
    assert scores.of("event_A")[0] == pytest.approx(score, abs=1e-12)
    assert scores.of("event_V")[0] == scores.of("event_AV")[0] == 1.0


def test_runs_end_with_their_row() -> None:
    true = np.array([[[1, 0, 1], [1, 0, 0]]], dtype=bool)  # a run across the rows would be one event, not two
    assert event_counts(true, true).tolist() == [[[2, 1]], [[0, 0]], [[0, 0]]]


def test_a_probability_of_one_half_counts() -> None:
    below = np.nextafter(np.float32(0.5), np.float32(0))
    half, under = (np.full((1, 3), value, dtype=np.float32) for value in (0.5, below))
    assert open_gates("global", half, under, under).all() and not open_gates("global", under, half, half).any()
    assert open_gates("modality", under, half, under).tolist() == [[[True] * 3, [False] * 3]]
    frames = np.full((1, 10, 2, 3), 0.5, dtype=np.float32)
    frames[:, 4] = below
    active = active_segments(frames, np.ones((1, 2, 3), dtype=bool))
    assert active.shape == (1, 2, 3, 10) and not active[..., 4].any() and active.sum() == 6 * 9


def test_a_video_without_truth_and_prediction_counts_as_one() -> None:
    none = np.zeros((2, CLASSES, SEGMENTS), dtype=bool)
    some = none.copy()
    some[1, 7, 2:5] = True
    assert set(score_segments(none, none, none, none).per_video.ravel().tolist()) == {1.0}
    for one_sided in (score_segments(some, some, none, none), score_segments(none, none, some, some)):
        assert one_sided.per_video.tolist() == [[1.0] * 10, [0.0] * 10]
    assert one_sided.dataset()["segment_AV"] == 50.0


def test_a_class_counts_once_however_many_of_its_cells_are_active() -> None:
    none = np.zeros((1, CLASSES, SEGMENTS), dtype=bool)
    truth = cells({0: "1111111111", 1: "1000000000"})[None]
    scores = score_segments(cells({0: "1111111111"})[None], none, truth, none)
    assert scores.of("segment_A")[0] == scores.of("event_A")[0] == 0.5


def test_mean_f_of_counts() -> None:
    counts = np.array([[[2, 0, 0]], [[0, 1, 0]], [[1, 0, 0]]])
    assert mean_f(counts).tolist() == [0.4] and mean_f(counts[..., 2:]).tolist() == [1.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({name: value[:0] for name, value in three_videos().items()}, "empty prediction"),
        ({"p_v": np.zeros((3, 24))}, r"p_v has the shape \(3, 24\)"),
        ({"gt_a": np.zeros((3, 10, 25), dtype=bool)}, r"gt_a has the shape \(3, 10, 25\)"),
        ({"gt_v": np.zeros((3, 25, 10))}, "gt_v is float64"),
        ({"frame_prob": np.zeros((3, 2, 10, 25))}, "videos x segments x 2 x classes"),
        ({"P": np.where(np.arange(3)[:, None] == 1, np.nan, np.ones((3, 25)))}, "P of video 1 .from 0. is not finite"),
        ({"gate": "both"}, "unknown gate 'both'; use one of global, modality"),
    ],
)
def test_what_cannot_be_scored_is_refused(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluate(**{**three_videos(), "gate": "global", **change})


def test_an_empty_prediction_is_refused_without_probabilities_too() -> None:
    none = np.zeros((0, CLASSES, SEGMENTS), dtype=bool)
    with pytest.raises(UserError, match="empty prediction"):
        score_segments(none, none, none, none)


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(UserError, match="unknown parsing metric 'segment'"):
        ParsingScores(np.zeros((1, 10))).of("segment")


# A reference to compare with: one video, one class, one event after the other (plain_parsing.py)


def masks(videos: int, classes: int, segments: int) -> st.SearchStrategy[np.ndarray]:
    """Predicted and true segments: (2, N, 2, C, T)."""
    return arrays(np.bool_, (2, videos, 2, classes, segments))


SIZES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.sampled_from([1, 2, 5, 10]))
QUIET = settings(deadline=None, max_examples=150, derandomize=True, database=None)


def score(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    return score_segments(predicted[:, 0], predicted[:, 1], true[:, 0], true[:, 1]).per_video


@QUIET
@given(SIZES.flatmap(lambda size: masks(*size)))
def test_every_video_scores_as_the_reference_says(drawn: np.ndarray) -> None:
    predicted, true = drawn
    expected = [plain_scores(*pair) for pair in zip(predicted.tolist(), true.tolist(), strict=True)]
    np.testing.assert_allclose(score(predicted, true), expected, atol=1e-12, rtol=0)


@QUIET
@given(SIZES.flatmap(lambda size: masks(*size)), st.randoms(use_true_random=False))
def test_order_of_videos_classes_and_time_does_not_matter(drawn: np.ndarray, chance: random.Random) -> None:
    predicted, true = drawn
    scores = score(predicted, true)
    videos, classes = (chance.sample(range(count), count) for count in (len(predicted), predicted.shape[2]))
    np.testing.assert_allclose(score(predicted[videos], true[videos]), scores[videos], atol=1e-12)
    np.testing.assert_allclose(score(predicted[:, :, classes], true[:, :, classes]), scores, atol=1e-12)
    np.testing.assert_allclose(score(predicted[..., ::-1], true[..., ::-1]), scores, atol=1e-12)
    swapped = score(predicted[:, ::-1], true[:, ::-1])
    np.testing.assert_allclose(swapped[:, [1, 0, 2, 3, 4, 6, 5, 7, 8, 9]], scores, atol=1e-12)


@QUIET
@given(SIZES.flatmap(lambda size: masks(*size)))
def test_scores_are_symmetric_bounded_and_full_for_the_truth(drawn: np.ndarray) -> None:
    predicted, true = drawn
    scores = score(predicted, true)
    assert (score(true, true) == 1).all() and (scores >= 0).all() and (scores <= 1).all()
    np.testing.assert_allclose(score(true, predicted), scores, atol=1e-12)  # F does not tell FP from FN


@QUIET
@given(arrays(np.float32, (2, 10, 2, 3), elements=st.floats(0, 1, width=32)), arrays(np.bool_, (2, 2, 3)))
def test_a_closed_gate_leaves_nothing(frame_prob: np.ndarray, gates: np.ndarray) -> None:
    active = active_segments(frame_prob, gates)
    assert not active[~gates].any()
    for video, modality, index in np.argwhere(gates):
        assert (active[video, modality, index] == (frame_prob[video, :, modality, index] >= 0.5)).all()


# Real annotations, no model


@pytest.fixture(scope="module")
def llp() -> Path:
    real = os.environ.get("AVBALANCE_REAL_DATA")
    if real is None:
        pytest.skip("AVBALANCE_REAL_DATA is not set: the folder that holds llp/ is unknown")
    return Path(real) / "llp"


REPAIRED, OLD = "AVVP_eval_audio.csv", "jomold_version/AVVP_eval_audio.csv"
NONE_VAL = "0.6163 10.7858 14.3297 8.5773 0.0 0.6163 10.7858 14.3297 8.5773 0.0"
NONE_TEST = "0.5 10.0833 14.5 8.3611 0.0 0.5 10.0833 14.5 8.3611 0.0"
WEAK_VAL = "77.0748 58.6541 52.0727 62.6005 71.5336 63.8487 53.4754 44.1491 53.8244 61.1207"
AUD_VAL = "100.0 57.2877 62.8342 73.3740 82.2442 100.0 52.6482 61.2208 71.2897 80.4374"


@pytest.mark.parametrize(
    ("split", "audio", "predictor", "expected"),
    [
        *[("val", audio, "weak", WEAK_VAL) for audio in (REPAIRED, OLD)],
        *[("val", audio, "none", NONE_VAL) for audio in (REPAIRED, OLD)],
        *[("val", audio, "aud", AUD_VAL) for audio in (REPAIRED, OLD)],
        *[("test", audio, "none", NONE_TEST) for audio in (REPAIRED, OLD)],
        ("test", OLD, "weak", "76.0802 60.3480 52.6072 63.0118 71.7029 63.0272 55.7527 44.6921 54.4907 61.6039"),
        ("test", REPAIRED, "weak", "76.1176 60.3480 52.6103 63.0253 71.7258 63.0272 55.7527 44.6921 54.4907 61.6011"),
        ("test", OLD, "aud", "100.0 57.4223 63.9152 73.7792 81.3639 100.0 52.8914 62.6612 71.8508 79.8854"),
        ("test", REPAIRED, "aud", "100.0 57.3976 63.8874 73.7617 81.3578 100.0 52.8497 62.6195 71.8231 79.8727"),
    ],
)
@pytest.mark.parametrize("gate", GATES)
def test_predictors_without_a_model(
    llp: Path, split: str, audio: str, predictor: str, expected: str, gate: str
) -> None:
    """Weak labels in all segments of both modalities; nothing; the audio truth in both modalities."""
    videos = read_split(llp / f"AVVP_{split}_pd.csv")
    gt_a = read_segments(llp / audio, videos.names).truth
    gt_v = read_segments(llp / "AVVP_eval_visual.csv", videos.names).truth
    weak = np.repeat(videos.labels[:, :, None], SEGMENTS, axis=2)
    segments = {"weak": weak, "none": np.zeros_like(weak), "aud": gt_a}[predictor]
    video = np.where(segments.any(axis=2), 0.9, 0.1)
    frames = np.where(segments, 0.8, 0.2).transpose(0, 2, 1)[:, :, None].repeat(2, axis=2)
    numbers = evaluate(frames, video, video, video, gt_a, gt_v, gate).dataset()
    printed = dict(zip(METRICS, (float(number) for number in expected.split()), strict=True))
    assert numbers == pytest.approx(printed, abs=1e-3)
