"""Ranks of several methods over several blocks, and which of them differ (Demsar 2006, JMLR 7, section 3.2.2).

A block is one data set under one seed. Blocks of one data set share its clips: what is decided here is decided for
other seeds on these data sets, not for other data sets.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST = 3  # methods that Friedman's test needs


class Ranking(NamedTuple):
    """Mean rank of each method (1: best), Friedman's statistic and p, and the critical difference of mean ranks."""

    ranks: Floats
    statistic: float
    p: float
    difference: float
    blocks: int


def ranking(values: NDArray[Any], alpha: float = 0.05) -> Ranking:
    """The ranking of values (B, K), of K methods in B blocks, where more is better; equal ones share their mean rank.

    statistic and p are NaN where Friedman's test says nothing: with fewer than three methods or two blocks, and where
    all methods are equal in every block.
    """
    from scipy.stats import friedmanchisquare, rankdata

    blocks, methods = values.shape
    # Negative: rank 1 is the largest value.
    ranks: Floats = rankdata(-values, axis=1).mean(axis=0)
    statistic = p = float("nan")
    if methods >= LEAST and blocks > 1 and (values != values[:, :1]).any():
        statistic, p = map(float, friedmanchisquare(*values.T))
    return Ranking(ranks, statistic, p, critical_difference(methods, blocks, alpha), blocks)


def critical_difference(methods: int, blocks: int, alpha: float = 0.05) -> float:
    """By how much two mean ranks must differ (Nemenyi): `q sqrt(K (K + 1) / (6 B))`.

    q is the studentised range of K means with infinite degrees of freedom, over sqrt(2).
    """
    from scipy.stats import studentized_range

    # Demsar's table 5 gives q already divided by the root.
    q = float(studentized_range.ppf(1 - alpha, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * blocks))


def alike(ranks: Floats, difference: float) -> list[tuple[int, int]]:
    """Groups of methods that are not told apart: first and last place of each, of sorted ranks (K,).

    The largest groups whose best and worst differ by less than the critical difference; a group of one is none.
    """
    groups: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + difference, side="left")) - 1
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return groups


def front(cost: Floats, gain: Floats) -> NDArray[np.bool_]:
    """Which of N points are on the Pareto front: no other one costs at most as much and gains at least as much.

    Of points that are equal in both, all or none are on it.
    """
    cheaper, better = cost[:, None] <= cost, gain[:, None] >= gain
    strictly = (cost[:, None] < cost) | (gain[:, None] > gain)
    beaten = (cheaper & better & strictly).any(axis=0)
    return np.logical_not(beaten)
