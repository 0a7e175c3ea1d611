"""Ranks of methods by numbers that were worked out by hand, and by Demsar's example."""

from __future__ import annotations

import math

import numpy as np
import pytest

from avbalance.analysis.ranks import alike, critical_difference, front, ranking


def test_ranks_and_friedmans_statistic_by_hand() -> None:
    # ranks, best first: (1 2 3), (1 3 2), (1 2 3), (2 1 3): sums 5, 8, 11 over 4 blocks of 3 methods
    found = ranking(np.array([[9, 8, 7], [9, 7, 8], [6, 5, 4], [5, 6, 4]]))
    assert found.ranks.tolist() == [1.25, 2.0, 2.75] and found.blocks == 4
    # 12 / (4 * 3 * 4) * (25 + 64 + 121) - 3 * 4 * 4 = 52.5 - 48; with 2 degrees of freedom p = exp(-4.5 / 2)
    assert found.statistic == pytest.approx(4.5) and found.p == pytest.approx(math.exp(-2.25))


def test_equal_values_share_their_mean_rank() -> None:
    assert ranking(np.array([[5, 5, 1], [2, 3, 3]])).ranks.tolist() == [2.25, 1.5, 2.25]


@pytest.mark.parametrize("values", [[[1, 2]] * 3, [[1, 2, 3]], [[4, 4, 4]] * 3])
def test_friedmans_test_says_nothing_of_two_methods_of_one_block_or_of_equal_values(values: list[list[int]]) -> None:
    found = ranking(np.array(values))
    assert math.isnan(found.p) and math.isnan(found.statistic)


def test_the_critical_difference_is_that_of_demsars_example() -> None:
    # Demsar 2006, section 3.2.4: q of four classifiers is 2.569, over 14 data sets the difference is 1.25
    assert critical_difference(4, 14) == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 14)), abs=2e-4)
    assert round(critical_difference(4, 14), 2) == 1.25


def test_groups_are_the_largest_whose_ends_are_nearer_than_the_difference() -> None:
    assert alike(np.array([1.0, 1.5, 2.0, 4.0]), 1.0) == [(0, 1), (1, 2)]  # 1 and 2 differ by all of it
    assert alike(np.array([1.0, 1.5, 1.9, 4.0, 4.5]), 1.0) == [(0, 2), (3, 4)]
    assert alike(np.array([1.0, 3.0]), 1.0) == []


def test_a_point_is_on_the_front_unless_another_one_is_as_cheap_and_as_good_and_better_in_one() -> None:
    cost, gain = np.array([1.0, 2.0, 2.0, 3.0, 1.0, 4.0]), np.array([5.0, 7.0, 6.0, 7.0, 5.0, 9.0])
    assert front(cost, gain).tolist() == [True, True, False, False, True, True]
