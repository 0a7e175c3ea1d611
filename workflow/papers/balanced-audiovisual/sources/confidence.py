"""Numbers about the confidences that were estimated on a data set: the CSV files that `avbalance confidence` writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from avbalance.declared import Declared, Role
from avbalance.errors import UserError
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import CellValue
from avbalance.reporting.coordinates import Split
from avbalance.reporting.declared_tables import Lookup, TableSource


class SensitivityCoordinates(Declared):
    """Where a number about the epochs that are averaged stands."""

    dataset: Role
    """role of a data set"""
    rule: Literal["half", "chosen", "stop"]
    """epochs averaged: up to half the best one, the chosen one, or the end of training"""
    split: Split
    """part of the data set"""
    quantity: Literal["epochs_audio", "epochs_visual", "audio", "visual", "ties", "audio_share"]
    """epochs of each model; clips that prefer a modality or none; share of those that prefer audio"""


class FlatnessCoordinates(Declared):
    """Where a number about the map of both confidences stands."""

    dataset: Role
    """role of a data set"""
    definition: Literal["estimated", "planted"]
    """whose confidences the map is of"""
    split: Split
    """part of the data set"""
    quantity: Literal["j2", "j1", "audio_share", "entropy", "empty_cells"]
    """see analysis/flatness.py"""


class ConfidenceSource(TableSource):
    """A file in the confidence folder of each data set; n is the number of clips."""

    file: Literal["sensitivity.csv", "flatness.csv"]
    """file that is read"""

    @property
    def coordinates(self) -> type[Declared]:
        """Where a cell stands."""
        return SensitivityCoordinates if self.file == "sensitivity.csv" else FlatnessCoordinates

    def lookup(self, paper: Paper) -> Lookup:
        """What gives the cell at {dataset: role, rule or definition, split, quantity}."""
        keys = [name for name in self.coordinates.model_fields if name not in ("dataset", "quantity")]
        rows: dict[tuple[str, ...], dict[str, Any]] = {}
        for info in paper.datasets.values():
            if info.data is not None and info.confidence is not None:
                path = Path(info.confidence) / self.file
                try:
                    read = pd.read_csv(path).to_dict("records")
                    rows |= {(info.role, *(str(row[name]) for name in keys)): row for row in read}
                except (FileNotFoundError, KeyError, ValueError) as error:
                    raise UserError(f"{path}: not what confidence writes ({error}); run confidence again.") from error

        def cell(place: Mapping[str, str]) -> CellValue:
            data = paper.dataset(place["dataset"]).data or ""
            row = rows.get((place["dataset"], *(place[name] for name in keys)), {})
            value = row.get(place["quantity"])
            return (
                CellValue(data=data) if pd.isna(value) else CellValue(None, float(value), None, 1, int(row["n"]), data)
            )

        return cell
