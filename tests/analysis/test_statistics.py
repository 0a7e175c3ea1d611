"""The statistic of all comparisons: its two parts by hand, its errors by simulation, Holm's steps, rank correlation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from avbalance.analysis.statistics import (
    SMALLEST,
    EffectEstimate,
    clip_weights,
    estimate,
    holm,
    holm_adjusted,
    weighted_mean,
    weighted_spearman,
)


def test_drawings_sum_to_the_clips_and_come_from_the_generator() -> None:
    first, second = (clip_weights(50, 250, np.random.default_rng(3)) for _ in range(2))
    assert first.shape == (251, 50) and (first.sum(axis=1) == 50).all() and (first[0] == 1).all()
    assert (first == second).all() and (first[1] != first[2]).any()


def test_a_drawing_by_hand() -> None:
    weights = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
    found = weighted_mean(weights, np.array([1.0, 0.0, 1.0]))
    assert found[:2].tolist() == pytest.approx([2 / 3, 2 / 3]) and np.isnan(found[2])


def test_seeds_alone_are_a_t_test() -> None:
    effects = np.array([[1.0, 2.0, 6.0]])
    found, theirs = estimate(effects), stats.ttest_1samp(effects[0], 0)
    assert (found.effect, found.error) == (3.0, pytest.approx(np.sqrt(7 / 3)))
    assert found.p == pytest.approx(theirs.pvalue)
    low = theirs.confidence_interval(0.95).low
    assert found.effect - found.half_width(0.05) == pytest.approx(low)


def test_clips_alone_are_the_standard_error_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(1, 3, 40)
    drawn = clip_weights(40, 4000, np.random.default_rng(1)) @ values / 40
    found = estimate(drawn[:, None], 40, trained=False)
    assert (found.seeds, found.effect) == (0.0, pytest.approx(values.mean()))
    assert found.error == pytest.approx(values.std(ddof=1) / np.sqrt(40), rel=0.04)


def test_each_part_has_its_own_t() -> None:
    found = EffectEstimate(4.0, 1.0, 2, 0.25, 99)
    width = np.hypot(stats.t.ppf(0.975, 2), stats.t.ppf(0.975, 99) / 2)
    assert found.half_width(0.05) == pytest.approx(width)
    assert found.half_width(found.p) == pytest.approx(4.0)
    assert EffectEstimate(0.0, 0.0, 2, 0.0, 99).p == 1.0 and EffectEstimate(-0.1, 0.0, 2, 0.0, 99).p == SMALLEST


@pytest.mark.parametrize(("df", "alpha"), [(2, 0.05), (4, 0.05), (4, 0.05 / 27), (2, 0.05 / 10)])
def test_the_detectable_effect_of_seeds_is_found_in_four_of_five_repetitions(df: int, alpha: float) -> None:
    found = EffectEstimate(0.0, 4.0, df, 0.0, 0).detectable(alpha)
    assert stats.nct.sf(stats.t.ppf(1 - alpha / 2, df), df, found / 2) == pytest.approx(0.8, abs=0.002)
    of_clips = EffectEstimate(0.0, 0.0, df, 4.0, 100_000).detectable(alpha)
    assert of_clips == pytest.approx(2 * (stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(0.8)), rel=1e-3)


def test_the_detectable_effect_of_both_parts_is_found_in_four_of_five_repetitions() -> None:
    generator, repetitions, alpha = np.random.default_rng(0), 20_000, 0.01
    whole = EffectEstimate(0.0, 1.0, 4, 0.5, 99, floor=0.8)
    effects = generator.normal(whole.detectable(alpha), np.sqrt(1.5), repetitions)
    seeds, clips = (generator.chisquare(df, repetitions) / df for df in (4, 99))
    drawn = (EffectEstimate(0.0, one, 4, 0.5 * two, 99, 0.8 * two) for one, two in zip(seeds, clips, strict=True))
    halves = np.array([each.half_width(alpha) for each in drawn])
    assert (effects > halves).mean() == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / repetitions))
    assert EffectEstimate(0.0, 0.0, 2, 0.0, 99).detectable(alpha) == 0.0
    assert np.isnan(EffectEstimate(float("nan"), 1.0, 2, float("nan"), 9, float("nan")).detectable(alpha))


def test_what_seed_and_clip_decide_together_is_not_counted_twice() -> None:
    values = np.random.default_rng(2).normal(0, 1, (300, 4))  # no clip and no seed is better than others
    drawn = clip_weights(300, 1000, np.random.default_rng(3)) @ values / 300
    found = estimate(drawn, 300)
    assert found.clips < 0.3 * found.floor and found.floor == pytest.approx(1 / 300 / 4, rel=0.3)


def test_seeds_that_agree_by_chance_do_not_decide_alone() -> None:
    right = np.arange(40) < 22
    values = np.stack([np.roll(right, 7 * seed) for seed in range(3)], axis=1) - 0.5  # each seed: 22 of 40
    found = estimate(clip_weights(40, 500, np.random.default_rng(0)) @ values / 40, 40)
    assert found.seeds < 1e-20 and found.p > 0.05


def test_drawings_that_cannot_be_evaluated() -> None:
    drawn = np.random.default_rng(0).normal(0, 1, (101, 2))
    drawn[1:40] = np.nan
    assert np.isfinite(estimate(drawn, 50).error)
    drawn[1:60] = np.nan
    assert np.isnan(estimate(drawn, 50).error)
    with pytest.raises(ValueError, match="needs two"):
        estimate(drawn[:, :1], 50)


def correct(
    skill: float, seeds: int, spread: float, hard: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Correctness in percent (200, seeds): clips differ in difficulty, `hard`, and in what a run makes of it."""
    difficulty = hard + generator.normal(0, 0.7, (200, 1))
    own = generator.normal(0, spread, (1, seeds))
    return 100.0 * (generator.normal(skill + own - difficulty, 0.7) > 0)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.1, 0.3])
