"""Accuracy before and after fine-tuning on several sets of clips, and how much of each class those sets keep. Ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avbalance.analysis.subsets import OVERALL
from avbalance.evaluation.gap_files import read_fine_tuning
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET
from avbalance.reporting.cells import SMALL, Cell, Measured
from avbalance.reporting.figures._gaps import empty, head

PLAIN = "#c9c9c9"
COLUMNS = [
    "panel", "dataset", "before", "method", "ours_mean", "ours_sd", "seeds", "n", "data", "seed", "class", "retention",
    "kept", "samples",
]  # fmt: skip


def draw(declaration: Mapping[str, Any], paper: Paper, measured: Measured) -> tuple[Figure, pd.DataFrame]:
    """Figure and its numbers.

    declaration: title, datasets (roles, a column each), groups: [{before: run, after: [{run, label, colour}]}]. Above,
    accuracy at the epoch selected on validation, mean and standard deviation over the seeds that a group has in common,
    hatched on fewer than 100 clips; below, the share of every class's training clips (a point each) that a run goes on
    with, first seed. The CSV has rows told apart by `panel`: accuracy, and retention (every seed and class).
    """
    roles, groups = [str(role) for role in declaration["datasets"]], list(declaration["groups"])
    figure = Figure(figsize=(4.6 * len(roles), 6.0), layout="constrained")
    axes = figure.subplots(2, len(roles), squeeze=False)
    numbers: list[dict[str, Any]] = []
    for column, role in enumerate(roles):
        label = paper.dataset(role).label
        axes[0, column].set(title=label, ylabel="accuracy of the fusion head (%)", ylim=(0, 100))
        axes[1, column].set(ylabel="share of a class's clips", ylim=(-0.03, 1.12))
        numbers += [{"dataset": label, **record} for record in _bars(axes[0, column], paper, measured, role, groups)]
        numbers += [{"dataset": label, **record} for record in _retention(axes[1, column], paper, role, groups)]
    handles = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True))
    if handles:
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=5, frameon=False)
    note = "bars: mean and standard deviation over the seeds that a group has in common; percent: clips trained on"
    head(figure, declaration["title"], paper, roles, f"{note}; hatched: fewer than {SMALL} test clips")
    frame = pd.DataFrame(numbers).reindex(columns=COLUMNS)
    return figure, frame.astype(dict.fromkeys(("seeds", "n", "seed", "kept", "samples"), "Int64"))


def _bars(
    axis: Axes, paper: Paper, measured: Measured, role: str, groups: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    position, ticks, records = 0.0, [], []
    for group in groups:
        before = {"run": group["before"], "label": "before", "colour": PLAIN}
        ticks.append((position + len(group["after"]) / 2, paper.label(str(group["before"]))))
        bars = (before, *group["after"])
        for bar, cell in zip(bars, _cells(measured, role, [str(bar["run"]) for bar in bars]), strict=True):
            if cell.ours_mean is not None:
                hatch = "//" if cell.small else None
                axis.bar(
                    position,
                    cell.ours_mean,
                    color=bar["colour"],
                    yerr=cell.ours_sd,
                    capsize=2,
                    label=bar["label"],
                    hatch=hatch,
                )
            known = {name: value for name, value in cell.record.items() if name != "published"}
            records.append(
                {"panel": "accuracy", "before": paper.label(str(group["before"])),
                 "method": paper.label(str(bar["run"])), **known}
            )  # fmt: skip
            position += 1
        position += 1
    axis.set_xticks([place for place, _ in ticks], [text for _, text in ticks], fontsize=6)
    if not axis.patches:
        empty(axis)
    return records


def _cells(measured: Measured, role: str, runs: Sequence[str]) -> list[Cell]:
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


def _retention(axis: Axes, paper: Paper, role: str, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    position, records = 0.0, []
    for group in groups:
        position += 1  # the network before has no set
        for bar in group["after"]:
            for number, file in enumerate(paper.run_files(role, str(bar["run"]))):
                known = read_fine_tuning(file)
                place = {
                    "panel": "retention", "before": paper.label(str(group["before"])), "data": file.dataset,
                    "method": file.label, "seed": file.seed, "kept": known["kept"], "samples": known["samples"],
                }  # fmt: skip
                records += [{**place, "class": name, "retention": share} for name, share in known["retention"].items()]
                shares = [share for share in known["retention"].values() if share is not None]
                if number == 0:
                    axis.plot([position] * len(shares), shares, ".", color=bar["colour"], markersize=4, alpha=0.7)
                    text = f"{100 * known['kept'] / known['samples']:.0f} %"
                    axis.text(position, 1.03, text, ha="center", va="bottom", fontsize=6)
            position += 1
        position += 1
    axis.set_xticks([])
    if not records:
        empty(axis)
    return records
