from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Literal

from avbalance.evaluation.kinds import LeftAndRight
from avbalance.evaluation.weighted_sums import Piece, WeightedSum


class AnyOf(LeftAndRight):
    """Accuracy of one of the left runs, whichever is best, against every right one, on every subset."""

    kind: Literal["any_of"]
    """accuracy on a subset, one of the left runs - right"""

    def sums(self, label: Callable[[str], str]) -> Iterator[WeightedSum]:
        names = tuple(map(label, self.left))
        for subset, right in itertools.product(self.subsets, self.right):
            alternatives = tuple((Piece(1, left, subset), Piece(-1, right, subset)) for left in self.left)
            yield WeightedSum(f", {subset}: one of {', '.join(names)} > {label(right)}", alternatives, names)
