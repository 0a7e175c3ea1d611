"""Evenly spaced frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avbalance.errors import UserError
from avbalance.features.uniform_clip import distinct_frames, uniform_frames


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (300, [0, 43, 85, 128, 171, 214, 256, 299]),
        (8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (3, [0, 1, 2, 2, 2, 2, 2, 2]),
        (1, [0] * 8),
    ],
)
def test_worked_frame_indices(available: int, expected: list[int]) -> None:
    assert uniform_frames(available).tolist() == expected
    assert distinct_frames(available, 8) == sorted(set(expected))


@settings(deadline=None)
@given(available=st.integers(8, 20_000))
def test_frames_are_spread_over_the_clip(available: int) -> None:
    chosen = uniform_frames(available)
    assert chosen[0] == 0 and chosen[-1] == available - 1 and (np.diff(chosen) >= 1).all()
    assert (abs(7 * chosen - np.arange(8) * (available - 1)) < 3.5).all()  # the nearest, never a tie
    assert np.array_equal(chosen, available - 1 - chosen[::-1])


def test_a_clip_without_frames_is_refused() -> None:
    with pytest.raises(UserError, match="no frame to choose from"):
        uniform_frames(0)
    assert distinct_frames(0, 8) == []
