"""How far numbers lie apart that different people print of one method on one data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from avbalance.errors import UserError
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.reporting.cells import CellValue
from avbalance.reporting.declared_tables import TableSource

QUANTITIES = ("lowest", "highest", "spread", "sources")


class PublishedSpreadSource(TableSource):
    """A file of published accuracies with the columns method, dataset, accuracy and source."""

    file: str
    """its name in the paper's folder published/"""
    cases: list[str]
    """rows: "<method>, <dataset>" """

    def names(self) -> dict[str, Sequence[str]]:
        return {"case": self.cases, "quantity": QUANTITIES}

    def numbers(self, paper: Paper, info: DatasetInfo) -> dict[tuple[str, ...], CellValue]:
        frame = published_spread(Path(paper.published) / self.file)
        if absent := [case for case in self.cases if case not in frame.index]:
            raise UserError(f"{paper.published}/{self.file}: has no row of {absent[0]!r}; take it out of the table.")
        return {
            (case, name): CellValue(None, float(frame.loc[case, name]), None, 1, None, str(info.data))
            for case in self.cases
            for name in QUANTITIES
        }


def published_spread(path: Path) -> pd.DataFrame:
    """QUANTITIES by "<method>, <dataset>", in the order of the file; raises UserError where it is no such file."""
    try:
        frame = pd.read_csv(path)
        case = frame["method"] + ", " + frame["dataset"]
        grouped = frame["accuracy"].astype(float).groupby(case, sort=False)
        found = grouped.agg(lowest="min", highest="max", sources="size")
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise UserError(f"{path}: not a table of method, dataset, accuracy and source ({error}).") from error
    return found.assign(spread=found["highest"] - found["lowest"])[list(QUANTITIES)]
