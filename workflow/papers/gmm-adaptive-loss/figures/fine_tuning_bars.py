"""Accuracy before and after fine-tuning on several sets of clips, and how much of each class those sets keep. Ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from avbalance.analysis.subsets import OVERALL
from avbalance.declared import Declared, Role, Run
from avbalance.evaluation.gap_files import read_fine_tuning
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET
from avbalance.reporting import figures
from avbalance.reporting.cells import SMALL, CellValue, MeasuredCells

COLUMNS = (
    "panel", "dataset", "before", "method", "ours_mean", "ours_sd", "seeds", "n", "data", "seed", "class", "retention",
    "kept", "samples",
)  # fmt: skip
NOTE = (
    "bars: mean and standard deviation over the seeds that a group has in common; percent: clips trained on; "
    f"hatched: fewer than {SMALL} test clips"
)


class TunedGroup(Declared):
    """A run, and what became of it."""

    before: Run
    """run that was fine-tuned"""
    after: list[figures.DrawnRun]
    """the same after fine-tuning, a bar each"""

    @property
    def bars(self) -> list[figures.DrawnRun]:
        """All bars, the one before first."""
        return [figures.DrawnRun(run=self.before, label="before", colour="#c9c9c9"), *self.after]


class FineTuningBarsFigure(figures.DeclaredFigure):
    """Above, accuracy at the epoch selected on validation; below, what share of each class's clips a run goes on with.

    Bars: mean and standard deviation over the seeds that a group has in common. Points: the first seed. The CSV has
    rows told apart by `panel`: accuracy, and retention (every seed and class).
    """

    datasets: list[Role]
    """data sets, a column of panels each"""
    groups: list[TunedGroup]
    """groups of bars, from left to right"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        figure, axes = figures.new_figure(4.6 * len(self.datasets), 6.0, 2, len(self.datasets))
        numbers: list[dict[str, Any]] = []
        for (above, below), role in zip(axes.T, self.datasets, strict=True):
            label = paper.dataset(role).label
            above.set(title=label, ylabel="accuracy of the fusion head (%)", ylim=(0, 100))
            below.set(ylabel="share of a class's clips", ylim=(-0.03, 1.12))
            own = [*self._bars(above, paper, measured, role), *self._retention(below, paper, role)]
            numbers += [{"dataset": label, **record} for record in own]
        figures.legend_below(figure, axes[0, :1], columns=5)
        figure.suptitle(self.head(paper, self.datasets, NOTE), fontsize=8)
        whole = ("seeds", "n", "seed", "kept", "samples")
        return figure, figures.numbers_of([pd.DataFrame(numbers)], COLUMNS, *whole)

    def _places(self) -> Iterator[tuple[float, TunedGroup, figures.DrawnRun]]:
        """Every bar with where it stands; a gap of one lies between groups."""
        position = 0.0
        for group in self.groups:
            for bar in group.bars:
                yield position, group, bar
                position += 1
            position += 1

    def _cells(self, measured: MeasuredCells, role: str) -> Iterator[CellValue]:
        """Accuracy of every bar, over the seeds that those runs of its group that were made have in common."""
        for group in self.groups:
            own = {"dataset": role, "subset": OVERALL, "protocol": NO_SUBSET}
            places = [{**own, "run": bar.run} for bar in group.bars]
            common = measured.on_common_seeds(places)
            for place in places:
                values = list(common.by_seed(place).values())
                mean = float(np.mean(values)) if values else None
                spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
                yield replace(common.cell(place), ours_mean=mean, ours_sd=spread)

    def _bars(self, axis: figures.Axes, paper: Paper, measured: MeasuredCells, role: str) -> Iterator[dict[str, Any]]:
        ticks = []
        for (position, group, bar), cell in zip(self._places(), self._cells(measured, role), strict=True):
            before = paper.label(group.before)
            if bar.run == group.before:
                ticks.append((position + len(group.after) / 2, before))
            if cell.ours_mean is not None:
                label, hatch = bar.label or paper.label(bar.run), "//" if cell.small else None
                style: dict[str, Any] = {"color": bar.colour, "label": label, "hatch": hatch}
                axis.bar(position, cell.ours_mean, yerr=cell.ours_sd, capsize=2, **style)
            yield {"panel": "accuracy", "before": before, "method": paper.label(bar.run), **cell.record}
        axis.set_xticks([place for place, _ in ticks], [text for _, text in ticks], fontsize=6)
        if not axis.patches:
            figures.write_inside(axis)

    def _retention(self, axis: figures.Axes, paper: Paper, role: str) -> Iterator[dict[str, Any]]:
        for position, group, bar in self._places():
            files = paper.run_files(role, bar.run) if bar.run != group.before else []  # the network before has no set
            for number, file in enumerate(files):
                known = read_fine_tuning(file)
                place = {
                    "panel": "retention", "before": paper.label(group.before), "data": file.dataset,
                    "method": file.label, "seed": file.seed, "kept": known["kept"], "samples": known["samples"],
                }  # fmt: skip
                yield from ({**place, "class": name, "retention": share} for name, share in known["retention"].items())
                if number == 0:
                    shares = [share for share in known["retention"].values() if share is not None]
                    axis.plot([position] * len(shares), shares, ".", color=bar.colour, markersize=4, alpha=0.7)
                    text = f"{100 * known['kept'] / known['samples']:.0f} %"
                    axis.text(position, 1.03, text, ha="center", va="bottom", fontsize=6)
        axis.set_xticks([])
        if not axis.lines:
            figures.write_inside(axis)
