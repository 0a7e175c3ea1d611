"""The ten parsing scores by hand and against a plain slow reference; tests/fidelity has the published examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from plain_parsing import plain_scores

from avbalance.analysis.parsing_scores import (
    ALONE,
    METRICS,
    ParsingScores,
    active_segments,
    evaluate,
    open_gates,
    score_alone,
    score_segments,
)
from avbalance.errors import UserError

CLASSES, SEGMENTS = 25, 10
NOTHING = np.zeros((1, CLASSES, SEGMENTS), dtype=bool)


def cells(rows: dict[int, str]) -> np.ndarray:
    """Rows by class as one video (1, 25, 10) bool."""
    mask = NOTHING.copy()
    for index, row in rows.items():
        mask[0, index] = [cell == "1" for cell in row]
    return mask


@pytest.mark.parametrize(
    ("truth", "predicted", "score"),
    [
        ("1101100110", "1111111111", 0.0),  # one long event covers none of three short ones by half
        ("1110000000", "0111000000", 1.0),  # two of four
        ("1111111111", "1111011111", 2 / 3),  # broken in two: the right half matches, the left does not
        ("0000000011", "1111111100", 0.0),  # no overlap
    ],
)
def test_events_match_from_half_of_their_union(truth: str, predicted: str, score: float) -> None:
    scores = score_segments(cells({4: predicted}), NOTHING, cells({4: truth}), NOTHING)
    assert scores.of("event_A")[0] == pytest.approx(score, abs=1e-12)
    assert scores.of("event_V")[0] == scores.of("event_AV")[0] == 1.0


@pytest.mark.parametrize(
    ("heard", "seen", "scores"),
    [
        # true: heard 1-6, seen 4-8, so heard alone 1-3 and seen alone 7-8
        ("1111110000", "0001111100", (1.0, 1.0, 1.0, 1.0)),
        ("1111110000", "1111111100", (0.0, 1.0, 0.0, 1.0)),  # the pictures take over the sound: nothing is heard alone
        ("1111100000", "0011111100", (4 / 5, 4 / 5, 1.0, 1.0)),  # 1-2 of 1-3, and 6-8 for 7-8
        ("0111110001", "0001111100", (2 * 2 / 6, 1.0, 2 / 3, 1.0)),  # 2-3 of 1-3 is a hit, 10 is none: 2 / (2 + 1)
        ("0000000000", "0000000000", (0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_what_one_modality_alone_has_by_hand(heard: str, seen: str, scores: tuple[float, ...]) -> None:
    truth = np.stack([cells({4: "1111110000"}), cells({4: "0001111100"})], axis=1)
    found = score_alone(np.stack([cells({4: heard}), cells({4: seen})], axis=1), truth)
    assert {name: values.tolist() for name, values in found.items()} == {
        name: [pytest.approx(value, abs=1e-12)] for name, value in zip(ALONE, scores, strict=True)
    }


def test_classes_count_alike_and_a_video_without_such_events_counts_in_full() -> None:
    truth = np.stack([cells({4: "1111000000", 7: "0000011111"}), cells({4: "1111000000"})], axis=1)
    found = np.stack([cells({4: "1111000000", 7: "0000000001", 9: "1000000000"}), cells({4: "1111000000"})], axis=1)
    scores = score_alone(found, truth)
    assert scores["segment_Ao"].tolist() == [pytest.approx((2 * 1 / 6 + 0) / 2)]  # of classes 7 and 9, not of 4
    assert scores["event_Ao"].tolist() == [0.0] and scores["event_Vo"].tolist() == scores["segment_Vo"].tolist() == [
        1.0
    ]


def test_a_probability_of_one_half_counts() -> None:
    below = np.nextafter(np.float32(0.5), np.float32(0))
    half, under = (np.full((1, 3), value, dtype=np.float32) for value in (0.5, below))
    assert open_gates("global", half, under, under).all() and not open_gates("global", under, half, half).any()
    assert open_gates("modality", under, half, under).tolist() == [[[True] * 3, [False] * 3]]
    frames = np.full((1, 10, 2, 3), 0.5, dtype=np.float32)
    frames[:, 4] = below
    active = active_segments(frames, np.ones((1, 2, 3), dtype=bool))
    assert active.shape == (1, 2, 3, 10) and not active[..., 4].any() and active.sum() == 6 * 9


WHOLE = {
    "frame_prob": np.zeros((3, 10, 2, 25)), **{name: np.ones((3, 25)) for name in ("P", "p_a", "p_v")},
    **{name: np.zeros((3, 25, 10), dtype=bool) for name in ("gt_a", "gt_v")}, "gate": "global",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({name: value[:0] for name, value in WHOLE.items() if name != "gate"}, "empty prediction"),
        (
            {"P": np.where(np.arange(3)[:, None] == 1, np.nan, np.ones((3, 25)))},
            "the prediction of video 1 .from 0. is not finite",
        ),
        ({"gate": "both"}, "unknown gate 'both'; use one of global, modality"),
    ],
)
def test_what_cannot_be_scored_is_refused(change: dict[str, Any], message: str) -> None:
    assert list(evaluate(**WHOLE).dataset()) == list(METRICS)
    with pytest.raises(UserError, match=message):
        evaluate(**{**WHOLE, **change})
    with pytest.raises(UserError, match="empty prediction"):
        score_segments(*[NOTHING[:0]] * 4)


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
@given(SIZES.flatmap(lambda size: masks(*size)))
def test_what_one_modality_alone_has_scores_as_audio_and_visual_without_what_both_have(drawn: np.ndarray) -> None:
    predicted, true = drawn & ~drawn[:, :, ::-1]
    expected = [plain_scores(*pair) for pair in zip(predicted.tolist(), true.tolist(), strict=True)]
    found = np.stack([*score_alone(*drawn).values()], axis=1)
    np.testing.assert_allclose(found, np.array(expected)[:, [0, 1, 5, 6]], atol=1e-12, rtol=0)


@QUIET
@given(arrays(np.float32, (2, 10, 2, 3), elements=st.floats(0, 1, width=32)), arrays(np.bool_, (2, 2, 3)))
def test_a_closed_gate_leaves_nothing(frame_prob: np.ndarray, gates: np.ndarray) -> None:
    active = active_segments(frame_prob, gates)
    assert not active[~gates].any()
    for video, modality, index in np.argwhere(gates):
        assert (active[video, modality, index] == (frame_prob[video, :, modality, index] >= 0.5)).all()
