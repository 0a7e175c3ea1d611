import numpy as np
import pytest

from avbalance.errors import UserError
from avbalance.features.frame_choice import (
    distinct_frames,
    keeps_the_rate,
    pick_index,
    spread_frames,
    uniform_frames,
)
from avbalance.features.recipes import get_visual_recipe

VISUAL = get_visual_recipe("fps1-middle-32")


def test_middle_index_rounds_halves_up():
    # 25 frames per second: 12.5 -> 13, 37.5 -> 38; 30000/1001: 14.985 -> 15
    assert [pick_index(0, 25, VISUAL), pick_index(1, 25, VISUAL)] == [13, 38]
    assert pick_index(0, 30_000 / 1001, VISUAL) == 15


@pytest.mark.parametrize("available", [8, 9, 300, 20_000])
def test_uniform_frames_are_spread_over_the_clip(available):
    chosen = uniform_frames(available)  # worked examples: tests/fidelity/test_modality_relevance.py
    assert chosen[0] == 0 and chosen[-1] == available - 1 and (np.diff(chosen) >= 1).all()
    assert (abs(7 * chosen - np.arange(8) * (available - 1)) < 3.5).all()  # the nearest, never a tie
    assert np.array_equal(chosen, available - 1 - chosen[::-1])


def test_few_frames_are_each_decoded_once_and_none_is_refused():
    assert (distinct_frames(3, 8), distinct_frames(0, 8)) == ([0, 1, 2], [])
    with pytest.raises(UserError, match="no frame to choose from"):
        uniform_frames(0)


def test_at_a_constant_rate_frames_are_spread_by_number_and_else_by_time():
    times = np.arange(300) / 29.97
    assert spread_frames(times, 29.97, 8) == [0, 43, 85, 128, 171, 214, 256, 299]
    assert spread_frames(times + 3.8, 29.97, 8) == spread_frames(times.round(3), 29.97, 8) == [
        0, 43, 85, 128, 171, 214, 256, 299
    ]  # fmt: skip
    # 5 s at 30, then 5 s at 15 frames a second; the last one at 9.933: moments at k 9.933 / 7 = 1.419 k
    mixed = [*(np.arange(150) / 30), *(5 + np.arange(75) / 15)]
    # 1.419 30 = 42.57, 85.1, 127.7; 150 + 15 (5.676 - 5) = 160.1, 181.4, 202.7
    assert spread_frames(mixed, 22.5, 8) == [0, 43, 85, 128, 160, 181, 203, 224]
    assert spread_frames([0.0, 0.1, 9.0], 0.33, 8) == [0, 1, 2]


def test_a_slide_show_does_not_keep_a_rate_because_its_mean_fits():
    # The picture of 0.5 s is that of 0 s, not the one of 1.03 s, which comes less than half a mean frame after 0.73 s.
    assert not keeps_the_rate(1.033, 1, 1.364)
    assert keeps_the_rate(0.033, 1, 30) and keeps_the_rate(10.01, 300, 30_000 / 1001)
