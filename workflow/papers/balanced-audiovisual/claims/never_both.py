from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from avbalance.declared import Declared, Run
from avbalance.evaluation.kinds import AtLeastOne, OnSets, Subset
from avbalance.evaluation.weighted_sums import Piece, WeightedSum


class Side(Declared):
    """A subset, and who is to be better there."""

    subset: Subset
    """subset of the test clips"""
    rival: Run
    """run that is claimed to be better on one of the sides"""


class NeverBoth(OnSets):
    """The rival of one of the sides, whichever leads most, against every run."""

    kind: Literal["never_both"]
    """accuracy on the subset of one of the sides, rival - run"""
    runs: AtLeastOne[Run]
    """runs that never beat all rivals at once"""
    sides: AtLeastOne[Side]
    """subsets and rivals"""

    def sums(self, label: Callable[[str], str]) -> Iterator[WeightedSum]:
        rivals = " and ".join(f"{label(side.rival)} on {side.subset}" for side in self.sides)
        for run in self.runs:
            alternatives = [(Piece(1, side.rival, side.subset), Piece(-1, run, side.subset)) for side in self.sides]
            names = [f"{label(side.rival)} minus {label(run)} on {side.subset}" for side in self.sides]
            text = f": {label(run)} does not beat {rivals} at once"
            yield WeightedSum(text, tuple(alternatives), tuple(names), tie_agrees=True)
