"""What trainings logged, epoch by epoch, in several panels: one run without and one with a method. Ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avbalance.evaluation.gap_files import read_mixtures
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import Measured
from avbalance.reporting.figures._gaps import empty, head
from avbalance.reporting.figures.loss_curves import STYLES, logged

HISTORY = "history.csv"
COLUMNS = ["panel", "method", "series", "epoch", "mean", "sd", "seeds"]


def draw(declaration: Mapping[str, Any], paper: Paper, measured: Measured) -> tuple[Figure, pd.DataFrame]:
    """Figure and its numbers: mean and standard deviation over seeds, by panel, method, column and epoch.

    declaration: title, dataset (role), panels: [{title, curves: [{column of history.csv, label, colour}]}], runs:
    [{run, file}], of which those of history.csv are drawn, the first dashed, the second solid; line: {run, label}, a
    vertical line behind the warm-up of that run's mixtures.json.
    """
    role, panels = str(declaration["dataset"]), list(declaration["panels"])
    runs = [str(need["run"]) for need in declaration["runs"] if need["file"] == HISTORY]
    figure = Figure(figsize=(3.8 * len(panels), 4.2), layout="constrained")
    frames = {run: logged(paper, role, run) for run in runs}
    numbers = []
    for axis, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axis.set(title=panel["title"], xlabel="epoch")
        drawn = [
            _draw(axis, frames[run], curve, style, paper.label(run)).assign(panel=panel["title"])
            for run, style in zip(runs, STYLES, strict=True)
            for curve in panel["curves"]
        ]
        numbers += [frame for frame in drawn if not frame.empty]
        if all(frame.empty for frame in drawn):
            empty(axis)
            continue
        _draw_line(axis, declaration.get("line"), paper, role)
        axis.legend(loc="best", fontsize=5)
    head(figure, declaration["title"], paper, [role], "mean and standard deviation over seeds")
    whole = pd.concat(numbers, ignore_index=True) if numbers else pd.DataFrame()
    return figure, whole.reindex(columns=COLUMNS).astype({"epoch": "Int64", "seeds": "Int64"})


def _draw(axis: Axes, frame: pd.DataFrame, curve: Mapping[str, Any], style: str, method: str) -> pd.DataFrame:
    own = frame[frame["series"] == str(curve["column"])].sort_values("epoch")
    own = own.assign(method=method)
    if not own.empty:
        spread, colour = own["sd"].fillna(0.0), curve["colour"]
        axis.plot(own["epoch"], own["mean"], color=colour, linestyle=style, label=f"{curve['label']}, {method}")
        axis.fill_between(
            own["epoch"], own["mean"] - spread, own["mean"] + spread, color=colour, alpha=0.12, linewidth=0
        )
    return own


def _draw_line(axis: Axes, line: Mapping[str, Any] | None, paper: Paper, role: str) -> None:
    files = paper.run_files(role, str(line["run"])) if line else []
    if line and files:
        warm_up, _ = read_mixtures(files[0])
        axis.axvline(warm_up + 0.5, color="#777777", linestyle=":", linewidth=0.9, label=str(line["label"]))
