from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from avbalance.declared import Run
from avbalance.evaluation.kinds import AtLeastOne, OnSets, Subset
from avbalance.evaluation.weighted_sums import Piece, WeightedSum


class BetweenSubsets(OnSets):
    """Accuracy of every run on the one subset against that on the other."""

    kind: Literal["between_subsets"]
    """accuracy on `higher` - accuracy on `lower`"""
    runs: AtLeastOne[Run]
    """runs, each compared with itself"""
    higher: Subset
    """subset on which the runs are claimed to be better"""
    lower: Subset
    """subset that it is compared with"""

    def sums(self, label: Callable[[str], str]) -> Iterator[WeightedSum]:
        for run in self.runs:
            pieces = (Piece(1, run, self.higher), Piece(-1, run, self.lower))
            yield WeightedSum(f", {label(run)}: {self.higher} > {self.lower}", (pieces,))
