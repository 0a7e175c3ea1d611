"""What a method costs, as multiples of what another one costs on the same machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from avbalance.declared import Role, Run
from avbalance.evaluation.costs import QUANTITIES, relative_costs
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.reporting.cells import CellValue
from avbalance.reporting.declared_tables import TableSource


class CostsSource(TableSource):
    """record.json of some runs: medians over seeds, as multiples of that of the run `against`."""

    file: Literal["record.json"]
    """file that is read of every seed"""
    runs: list[Run]
    """runs that are told, the one that they are compared with among them"""
    datasets: list[Role]
    """data sets on which they are told"""
    against: Run
    """run whose cost is 1"""

    def names(self) -> dict[str, Sequence[str]]:
        return {"run": self.runs, "quantity": QUANTITIES}

    def numbers(self, paper: Paper, info: DatasetInfo) -> dict[tuple[str, ...], CellValue]:
        if info.role not in self.datasets:
            return {}
        costs = relative_costs(paper, info.role, self.runs, self.against)
        return {
            (run, name): CellValue(None, value, None, own.seeds, None, str(info.data))
            for run, own in costs.items()
            for name, value in own.ratios.items()
        }
