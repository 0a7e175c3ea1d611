"""One of several runs against another."""

from __future__ import annotations

import itertools
from typing import Literal

from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import LeftAndRight
from avbalance.evaluation.outcomes import Trial
from avbalance.evaluation.rows import Coordinates
from avbalance.evaluation.weighted_sums import Piece, WeightedSum


class AnyOf(LeftAndRight):
    """Accuracy of one of the left runs, whichever is best, against every right one, on every subset."""

    kind: Literal["any_of"]
    """accuracy on a subset, one of the left runs - right"""

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        names = tuple(map(evidence.paper.label, self.left))
        return [
            WeightedSum(
                f"{evidence.label(role)}, {subset}: one of {', '.join(names)} > {evidence.paper.label(right)}",
                role,
                tuple((Piece(1, left, subset), Piece(-1, right, subset)) for left in self.left),
                names,
                place=Coordinates(protocol=protocol),
            ).trial(evidence)
            for role, subset, right in itertools.product(self.datasets, self.subsets, self.right)
        ]
