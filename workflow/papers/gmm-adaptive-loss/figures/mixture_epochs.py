"""The mixture of modality gaps, epoch by epoch: both means, weight and share of the imbalanced clips. Ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from avbalance.declared import Role, Run
from avbalance.evaluation.gap_files import MIXTURES, GapFit, read_mixtures
from avbalance.evaluation.paper import Paper
from avbalance.papers.gmm_adaptive_loss.figures import _gaps
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figure_style import GREY

SERIES = {
    "mu_B": ("mean gap, balanced part", _gaps.BALANCED, "-"),
    "mu_I": ("mean gap, imbalanced part", _gaps.IMBALANCED, "-"),
    "pi_I": ("weight of the imbalanced part", _gaps.IMBALANCED, "--"),
    "share": ("share of clips with w > 0.5", _gaps.BALANCED, ":"),
    "gap_mean": ("mean gap of all clips", GREY, "-"),
}
MISSING = "no mixture could be fitted"
COLUMNS = ("dataset", "method", "seed", "epoch", "series", "value")
NOTE = "Lines are means over those seeds that have a mixture, bands a standard deviation to either side."


class MixtureEpochsFigure(figures.DeclaredFigure):
    """Lines are means over the seeds that have a value, bands a standard deviation; a dotted line ends the warm-up.

    The CSV has a row per data set, seed, fit and series; no value where a fit has no mixture.
    """

    datasets: list[Role]
    """data sets, a panel each"""
    run: Run
    """run whose fits are drawn"""

    def files(self) -> Iterable[tuple[str, str]]:
        return [(self.run, MIXTURES)]

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        figure, (axes,) = parts.new_figure(3.2, columns=len(self.datasets), sharey=True)
        for axis, role in zip(axes, self.datasets, strict=True):
            axis.set(title=paper.dataset(role).label, xlabel="finished epochs", ylim=(0, 1))
        axes[0].set_ylabel("gap, weight or share")
        numbers = []
        for axis, info, files in _gaps.every_dataset(axes, paper, self.datasets, self.run):
            frame = pd.DataFrame([
                {"seed": run.seed, "epoch": fit.epoch, "series": name, "value": _value(fit, name)}
                for run in files
                for fit in read_mixtures(run)[1]
                for name in SERIES
            ])  # fmt: skip
            _draw(axis, frame)
            warm = read_mixtures(files[0])[0]
            axis.axvline(warm, color=GREY, linewidth=0.8, linestyle=(0, (1, 3)))
            axis.set_title(f"{info.label}, {len(files)} seed{'s' if len(files) > 1 else ''}")
            numbers.append(frame.assign(dataset=info.label, method=paper.label(self.run)))
        key: dict[str, dict[str, Any]] = {
            name: {"color": colour, "linestyle": line} for name, colour, line in SERIES.values()
        }
        key |= {MISSING: {"color": GREY, "marker": "x", "linestyle": "none"}}
        parts.key_below(figure, key | {"end of warm-up": {"color": GREY, "linestyle": (0, (1, 3))}}, columns=3)
        frame = figures.numbers_of(numbers, COLUMNS, "seed", "epoch")
        return self.drawing(figure, frame, paper, self.datasets, NOTE)


def _value(fit: GapFit, name: str) -> float:
    return float({**vars(fit), **(vars(fit.mixture) if fit.mixture else {})}.get(name, np.nan))


def _draw(axis: parts.Axes, frame: pd.DataFrame) -> None:
    for name, (_, colour, line) in SERIES.items():
        grouped = frame[frame["series"] == name].groupby("epoch")["value"]
        parts.draw_band(axis, grouped.mean(), grouped.std(), colour, linestyle=line)
    weights = frame[frame["series"] == "pi_I"].groupby("epoch")["value"].mean()
    missing = weights.index[weights.isna()]
    axis.plot(missing, [0.98] * len(missing), "x", color=GREY)
    parts.whole_epochs(axis)
