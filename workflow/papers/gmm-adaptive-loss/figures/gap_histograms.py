"""Histograms of the modality gap of the training clips with the mixture that was fitted to it, and of the signed gap.

Ours: the abstracts of Liu, Yu and Liu say that the gap's distribution is a mixture of two Gaussians; no figure of the
paper was available. A better two-component fit alone shows no second mode, hence the panel with unimodal samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.gap_mixture import Mixture
from avbalance.analysis.modality_gap import bimodality
from avbalance.declared import Role
from avbalance.evaluation.paper import Paper
from avbalance.papers.gmm_adaptive_loss.figures._gaps import (
    BALANCED,
    IMBALANCED,
    FittedGaps,
    FittedRun,
    every_line,
    gap_frame,
)
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.drawing import heading, legend_below, new_figure, numbers_of, write_inside
from avbalance.reporting.figures import DeclaredFigure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS, SIGNED_BINS = np.linspace(0, 1, 51), np.linspace(-1, 1, 101)
BOTH, PLAIN = "#222222", "#c9c9c9"
POINTS = 201
COLUMNS = (
    "panel", "dataset", "method", "seed", "epoch", "id", "label", "s_audio", "s_visual", "d", "g",
    "low", "high", "density", "name", "value",
)  # fmt: skip


class GapHistogramsFigure(DeclaredFigure):
    """Two panels a line, gap and signed gap.

    The CSV has rows told apart by `panel`: clip, gap and signed (histograms), mixture (six numbers by name), bic (a
    null's draws, or observed).
    """

    datasets: list[Role]
    """data sets, a column of panels each"""
    rows: list[FittedRun]
    """what is drawn, two rows of panels each"""
    nulls: bool = False
    """whether the last row is BIC(1) - BIC(2), observed and of unimodal samples of the same number"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> tuple[Figure, pd.DataFrame]:
        """The figure, and every number that it shows."""
        height = 2 * len(self.rows) + self.nulls
        figure, axes = new_figure(3.6 * len(self.datasets), 2.1 * height + 0.9, height, len(self.datasets))
        numbers = []
        for column, number, gaps in every_line(paper, self.datasets, self.rows):
            own = axes[2 * number : 2 * number + 2, column].tolist()
            nulls = [axes[-1, column]] if self.nulls and number == 0 else []
            if gaps is None:
                for axis in [*own, *nulls]:
                    write_inside(axis)
                continue
            own[0].set_title(f"{gaps.place['dataset']}: {gaps.said}", fontsize=7)
            frames = [*_panels(own, gaps), *(_draw_nulls(axis, gaps) for axis in nulls)]
            numbers += [frame.assign(**gaps.place) for frame in frames]
        figure.suptitle(heading(self.title, paper, self.datasets), fontsize=8)
        legend_below(figure, axes[0], columns=4)
        return figure, numbers_of(numbers, COLUMNS, "seed", "epoch", "label")


def _panels(axes: Sequence[Axes], known: FittedGaps) -> list[pd.DataFrame]:
    """Both histograms of one run; their numbers, those of the clips and of the mixture."""
    d, mixture = known.signed, known.fit.mixture
    clips = gap_frame(known.gaps.ids, known.audio, known.visual).assign(label=known.gaps.labels, panel="clip")
    frames = [
        clips,
        _histogram(axes[0], np.abs(d), BINS, "gap", "gap g = |s_a - s_v|"),
        _histogram(axes[1], d, SIGNED_BINS, "signed", "signed gap d = s_a - s_v, positive: audio leads"),
    ]
    axes[1].axvline(0, color=BOTH, linewidth=0.6)
    if mixture is None:
        write_inside(axes[0], f"no mixture: {known.fit.reason}", 0.9, fontsize=6, va="baseline")
        return frames
    _draw_mixture(axes[0], mixture)
    return [
        *frames,
        pd.DataFrame({"panel": "mixture", "name": list(vars(mixture)), "value": list(vars(mixture).values())}),
    ]


def _histogram(
    axis: Axes, values: NDArray[np.float64], bins: NDArray[np.float64], panel: str, text: str
) -> pd.DataFrame:
    density, _ = np.histogram(values, bins=bins, density=True)
    axis.bar(bins[:-1], density, width=np.diff(bins), align="edge", color=PLAIN, label="training clips")
    axis.set(xlabel=text, ylabel="density", xlim=(bins[0], bins[-1]))
    return pd.DataFrame({"panel": panel, "low": bins[:-1], "high": bins[1:], "density": density})


def densities(x: NDArray[np.float64], mixture: Mixture) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both components' densities at x, each times its weight."""

    def normal(mean: float, deviation: float) -> NDArray[np.float64]:
        values: NDArray[np.float64] = np.exp(-(((x - mean) / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi))
        return values

    return (
        mixture.pi_B * normal(mixture.mu_B, mixture.sigma_B),
        mixture.pi_I * normal(mixture.mu_I, mixture.sigma_I),
    )


def _draw_mixture(axis: Axes, mixture: Mixture) -> None:
    x = np.linspace(0, 1, POINTS)
    balanced, imbalanced = densities(x, mixture)
    axis.plot(x, balanced, color=BALANCED, linewidth=1, label="balanced, weighted")
    axis.plot(x, imbalanced, color=IMBALANCED, linewidth=1, label="imbalanced, weighted")
    axis.plot(x, balanced + imbalanced, color=BOTH, linewidth=1, linestyle="--", label="sum")


def _draw_nulls(axis: Axes, known: FittedGaps) -> pd.DataFrame:
    """BIC(1) - BIC(2) of the gaps as a line, of as many unimodal values as points; numbers of both."""
    if known.fit.bic_1 is None:
        write_inside(axis, f"no fit: {known.fit.reason}", fontsize=6, va="baseline")
        return pd.DataFrame({"panel": "bic", "name": ["observed"], "value": [np.nan]})
    observed, nulls = bimodality(np.abs(known.signed), known.place["seed"])
    for place, null in enumerate(nulls):
        axis.plot(null.draws, np.full(len(null.draws), place), ".", color="#777777", markersize=3)
    axis.axvline(observed, color=IMBALANCED, linewidth=1.2)
    axis.set_yticks(range(len(nulls)), [null.null for null in nulls])
    axis.set(xlabel="BIC(1) - BIC(2); line: gaps, points: unimodal", ylim=(len(nulls) - 0.5, -0.5))
    names = ["observed", *(null.null for null in nulls for _ in null.draws)]
    values = [observed, *(value for null in nulls for value in null.draws.tolist())]
    return pd.DataFrame({"panel": "bic", "name": names, "value": values})
