"""Intervals for differences of accuracies on the same samples, for rank correlations and for flatness.

Every difference is a weighted sum of means over subsets of one test set. Resampling whole test samples
keeps the pairing of runs, of subsets and of thresholds, whatever the difference is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from avbalance.analysis.flatness import square_divergence

LEVEL = 0.95
POWER = 0.8
DRAWS = 1000
_CHUNK = 100

FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Term:
    """coefficient * mean of values (N,) over the samples in mask (N,)."""

    values: FloatArray
    mask: NDArray[np.bool_]
    coefficient: float


@dataclass(frozen=True)
class Estimate:
    """An effect, its interval, its standard error and the smallest difference that it could detect."""

    effect: float
    low: float
    high: float
    error: float
    detectable: float


def resample_counts(samples: int, draws: int, generator: np.random.Generator) -> NDArray[np.uint16]:
    """How often each sample is drawn in each bootstrap draw: (draws, samples), each row sums to samples."""
    chances = np.full(samples, 1 / samples)
    sizes = [min(_CHUNK, draws - start) for start in range(0, draws, _CHUNK)]
    return np.concatenate([generator.multinomial(samples, chances, size).astype(np.uint16) for size in sizes])


def contrast(terms: Sequence[Term]) -> float:
    """The weighted sum of means itself."""
    return float(sum(term.coefficient * term.values[term.mask].mean() for term in terms))


def contrast_draws(terms: Sequence[Term], counts: NDArray[np.uint16]) -> NDArray[np.float64]:
    """The weighted sum in every bootstrap draw: (draws,); NaN where a draw holds no sample of some subset."""
    total = np.zeros(counts.shape[0])
    for start in range(0, counts.shape[0], _CHUNK):
        weights = counts[start : start + _CHUNK].astype(np.float64)
        for term in terms:
            inside = term.mask.astype(np.float64)
            with np.errstate(invalid="ignore", divide="ignore"):
                means = (weights @ (term.values * inside)) / (weights @ inside)
            total[start : start + _CHUNK] += term.coefficient * means
    return total


def summarise(effect: float, draws: NDArray[np.float64], level: float = LEVEL) -> Estimate:
    """Percentile interval, standard error and smallest detectable difference of an effect, from its draws.

    The smallest detectable difference is (z_(1 - (1 - level)/2) + z_0.8) * standard error, 2.80 standard
    errors at 95 %: a true difference of that size would be found in four runs out of five.
    """
    whole = draws[np.isfinite(draws)]
    if whole.size < 2:
        return Estimate(effect, float("nan"), float("nan"), float("nan"), float("nan"))
    tail = (1 - level) / 2
    low, high = np.quantile(whole, [tail, 1 - tail])
    error = float(whole.std(ddof=1))
    detectable = float(stats.norm.ppf(1 - tail) + stats.norm.ppf(POWER)) * error
    return Estimate(effect, float(low), float(high), error, detectable)


def paired_bootstrap(terms: Sequence[Term], counts: NDArray[np.uint16], level: float = LEVEL) -> Estimate:
    """Estimate of a weighted sum of subset means under resampling of whole samples.

    counts: (draws, N) from resample_counts; sharing it between comparisons pairs them too. Values are per-
    sample correctness averaged over seeds, so that the interval covers the choice of test samples, not that
    of seeds.
    """
    return summarise(contrast(terms), contrast_draws(terms, counts), level)


def spearman(x: FloatArray, y: FloatArray, level: float = LEVEL) -> Estimate:
    """Spearman's rank correlation of (N,), (N,) with Fisher's z interval.

    Standard error of z: sqrt((1 + rho^2 / 2) / (N - 3)) (Bonett and Wright 2000). `error` and `detectable`
    are on the scale of rho, the latter for a true correlation of zero. NaN for fewer than 4 samples or a
    constant side.
    """
    if len(x) < 4 or np.ptp(x) == 0 or np.ptp(y) == 0:
        nan = float("nan")
        return Estimate(nan, nan, nan, nan, nan)
    rho = float(stats.spearmanr(x, y).statistic)
    centre = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    error = float(np.sqrt((1 + rho**2 / 2) / (len(x) - 3)))
    z = float(stats.norm.ppf(1 - (1 - level) / 2))
    null = np.tanh((z + float(stats.norm.ppf(POWER))) / np.sqrt(len(x) - 3))
    low, high = np.tanh([centre - z * error, centre + z * error])
    return Estimate(rho, float(low), float(high), error * (1 - rho**2), float(null))


def flatness_difference(
    larger: NDArray[Any],
    smaller: NDArray[Any],
    draws: int,
    generator: np.random.Generator,
    level: float = LEVEL,
) -> Estimate:
    """J2 of one count grid minus J2 of another, in bits, both sets of samples resampled independently."""
    resampled = [
        np.array([square_divergence(row) for row in generator.multinomial(counts.sum(), _chances(counts), draws)])
        for counts in (larger, smaller)
    ]
    return summarise(square_divergence(larger) - square_divergence(smaller), resampled[0] - resampled[1], level)


def _chances(counts: NDArray[Any]) -> NDArray[np.float64]:
    flat = np.asarray(counts, dtype=np.float64).ravel()
    chances: NDArray[np.float64] = flat / flat.sum()
    return chances
