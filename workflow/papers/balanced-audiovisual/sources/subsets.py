"""Clips per definition of the preferred subsets, and how far a definition agrees with the estimate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from avbalance.analysis.subsets import ANNOTATIONS, OUTSIDE, SIDES, TIE, agreement, read_subsets
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.reporting.cells import Behind, CellValue
from avbalance.reporting.declared_tables import TableSource

ESTIMATED = "estimated"
AGREEMENT = (*(f"{side}_{verdict}" for side in SIDES for verdict in ("agreed", "denied")), "kappa")


class SubsetsSource(TableSource):
    """The subsets file of each data set; n is the number of test clips.

    Quantities: clips on each side, on none, and outside; of the clips for which the definition and the estimate both
    name a side, `agreement` in analysis/subsets.py. A definition has no agreement with itself.
    """

    def names(self) -> dict[str, Sequence[str]]:
        definitions = (ESTIMATED, "cross-fitted-a", "cross-fitted-b", "planted", ANNOTATIONS)
        return {"definition": definitions, "quantity": (*SIDES, TIE, OUTSIDE, *AGREEMENT)}

    def numbers(self, paper: Paper, info: DatasetInfo) -> dict[tuple[str, ...], CellValue]:
        frames = read_subsets(info.subsets) if info.subsets else {}
        values: dict[tuple[str, ...], float] = {}
        for definition, frame in frames.items():
            own, estimate = frame["preferred"], frames[ESTIMATED]["preferred"]
            quantities = {name: float((own == name).sum()) for name in (*SIDES, TIE, OUTSIDE)}
            quantities |= agreement(own, estimate) if definition != ESTIMATED else {}
            values |= {(definition, name): value for name, value in quantities.items() if not math.isnan(value)}
        return {
            key: CellValue(
                None, value, None, 1, len(frames[ESTIMATED]), str(info.data), behind=_behind(info.estimators, *key)
            )
            for key, value in values.items()
        }


def _behind(estimators: Mapping[str, Sequence[tuple[str, int]]], definition: str, quantity: str) -> tuple[Behind, ...]:
    """The runs that estimate a definition; for an agreement, those of the estimate as well."""
    asked = (definition, ESTIMATED) if quantity in AGREEMENT else (definition,)
    return tuple(Behind(*each) for name in asked for each in estimators.get(name, ()))
