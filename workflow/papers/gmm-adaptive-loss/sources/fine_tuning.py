"""Numbers that fine-tuning runs leave in a file of their own: on which clips they went on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from avbalance.declared import Declared, Role, Run
from avbalance.evaluation.gap_files import read_fine_tuning
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import CellValue
from avbalance.reporting.declared_tables import Lookup, TableSource


class FineTuningCoordinates(Declared):
    """Where a number about the clips of fine-tuning stands."""

    dataset: Role
    """role of a data set"""
    run: Run
    """run that was fine-tuned"""
    quantity: Literal["kept", "share", "high_quality_share", "least_retention", "largest_retention", "lost_classes"]
    """clips trained on, percent of all, percent in S, percent that a class keeps, classes of which nothing is left"""


class FineTuningSource(TableSource):
    """fine_tuning.json of some runs, mean and standard deviation over seeds; n is the number of training clips."""

    file: Literal["fine_tuning.json"]
    """file that is read of every seed"""
    runs: list[Run]
    """runs whose file is read"""
    datasets: list[Role]
    """data sets on which it is read"""

    @property
    def coordinates(self) -> type[Declared]:
        """Where a cell stands."""
        return FineTuningCoordinates

    def lookup(self, paper: Paper) -> Lookup:
        """What gives the cell at {dataset: role, run, quantity}."""
        records = {
            (role, run): [read_fine_tuning(each) for each in paper.run_files(role, run)]
            for role in self.datasets
            for run in self.runs
        }

        def cell(place: Mapping[str, str]) -> CellValue:
            data, own = paper.dataset(place["dataset"]).data or "", records.get((place["dataset"], place["run"]), [])
            values = [quantity_of(record, place["quantity"]) for record in own]
            if not values:
                return CellValue(data=data)
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            n = min(int(record["samples"]) for record in own)
            return CellValue(None, float(np.mean(values)), spread, len(values), n, data)

        return cell


def quantity_of(record: Mapping[str, Any], name: str) -> float:
    """One of the quantities of a run."""
    shares = [share for share in record["retention"].values() if share is not None]
    return float(
        {
            "kept": record["kept"],
            "share": 100 * record["kept"] / record["samples"],
            "high_quality_share": 100 * record["high_quality"] / record["samples"],
            "least_retention": 100 * min(shares),
            "largest_retention": 100 * max(shares),
            "lost_classes": shares.count(0),
        }[name]
    )
