"""Clips per definition of the preferred subsets, and how far a definition agrees with the estimate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from avbalance.analysis.subsets import OUTSIDE, SIDES, TIE, agreement, read_subsets
from avbalance.declared import Declared, Role
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import SELECT, CellValue
from avbalance.reporting.declared_tables import Lookup, TableSource


class SubsetsCoordinates(Declared):
    """Where a number about a definition of the subsets stands."""

    dataset: Role
    """role of a data set"""
    definition: Literal["estimated", "cross-fitted-a", "cross-fitted-b", "planted", "annotated"]
    """what says which modality a clip prefers"""
    quantity: Literal[
        "audio", "visual", "tie", "outside", "audio_agreed", "audio_denied", "visual_agreed", "visual_denied", "kappa"
    ]
    """clips on a side, on none, or outside; how far it agrees with the estimate: `agreement` in analysis/subsets.py"""


class SubsetsSource(TableSource):
    """The subsets file of each data set; n is the number of test clips. A definition has no agreement with itself."""

    @property
    def coordinates(self) -> type[Declared]:
        """Where a cell stands."""
        return SubsetsCoordinates

    def lookup(self, paper: Paper) -> Lookup:
        """What gives the cell at {dataset: role, definition, quantity}."""
        values: dict[tuple[str, str, str], float] = {}
        clips: dict[str, int] = {}
        for info in paper.datasets.values():
            if info.data is None or info.subsets is None:
                continue
            frames = read_subsets(info.subsets)
            reference = frames[SELECT["protocol"]]["preferred"]
            clips[info.role] = len(reference)
            for definition, frame in frames.items():
                own = frame["preferred"]
                quantities = {name: float((own == name).sum()) for name in (*SIDES, TIE, OUTSIDE)}
                quantities |= agreement(own, reference) if definition != SELECT["protocol"] else {}
                values |= {(info.role, definition, name): value for name, value in quantities.items()}

        def cell(place: Mapping[str, str]) -> CellValue:
            role, data = place["dataset"], paper.dataset(place["dataset"]).data or ""
            value = values.get((role, place["definition"], place["quantity"]), math.nan)
            return CellValue(data=data) if math.isnan(value) else CellValue(None, value, None, 1, clips[role], data)

        return cell
