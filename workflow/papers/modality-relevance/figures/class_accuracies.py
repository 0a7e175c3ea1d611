"""Accuracy of each class, a marker per model or condition (modality-relevance, figure 4).

The paper draws bars of one training; ours are means over the seeds, so that they agree with the table of the same runs,
and markers, of which five stand in a line and a zero is seen.
"""

from __future__ import annotations

from collections.abc import Iterable
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
from avbalance.evaluation.predictions import PREDICTIONS
from avbalance.evaluation.rows import ACCURACY, NO_SUBSET
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figure_style import GREY

SAME = 1e-6  # points
APART = 0.16  # of the distance between classes, from one series to the next
NOTE = (
    "Behind each class its test clips; lines are Wilson's 95 % intervals for them. A marker has the colour and shape of"
    " the modality that the model is left with, hollow where the other one is withheld from a model of both."
)


class ClassSeries(figures.DrawnRun):
    """A marker of every class."""

    name: str
    """column of the CSV file"""
    condition: Condition
    """which modality is replaced, and by what"""
    hollow: bool = False
    """whether its markers are hollow"""


class ClassAccuraciesFigure(figures.DeclaredFigure):
    """A line of markers per class, in per cent. The CSV has one row per class: class, support, a column per series.

    A class without a test clip has no number. Raises UserError when the columns' means are not the measured accuracies.
    """

    dataset: Role
    """data set of the runs"""
    series: Annotated[list[ClassSeries], Field(min_length=1)]
    """the markers of a class, from the top down"""

    def files(self) -> Iterable[tuple[str, str]]:
        return [(each.run, PREDICTIONS) for each in self.series]

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        info, seeds = paper.dataset(self.dataset), {len(self._seeds(paper, each)) for each in self.series}
        numbers = pd.DataFrame(columns=["class", "support", *(each.name for each in self.series)])
        if 0 not in seeds:
            numbers = self._numbers(paper, info)
            for each in self.series:
                self._check_means(numbers, each, measured)
        figure, ((axis,),) = parts.new_figure(0.27 * len(numbers) + 0.9 if len(numbers) else 1.5)
        if numbers.empty:
            parts.write_inside(axis)
        else:
            self._draw(axis, numbers)
            parts.key_below(figure, self._key(paper), columns=3)
        return self.drawing(figure, numbers, paper, [self.dataset], figures.seeds_line(seeds - {0}), NOTE)

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

    def _draw(self, axis: parts.Axes, numbers: pd.DataFrame) -> None:
        """Classes from the one that the first series knows best."""
        ordered = numbers.sort_values([self.series[0].name, "class"], ascending=[False, True])
        for line, row in enumerate(ordered.to_dict("records")):
            for place, each in enumerate(self.series):
                height = line + APART * (place - (len(self.series) - 1) / 2)
                if row["support"]:
                    low, high = parts.wilson(row[each.name], row["support"])
                    axis.plot([low, high], [height] * 2, color=each.look.colour, linewidth=0.7, alpha=0.5)
                    face = "white" if each.hollow else each.look.colour
                    axis.plot([row[each.name]], [height], each.look.marker, color=each.look.colour,
                              markerfacecolor=face, markersize=3.5)  # fmt: skip
            if line % 2:
                axis.axhspan(line - 0.5, line + 0.5, color="#f4f4f4", linewidth=0)
        names = [f"{parts.class_title(str(row['class']))}  ({row['support']})" for row in ordered.to_dict("records")]
        axis.set_yticks(range(len(ordered)), names)
        axis.tick_params(axis="y", length=0)
        axis.set(xlabel="accuracy (%)", xlim=(-2, 102), ylim=(len(ordered) - 0.5, -0.5))
        axis.axvline(100 / len(ordered), color=GREY, linestyle=":", linewidth=0.9)
        axis.grid(axis="x")

    def _key(self, paper: Paper) -> dict[str, dict[str, Any]]:
        key: dict[str, dict[str, Any]] = {
            each.label or paper.label(each.run): {
                "color": each.look.colour, "marker": each.look.marker, "linestyle": "none",
                "markerfacecolor": "white" if each.hollow else each.look.colour,
            }
            for each in self.series
        }  # fmt: skip
        return {**key, "guessing one of the classes": {"color": GREY, "linestyle": ":"}}
