"""Effects of choices by hand: two factors of two levels, one of three, and what noise over seeds makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from avbalance.analysis.factorial import contrasts, interactions, main_effects, over_seeds


def test_effects_and_their_interaction_by_hand() -> None:
    # accuracies of one seed: rows without and with the first choice, columns without and with the second
    values = np.array([[[60.0, 62.0], [65.0, 71.0]]])
    effects = main_effects(values)
    assert effects[0, 1].tolist() == [(5 + 9) / 2] and effects[1, 1].tolist() == [(2 + 6) / 2]
    assert {pair: both.tolist() for pair, both in interactions(values).items()} == {((0, 1), (1, 1)): [9 - 5]}


def test_a_factor_of_three_levels_has_two_contrasts_that_are_not_paired() -> None:
    values = np.array([[[50.0, 50.0], [51.0, 53.0], [58.0, 58.0]]])
    assert contrasts(values.shape[1:]) == [(0, 1), (0, 2), (1, 1)]
    assert main_effects(values)[0, 1].tolist() == [2.0] and main_effects(values)[0, 2].tolist() == [8.0]
    both = interactions(values)
    assert set(both) == {((0, 1), (1, 1)), ((0, 2), (1, 1))}
    assert both[(0, 1), (1, 1)].tolist() == [2.0] and both[(0, 2), (1, 1)].tolist() == [0.0]


def test_planted_effects_are_found_whatever_the_others_are() -> None:
    levels, drawn = (3, 2, 2), np.random.default_rng(0)
    base = drawn.normal(70, 5, (4, 1, 1, 1))  # a seed that is better than others changes no effect
    first, second = np.array([0.0, 1.5, -2.0]), np.array([0.0, 3.0])
    values = base + first[:, None, None] + second[:, None] + np.zeros((4, *levels))
    values[..., 1, 1] += 4.0  # together: of the second and the third
    found = main_effects(values)
    assert [found[0, level].mean() for level in (1, 2)] == pytest.approx([1.5, -2.0])
    assert found[1, 1] == pytest.approx(np.full(4, 3.0 + 2.0)) and found[2, 1] == pytest.approx(np.full(4, 2.0))
    both = {pair: float(effect.mean()) for pair, effect in interactions(values).items()}
    assert both.pop(((1, 1), (2, 1))) == pytest.approx(4.0)
    assert list(both.values()) == pytest.approx([0.0] * len(both), abs=1e-9)


def test_the_interval_is_students_over_seeds() -> None:
    found = over_seeds(np.array([1.0, 2.0, 3.0]))
    assert found.effect == 2.0 and found.half_width(0.05) == pytest.approx(4.302653 / np.sqrt(3), abs=1e-5)
