"""Every method against the tuned Baseline, with a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from avbalance.declared import Role, Run
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.evaluation.versus import Against, versus
from avbalance.reporting.cells import CellValue
from avbalance.reporting.declared_tables import TableSource

QUANTITIES = ("difference", "low", "high", "p", "detectable", "verdict")


class VersusSource(TableSource):
    """Predictions of some runs, each compared with the run `against`; n is the number of test clips."""

    file: Literal["predictions.parquet"]
    """file that is read of every seed"""
    runs: list[Run]
    """runs that are compared, the one that they are compared with among them"""
    datasets: list[Role]
    """data sets on which they are compared, each by itself"""
    against: Run
    """run that all others are compared with"""

    def names(self) -> dict[str, Sequence[str]]:
        return {"run": self.runs, "quantity": QUANTITIES}

    def numbers(self, paper: Paper, info: DatasetInfo) -> dict[tuple[str, ...], CellValue]:
        if info.role not in self.datasets:
            return {}
        compared = versus(paper, info.role, self.runs, self.against)
        return {(each.run, name): cell for each in compared for name, cell in _cells(each, str(info.data))}


def _cells(compared: Against, data: str) -> Iterator[tuple[str, CellValue]]:
    outcome = compared.outcome
    seeds = len(outcome.seeds)
    values = {"difference": outcome.effect, "low": outcome.low, "high": outcome.high, "detectable": outcome.detectable}
    for name, value in values.items():
        if value is not None:
            spread = compared.spread if name == "difference" else None
            yield name, CellValue(None, value, spread, seeds, outcome.n, data)
    if compared.p is not None:
        told = "< 0.001" if compared.p < 0.001 else f"{compared.p:.3f}"
        yield "p", CellValue(None, compared.p, None, seeds, outcome.n, data, text=told)
    yield "verdict", CellValue(None, None, None, seeds, outcome.n, data, text=compared.verdict)
