"""Log-mels in decibels and evenly spaced frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avbalance.errors import UserError
from avbalance.features.audio import mel_filters
from avbalance.features.uniform_clip import RATE, decibel_log_mel, uniform_frames


@pytest.mark.parametrize(("seconds", "frames"), [(10.0, 313), (1.0, 32)])
def test_shape_and_silence(seconds: float, frames: int) -> None:
    values = decibel_log_mel(np.zeros(round(RATE * seconds), np.float32), seconds)
    assert values.shape == (64, frames) and values.dtype == np.float32
    assert (values == -100).all()


def test_a_tone_has_the_power_of_its_filters() -> None:
    frequency = 64 * RATE / 1024  # in the middle of bin 64
    tone = (0.5 * np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)).astype(np.float32)
    column = decibel_log_mel(tone, 1.0)[:, 16]
    # A Hann window of 1,024 sums to 512: |X| = 0.5 / 2 * 512 in the bin, half of that in its two neighbours.
    filters = mel_filters(64, 1024, RATE)[:, 63:66].astype(np.float64)
    expected = 10 * np.log10(filters @ np.array([64.0**2, 128.0**2, 64.0**2]) + 1e-30)
    heard = expected > 0
    assert heard.sum() >= 1 and column.argmax() == expected.argmax()
    assert column[heard] == pytest.approx(expected[heard], abs=0.01)


def test_short_clips_are_filled_with_silence_and_long_ones_cut() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    short = decibel_log_mel(sound[:RATE], 2.0)
    assert np.array_equal(short, decibel_log_mel(np.pad(sound[:RATE], (0, RATE)), 2.0))
    assert (short[:, 33:] == -100).all()  # frame 32 is the last to reach back into the first second
    assert (short[:, :31] > -100).all()
    assert np.array_equal(decibel_log_mel(sound, 1.0), decibel_log_mel(sound[:RATE], 1.0))
    with pytest.raises(UserError, match="less than one window"):
        decibel_log_mel(sound, 0.05)


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
