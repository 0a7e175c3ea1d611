"""What each of several choices does to a number, when all their combinations were tried under several seeds.

Values are an array (S, L1, ..., LK): S seeds, and for each of K factors its levels, the first of them the reference.
A *contrast* is one of a factor's other levels, beside its reference. Effects are per seed, so that their spread over
seeds says how far they can be trusted (analysis/statistics.py: Student's t); of few seeds intervals are long.
Yates 1937, "The design and analysis of factorial experiments".
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from avbalance.analysis.statistics import EffectEstimate, estimate

Floats = NDArray[np.float64]
Contrast = tuple[int, int]  # factor, level from 1 on


def contrasts(levels: tuple[int, ...]) -> list[Contrast]:
    """All contrasts of factors with these numbers of levels."""
    return [(factor, level) for factor, count in enumerate(levels) for level in range(1, count)]


def main_effects(values: Floats) -> dict[Contrast, Floats]:
    """By how much a level exceeds its factor's reference, the mean over all settings of the others: per seed (S,)."""
    return {contrast: _mean(_difference(values, contrast)) for contrast in contrasts(values.shape[1:])}


def interactions(values: Floats) -> dict[tuple[Contrast, Contrast], Floats]:
    """By how much a level's effect is larger at another factor's level than at that one's reference: per seed (S,).

    (y11 - y01) - (y10 - y00), the mean over all settings of the further factors; the same from either side.
    """
    pairs = combinations(contrasts(values.shape[1:]), 2)
    return {
        (one, other): _mean(_difference(_difference(values, one), other)) for one, other in pairs if one[0] != other[0]
    }


def over_seeds(effects: Floats) -> EffectEstimate:
    """Mean and interval of effects (S,) of S >= 2 seeds."""
    return estimate(effects[None, :])


def _difference(values: Floats, contrast: Contrast) -> Floats:
    """Values at a level less those at the reference; the factor's axis keeps the length 1."""
    factor, level = contrast
    # + 1: the first axis is seeds.
    return values.take([level], axis=factor + 1) - values.take([0], axis=factor + 1)


def _mean(values: Floats) -> Floats:
    means: Floats = values.reshape(len(values), -1).mean(axis=1)
    return means
