"""Accuracy against the discrepancy threshold T on both dominated subsets, ours beside the published curves.

Xia et al. 2023, figure 2 and section 5.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from pydantic import ValidationInfo, field_validator

from avbalance.analysis.subsets import canonical_subset
from avbalance.declared import Declared, Role, check_name
from avbalance.evaluation.paper import Paper
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import SMALL, CellValue, MeasuredCells
from avbalance.reporting.coordinates import Protocol
from avbalance.reporting.figure_style import GREY, Look

NOTE = (
    "Bars are a standard deviation over seeds to either side; n: test clips at each threshold, of which fewer than"
    f" {SMALL} have hollow markers."
)
APART = 0.012  # thresholds between the markers of two methods, so that none hides another


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
        info, chance = paper.dataset(self.dataset), measured.chance(self.dataset)
        height = 2.3 * len(self.protocols) + 0.5
        figure, axes = parts.new_figure(height, len(self.protocols), len(self.panels), sharey=True)
        records: list[dict[str, Any]] = []
        named = []
        for row, protocol in zip(axes, self.protocols, strict=True):
            for axis, panel in zip(row, self.panels, strict=True):
                axis.set(title=f"{panel.side}-dominated, {protocol} subsets")
                ends, sizes = [], dict.fromkeys(self.thresholds, "")
                for number, run in enumerate(panel.runs):
                    cells, label = self._cells(panel.side, run.run, protocol, measured), paper.label(run.run)
                    end = _draw_curve(axis, cells, run.look, APART * (number - (len(panel.runs) - 1) / 2))
                    ends += [] if end is None else [(end, run.label or label, run.look.colour)]
                    sizes |= {value: f"\nn = {cell.n}" for value, cell in cells.items() if cell.n is not None}
                    place = {"dataset": info.label, "protocol": protocol, "subset": f"{panel.side}_dominated"}
                    records += [
                        {**place, "threshold_T": threshold, "method": label, **cell.record}
                        for threshold, cell in cells.items()
                    ]
                self._finish(axis, sizes)
                named.append((axis, ends))
        _common_limits(axes, chance)
        for axis, ends in named:
            parts.name_lines(axis, 1.7, ends)
        compared = any(record["published"] is not None for record in records)
        parts.key_below(figure, _key(compared, chance))
        return self.drawing(figure, pd.DataFrame(records), paper, [self.dataset], NOTE)

    def _finish(self, axis: parts.Axes, sizes: Mapping[float, str]) -> None:
        if not axis.has_data():
            parts.write_inside(axis)
        axis.set(ylabel="accuracy (%)", xlabel="threshold T")
        axis.label_outer()
        axis.set_xticks(self.thresholds, [f"{value:g}{told}" for value, told in sizes.items()])
        axis.tick_params(labelbottom=True)
        axis.set_xlim(min(self.thresholds) - 3.5 * APART, max(self.thresholds) + 3.5 * APART)
        axis.grid(axis="y")

    def _cells(self, side: str, run: str, protocol: str, measured: MeasuredCells) -> dict[float, CellValue]:
        place = {"dataset": self.dataset, "run": run, "protocol": protocol}
        return {value: measured.cell({**place, "subset": f"{side}_dominated@{value:g}"}) for value in self.thresholds}


def _common_limits(axes: Any, chance: float | None) -> None:
    """The same accuracies in all panels, whole tens; chance as a line where these hold it."""
    shown = [axis.dataLim for axis in axes.ravel() if axis.has_data()]
    # Five points of air below the lowest accuracy, never below 0.
    low = 10 * math.floor(max(min((limits.y0 for limits in shown), default=0.0) - 5, 0) / 10)
    axes[0, 0].set_ylim(low, 100)
    for axis in axes.ravel():
        if chance is not None and chance >= low:
            axis.axhline(chance, color=GREY, linewidth=0.9, linestyle=":")


def _key(compared: bool, chance: float | None) -> dict[str, dict[str, Any]]:
    key: dict[str, dict[str, Any]] = {"ours": {"marker": "o"}}
    if compared:
        key["published"] = {"linestyle": "--", "marker": ".", "linewidth": 0.8}
    if chance is not None:
        key[f"chance: {chance:.1f} %"] = {"color": GREY, "linestyle": ":"}
    return key


def _draw_curve(axis: parts.Axes, cells: Mapping[float, CellValue], look: Look, aside: float) -> float | None:
    """Our curve, moved `aside`, and the published one; the last accuracy of ours, else of the published one, if any."""
    ours = {threshold: cell for threshold, cell in cells.items() if cell.ours_mean is not None}
    published = [(threshold, cell.published) for threshold, cell in cells.items() if cell.published is not None]
    if published:
        axis.plot(*zip(*published, strict=True), color=look.colour, linestyle="--", marker=".", linewidth=0.8)
    if not ours:
        return published[-1][1] if published else None
    places = [threshold + aside for threshold in ours]
    means = [cell.ours_mean or 0.0 for cell in ours.values()]
    axis.errorbar(places, means, yerr=[cell.ours_sd or 0.0 for cell in ours.values()], color=look.colour, capsize=2)
    for place, cell in zip(places, ours.values(), strict=True):
        face = "white" if cell.small else look.colour
        axis.plot([place], [cell.ours_mean], look.marker, color=look.colour, markerfacecolor=face, markersize=5)
    return means[-1]
