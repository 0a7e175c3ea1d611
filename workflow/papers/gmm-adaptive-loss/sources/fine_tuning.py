"""Numbers that fine-tuning runs leave in a file of their own: on which clips they went on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from avbalance.declared import Role, Run
from avbalance.evaluation.gap_files import read_fine_tuning
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.reporting.cells import Behind, CellValue
from avbalance.reporting.declared_tables import TableSource

QUANTITIES = ("kept", "share", "high_quality_share", "least_retention", "largest_retention", "lost_classes")


class FineTuningSource(TableSource):
    """fine_tuning.json of some runs, mean and standard deviation over seeds; n is the number of training clips."""

    file: Literal["fine_tuning.json"]
    """file that is read of every seed"""
    runs: list[Run]
    """runs whose file is read"""
    datasets: list[Role]
    """data sets on which it is read"""

    def names(self) -> dict[str, Sequence[str]]:
        return {"run": self.runs, "quantity": QUANTITIES}

    def numbers(self, paper: Paper, info: DatasetInfo) -> dict[tuple[str, ...], CellValue]:
        cells: dict[tuple[str, ...], CellValue] = {}
        for run in self.runs if info.role in self.datasets else ():
            files = paper.run_files(info.role, run)
            records = [read_fine_tuning(each) for each in files]
            n = min((int(record["samples"]) for record in records), default=0)
            for name in QUANTITIES if records else ():
                values = [quantity_of(record, name) for record in records]
                spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
                behind = tuple(Behind(run, file.seed, value) for file, value in zip(files, values, strict=True))
                cells[run, name] = CellValue(
                    None, float(np.mean(values)), spread, len(values), n, str(info.data), behind=behind
                )
        return cells


def quantity_of(record: Mapping[str, Any], name: str) -> float:
    """One of QUANTITIES of a run.

    kept (clips trained on), share (of all training clips), high_quality_share (whatever the run was trained on), least_
    and largest_retention (of a class: the share of its clips), in percent but for the first, and lost_classes (classes
    of which no clip is left).
    """
    # A class without a training clip has no share.
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
