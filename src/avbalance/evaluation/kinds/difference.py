from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Literal

from avbalance.evaluation.kinds import LeftAndRight
from avbalance.evaluation.weighted_sums import Piece, WeightedSum


class Difference(LeftAndRight):
    """Accuracy of every left run against every right one, on every subset of every data set."""

    kind: Literal["difference"]
    """accuracy on a subset, left - right"""

    def sums(self, label: Callable[[str], str]) -> Iterator[WeightedSum]:
        for subset, left, right in itertools.product(self.subsets, self.left, self.right):
            if left != right:
                pieces = (Piece(1, left, subset), Piece(-1, right, subset))
                yield WeightedSum(f", {subset}: {label(left)} > {label(right)}", (pieces,))
