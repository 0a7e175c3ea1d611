"""Points lost without a modality, by what takes its place, several tasks side by side (modality-relevance, ours)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator
from scipy.special import stdtrit

from avbalance.analysis.conditions import CONDITIONS
from avbalance.analysis.subsets import OVERALL
from avbalance.declared import Declared, Metric, Role, Run, check_name
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figure_style import GREY, LOOKS

NOTE = (
    "Points lost by the same seed's intact model. Intervals are 95 % intervals of the mean over seeds (Student's t),"
    " where there are several."
)
Withheld = Annotated[str, AfterValidator(lambda name: check_name("condition", name, {"condition": list(CONDITIONS)}))]
COLUMNS = ["task", "modality", "condition", "published", "mean", "sd", "seeds"]


class DroppedTask(Declared):
    """A task on which a modality is withheld."""

    label: str
    """what stands above its panel"""
    dataset: Role
    """its data set"""
    run: Run
    """its model"""


class RelevanceDropsFigure(figures.DeclaredFigure):
    """What the intact model of the same seed is ahead by, in points; a row of the CSV per task and condition."""

    metric: Metric
    """what is lost"""
    tasks: list[DroppedTask]
    """tasks, a panel each"""
    conditions: dict[figures.Modality, list[Withheld]]
    """what stands in for each modality, a row each"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        rows = sum(len(names) + 1.4 for names in self.conditions.values())
        figure, (axes,) = parts.new_figure(0.17 * rows + 1.2, columns=len(self.tasks), sharex=True)
        frames, every = [], []
        for axis, task in zip(axes, self.tasks, strict=True):
            records = list(self._records(task, measured))
            seeds = max((len(values) for _, values in records), default=0)
            axis.set(title=f"{task.label}, {seeds} seed{'s' * (seeds != 1)}", xlabel="points lost")
            groups = [
                (f"without {modality}", [_point(record, values) for record, values in records if record[1] == modality])
                for modality in self.conditions
            ]
            every.append((axis, groups))
            frames.append(pd.DataFrame([record for record, _ in records], columns=COLUMNS))
        for place, (axis, groups) in enumerate(every):
            parts.draw_points(axis, groups, place == 0)
            axis.axvline(0.0, color=GREY, linewidth=0.8)
        if all(frame["mean"].isna().all() for frame in frames):
            axes[0].set_xlim(0, 1)
        key = {"nothing lost" if name == "chance" else name: line for name, line in parts.POINT_KEY.items()}
        parts.key_below(figure, key | {"nothing lost": {"color": GREY, "linewidth": 0.8}})
        roles = [task.dataset for task in self.tasks]
        return self.drawing(figure, pd.concat(frames, ignore_index=True), paper, roles, NOTE)

    def _records(self, task: DroppedTask, measured: MeasuredCells) -> Iterator[tuple[tuple[Any, ...], list[float]]]:
        """A row of the CSV per condition, and the points that each seed loses."""
        place = {"dataset": task.dataset, "run": task.run, "subset": OVERALL, "protocol": NO_SUBSET}
        place["metric"] = self.metric
        intact, printed = measured.by_seed(place), measured.cell(place).published
        for modality, condition in [(modality, name) for modality, names in self.conditions.items() for name in names]:
            there = {**place, "condition": condition}
            withheld, published = measured.by_seed(there), measured.cell(there).published
            drops = pd.Series([intact[seed] - value for seed, value in withheld.items() if seed in intact], dtype=float)
            lost = None if printed is None or published is None else printed - published
            told = (task.label, modality, CONDITIONS[condition].label)
            yield (*told, lost, drops.mean(), drops.std(), len(drops)), drops.to_list()


def _point(record: tuple[Any, ...], seeds: list[float]) -> parts.Point:
    _, modality, condition, published, mean, _, count = record
    interval = None if count < 2 else student_interval(seeds)
    return parts.Point(condition, LOOKS[modality], mean if count else None, seeds, interval, published)


def student_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of at least two values, by Student's t."""
    half = float(stdtrit(len(values) - 1, 0.975)) * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return float(np.mean(values)) - half, float(np.mean(values)) + half
