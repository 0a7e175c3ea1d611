"""Accuracy before and after fine-tuning on several sets of clips, and how much of each class those sets keep. Ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from avbalance.analysis.subsets import OVERALL
from avbalance.declared import Declared, Role, Run
from avbalance.evaluation.gap_files import FINE_TUNING, read_fine_tuning
from avbalance.evaluation.paper import Paper, RunFile
from avbalance.evaluation.rows import NO_SUBSET
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import CellValue, MeasuredCells
from avbalance.reporting.figure_style import BLACK, GREY

COLUMNS = (
    "panel", "dataset", "before", "method", "ours_mean", "ours_sd", "seeds", "n", "data", "seed", "class", "retention",
    "kept", "samples",
)  # fmt: skip
NOTE = (
    "Left, accuracy of the fusion head over the seeds that a group has in common. Right, the share of each class's"
    " clips that fine-tuning goes on with (a dot per class, first seed), and in per cent of all clips."
    f" {parts.INTERVAL_NOTE}"
)


class TunedGroup(Declared):
    """A run, and what became of it."""

    before: Run
    """run that was fine-tuned"""
    after: list[figures.DrawnRun]
    """the same after fine-tuning, a row each"""

    @property
    def members(self) -> list[figures.DrawnRun]:
        """All rows, the one before first."""
        return [figures.DrawnRun(run=self.before, label="before", colour=GREY), *self.after]


class FineTuningAccuraciesFigure(figures.DeclaredFigure):
    """At the left, accuracy at the epoch selected on validation; at the right, what a run goes on with.

    Markers are means over the seeds that a group has in common. The CSV has rows told apart by `panel`: accuracy, and
    retention (every seed and class).
    """

    datasets: list[Role]
    """data sets, a row of panels each"""
    groups: list[TunedGroup]
    """groups of rows, from the top down"""

    def files(self) -> Iterable[tuple[str, str]]:
        return [(member.run, FINE_TUNING) for group in self.groups for member in group.after]

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        height = 0.155 * sum(len(group.members) + 1.4 for group in self.groups) + 0.5
        figure, axes = parts.new_figure(height * len(self.datasets) + 0.5, len(self.datasets), 2, width_ratios=(3, 2))
        numbers: list[dict[str, Any]] = []
        for (left, right), role in zip(axes, self.datasets, strict=True):
            label = paper.dataset(role).label
            left.set(title=label, xlabel="accuracy (%)", xlim=(0, 100))
            right.set(title="share of a class's clips", xlabel="share", xlim=(-0.03, 1.25))
            right.set_xticks([0, 0.5, 1])
            own = [*self._accuracies(left, paper, measured, role), *self._retention(right, paper, role)]
            right.set(yticks=[], ylim=left.get_ylim())
            parts.draw_chance(left, measured.chance(role))
            numbers += [{"dataset": label, **record} for record in own]
        parts.key_below(figure, {name: line for name, line in parts.POINT_KEY.items() if name != "published"})
        whole = ("seeds", "n", "seed", "kept", "samples")
        frame = figures.numbers_of([pd.DataFrame(numbers)], COLUMNS, *whole)
        return self.drawing(figure, frame, paper, self.datasets, NOTE)

    def _cells(self, measured: MeasuredCells, role: str, group: TunedGroup) -> Iterator[tuple[CellValue, list[float]]]:
        """Accuracy of every run of a group, over the seeds that those that were made have in common."""
        place = {"dataset": role, "subset": OVERALL, "protocol": NO_SUBSET}
        places = [{**place, "run": member.run} for member in group.members]
        common = measured.on_common_seeds(places)
        for place in places:
            values = list(common.by_seed(place).values())
            mean = float(np.mean(values)) if values else None
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            yield replace(common.cell(place), ours_mean=mean, ours_sd=spread), values

    def _accuracies(
        self, axis: parts.Axes, paper: Paper, measured: MeasuredCells, role: str
    ) -> Iterator[dict[str, Any]]:
        listed = []
        for group in self.groups:
            before, points, sizes = paper.label(group.before), [], set()
            for member, (cell, seeds) in zip(group.members, self._cells(measured, role, group), strict=True):
                label = member.label or paper.label(member.run)
                points.append(replace(parts.accuracy_point(label, member.look, cell, seeds), published=None))
                sizes |= {cell.n} - {None}
                yield {"panel": "accuracy", "before": before, "method": paper.label(member.run), **cell.record}
            listed.append((f"{before}{f', n = {max(sizes)}' if sizes else ''}", points))
        parts.draw_points(axis, listed)

    def _retention(self, axis: parts.Axes, paper: Paper, role: str) -> Iterator[dict[str, Any]]:
        """Beside each row of accuracies, the share of every class that the run goes on with."""
        place = 0.0
        for group in self.groups:
            place += 2  # the heading, and the network before, which has no set of its own
            for member in group.after:
                for number, file in enumerate(paper.run_files(role, member.run)):
                    known = read_fine_tuning(file)
                    yield from _retained(known, paper.label(group.before), file)
                    if number == 0:
                        shares = [share for share in known["retention"].values() if share is not None]
                        axis.plot(shares, [place] * len(shares), ".", color=BLACK, markersize=4, alpha=0.5)
                        text = f"{100 * known['kept'] / known['samples']:.0f} %"
                        axis.text(1.06, place, text, va="center", fontsize=7)
                place += 1
            place += 0.4
        if not axis.has_data():
            parts.write_inside(axis)


def _retained(known: Mapping[str, Any], before: str, file: RunFile) -> Iterator[dict[str, Any]]:
    place = {
        "panel": "retention", "before": before, "data": file.dataset, "method": file.label, "seed": file.seed,
        "kept": known["kept"], "samples": known["samples"],
    }  # fmt: skip
    yield from ({**place, "class": name, "retention": share} for name, share in known["retention"].items())