def test_without_an_effect_about_one_in_twenty_is_decided_or_fewer(seeds: int, spread: float) -> None:
    generator, decided, trials = np.random.default_rng([seeds, int(10 * spread)]), 0, 400
    weights = clip_weights(200, 200, generator) / 200
    for _ in range(trials):
        hard = generator.normal(0, 1, (200, 1))
        left, right = (correct(0.3, seeds, spread, hard, generator) for _ in range(2))
        decided += estimate(weights @ (left - right), 200).p <= 0.05
    assert decided / trials <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / trials)


def test_a_strong_effect_is_decided() -> None:
    generator = np.random.default_rng(0)
    weights = clip_weights(200, 200, generator) / 200
    hard = generator.normal(0, 1, (200, 1))
    found = [
        estimate(weights @ (correct(0.9, 3, 0.05, hard, generator) - correct(0.0, 3, 0.05, hard, generator)), 200)
        for _ in range(50)
    ]
    assert np.mean([each.p <= 0.05 for each in found]) >= 0.95


def test_holms_steps_by_hand() -> None:
    # Sorted: 0.004 <= 0.05 / 4, 0.012 <= 0.05 / 3, 0.03 > 0.05 / 2: it and the next one stay at 0.05 / 2.
    levels = holm([0.03, 0.004, 0.04, 0.012], 0.05)
    assert levels == pytest.approx([0.025, 0.0125, 0.025, 0.05 / 3])
    assert holm([], 0.05) == []


def test_holms_p_values_by_hand() -> None:
    # 4 * 0.004, 3 * 0.012, 2 * 0.03, and 0.04, which is no less than the one before it
    assert holm_adjusted([0.03, 0.004, 0.04, 0.012]) == pytest.approx([0.06, 0.016, 0.06, 0.036])
    assert holm_adjusted([0.6, 0.5]) == [1.0, 1.0] and holm_adjusted([]) == []


def test_rank_correlation_of_drawings_is_that_of_the_clips_drawn() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 9, 50), generator.random(50)  # with ties
    weights = clip_weights(50, 4, generator)
    theirs = [stats.spearmanr(np.repeat(x, row), np.repeat(y, row)).statistic for row in weights.astype(int)]
    assert weighted_spearman(x, y, weights) == pytest.approx(theirs)
    assert np.isnan(weighted_spearman(np.ones(50), y, weights)).all()
