"""Points lost without a modality, by what takes its place, several tasks side by side (modality-relevance, ours)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avbalance.analysis.conditions import find
from avbalance.analysis.subsets import OVERALL
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET
from avbalance.reporting.cells import Measured
from avbalance.reporting.facts import backend_line
from avbalance.reporting.figures.discrepancy_map import stand_in_note

NOTE = "bars: ours, mean and standard deviation over seeds; diamonds: published"
COLUMNS = ["task", "modality", "condition", "published", "mean", "sd", "seeds"]


def draw(declaration: Mapping[str, Any], paper: Paper, measured: Measured) -> tuple[Figure, pd.DataFrame]:
    """Figure and its numbers, one row per task and condition: what the intact model is ahead by, in points.

    declaration: title, metric, tasks: [{label, dataset (role), run}], conditions and colours by modality. Mean and
    standard deviation are over seeds, each with the intact model of the same seed; diamonds are published.
    """
    metric, tasks = str(declaration["metric"]), list(declaration["tasks"])
    figure = Figure(figsize=(3.1 * len(tasks), 4.6), layout="constrained")
    axes = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    frames = []
    for axis, task in zip(axes, tasks, strict=True):
        frame = pd.DataFrame(_records(declaration, task, metric, measured), columns=COLUMNS)
        _bars(axis, frame, declaration["colours"])
        axis.set_title(str(task["label"]))
        frames.append(frame)
    axes[0].set_ylabel(f"points of {metric.replace('_', ' ')} lost")
    roles = list(dict.fromkeys(str(task["dataset"]) for task in tasks))
    backends = [backend_line(paper.dataset(role)) for role in roles]
    lines = (str(declaration["title"]), stand_in_note(paper, roles), *backends, NOTE)
    figure.suptitle("\n".join(filter(None, lines)))
    return figure, pd.concat(frames, ignore_index=True)


def _records(
    declaration: Mapping[str, Any], task: Mapping[str, Any], metric: str, measured: Measured
) -> list[dict[str, Any]]:
    place = {
        "dataset": str(task["dataset"]), "run": str(task["run"]), "subset": OVERALL, "protocol": NO_SUBSET,
        "metric": metric,
    }  # fmt: skip
    intact, printed = measured.by_seed(place), measured.cell(place).published
    records = []
    for modality, conditions in declaration["conditions"].items():
        for condition in conditions:
            there = {**place, "condition": str(condition)}
            withheld, published = measured.by_seed(there), measured.cell(there).published
            drops = pd.Series(
                {seed: intact[seed] - value for seed, value in withheld.items() if seed in intact}, dtype=float
            )
            lost = None if printed is None or published is None else printed - published
            label = find(str(condition)).label
            records.append(dict(zip(
                COLUMNS, (task["label"], modality, label, lost, drops.mean(), drops.std(), len(drops)), strict=True
            )))  # fmt: skip
    return records


def _bars(axis: Axes, frame: pd.DataFrame, colours: Mapping[str, str]) -> None:
    axis.axhline(0.0, color="#555555", linewidth=0.8)
    axis.grid(axis="y", color="#dddddd")
    axis.set_axisbelow(True)
    places = range(len(frame))
    colour = [colours[modality] for modality in frame["modality"]]
    axis.bar(places, frame["mean"].fillna(0.0), color=colour)
    axis.errorbar(places, frame["mean"], yerr=frame["sd"], linestyle="none", color="black", capsize=2)
    axis.plot(places, frame["published"].astype(float), "D", color="black", markerfacecolor="white", markersize=4)
    axis.set_xticks(list(places), list(frame["condition"]), rotation=60, ha="right")
    if not frame["seeds"].any():
        axis.text(0.5, 0.5, "not made in this tier", ha="center", va="center", transform=axis.transAxes)
