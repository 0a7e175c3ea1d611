"""One run on two subsets of the clips."""

from __future__ import annotations

import itertools
from typing import Literal

from avbalance.declared import Run
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import OnSets, Some, Subset
from avbalance.evaluation.outcomes import Trial
from avbalance.evaluation.rows import Coordinates
from avbalance.evaluation.weighted_sums import Piece, WeightedSum


class BetweenSubsets(OnSets):
    """Accuracy of every run on the one subset against that on the other."""

    kind: Literal["between_subsets"]
    """accuracy on `higher` - accuracy on `lower`"""
    runs: Some[Run]
    """runs, each compared with itself"""
    higher: Subset
    """subset on which the runs are claimed to be better"""
    lower: Subset
    """subset that it is compared with"""

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        return [
            WeightedSum(
                f"{evidence.label(role)}, {evidence.paper.label(run)}: {self.higher} > {self.lower}",
                role,
                ((Piece(1, run, self.higher), Piece(-1, run, self.lower)),),
                place=Coordinates(protocol=protocol),
            ).trial(evidence)
            for role, run in itertools.product(self.datasets, self.runs)
        ]
