"""Accuracy against the discrepancy threshold T on both dominated subsets, ours beside the published curves.

Xia et al. 2023, figure 2 and section 5.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from pydantic import ValidationInfo, field_validator

from avbalance.analysis.subsets import canonical_subset
from avbalance.declared import Declared, Role, check_name
from avbalance.evaluation.paper import Paper
from avbalance.reporting import figures
from avbalance.reporting.cells import SMALL, CellValue, MeasuredCells
from avbalance.reporting.coordinates import Protocol

NOTE = f"solid: ours, dashed: published; hollow: fewer than {SMALL} clips"


class DominatedPanel(Declared):
    """A column of panels."""

    side: figures.Modality
    """modality that dominates the clips"""
    runs: list[figures.DrawnRun]
    """runs, a curve each"""


class ThresholdCurvesFigure(figures.DeclaredFigure):
    """The CSV has one row per protocol, subset, threshold and method, keyed like a table's."""

    dataset: Role
    """data set of the runs"""
    thresholds: list[float]
    """T, of those in `measures`"""
    protocols: list[Protocol]
    """what chose the subsets, a row of panels each"""
    panels: list[DominatedPanel]
    """columns of panels, from left to right"""

    @field_validator("thresholds")
    @classmethod
    def _measured(cls, given: list[float], info: ValidationInfo) -> list[float]:
        for value in given:
            check_name("subset", canonical_subset(f"audio_dominated@{value:g}"), info.context)
        return given

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        info, height, width = paper.dataset(self.dataset), len(self.protocols), len(self.panels)
        figure, axes = figures.new_figure(4.2 * width, 3.4 * height + 0.8, height, width)
        records: list[dict[str, Any]] = []
        for row, protocol in zip(axes, self.protocols, strict=True):
            for axis, panel in zip(row, self.panels, strict=True):
                title = f"{panel.side}-dominated, {protocol} subsets"
                axis.set(title=title, xlabel="threshold T", ylabel="accuracy (%)")
                axis.set_facecolor("#f0f0f0")
                axis.grid(color="white")
                axis.set_xticks(self.thresholds)
                for run in panel.runs:
                    cells, label = self._cells(panel.side, run.run, protocol, measured), paper.label(run.run)
                    _draw_curve(axis, cells, run.colour, run.label or label)
                    place = {"dataset": info.label, "protocol": protocol, "subset": f"{panel.side}_dominated"}
                    records += [
                        {**place, "threshold_T": threshold, "method": label, **cell.record}
                        for threshold, cell in cells.items()
                    ]
                if axis.get_legend_handles_labels()[0]:
                    axis.legend(loc="best", framealpha=0.6)
        figure.suptitle(self.head(paper, [self.dataset], NOTE))
        return figure, pd.DataFrame(records)

    def _cells(self, side: str, run: str, protocol: str, measured: MeasuredCells) -> dict[float, CellValue]:
        place = {"dataset": self.dataset, "run": run, "protocol": protocol}
        return {value: measured.cell({**place, "subset": f"{side}_dominated@{value:g}"}) for value in self.thresholds}


def _draw_curve(axis: figures.Axes, cells: Mapping[float, CellValue], colour: str, label: str) -> None:
    ours = {threshold: cell for threshold, cell in cells.items() if cell.ours_mean is not None}
    published = {threshold: cell.published for threshold, cell in cells.items() if cell.published is not None}
    if ours:
        axis.errorbar(
            list(ours), [cell.ours_mean or 0.0 for cell in ours.values()],
            yerr=[cell.ours_sd or 0.0 for cell in ours.values()], color=colour, capsize=2, label=label,
        )  # fmt: skip
        for threshold, cell in ours.items():
            face = "white" if cell.small else colour
            axis.plot(threshold, cell.ours_mean or 0.0, marker="o", markeredgecolor=colour, markerfacecolor=face)
    if published:
        axis.plot(list(published), list(published.values()), color=colour, linestyle="--", marker=".", linewidth=0.8)
