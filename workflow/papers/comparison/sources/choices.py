"""What each method tried, how it did on validation, and what was chosen: equal tuning, as the records tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from avbalance.declared import Role, Run
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.provenance.run_record import RECORD
from avbalance.reporting.cells import CellValue
from avbalance.reporting.declared_tables import TableSource
from flowkeeper.files import read_json

MOST = 4  # trials that are shown


class ChoicesSource(TableSource):
    """record.json of the first seed of some runs; all seeds have the same choice."""

    file: Literal["record.json"]
    """file that is read"""
    runs: list[Run]
    """runs whose file is read"""
    datasets: list[Role]
    """data sets on which it is read"""

    def names(self) -> dict[str, Sequence[str]]:
        trials = [f"trial {number}" for number in range(1, MOST + 1)]
        return {"run": self.runs, "quantity": ("trials", *trials, "chosen")}

    def numbers(self, paper: Paper, info: DatasetInfo) -> dict[tuple[str, ...], CellValue]:
        cells: dict[tuple[str, ...], CellValue] = {}
        for run in self.runs if info.role in self.datasets else ():
            files = paper.run_files(info.role, run)
            choice = read_json(files[0].beside(RECORD)).get("choice") if files else None
            for name, text in _texts(choice).items() if choice else ():
                cells[run, name] = CellValue(None, None, None, 1, None, str(info.data), text=text)
        return cells


def _texts(choice: Mapping[str, Any]) -> dict[str, str]:
    tried = choice["candidates"]
    told = {f"trial {number}": f"{_settings(each)}: {each['score']:.1f}" for number, each in enumerate(tried, 1)}
    chosen = next(each for each in tried if each["run"] == choice["chosen"])
    return {"trials": str(len(tried)), **told, "chosen": _settings(chosen)}


def _settings(tried: Mapping[str, Any]) -> str:
    """rate 0.05, alpha 0.3: the learning rate first, which all have."""
    told = {key.rpartition(".")[2]: value for key, value in tried["tried"].items()}
    rate = {"rate": told.pop("learning_rate")} if "learning_rate" in told else {}
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in (rate | told).items())
