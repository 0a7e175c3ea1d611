"""The mixture of a balanced and an imbalanced Gaussian over the modality gap: its numbers and Bayes' rule.

Liu, Yu and Liu, "Quantifying Multimodal Imbalance", arXiv 2510.21797, whose abstract fixes two components and the
posterior by Bayes' theorem; the rest is our formulation. Importing this module imports neither NumPy nor torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from avbalance.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

GAPS = ("abs", "signed")

Value = TypeVar("Value", "float", "NDArray[np.float64]", "Tensor")


@dataclass(frozen=True)
class Mixture:
    """Weight, mean and standard deviation of B, the balanced, and I, the imbalanced component; plain floats.

    B has the smaller absolute mean; for the absolute gap this is the smaller mean (our formulation: the abstract only
    says that the two components correspond to balanced and imbalanced samples).
    """

    pi_B: float
    mu_B: float
    sigma_B: float
    pi_I: float
    mu_I: float
    sigma_I: float


def ordered(weights: Sequence[float], means: Sequence[float], deviations: Sequence[float]) -> Mixture:
    """Return the mixture of two components, named by their absolute means; of equal ones, the first is B."""
    b, i = (0, 1) if abs(means[0]) <= abs(means[1]) else (1, 0)
    return Mixture(weights[b], means[b], deviations[b], weights[i], means[i], deviations[i])


def log_odds(gap: Value, mixture: Mixture) -> Value:
    """Return `ln P(I | g) - ln P(B | g)` of gaps of any shape; its logistic function is the posterior w.

    Equals the difference of the two weighted log-densities, in which the constants of the densities cancel.
    """
    # In logarithms throughout: far from both means the densities themselves are 0 in floating point.
    prior = math.log(mixture.pi_I / mixture.pi_B) - math.log(mixture.sigma_I / mixture.sigma_B)
    from_balanced = (gap - mixture.mu_B) / mixture.sigma_B
    from_imbalanced = (gap - mixture.mu_I) / mixture.sigma_I
    return prior + (from_balanced * from_balanced - from_imbalanced * from_imbalanced) / 2


def crossing(mixture: Mixture) -> float | None:
    """Return the gap between the two means at which w = 0.5; None where one component leads all the way.

    There is at most one: the log-odds rise all the way from mu_B to mu_I.
    """
    from scipy.optimize import brentq

    ends = log_odds(mixture.mu_B, mixture), log_odds(mixture.mu_I, mixture)
    # One component outweighs the other even at the other's mean: no gap in between is a border.
    if ends[0] > 0 or ends[1] < 0:
        return None
    return float(brentq(log_odds, mixture.mu_B, mixture.mu_I, args=(mixture,)))


def check_kind(kind: str) -> None:
    """Raise UserError unless `kind` names a gap."""
    if kind not in GAPS:
        raise UserError(f"unknown gap {kind!r}; use one of {', '.join(GAPS)}.")
