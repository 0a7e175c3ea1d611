"""Rivals of which one at least is better than a run."""

from __future__ import annotations

import itertools
from typing import Literal

from avbalance.declared import Declared, Run
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import OnSets, Some, Subset
from avbalance.evaluation.outcomes import Trial
from avbalance.evaluation.rows import Coordinates
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
    runs: Some[Run]
    """runs that never beat all rivals at once"""
    sides: Some[Side]
    """subsets and rivals"""

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        name = evidence.paper.label
        rivals = " and ".join(f"{name(side.rival)} on {side.subset}" for side in self.sides)
        return [
            WeightedSum(
                f"{evidence.label(role)}: {name(run)} does not beat {rivals} at once",
                role,
                tuple((Piece(1, side.rival, side.subset), Piece(-1, run, side.subset)) for side in self.sides),
                tuple(f"{name(side.rival)} minus {name(run)} on {side.subset}" for side in self.sides),
                place=Coordinates(protocol=protocol),
                tie_agrees=True,
            ).trial(evidence)
            for role, run in itertools.product(self.datasets, self.runs)
        ]
