"""Accuracy of each class as grouped bars, one bar per model or condition (modality-relevance, figure 4).

The paper draws one training; ours are means over the seeds, so that they agree with the table of the same runs.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from avbalance.analysis.relevance import BALANCED
from avbalance.analysis.subsets import OVERALL
from avbalance.data.manifest import read_manifest
from avbalance.declared import Condition, Role
from avbalance.errors import UserError
from avbalance.evaluation.class_accuracies import class_accuracies
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.evaluation.rows import ACCURACY, NO_SUBSET
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.facts import backend_line

SAME = 1e-6  # points
WIDTH = 0.84  # of a group of bars


class ClassSeries(figures.DrawnRun):
    """A bar of every class."""

    name: str
    """column of the CSV file"""
    condition: Condition
    """which modality is replaced, and by what"""


class ClassBarsFigure(figures.DeclaredFigure):
    """A group of bars per class, in per cent. The CSV has one row per class: class, support, a column per series.

    A class without a test clip has no number. Raises UserError when the columns' means are not the measured accuracies.
    """

    dataset: Role
    """data set of the runs"""
    series: Annotated[list[ClassSeries], Field(min_length=1)]
    """the bars of a class, from left to right"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        info, seeds = paper.dataset(self.dataset), {len(self._seeds(paper, each)) for each in self.series}
        numbers = pd.DataFrame(columns=["class", "support", *(each.name for each in self.series)])
        if 0 not in seeds:
            numbers = self._numbers(paper, info)
            for each in self.series:
                self._check_means(numbers, each, measured)
        figure, ((axis,),) = figures.new_figure(max(7.0, 0.42 * len(numbers)), 4.2)
        if numbers.empty:
            figures.write_inside(axis)
        else:
            self._draw_bars(axis, paper, numbers)
            figure.legend(loc="outside lower center", ncols=len(self.series))
        several = f"mean over {'-'.join(map(str, sorted(seeds)))} seeds"
        note = None if numbers.empty else "one seed" if seeds == {1} else several
        figure.suptitle(self.head(paper, [self.dataset], backend_line(info), note))
        return figure, numbers

    def _seeds(self, paper: Paper, series: ClassSeries) -> list[Any]:
        return paper.run_files(self.dataset, series.run)

    def _numbers(self, paper: Paper, info: DatasetInfo) -> pd.DataFrame:
        columns: dict[str, Any] = {}
        for each in self.series:
            of_seeds = [class_accuracies(run) for run in self._seeds(paper, each)]
            classes = len(of_seeds[0].support)  # without the manifest, classes have their numbers for names
            columns.setdefault(
                "class", read_manifest(info.manifest).classes if info.manifest else map(str, range(classes))
            )
            columns.setdefault("support", of_seeds[0].support)
            columns[each.name] = np.mean([own.under(each.condition) for own in of_seeds], axis=0)
        return pd.DataFrame(columns)

    def _check_means(self, numbers: pd.DataFrame, series: ClassSeries, measured: MeasuredCells) -> None:
        """The mean over clips must be the measured accuracy, and that over classes the balanced one."""
        column, support = (numbers[name].to_numpy(dtype=float) for name in (series.name, "support"))
        known = support > 0
        means = {ACCURACY: np.average(column[known], weights=support[known]), BALANCED: column[known].mean()}
        place = {"dataset": self.dataset, "run": series.run, "subset": OVERALL, "protocol": NO_SUBSET}
        for metric, mean in means.items():
            cell = measured.cell({**place, "condition": series.condition, "metric": metric})
            if cell.ours_mean is None or abs(cell.ours_mean - mean) > SAME:
                raise UserError(
                    f"{series.run}, {series.condition}: the classes give {metric} {mean:.6f}, the measurements say "
                    f"{cell.ours_mean}; delete measurements.parquet to have it made again."
                )

    def _draw_bars(self, axis: figures.Axes, paper: Paper, numbers: pd.DataFrame) -> None:
        centres, width = np.arange(len(numbers)), WIDTH / len(self.series)
        for place, each in enumerate(self.series):
            offset = (place - (len(self.series) - 1) / 2) * width
            heights = np.nan_to_num(numbers[each.name].to_numpy(dtype=float))
            axis.bar(centres + offset, heights, width, color=each.colour, label=each.label or paper.label(each.run))
        axis.set(ylabel="accuracy (%)", ylim=(0, 100), xlim=(-0.6, len(numbers) - 0.4))
        axis.set_xticks(centres, [str(name).replace("_", " ") for name in numbers["class"]], rotation=60, ha="right")
        axis.grid(axis="y", color="#dddddd")
        axis.set_axisbelow(True)
