"""Accuracy against the time of a training, and the methods that no other one beats in both."""

from __future__ import annotations

import numpy as np
import pandas as pd

from avbalance.analysis.ranks import front
from avbalance.analysis.subsets import OVERALL
from avbalance.declared import Role, Run
from avbalance.evaluation.costs import relative_costs
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figure_style import BLACK, GREY, SMALLEST

COLUMNS = ["dataset", "number", "method", "time", "memory", "accuracy", "sd", "seeds", "front"]
NOTE = (
    "Means over seeds with a standard deviation to either side; time is the median over seeds, as a multiple of that of"
    " the tuned Baseline, with what a method learns from. The line joins the Pareto front: no other method takes at"
    " most as long and is at least as accurate."
)


class CostAndAccuracyFigure(figures.DeclaredFigure):
    """Each of `runs` that was trained, a panel for each data set; a row of the CSV for each."""

    datasets: list[Role]
    """data sets, a panel for each that is made"""
    against: Run
    """run whose cost is 1"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        frames = {role: self._frame(paper, measured, role) for role in self.datasets}
        frames = {role: own for role, own in frames.items() if len(own)} or {self.datasets[0]: pd.DataFrame()}
        rows = max(len(own) for own in frames.values())
        figure, axes = parts.new_figure(max(2.6, 0.13 * rows + 0.7) * len(frames) + 0.3, len(frames))
        for (axis,), (role, frame) in zip(axes, frames.items(), strict=True):
            axis.set(title=paper.dataset(role).label, xlabel="time of a training", ylabel="accuracy (%)")
            if len(frame):
                _draw(axis, frame)
            else:
                parts.write_inside(axis)
        numbers = figures.numbers_of(list(frames.values()), COLUMNS, "number", "seeds")
        return self.drawing(figure, numbers, paper, list(frames), NOTE)

    def _frame(self, paper: Paper, measured: MeasuredCells, role: str) -> pd.DataFrame:
        costs = relative_costs(paper, role, [need.run for need in self.runs], self.against)
        records = []
        for run, cost in costs.items():
            cell = measured.cell({"dataset": role, "run": run, "subset": OVERALL, "protocol": NO_SUBSET})
            told = [paper.dataset(role).label, 0, paper.label(run), cost.ratios["time"], cost.ratios["memory"]]
            records.append([*told, cell.ours_mean, cell.ours_sd, cell.seeds, False])
        frame = pd.DataFrame(records, columns=COLUMNS).sort_values(["time", "accuracy"], ignore_index=True)
        if len(frame):
            frame["number"] = range(1, len(frame) + 1)
            frame["front"] = front(frame["time"].to_numpy(float), frame["accuracy"].to_numpy(float))
        return frame


def _draw(axis: parts.Axes, frame: pd.DataFrame) -> None:
    """Numbered points with their spread, those on the front joined; their names stand at the right."""
    spread = frame["sd"].astype(float).fillna(0.0)
    axis.errorbar(frame["time"], frame["accuracy"], yerr=spread, fmt="none", ecolor=GREY, elinewidth=0.6)
    best = frame[frame["front"]]
    axis.plot(best["time"], best["accuracy"], color=BLACK, linewidth=0.8)
    axis.scatter(frame["time"], frame["accuracy"], s=14, c=np.where(frame["front"], BLACK, GREY), zorder=3)
    for place, row in enumerate(frame.itertuples()):
        drawn = {"fontsize": SMALLEST, "color": BLACK if row.front else GREY}
        axis.annotate(str(row.number), (row.time, row.accuracy), (3, 2), textcoords="offset points", **drawn)
        height = 1 - place / max(len(frame) - 1, 12)
        axis.text(1.02, height, f"{row.number}  {row.method}", transform=axis.transAxes, va="center", **drawn)
    axis.grid()
