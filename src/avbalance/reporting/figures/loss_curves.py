"""Training losses of the two modalities, epoch by epoch, of one run without and one with a method.

Fu, Gao and Xu, figure 5. The paper does not say which loss it draws. Decision: the cross-entropy of each modality's own
video-level probability against the labels of the video, not weighted: the targets that are trained on are smoothed and
denoised, which gives the two modalities floors that differ, and with them a gap that no balance could close.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from avbalance.evaluation.paper import Paper
from avbalance.papers.avvp_gradient_modulation.claims.by_seed_history import read_history
from avbalance.reporting.cells import Measured
from avbalance.reporting.figures.discrepancy_map import stand_in_note

COLUMNS = ["method", "series", "epoch", "mean", "sd", "seeds", "drawn"]
STYLES = ("--", "-")


def draw(declaration: Mapping[str, Any], paper: Paper, measured: Measured) -> tuple[Figure, pd.DataFrame]:
    """Figure and its numbers: mean and standard deviation over seeds of everything that the runs logged per epoch.

    declaration: title, dataset (role), curves: [{column of history.csv, label, colour}], runs: [{run, file:
    history.csv}], the one before dashed, the one after solid. Bands are a standard deviation to either side.
    """
    role = str(declaration["dataset"])
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axis = figure.subplots()
    axis.set(xlabel="epoch", ylabel="training loss")
    drawn = {str(curve["column"]): curve for curve in declaration["curves"]}
    frames = []
    for need, style in zip(declaration["runs"], STYLES, strict=True):
        label = paper.label(str(need["run"]))
        frame = logged(paper, role, str(need["run"]))
        frames.append(frame.assign(method=label, drawn=frame["series"].isin(list(drawn))))
        for column, curve in drawn.items():
            own = frame[frame["series"] == column]
            if own.empty:
                continue
            axis.plot(
                own["epoch"], own["mean"], color=curve["colour"], linestyle=style, label=f"{curve['label']}, {label}"
            )
            spread = own["sd"].fillna(0.0)
            band = (own["mean"] - spread, own["mean"] + spread)
            axis.fill_between(own["epoch"], *band, color=curve["colour"], alpha=0.15, linewidth=0)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="best")
    else:
        axis.text(0.5, 0.5, "not made in this tier", ha="center", va="center", transform=axis.transAxes)
    numbers = pd.concat(frames, ignore_index=True)[COLUMNS]
    seeds = sorted(set(numbers["seeds"]))
    note = f"mean and standard deviation over {'-'.join(map(str, seeds))} seeds" if seeds else ""
    figure.suptitle("\n".join(filter(None, (str(declaration["title"]), stand_in_note(paper, [role]), note))))
    return figure, numbers


def logged(paper: Paper, role: str, run: str) -> pd.DataFrame:
    """series, epoch, mean, sd (empty for one seed) and seeds of every number that the seeds of a run logged."""
    histories = [read_history(each).assign(seed=each.seed) for each in paper.run_files(role, run)]
    if not histories:
        return pd.DataFrame(columns=[name for name in COLUMNS if name not in ("method", "drawn")])
    long = pd.concat(histories).melt(["epoch", "seed"], var_name="series")
    long["value"] = pd.to_numeric(long["value"], errors="coerce")
    grouped = long.dropna(subset="value").groupby(["series", "epoch"], sort=True)["value"]
    return grouped.agg(mean="mean", sd="std", seeds="size").reset_index()
