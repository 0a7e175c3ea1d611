"""Bootstrap intervals against scipy, hand-worked contrasts, rank correlation and flatness differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from avbalance.analysis.statistics import (
    Term,
    contrast,
    contrast_draws,
    flatness_difference,
    paired_bootstrap,
    resample_counts,
    spearman,
    summarise,
)

ALL = np.ones(60, dtype=bool)


def test_counts_sum_to_the_samples_and_come_from_the_generator() -> None:
    first = resample_counts(50, 250, np.random.default_rng(3))
    second = resample_counts(50, 250, np.random.default_rng(3))
    assert first.shape == (250, 50)
    assert (first.sum(axis=1) == 50).all()
    assert (first == second).all()
    assert (first[0] != first[1]).any()


def test_contrast_by_hand() -> None:
    left, right = np.array([1.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 0.0])
    mask = np.array([True, True, True, False])
    # On the first three samples: 2/3 - 1/3.
    assert contrast([Term(left, mask, 1), Term(right, mask, -1)]) == pytest.approx(1 / 3)


def test_a_draw_by_hand() -> None:
    values, mask = np.array([1.0, 0.0, 1.0]), np.array([True, True, False])
    counts = np.array([[2, 1, 0], [0, 1, 2], [0, 0, 3]], dtype=np.uint16)
    # Draw 1: (2 * 1 + 1 * 0) / 3; draw 2: sample 2 alone; draw 3: nothing inside the mask.
    draws = contrast_draws([Term(values, mask, 1)], counts)
    assert draws[:2].tolist() == [pytest.approx(2 / 3), 0.0]
    assert np.isnan(draws[2])


def test_interval_agrees_with_scipy() -> None:
    generator = np.random.default_rng(0)
    left, right = generator.integers(0, 2, 60) * 1.0, generator.integers(0, 2, 60) * 1.0
    counts = resample_counts(60, 5000, np.random.default_rng(1))
    ours = paired_bootstrap([Term(left, ALL, 1), Term(right, ALL, -1)], counts)
    theirs = stats.bootstrap(
        (left - right,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(2)
    )
    assert ours.effect == pytest.approx((left - right).mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.02)
    assert ours.error == pytest.approx(theirs.standard_error, rel=0.05)


def test_pairing_removes_what_both_runs_share() -> None:
    shared = np.random.default_rng(0).integers(0, 2, 60) * 1.0
    counts = resample_counts(60, 300, np.random.default_rng(1))
    paired = paired_bootstrap([Term(shared, ALL, 1), Term(shared, ALL, -1)], counts)
    assert (paired.effect, paired.low, paired.high) == (0.0, 0.0, 0.0)


def test_smallest_detectable_difference_is_2_80_standard_errors() -> None:
    draws = np.random.default_rng(0).normal(0, 1, 4000)
    estimate = summarise(0.0, draws)
    # z(0.975) + z(0.8) = 1.95996 + 0.84162
    assert estimate.detectable == pytest.approx(2.80158 * draws.std(ddof=1), rel=1e-5)


def test_about_one_interval_in_twenty_misses_a_true_difference_of_zero() -> None:
    generator = np.random.default_rng(5)
    misses = 0
    for _ in range(200):
        values = generator.normal(0, 1, 60)
        estimate = paired_bootstrap([Term(values, ALL, 1)], resample_counts(60, 200, generator))
        misses += not estimate.low <= 0 <= estimate.high
    # 200 trials at 5 %: 10 expected, standard deviation 3; percentile intervals at n = 60 run a little short.
    assert 2 <= misses <= 24


def test_spearman_with_fisher_interval() -> None:
    x = np.arange(30.0)
    y = x + np.random.default_rng(0).normal(0, 10, 30)
    estimate = spearman(x, y)
    rho = stats.spearmanr(x, y).statistic
    error = np.sqrt((1 + rho**2 / 2) / 27)
    assert estimate.effect == pytest.approx(rho)
    assert estimate.low == pytest.approx(np.tanh(np.arctanh(rho) - 1.959964 * error), abs=1e-6)
    assert estimate.high == pytest.approx(np.tanh(np.arctanh(rho) + 1.959964 * error), abs=1e-6)


def test_spearman_of_a_constant_is_undefined() -> None:
    assert np.isnan(spearman(np.ones(10), np.arange(10.0)).effect)


def test_flatness_difference_sees_a_skewed_map() -> None:
    flat = np.full((10, 10), 10)
    skewed = np.zeros((10, 10), dtype=int)
    skewed[8:, :2] = 250
    estimate = flatness_difference(skewed, flat, 200, np.random.default_rng(0))
    assert estimate.low > 0.5
    mirrored = flatness_difference(flat, skewed, 200, np.random.default_rng(0))
    assert mirrored.effect == pytest.approx(-estimate.effect)
