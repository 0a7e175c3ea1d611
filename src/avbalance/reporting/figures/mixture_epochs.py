"""The mixture of modality gaps, epoch by epoch: both means, weight and share of the imbalanced clips. Ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avbalance.evaluation.gap_files import GapFit, read_mixtures
from avbalance.evaluation.paper import Paper, RunFile
from avbalance.reporting.cells import Measured
from avbalance.reporting.figures._gaps import empty, head

SERIES = {
    "mu_B": ("balanced mean", "#3b6fd4", "-"),
    "mu_I": ("imbalanced mean", "#d62728", "-"),
    "pi_I": ("imbalanced weight", "#f2a900", "--"),
    "share": ("share of clips with w > 0.5", "#222222", "--"),
    "gap_mean": ("mean gap", "#5aa469", ":"),
}
COLUMNS = ["dataset", "method", "seed", "epoch", "series", "value"]


def draw(declaration: Mapping[str, Any], paper: Paper, measured: Measured) -> tuple[Figure, pd.DataFrame]:
    """Figure and its numbers, a row per data set, seed, fit and series; no value where a fit has no mixture.

    declaration: title, datasets (roles, a panel each), run. Lines are means over the seeds that have a value, bands a
    standard deviation to either side; a dotted vertical line ends the warm-up.
    """
    roles, run = [str(role) for role in declaration["datasets"]], str(declaration["run"])
    figure = Figure(figsize=(3.6 * len(roles), 3.6), layout="constrained")
    axes = figure.subplots(1, len(roles), squeeze=False)[0]
    numbers = []
    for axis, role in zip(axes, roles, strict=True):
        axis.set(title=paper.dataset(role).label, xlabel="finished epochs", ylim=(0, 1))
        files = paper.run_files(role, run)
        if not files:
            empty(axis)
            continue
        frame = pd.concat([_trajectory(file) for file in files], ignore_index=True)
        _draw(axis, frame)
        axis.axvline(read_mixtures(files[0])[0], color="#777777", linewidth=0.8, linestyle=":")
        numbers.append(frame.assign(dataset=paper.dataset(role).label, method=paper.label(run)))
    handles, labels = next(
        (found for axis in axes if (found := axis.get_legend_handles_labels())[0]), ([], [])
    )  # fmt: skip
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    head(
        figure,
        declaration["title"],
        paper,
        roles,
        "mean and standard deviation over seeds; vertical line: end of warm-up",
    )
    whole = pd.concat(numbers, ignore_index=True) if numbers else pd.DataFrame()
    return figure, whole.reindex(columns=COLUMNS).astype({"seed": "Int64", "epoch": "Int64"})


def _trajectory(run: RunFile) -> pd.DataFrame:
    _, fits = read_mixtures(run)
    records = [
        {"seed": run.seed, "epoch": fit.epoch, "series": name, "value": _value(fit, name)}
        for fit in fits
        for name in SERIES
    ]
    return pd.DataFrame(records)


def _value(fit: GapFit, name: str) -> float:
    if name in ("share", "gap_mean"):
        return fit.share if name == "share" else fit.gap_mean
    return float("nan") if fit.mixture is None else float(getattr(fit.mixture, name))


def _draw(axis: Axes, frame: pd.DataFrame) -> None:
    for name, (label, colour, style) in SERIES.items():
        grouped = frame[frame["series"] == name].groupby("epoch")["value"]
        mean, spread = grouped.mean(), grouped.std().fillna(0.0)
        axis.plot(mean.index, mean, color=colour, linestyle=style, label=label)
        axis.fill_between(mean.index, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
        missing = mean.index[np.isnan(mean)]
        if len(missing):
            axis.plot(missing, np.zeros(len(missing)), "x", color=colour, markersize=3)
