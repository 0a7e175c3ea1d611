from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Literal

from avbalance.evaluation.kinds import LeftAndRight, Pair, Subset
from avbalance.evaluation.weighted_sums import Piece, WeightedSum


class Growth(LeftAndRight):
    """The lead of every left run over every right one, on the second subset against that on the first."""

    kind: Literal["growth"]
    """(left - right) on the second subset minus the same on the first"""
    subsets: Pair[Subset]
    """from which subset to which"""

    def sums(self, label: Callable[[str], str]) -> Iterator[WeightedSum]:
        first, last = self.subsets
        for left, right in itertools.product(self.left, self.right):
            pieces = (Piece(1, left, last), Piece(-1, right, last), Piece(-1, left, first), Piece(1, right, first))
            text = f": {label(left)} minus {label(right)} grows from {first} to {last}"
            yield WeightedSum(text, (pieces,))
