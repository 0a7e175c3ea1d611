"""The modality gap of every sample, the Gaussian mixture fitted to it, and whether two components are called for.

Liu, Yu and Liu, "Quantifying Multimodal Imbalance", arXiv 2510.21797. Its abstracts define the gap, of softmax scores
of the true class, and model its distribution over the training set by two Gaussians. Estimator, starting values,
fallbacks and null distributions are our formulation. All is float64. It imports neither torch nor scikit-learn.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri, softmax

from avbalance.analysis.gap_mixture import Mixture, check_kind, log_odds, ordered
from avbalance.errors import UserError

TOLERANCE = 1e-3  # scikit-learn's default, as is ITERATIONS
REGULARISATION = 1e-4  # of DivideMix's kind, smaller: gaps may lie close to 0
ITERATIONS = 100
FEWEST_SAMPLES = 20
SMALLEST_VARIANCE = 1e-6
SMALLEST_WEIGHT = 0.01
SMALLEST_SEPARATION = 0.02
ROUNDING = 1e-6  # by which scores in float32 may leave [0, 1]
HALF_NORMAL_SCALE = 0.3
NULL_DRAWS = 20

FloatArray = NDArray[np.float64]
Draw = Callable[[int, np.random.Generator], FloatArray]


@dataclass(frozen=True)
class Fit:
    """A fitted mixture, or None with the reason why this epoch has none.

    samples: gaps it was fitted on. bic_1, bic_2: of one and of two Gaussians, lower is better; None where nothing could
    be fitted; they gate nothing. converged: EM ended before its last iteration.
    """

    mixture: Mixture | None
    reason: str
    samples: int
    converged: bool = False
    bic_1: float | None = None
    bic_2: float | None = None

    @property
    def bic_difference(self) -> float | None:
        """BIC(2) - BIC(1), negative where two components describe the gaps better."""
        return None if self.bic_1 is None or self.bic_2 is None else self.bic_2 - self.bic_1

    def describe(self) -> str:
        """Return the line for the log."""
        if self.mixture is None:
            return f"modality gap: no mixture, because {self.reason}; no sample counts as imbalanced, no alignment"
        m = self.mixture
        return (
            f"modality gap: balanced {m.pi_B:.3f} N({m.mu_B:.3f}, {m.sigma_B:.3f}^2), "
            f"imbalanced {m.pi_I:.3f} N({m.mu_I:.3f}, {m.sigma_I:.3f}^2), BIC(2) - BIC(1) = {self.bic_difference:.1f}"
        )


def true_class_scores(logits: NDArray[np.floating[Any]], label: NDArray[np.integer[Any]]) -> FloatArray:
    """Return the softmax score of the true class: logits (N, C), label (N,) to (N,) in [0, 1]."""
    return softmax(np.asarray(logits, dtype=np.float64), axis=1)[np.arange(len(label)), label]


def gap(signed: FloatArray, kind: str = "abs") -> FloatArray:
    """Return g = |d| in [0, 1] ("abs"), or d itself ("signed"), (N,) to (N,).

    Our formulation: balance is about the size of the gap, and with its sign an imbalance towards either side would need
    a third component. Raises UserError for another kind.
    """
    check_kind(kind)
    return np.abs(signed) if kind == "abs" else signed


def checked(values: NDArray[np.floating[Any]], kind: str) -> FloatArray:
    """Return gaps (N,) as float64; raises UserError for gaps that are not finite or out of range."""
    check_kind(kind)
    known = np.asarray(values, dtype=np.float64).ravel()
    wrong = int((~np.isfinite(known)).sum())
    if wrong:
        raise UserError(
            f"modality gap: {wrong} of {known.size} samples have no finite gap, so the network has diverged; "
            "lower the learning rate and train again."
        )
    low = 0.0 if kind == "abs" else -1.0
    outside = int(((known < low - ROUNDING) | (known > 1 + ROUNDING)).sum())
    if outside:
        raise UserError(
            f"modality gap: {outside} of {known.size} gaps lie outside [{low:g}, 1]; a gap is a difference of two "
            "softmax scores, not of logits."
        )
    return known


def starting_means(values: FloatArray) -> tuple[float, float]:
    """Return the means of the gaps up to and above their median; at least two values must differ.

    Where none lies above it, because more than half are equal to the largest, those equal to it are the upper group.
    """
    middle = np.median(values)
    # Strictly above: values equal to the median stay together.
    above = values > middle
    if not above.any():
        above = values == middle
    return float(values[~above].mean()), float(values[above].mean())


def estimator(values: FloatArray, seed: int) -> Any:
    """Return the scikit-learn mixture, yet to be fitted to gaps as a column (N, 1).

    It starts from `starting_means`; k-means, seeded, gives the first weights and variances: a fit depends on the
    epoch's gaps alone and two components cannot change places (our formulation).
    """
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(
        n_components=2,
        covariance_type="full",
        tol=TOLERANCE,
        reg_covar=REGULARISATION,
        max_iter=ITERATIONS,
        n_init=1,
        random_state=seed,
        means_init=np.reshape(starting_means(values), (2, 1)),
    )


def single_bic(values: FloatArray) -> float:
    """BIC of one Gaussian, with the variance's regularisation that the mixture has; equals scikit-learn's."""
    variance = values.var() + REGULARISATION
    log_likelihood = -values.size / 2 * (math.log(2 * math.pi * variance) + values.var() / variance)
    return float(-2 * log_likelihood + 2 * math.log(values.size))


def fit(values: NDArray[np.floating[Any]], seed: int, kind: str = "abs") -> Fit:
    """Fit the two Gaussians to the gaps (N,) of the whole training part, seen in evaluation mode.

    A Fit without mixture, for which w = 0, is returned for fewer than 20 samples, a variance below 1e-6, EM without
    finite result, a component of weight below 0.01, and absolute means closer than 0.02. Raises as `checked` does.
    """
    known = checked(values, kind)
    if known.size < FEWEST_SAMPLES:
        return Fit(None, f"{known.size} samples are fewer than {FEWEST_SAMPLES}", known.size)
    if known.var() < SMALLEST_VARIANCE:
        return Fit(None, f"the variance {known.var():.1e} is below {SMALLEST_VARIANCE:g}", known.size)
    model = estimator(known, seed)
    column = known[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence is in the result
        try:
            model.fit(column)
        except ValueError as error:
            if "ill-defined" not in str(error):  # scikit-learn's words for a component without variance
                raise
            return Fit(None, "EM found a component without variance", known.size)
    numbers = np.concatenate([model.weights_, model.means_.ravel(), model.covariances_.ravel()])
    if not np.isfinite(numbers).all():
        return Fit(None, "EM did not return finite values", known.size)
    # The covariances of one dimension are variances: (2, 1, 1) raveled.
    weights, means, variances = numbers[:2].tolist(), numbers[2:4].tolist(), numbers[4:].tolist()
    reason = _unusable(weights, means)
    mixture = None if reason else ordered(weights, means, [math.sqrt(variance) for variance in variances])
    return Fit(mixture, reason, known.size, bool(model.converged_), single_bic(known), float(model.bic(column)))


def _unusable(weights: list[float], means: list[float]) -> str:
    if min(weights) < SMALLEST_WEIGHT:
        return f"a component's weight {min(weights):.1e} is below {SMALLEST_WEIGHT:g}"
    separation = abs(abs(means[1]) - abs(means[0]))
    if separation < SMALLEST_SEPARATION:
        return f"the means lie {separation:.4f} apart, closer than {SMALLEST_SEPARATION:g}"
    return ""


def posterior(values: NDArray[np.floating[Any]], mixture: Mixture | None, monotone: bool = False) -> FloatArray:
    """Return w = P(I | g) by Bayes' theorem for gaps of any shape; 0 everywhere without a mixture.

    Where the deviations differ, w may turn back in the tails; `monotone`, ours: gaps beyond the means count as these.
    """
    known = np.asarray(values, dtype=np.float64)
    if mixture is None:
        return np.zeros_like(known)
    if monotone:
        known = np.clip(known, min(mixture.mu_B, mixture.mu_I), max(mixture.mu_B, mixture.mu_I))
    return expit(log_odds(known, mixture))


@dataclass(frozen=True)
class NullComparison:
    """BIC(1) - BIC(2) of samples from one unimodal distribution, as many as were observed, in ascending order.

    share: of the draws and the observation, those that reach the observed value: a p-value of at least 1 / (draws + 1).
    """

    null: str
    draws: FloatArray
    share: float


def bimodality(
    values: NDArray[np.floating[Any]], seed: int, draws: int = NULL_DRAWS
) -> tuple[float, tuple[NullComparison, ...]]:
    """Return BIC(1) - BIC(2) of the absolute gaps (N,) and the same of unimodal samples of that size.

    Our formulation: bounded and skewed unimodal samples have a positive difference too. Each null is drawn `draws`
    times, seeded, and fitted as the gaps are. Raises UserError where the gaps allow no fit at all.
    """
    known = checked(values, "abs")
    fitted = fit(known, seed)
    if fitted.bic_difference is None:
        raise UserError(f"modality gap: one and two components cannot be compared, because {fitted.reason}.")
    observed = _gain(fitted)
    generator = np.random.default_rng(seed)
    comparisons = []
    for name, draw in nulls(known).items():
        gains = np.sort([_gain(fit(draw(known.size, generator), seed)) for _ in range(draws)])
        comparisons.append(NullComparison(name, gains, (1 + int((gains >= observed).sum())) / (1 + draws)))
    return observed, tuple(comparisons)


def _gain(fitted: Fit) -> float:
    return 0.0 if fitted.bic_difference is None else -fitted.bic_difference


def nulls(values: FloatArray) -> dict[str, Draw]:
    """Return unimodal distributions on [0, 1], as functions of sample size and generator.

    Uniform, half-normal (scale 0.3, cut off at 1), two Betas, and the Beta with the mean and variance of the gaps,
    whose parameters are raised, at the same mean, where it would have a mode at an end.
    """
    matched = matched_beta(values)
    return {
        "uniform": lambda size, generator: generator.random(size),
        "half-normal": _half_normal,
        "beta-2-2": lambda size, generator: generator.beta(2, 2, size),
        "beta-5-2": lambda size, generator: generator.beta(5, 2, size),
        "beta-matched": lambda size, generator: generator.beta(*matched, size),
    }


def _half_normal(size: int, generator: np.random.Generator) -> FloatArray:
    inside = ndtr(1 / HALF_NORMAL_SCALE) - 0.5
    return HALF_NORMAL_SCALE * ndtri(0.5 + inside * generator.random(size))


def matched_beta(values: FloatArray) -> tuple[float, float]:
    """Return the parameters of the unimodal Beta by the moments of values (N,) in [0, 1], see `nulls`."""
    mean = float(values.mean())
    # The second term keeps both parameters at 1 or more where the mean allows: a Beta below has its mode at an end.
    size = max(mean * (1 - mean) / float(values.var()) - 1, 1 / max(mean, 1 - mean))
    return mean * size, (1 - mean) * size
