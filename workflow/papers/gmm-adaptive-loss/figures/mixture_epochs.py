"""The mixture of modality gaps, epoch by epoch: both means, weight and share of the imbalanced clips. Ours."""

from __future__ import annotations

import numpy as np
import pandas as pd

from avbalance.declared import Role, Run
from avbalance.evaluation.gap_files import GapFit, read_mixtures
from avbalance.evaluation.paper import Paper
from avbalance.papers.gmm_adaptive_loss.figures import _gaps
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells

SERIES = {
    "mu_B": ("balanced mean", _gaps.BALANCED, "-"),
    "mu_I": ("imbalanced mean", _gaps.IMBALANCED, "-"),
    "pi_I": ("imbalanced weight", figures.VISUAL, "--"),
    "share": ("share of clips with w > 0.5", figures.BLACK, "--"),
    "gap_mean": ("mean gap", "#5aa469", ":"),
}
COLUMNS = ("dataset", "method", "seed", "epoch", "series", "value")
NOTE = "mean and standard deviation over seeds; vertical line: end of warm-up"


class MixtureEpochsFigure(figures.DeclaredFigure):
    """Lines are means over the seeds that have a value, bands a standard deviation; a dotted line ends the warm-up.

    The CSV has a row per data set, seed, fit and series; no value where a fit has no mixture.
    """

    datasets: list[Role]
    """data sets, a panel each"""
    run: Run
    """run whose fits are drawn"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        figure, (axes,) = figures.new_figure(3.6 * len(self.datasets), 3.6, columns=len(self.datasets))
        for axis, role in zip(axes, self.datasets, strict=True):
            axis.set(title=paper.dataset(role).label, xlabel="finished epochs", ylim=(0, 1))
        numbers = []
        for axis, info, files in _gaps.every_dataset(axes, paper, self.datasets, self.run):
            frame = pd.DataFrame([
                {"seed": run.seed, "epoch": fit.epoch, "series": name, "value": _value(fit, name)}
                for run in files
                for fit in read_mixtures(run)[1]
                for name in SERIES
            ])  # fmt: skip
            _draw(axis, frame)
            axis.axvline(read_mixtures(files[0])[0], color="#777777", linewidth=0.8, linestyle=":")
            numbers.append(frame.assign(dataset=info.label, method=paper.label(self.run)))
        figures.legend_below(figure, axes, columns=len(SERIES))
        figure.suptitle(self.head(paper, self.datasets, NOTE), fontsize=8)
        return figure, figures.numbers_of(numbers, COLUMNS, "seed", "epoch")


def _value(fit: GapFit, name: str) -> float:
    return float({**vars(fit), **(vars(fit.mixture) if fit.mixture else {})}.get(name, np.nan))


def _draw(axis: figures.Axes, frame: pd.DataFrame) -> None:
    for name, (label, colour, style) in SERIES.items():
        grouped = frame[frame["series"] == name].groupby("epoch")["value"]
        mean = grouped.mean()
        figures.draw_band(axis, mean, grouped.std(), colour, linestyle=style, label=label)
        missing = mean.index[np.isnan(mean)]
        if len(missing):
            axis.plot(missing, np.zeros(len(missing)), "x", color=colour, markersize=3)
