"""Numbers about the confidences that were estimated on a data set: the CSV files that `avbalance confidence` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from avbalance.errors import UserError
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.evaluation.rows import ESTIMATED, PLANTED
from avbalance.reporting.cells import NOT_STATED, Behind, CellValue
from avbalance.reporting.coordinates import Split
from avbalance.reporting.declared_tables import TableSource

NAMES: dict[str, dict[str, Sequence[str]]] = {
    "sensitivity.csv": {
        "rule": ("half", "chosen", "stop"),
        "split": get_args(Split),
        "quantity": ("epochs_audio", "epochs_visual", "audio", "visual", "ties", "audio_share"),
    },
    "flatness.csv": {
        "definition": (ESTIMATED, PLANTED),
        "split": get_args(Split),
        "quantity": ("j2", "j1", "audio_share", "entropy", "empty_cells"),
    },
}


class ConfidenceSource(TableSource):
    """A file in the confidence folder of each data set, see analysis/confidence.py; n is the number of clips."""

    file: Literal["sensitivity.csv", "flatness.csv"]
    """file that is read"""

    def names(self) -> dict[str, Sequence[str]]:
        return NAMES[self.file]

    def numbers(self, paper: Paper, info: DatasetInfo) -> dict[tuple[str, ...], CellValue]:
        if info.confidence is None:
            return {}
        path, (*keys, _) = Path(info.confidence) / self.file, self.names()
        runs = tuple(Behind(*each) for each in info.estimators.get(ESTIMATED, ()))
        withheld = CellValue(data=str(info.data), text=NOT_STATED) if ESTIMATED in info.withheld else None

        def cell(row: Mapping[str, Any], name: str) -> CellValue:
            planted = row.get("definition") == PLANTED
            if withheld and not planted:
                return withheld
            value, n, behind = float(row[name]), int(row["n"]), () if planted else runs
            return CellValue(None, value, None, 1, n, str(info.data), behind=behind)

        try:
            return {
                (*(str(row[key]) for key in keys), name): cell(row, name)
                for row in pd.read_csv(path).to_dict("records")
                for name in self.names()["quantity"]
                if not pd.isna(row[name])
            }
        except (FileNotFoundError, KeyError, ValueError) as error:
            raise UserError(f"{path}: not what confidence writes ({error}); run confidence again.") from error
