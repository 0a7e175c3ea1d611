"""Accuracy against the discrepancy threshold T on both dominated subsets, ours beside the published curves.

Xia et al. 2023, figure 2 and section 5.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import SMALL, Cell, Measured


def draw(declaration: Mapping[str, Any], paper: Paper, measured: Measured) -> tuple[Figure, pd.DataFrame]:
    """Figure and its numbers, one row per protocol, subset, threshold and method, keyed like a table's CSV.

    declaration: title, dataset (role), thresholds, protocols (rows of panels), panels: [{side, runs: [{run,
    colour}]}]. Solid lines are ours, dashed lines published; hollow markers rest on fewer than 100 clips.
    """
    protocols, panels = list(declaration["protocols"]), list(declaration["panels"])
    figure = Figure(figsize=(4.2 * len(panels), 3.4 * len(protocols) + 0.8), layout="constrained")
    axes = figure.subplots(len(protocols), len(panels), squeeze=False)
    records: list[dict[str, Any]] = []
    for row, protocol in enumerate(protocols):
        for column, panel in enumerate(panels):
            axis = axes[row, column]
            axis.set(
                title=f"{panel['side']}-dominated, {protocol} subsets",
                xlabel="threshold T",
                ylabel="accuracy (%)",
            )
            axis.set_facecolor("#f0f0f0")
            axis.grid(color="white")
            axis.set_xticks([float(value) for value in declaration["thresholds"]])
            for run in panel["runs"]:
                cells = _cells(declaration, panel["side"], run["run"], protocol, measured)
                _draw_curve(axis, cells, run["colour"], paper.label(run["run"]))
                records += [
                    {"dataset": paper.dataset(declaration["dataset"]).label, "protocol": protocol,
                     "subset": f"{panel['side']}_dominated", "threshold_T": threshold,
                     "method": paper.label(run["run"]), **cell.record}
                    for threshold, cell in cells.items()
                ]  # fmt: skip
            if axis.get_legend_handles_labels()[0]:
                axis.legend(loc="best", framealpha=0.6)
    info = paper.dataset(declaration["dataset"])
    made = f"{info.label}: {info.describe} ({info.data})" if info.data else f"{info.label}: not made in this tier"
    legend = f"solid: ours, dashed: published; hollow: fewer than {SMALL} clips"
    figure.suptitle(f"{declaration['title']}\n{made}\n{legend}")
    return figure, pd.DataFrame(records)


def _cells(declaration: Mapping[str, Any], side: str, run: str, protocol: str, measured: Measured) -> dict[float, Cell]:
    place = {"dataset": str(declaration["dataset"]), "run": run, "protocol": protocol}
    return {
        float(value): measured.cell({**place, "subset": f"{side}_dominated@{float(value):g}"})
        for value in declaration["thresholds"]
    }


def _draw_curve(axis: Axes, cells: Mapping[float, Cell], colour: str, label: str) -> None:
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
