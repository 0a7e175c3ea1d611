"""The mixture of modality gaps, epoch by epoch: both means, weight and share of the imbalanced clips. Ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from avbalance.declared import Role, Run
from avbalance.evaluation.gap_files import GapFit, read_mixtures
from avbalance.evaluation.paper import Paper, RunFile
from avbalance.papers.gmm_adaptive_loss.figures._gaps import BALANCED, IMBALANCED
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.drawing import draw_band, heading, legend_below, new_figure, numbers_of, write_inside
from avbalance.reporting.figures import DeclaredFigure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SERIES = {
    "mu_B": ("balanced mean", BALANCED, "-"),
    "mu_I": ("imbalanced mean", IMBALANCED, "-"),
    "pi_I": ("imbalanced weight", "#f2a900", "--"),
    "share": ("share of clips with w > 0.5", "#222222", "--"),
    "gap_mean": ("mean gap", "#5aa469", ":"),
}
COLUMNS = ("dataset", "method", "seed", "epoch", "series", "value")
NOTE = "mean and standard deviation over seeds; vertical line: end of warm-up"


class MixtureEpochsFigure(DeclaredFigure):
    """Lines are means over the seeds that have a value, bands a standard deviation; a dotted line ends the warm-up.

    The CSV has a row per data set, seed, fit and series; no value where a fit has no mixture.
    """

    datasets: list[Role]
    """data sets, a panel each"""
    run: Run
    """run whose fits are drawn"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> tuple[Figure, pd.DataFrame]:
        """The figure, and every number that it shows."""
        figure, axes = new_figure(3.6 * len(self.datasets), 3.6, columns=len(self.datasets))
        numbers = []
        for axis, role in zip(axes[0], self.datasets, strict=True):
            axis.set(title=paper.dataset(role).label, xlabel="finished epochs", ylim=(0, 1))
            files = paper.run_files(role, self.run)
            if not files:
                write_inside(axis)
                continue
            frame = pd.concat([_trajectory(file) for file in files], ignore_index=True)
            _draw(axis, frame)
            axis.axvline(read_mixtures(files[0])[0], color="#777777", linewidth=0.8, linestyle=":")
            numbers.append(frame.assign(dataset=paper.dataset(role).label, method=paper.label(self.run)))
        legend_below(figure, axes[0], columns=len(SERIES))
        figure.suptitle(heading(self.title, paper, self.datasets, NOTE), fontsize=8)
        return figure, numbers_of(numbers, COLUMNS, "seed", "epoch")


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
        mean = grouped.mean()
        draw_band(axis, mean, grouped.std(), colour, linestyle=style, label=label)
        missing = mean.index[np.isnan(mean)]
        if len(missing):
            axis.plot(missing, np.zeros(len(missing)), "x", color=colour, markersize=3)
