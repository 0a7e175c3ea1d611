"""The one statistic behind every comparison: what other trainings (seeds) and other test clips would have shown.

A comparison is a matrix of effects: row 0 holds its effect under each of S seeds on the N test clips as they are, every
further row the same on clips drawn with replacement, the same clips for all runs and seeds, so that pairing is kept.
The variance of the mean effect has two parts:

- seeds: s^2 / S of the S effects on all clips. It is the variance over draws of S - 1 of the S seeds (Rao and Wu 1988,
  JASA 83), known without drawing
- clips: the variance V over draws of the mean over seeds, times N / (N - 1) for the same reason, less what seed and
  clip decide together, which the first part holds already (at least 0)

Seeds and clips could be drawn in one loop, the pigeonhole bootstrap (Owen 2007, Annals of Applied Statistics 1). It
counts what seed and clip decide together three times: of comparisons without an effect it decides far fewer than 5 %
where that dominates, and more than 5 % where seeds do, since a t with pooled degrees of freedom (Satterthwaite) is too
short when the few seeds happen to agree. Here each part has its own t: the interval is effect +- sqrt(t_(S-1)^2 seeds +
t_(N-1)^2 clips), which errs at most as often as it says (tests/analysis/test_statistics.py). It is never shorter than
effect +- t_(N-1) sqrt(V), since a few seeds may by chance have the very same accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, ndtr, stdtrit

LEVEL = 0.95
POWER = 0.8
DRAWS = 1000
TINY = 1e-9  # rounding of sums
SMALLEST = 1e-12  # p value
_CHUNK = 100  # draws at once: multinomial makes 8 bytes for each clip and draw
_DRAWN_SEEDS, _DRAWN_CLIPS = 400, 20  # lengths of an interval that stand for those of repetitions

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EffectEstimate:
    """An effect and the two parts of its variance, 0 for one that does not vary, with their degrees of freedom.

    floor: V, what the variance is at least.
    """

    effect: float
    seeds: float
    seeds_df: int
    clips: float
    clips_df: int
    floor: float = 0.0

    @property
    def error(self) -> float:
        """The standard error; NaN where the effect could not be evaluated."""
        return float(np.sqrt(np.maximum(self.seeds + self.clips, self.floor)))

    def half_width(self, alpha: float) -> float:
        """Half the length of the interval at level 1 - alpha."""
        seeds, clips, floor = self._squares(alpha)
        return float(np.sqrt(max(seeds + clips, floor)))

    def _squares(self, alpha: float) -> tuple[float, float, float]:
        """The squared half-widths of either part and of the floor."""
        parts = ((self.seeds, self.seeds_df), (self.clips, self.clips_df), (self.floor, self.clips_df))
        seeds, clips, floor = (
            variance * float(stdtrit(df, alpha / 2)) ** 2 if variance > 0 else 0.0 for variance, df in parts
        )
        return seeds, clips, floor

    @property
    def p(self) -> float:
        """The largest alpha at which the interval holds 0 (two-sided p value), not below SMALLEST."""
        from scipy.optimize import brentq  # planning imports this module, and would wait for it

        if abs(self.effect) <= TINY:
            return 1.0
        # Below this level the t quantile is of no meaning, and the search for a root would have no bracket.
        if self.half_width(SMALLEST) < abs(self.effect):
            return SMALLEST
        # Over the logarithm of alpha, since p runs over twelve orders of magnitude.
        exponent = brentq(lambda power: self.half_width(np.exp(power)) - abs(self.effect), np.log(SMALLEST), 0.0)
        return float(np.exp(exponent))

    def detectable(self, alpha: float) -> float:
        """The true effect that would be decided, with its sign, in four of five repetitions, were the variances true.

        A repetition has another effect and an interval of another length, the more so the fewer its seeds. Of seeds
        alone this is the power of Student's t; the sum of two of its quantiles, which is often taken, is too small.
        """
        from scipy.optimize import brentq

        if not self.error > 0:
            return self.error
        seeds, clips, floor = self._squares(alpha)
        of_seeds = seeds * _variances(self.seeds_df, _DRAWN_SEEDS)[:, None]
        of_clips = _variances(self.clips_df, _DRAWN_CLIPS)
        half = np.sqrt(np.maximum(of_seeds + clips * of_clips, floor * of_clips))

        def lacking(effect: float) -> float:
            return POWER - float(ndtr((effect - half) / self.error).mean())

        return float(brentq(lacking, 0.0, half.max() + 10 * self.error))


def _variances(df: int, count: int) -> Floats:
    """Estimates of a variance of 1 with so many degrees of freedom: `count` that stand for equal shares; 1 for none."""
    shares = (np.arange(count) + 0.5) / count
    return np.ones(1) if df < 1 else np.asarray(chdtri(df, shares) / df)


def clip_weights(clips: int, draws: int, generator: np.random.Generator) -> Floats:
    """How often each clip counts, (1 + draws, clips): once in row 0; else as often as drawn, each row sums to clips."""
    chances = np.full(clips, 1 / clips)
    sizes = [min(_CHUNK, draws - start) for start in range(0, draws, _CHUNK)]
    drawn = [generator.multinomial(clips, chances, size).astype(np.float64) for size in sizes]
    return np.concatenate([np.ones((1, clips)), *drawn])


def weighted_mean(weights: Floats, values: NDArray[Any]) -> Floats:
    """Mean of values (N,) under each row of weights (D, N): (D,); NaN where a row gives no clip any weight."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = weights @ values / weights.sum(axis=1)
    return mean


