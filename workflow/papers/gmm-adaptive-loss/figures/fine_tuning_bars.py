"""Accuracy before and after fine-tuning on several sets of clips, and how much of each class those sets keep. Ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from avbalance.analysis.subsets import OVERALL
from avbalance.declared import Declared, Role, Run
from avbalance.evaluation.gap_files import read_fine_tuning
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET
from avbalance.reporting.cells import SMALL, CellValue, MeasuredCells
from avbalance.reporting.drawing import DrawnRun, heading, legend_below, new_figure, write_inside
from avbalance.reporting.figures import DeclaredFigure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = [
    "panel", "dataset", "before", "method", "ours_mean", "ours_sd", "seeds", "n", "data", "seed", "class", "retention",
    "kept", "samples",
]  # fmt: skip
NOTE = (
    "bars: mean and standard deviation over the seeds that a group has in common; percent: clips trained on; "
    f"hatched: fewer than {SMALL} test clips"
)


class TunedRun(DrawnRun):
    """A fine-tuned run."""

    label: str
    """its name in the legend"""


class TunedGroup(Declared):
    """A run, and what became of it."""

    before: Run
    """run that was fine-tuned"""
    after: list[TunedRun]
    """the same after fine-tuning, a bar each"""

    @property
    def bars(self) -> list[TunedRun]:
        """All bars, the one before first."""
        return [TunedRun(run=self.before, label="before", colour="#c9c9c9"), *self.after]


class FineTuningBarsFigure(DeclaredFigure):
    """Above, accuracy at the epoch selected on validation; below, what share of each class's clips a run goes on with.

    Bars: mean and standard deviation over the seeds that a group has in common. Points: the first seed. The CSV has
    rows told apart by `panel`: accuracy, and retention (every seed and class).
    """

    datasets: list[Role]
    """data sets, a column of panels each"""
    groups: list[TunedGroup]
    """groups of bars, from left to right"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> tuple[Figure, pd.DataFrame]:
        """The figure, and every number that it shows."""
        figure, axes = new_figure(4.6 * len(self.datasets), 6.0, 2, len(self.datasets))
        numbers: list[dict[str, Any]] = []
        for column, role in enumerate(self.datasets):
            label = paper.dataset(role).label
            axes[0, column].set(title=label, ylabel="accuracy of the fusion head (%)", ylim=(0, 100))
            axes[1, column].set(ylabel="share of a class's clips", ylim=(-0.03, 1.12))
            for draw, axis in ((self._bars, axes[0, column]), (self._retention, axes[1, column])):
                numbers += [{"dataset": label, **record} for record in draw(axis, paper, measured, role)]
        legend_below(figure, axes[0, :1], columns=5)
        figure.suptitle(heading(self.title, paper, self.datasets, NOTE), fontsize=8)
        frame = pd.DataFrame(numbers).reindex(columns=COLUMNS)
        return figure, frame.astype(dict.fromkeys(("seeds", "n", "seed", "kept", "samples"), "Int64"))

    def _places(self) -> Iterator[tuple[float, TunedGroup, TunedRun]]:
        """Every bar with where it stands; a gap of one lies between groups."""
        position = 0.0
        for group in self.groups:
            for bar in group.bars:
                yield position, group, bar
                position += 1
            position += 1

    def _bars(self, axis: Axes, paper: Paper, measured: MeasuredCells, role: str) -> list[dict[str, Any]]:
        cells = [cell for group in self.groups for cell in _cells(measured, role, [bar.run for bar in group.bars])]
        ticks, records = [], []
        for (position, group, bar), cell in zip(self._places(), cells, strict=True):
            before = paper.label(group.before)
            if bar.run == group.before:
                ticks.append((position + len(group.after) / 2, before))
            if cell.ours_mean is not None:
                hatch = "//" if cell.small else None
                more = {"color": bar.colour, "label": bar.label, "hatch": hatch}
                axis.bar(position, cell.ours_mean, yerr=cell.ours_sd, capsize=2, **more)
            records.append({"panel": "accuracy", "before": before, "method": paper.label(bar.run), **cell.record})
        axis.set_xticks([place for place, _ in ticks], [text for _, text in ticks], fontsize=6)
        if not axis.patches:
            write_inside(axis)
        return records

    def _retention(self, axis: Axes, paper: Paper, measured: MeasuredCells, role: str) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        for position, group, bar in self._places():
            if bar.run == group.before:
                continue  # the network before has no set
            for number, file in enumerate(paper.run_files(role, bar.run)):
                known = read_fine_tuning(file)
                place = {
                    "panel": "retention", "before": paper.label(group.before), "data": file.dataset,
                    "method": file.label, "seed": file.seed, "kept": known["kept"], "samples": known["samples"],
                }  # fmt: skip
                records += [{**place, "class": name, "retention": share} for name, share in known["retention"].items()]
                if number == 0:
                    shares = [share for share in known["retention"].values() if share is not None]
                    axis.plot([position] * len(shares), shares, ".", color=bar.colour, markersize=4, alpha=0.7)
                    text = f"{100 * known['kept'] / known['samples']:.0f} %"
                    axis.text(position, 1.03, text, ha="center", va="bottom", fontsize=6)
        axis.set_xticks([])
        if not records:
            write_inside(axis)
        return records


def _cells(measured: MeasuredCells, role: str, runs: Sequence[str]) -> list[CellValue]:
    """Accuracy of each run, over the seeds that those of them that were made have in common."""
    places = [{"dataset": role, "run": run, "subset": OVERALL, "protocol": NO_SUBSET} for run in runs]
    series = [measured.by_seed(place) for place in places]
    common = sorted(set.intersection(*(set(each) for each in series if each))) if any(series) else []
    cells = []
    for place, own in zip(places, series, strict=True):
        values = [own[seed] for seed in common if seed in own]
        mean = float(np.mean(values)) if values else None
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        cells.append(replace(measured.cell(place), ours_mean=mean, ours_sd=spread, seeds=len(values)))
    return cells
