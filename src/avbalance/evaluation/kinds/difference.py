"""One run against another on subsets of the clips."""

from __future__ import annotations

import itertools
from typing import Literal

from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import LeftAndRight
from avbalance.evaluation.outcomes import Trial
from avbalance.evaluation.rows import Coordinates
from avbalance.evaluation.weighted_sums import Piece, WeightedSum


class Difference(LeftAndRight):
    """Accuracy of every left run against every right one, on every subset of every data set."""

    kind: Literal["difference"]
    """accuracy, left - right on a subset"""

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        name = evidence.paper.label
        return [
            WeightedSum(
                f"{evidence.label(role)}, {subset}: {name(left)} > {name(right)}",
                role,
                ((Piece(1, left, subset), Piece(-1, right, subset)),),
                place=Coordinates(protocol=protocol),
            ).trial(evidence)
            for role, subset, left, right in itertools.product(self.datasets, self.subsets, self.left, self.right)
            if left != right
        ]