def estimate(effects: Floats, clips: int | None = None, trained: bool = True) -> EffectEstimate:
    """Estimate of the mean effect from effects (1 + D, S), see above; it is NaN where the draws cannot be evaluated.

    clips: N, or None for what no test clip enters, where D is 0; trained: False where no training is involved, so that
    there is one column and only clips vary. Raises ValueError for a single seed, from which no variance can be told.
    """
    seeds = effects.shape[1]
    if trained and seeds < 2:
        raise ValueError("the variance between seeds needs two of them")
    by_seed = float(effects[0].var(ddof=1)) / seeds if trained else 0.0
    by_clip, floor = (0.0, 0.0) if clips is None else _clip_part(effects[1:], clips)
    return EffectEstimate(float(effects[0].mean()), by_seed, seeds - 1, by_clip, (clips or 1) - 1, floor)


def _clip_part(drawn: Floats, clips: int) -> tuple[float, float]:
    """The second part of the variance, and V, from effects (D, S); NaN with one clip or where most draws are NaN."""
    known = drawn[np.isfinite(drawn).all(axis=1)]
    if clips < 2 or len(known) < 2 or 2 * len(known) < len(drawn):
        return float("nan"), float("nan")
    means, seeds, factor = known.mean(axis=1), known.shape[1], clips / (clips - 1)
    whole = float(means.var(ddof=1)) * factor
    # What seeds and clips decide together: the variance that is left once the mean over seeds is taken off.
    together = float((known - means[:, None]).var(axis=0, ddof=1).sum()) * factor / max(seeds * (seeds - 1), 1)
    return max(whole - together, 0.0), whole


def holm(p: Sequence[float], alpha: float) -> list[float]:
    """The level of each comparison's step (Holm 1979): a comparison is decided exactly if its p is at most its level.

    In the order of p, alpha over the number of comparisons left; the first that is not decided ends the steps, and
    those behind it have its level.
    """
    levels, level, stopped = [0.0] * len(p), alpha, False
    for done, number in enumerate(np.argsort(p, kind="stable")):
        if not stopped:
            level = alpha / (len(p) - done)
            stopped = p[number] > level
        levels[number] = level
    return levels


def holm_adjusted(p: Sequence[float]) -> list[float]:
    """Each p as it is compared with the whole level: decided at alpha by Holm's steps exactly if at most alpha."""
    adjusted, largest = [1.0] * len(p), 0.0
    for done, number in enumerate(np.argsort(p, kind="stable")):
        largest = max(largest, min(1.0, (len(p) - done) * p[number]))
        adjusted[number] = largest
    return adjusted


def weighted_spearman(x: NDArray[Any], y: NDArray[Any], weights: Floats) -> Floats:
    """Spearman's rank correlation of (N,), (N,) under each row of weights (D, N), ties at their mean rank: (D,)."""
    ranks = [_weighted_ranks(values, weights) for values in (x, y)]
    total = weights.sum(axis=1, keepdims=True)
    first, second = (each - (weights * each).sum(axis=1, keepdims=True) / total for each in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.sqrt((weights * first**2).sum(axis=1) * (weights * second**2).sum(axis=1))
        rho: Floats = (weights * first * second).sum(axis=1) / scale
    return rho


def _weighted_ranks(values: NDArray[Any], weights: Floats) -> Floats:
    """Ranks (D, N) in the sample in which each value stands as often as its weight says."""
    order = np.argsort(values, kind="stable")
    _, place, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ends = weights[:, order].cumsum(axis=1)[:, sizes.cumsum() - 1]
    starts = np.concatenate([np.zeros((len(weights), 1)), ends[:, :-1]], axis=1)
    return ((starts + ends + 1) / 2)[:, place]
