"""A lead that grows from one subset of the clips to another."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

from pydantic import Field

from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import LeftAndRight, Subset
from avbalance.evaluation.outcomes import Trial
from avbalance.evaluation.rows import Coordinates
from avbalance.evaluation.weighted_sums import Piece, WeightedSum


class Growth(LeftAndRight):
    """The lead of every left run over every right one, on the second subset against that on the first."""

    kind: Literal["growth"]
    """(left - right) on the second subset minus the same on the first"""
    subsets: Annotated[list[Subset], Field(min_length=2, max_length=2)]
    """from which subset to which"""

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        first, last = self.subsets
        name = evidence.paper.label
        return [
            WeightedSum(
                f"{evidence.label(role)}: {name(left)} minus {name(right)} grows from {first} to {last}",
                role,
                ((Piece(1, left, last), Piece(-1, right, last), Piece(-1, left, first), Piece(1, right, first)),),
                place=Coordinates(protocol=protocol),
            ).trial(evidence)
            for role, left, right in itertools.product(self.datasets, self.left, self.right)
        ]
