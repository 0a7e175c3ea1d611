"""Numbers that fine-tuning runs leave in a file of their own: on which clips they went on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from avbalance.errors import UserError
from avbalance.evaluation.gap_files import FINE_TUNING, read_fine_tuning
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import Cell

QUANTITIES = ("kept", "share", "high_quality_share", "least_retention", "largest_retention", "lost_classes")


class FromRuns:
    """Cells from fine_tuning.json of the runs that a table names, mean and standard deviation over seeds.

    spec: {runs: [run], file: fine_tuning.json, datasets: [role]}. Coordinates are dataset, run and quantity: kept
    (clips trained on), share (of all training clips), high_quality_share (whatever the run was trained on), least_ and
    largest_retention (of a class: the share of its clips), in percent but for the first, and lost_classes (classes of
    which no clip is left). n is the number of training clips.
    """

    def __init__(self, paper: Paper, spec: Mapping[str, Any]) -> None:
        if spec.get("file") != FINE_TUNING:
            raise UserError(f"tables.yaml: a source of runs reads {FINE_TUNING}, not {spec.get('file')!r}.")
        self.paper = paper
        self._records = {
            (str(role), str(run)): [read_fine_tuning(each) for each in paper.run_files(str(role), str(run))]
            for role in spec["datasets"]
            for run in spec["runs"]
        }

    def cell(self, coordinates: Mapping[str, str]) -> Cell:
        """The cell at {dataset: role, run, quantity}; raises UserError for a quantity that does not exist."""
        data = self.paper.dataset(coordinates["dataset"]).data or ""
        records = self._records.get((coordinates["dataset"], coordinates["run"]), [])
        values = [quantity_of(record, coordinates["quantity"]) for record in records]
        if not values:
            return Cell(data=data)
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        n = min(int(record["samples"]) for record in records)
        return Cell(None, float(np.mean(values)), spread, len(values), n, data)


def quantity_of(record: Mapping[str, Any], name: str) -> float:
    """One of QUANTITIES of a run; raises UserError for another name."""
    if name not in QUANTITIES:
        raise UserError(f"tables.yaml: no quantity {name!r} of fine-tuning; there are {', '.join(QUANTITIES)}.")
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
