"""Points lost without a modality, by what takes its place, several tasks side by side (modality-relevance, ours)."""

from __future__ import annotations

from typing import Annotated, Any

import pandas as pd
from pydantic import AfterValidator, Field

from avbalance.analysis.conditions import CONDITIONS
from avbalance.analysis.subsets import OVERALL
from avbalance.declared import Declared, Metric, Role, Run, check_name
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.facts import backend_line

NOTE = "bars: ours, mean and standard deviation over seeds; diamonds: published"
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
    """what stands in for each modality, a bar each"""
    colours: Annotated[dict[figures.Modality, figures.Colour], Field(min_length=2)]
    """colour of each modality"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        figure, axes = figures.new_figure(3.1 * len(self.tasks), 4.6, columns=len(self.tasks), sharey=True)
        frames = []
        for axis, task in zip(axes[0], self.tasks, strict=True):
            frame = pd.DataFrame(self._records(task, measured), columns=COLUMNS)
            self._bars(axis, frame)
            axis.set_title(task.label)
            frames.append(frame)
        axes[0, 0].set_ylabel(f"points of {self.metric.replace('_', ' ')} lost")
        roles = list(dict.fromkeys(task.dataset for task in self.tasks))
        backends = [backend_line(paper.dataset(role)) for role in roles]
        figure.suptitle(self.head(paper, roles, *backends, NOTE))
        return figure, pd.concat(frames, ignore_index=True)

    def _records(self, task: DroppedTask, measured: MeasuredCells) -> list[tuple[Any, ...]]:
        place = {"dataset": task.dataset, "run": task.run, "subset": OVERALL, "protocol": NO_SUBSET}
        place["metric"] = self.metric
        intact, printed = measured.by_seed(place), measured.cell(place).published
        records = []
        for modality, condition in [(modality, name) for modality, names in self.conditions.items() for name in names]:
            there = {**place, "condition": condition}
            withheld, published = measured.by_seed(there), measured.cell(there).published
            drops = pd.Series([intact[seed] - value for seed, value in withheld.items() if seed in intact], dtype=float)
            lost = None if printed is None or published is None else printed - published
            told = (task.label, modality, CONDITIONS[condition].label)
            records.append((*told, lost, drops.mean(), drops.std(), len(drops)))
        return records

    def _bars(self, axis: figures.Axes, frame: pd.DataFrame) -> None:
        axis.axhline(0.0, color="#555555", linewidth=0.8)
        axis.grid(axis="y", color="#dddddd")
        axis.set_axisbelow(True)
        places = range(len(frame))
        axis.bar(places, frame["mean"].fillna(0.0), color=[self.colours[modality] for modality in frame["modality"]])
        axis.errorbar(places, frame["mean"], yerr=frame["sd"], linestyle="none", color="black", capsize=2)
        axis.plot(places, frame["published"].astype(float), "D", color="black", markerfacecolor="white", markersize=4)
        axis.set_xticks(list(places), list(frame["condition"]), rotation=60, ha="right")
        if not frame["seeds"].any():
            figures.write_inside(axis)
