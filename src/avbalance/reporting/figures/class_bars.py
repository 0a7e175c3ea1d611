"""Accuracy of each class as grouped bars, one bar per model or condition (modality-relevance, figure 4).

The paper draws one training; ours are means over the seeds, so that they agree with the table of the same runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from avbalance.analysis.relevance import BALANCED
from avbalance.analysis.subsets import OVERALL
from avbalance.data.manifest import read_manifest
from avbalance.errors import UserError
from avbalance.evaluation.class_accuracies import class_accuracies
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.evaluation.rows import ACCURACY, NO_SUBSET
from avbalance.reporting.cells import Measured
from avbalance.reporting.facts import backend_line
from avbalance.reporting.figures.discrepancy_map import stand_in_note

SAME = 1e-6  # points
WIDTH = 0.84  # of a group of bars
KEYS = ["class", "support"]

Floats = NDArray[np.float64]


def draw(declaration: Mapping[str, Any], paper: Paper, measured: Measured) -> tuple[Figure, pd.DataFrame]:
    """Figure and its numbers, one row per class in the order of the class list: class, support, a column per series.

    declaration: title, dataset (role), series: [{name: column, run, condition, label, colour}], runs: the files that
    the series are read from. Percent; empty for a class without a test clip. Raises UserError when the columns' means
    are not the measured accuracies.
    """
    role, series = str(declaration["dataset"]), list(declaration["series"])
    numbers = pd.DataFrame(columns=[*KEYS, *(str(each["name"]) for each in series)])
    info = paper.dataset(role)
    if all(paper.run_files(role, str(each["run"])) for each in series):
        numbers = _numbers(paper, info, series)
        for each in series:
            check_means(numbers, each, measured, role)
    seeds = {len(paper.run_files(role, str(each["run"]))) for each in series}
    figure = Figure(figsize=(max(7.0, 0.42 * len(numbers)), 4.2), layout="constrained")
    _bars(figure, numbers, series)
    several = f"mean over {'-'.join(map(str, sorted(seeds)))} seeds"
    note = "" if numbers.empty else "one seed" if seeds == {1} else several
    lines = (str(declaration["title"]), stand_in_note(paper, [role]), backend_line(info) or "", note)
    figure.suptitle("\n".join(filter(None, lines)))
    return figure, numbers


def check_means(numbers: pd.DataFrame, series: Mapping[str, Any], measured: Measured, role: str) -> None:
    """Raise UserError unless the mean over clips is the measured accuracy, and that over classes the balanced one."""
    column = numbers[str(series["name"])].to_numpy(dtype=float)
    support = numbers["support"].to_numpy(dtype=float)
    known = support > 0
    means = {ACCURACY: np.average(column[known], weights=support[known]), BALANCED: column[known].mean()}
    place = {"dataset": role, "run": str(series["run"]), "subset": OVERALL, "protocol": NO_SUBSET}
    for metric, mean in means.items():
        cell = measured.cell({**place, "condition": str(series["condition"]), "metric": metric})
        if cell.ours_mean is None or abs(cell.ours_mean - mean) > SAME:
            raise UserError(
                f"{series['run']}, {series['condition']}: the classes give {metric} {mean:.6f}, the measurements say "
                f"{cell.ours_mean}; delete measurements.parquet to have it made again."
            )


def _numbers(paper: Paper, info: DatasetInfo, series: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for each in series:
        found = [class_accuracies(run) for run in paper.run_files(info.role, str(each["run"]))]
        columns.setdefault("class", _class_names(info, len(found[0].support)))
        columns.setdefault("support", found[0].support)
        columns[str(each["name"])] = np.mean([own.under(str(each["condition"])) for own in found], axis=0)
    return pd.DataFrame(columns)


def _class_names(info: DatasetInfo, classes: int) -> list[str]:
    """Class names in the order of the labels; their numbers where the manifest is not at hand."""
    if info.manifest is None:
        return [str(number) for number in range(classes)]
    return read_manifest(info.manifest).classes


def _bars(figure: Figure, numbers: pd.DataFrame, series: Sequence[Mapping[str, Any]]) -> None:
    axis = figure.subplots()
    if numbers.empty:
        axis.text(0.5, 0.5, "not made in this tier", ha="center", va="center", transform=axis.transAxes)
        return
    centres, width = np.arange(len(numbers)), WIDTH / len(series)
    for place, each in enumerate(series):
        offset = (place - (len(series) - 1) / 2) * width
        heights = numbers[str(each["name"])].to_numpy(dtype=float)
        axis.bar(centres + offset, np.nan_to_num(heights), width, color=each["colour"], label=str(each["label"]))
    axis.set(ylabel="accuracy (%)", ylim=(0, 100), xlim=(-0.6, len(numbers) - 0.4))
    axis.set_xticks(centres, [str(name).replace("_", " ") for name in numbers["class"]], rotation=60, ha="right")
    axis.grid(axis="y", color="#dddddd")
    axis.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=len(series))
