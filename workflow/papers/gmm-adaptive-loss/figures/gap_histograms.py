"""Histograms of the modality gap of the training clips with the mixture that was fitted to it, and of the signed gap.

Ours: the abstracts of Liu, Yu and Liu say that the gap's distribution is a mixture of two Gaussians; no figure of the
paper was available. A better two-component fit alone shows no second mode, hence the panel with unimodal samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.gap_mixture import Mixture
from avbalance.analysis.modality_gap import bimodality
from avbalance.declared import Role
from avbalance.evaluation.gap_files import GAPS, MIXTURES
from avbalance.evaluation.paper import Paper
from avbalance.papers.gmm_adaptive_loss.figures import _gaps
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figure_style import BLACK, GREY, PALE

NOTE = (
    "The gap is g = |s_a - s_v|, the signed gap d = s_a - s_v (positive: audio leads); panels of one kind share axes."
)
NULLS_NOTE = (
    "The last row asks whether two parts fit better than one: BIC(1) - BIC(2) of the gaps (line), and of unimodal"
    " samples of the same number (points)."
)
COLUMNS = (
    "panel", "dataset", "method", "seed", "epoch", "id", "label", "s_audio", "s_visual", "d", "g",
    "low", "high", "density", "name", "value",
)  # fmt: skip


class GapHistogramsFigure(figures.DeclaredFigure):
    """Two panels a line, gap and signed gap.

    The CSV has rows told apart by `panel`: clip, gap and signed (histograms), mixture (six numbers by name), bic (a
    null's draws, or observed).
    """

    datasets: list[Role]
    """data sets, a column of panels each"""
    rows: list[_gaps.FittedRun]
    """what is drawn, two rows of panels each"""
    nulls: bool = False
    """whether the last row is BIC(1) - BIC(2), observed and of unimodal samples of the same number"""

    def files(self) -> Iterable[tuple[str, str]]:
        return [(line.run, file) for line in self.rows for file in (MIXTURES, GAPS)]

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        height, width = 2 * len(self.rows) + self.nulls, len(self.datasets)
        figure, axes = parts.new_figure(1.35 * height + 0.7 + 0.3 * len(self.rows), height, width)
        numbers = []
        for column, number, gaps in _gaps.every_line(paper, self.datasets, self.rows):
            own = axes[2 * number : 2 * number + 2, column].tolist()
            nulls = [axes[-1, column]] if self.nulls and number == 0 else []
            if gaps is None:
                for axis in [*own, *nulls]:
                    parts.write_inside(axis)
                own[0].set_title(paper.dataset(self.datasets[column]).label)
                continue
            own[0].set_title(gaps.said, fontsize=7)
            frames = [*_panels(own, gaps), *(_draw_nulls(axis, gaps, column == 0) for axis in nulls)]
            numbers += [frame.assign(**gaps.place) for frame in frames]
        for kind in (0, 1):  # gaps, signed gaps
            _share_densities(axes[kind : 2 * len(self.rows) : 2])
        parts.key_below(figure, {
            "training clips": {"color": PALE, "linewidth": 5},
            "balanced part of the mixture": {"color": _gaps.BALANCED},
            "imbalanced part": {"color": _gaps.IMBALANCED},
            "their sum": {"color": GREY, "linestyle": "--"},
        })  # fmt: skip
        frame = figures.numbers_of(numbers, COLUMNS, "seed", "epoch", "label")
        return self.drawing(figure, frame, paper, self.datasets, NOTE, NULLS_NOTE if self.nulls else None)


def _share_densities(axes: Any) -> None:
    """The same densities in all panels of a kind, said at the left ones."""
    largest = max((axis.dataLim.y1 for axis in axes.ravel() if axis.has_data()), default=1.0)
    for axis in axes.ravel():
        axis.set_ylim(0, 1.1 * largest)
    for axis in axes[:, 0]:
        axis.set_ylabel("density")


def _panels(axes: Sequence[parts.Axes], gaps: _gaps.FittedGaps) -> list[pd.DataFrame]:
    """Both histograms of one run; their numbers, those of the clips and of the mixture."""
    frames = [
        gaps.clips.assign(panel="clip"),
        _histogram(axes[0], gaps.clips["g"], np.linspace(0, 1, 51), "gap", "gap g"),
        _histogram(axes[1], gaps.clips["d"], np.linspace(-1, 1, 101), "signed", "signed gap d"),
    ]
    axes[1].axvline(0, color=BLACK, linewidth=0.6)
    if gaps.fit.mixture is None:
        parts.write_inside(axes[0], f"no mixture: {gaps.fit.reason}", 0.85)
        return frames
    x, named = np.linspace(0, 1, 201), vars(gaps.fit.mixture)
    balanced, imbalanced = densities(x, gaps.fit.mixture)
    axes[0].plot(x, balanced + imbalanced, color=GREY, linewidth=1, linestyle="--")
    axes[0].plot(x, balanced, color=_gaps.BALANCED, linewidth=1)
    axes[0].plot(x, imbalanced, color=_gaps.IMBALANCED, linewidth=1)
    return [*frames, pd.DataFrame({"panel": "mixture", "name": list(named), "value": list(named.values())})]


def _histogram(axis: parts.Axes, values: pd.Series, bins: NDArray[np.float64], panel: str, text: str) -> pd.DataFrame:
    # Densities, not counts: curves of the mixture are drawn over them.
    density, _ = np.histogram(values, bins=bins, density=True)
    axis.stairs(density, bins, fill=True, color=PALE)
    axis.set(xlabel=text, xlim=(bins[0], bins[-1]))
    return pd.DataFrame({"panel": panel, "low": bins[:-1], "high": bins[1:], "density": density})


def densities(x: NDArray[np.float64], mixture: Mixture) -> list[NDArray[np.float64]]:
    """The densities at x of the balanced and of the imbalanced component, each times its weight."""
    named = vars(mixture)
    return [
        named[f"pi_{part}"]
        * (
            np.exp(-(((x - named[f"mu_{part}"]) / named[f"sigma_{part}"]) ** 2) / 2)
            / (named[f"sigma_{part}"] * np.sqrt(2 * np.pi))
        )
        for part in "BI"
    ]


def _draw_nulls(axis: parts.Axes, gaps: _gaps.FittedGaps, named: bool) -> pd.DataFrame:
    """BIC(1) - BIC(2) of the gaps as a line, of as many unimodal values as points; numbers of both."""
    if gaps.fit.bic_1 is None:
        parts.write_inside(axis, f"no fit: {gaps.fit.reason}")
        return pd.DataFrame({"panel": "bic", "name": ["observed"], "value": [np.nan]})
    observed, nulls = bimodality(gaps.clips["g"].to_numpy(), gaps.place["seed"])
    for place, null in enumerate(nulls):
        axis.plot(null.draws, np.full(len(null.draws), place), ".", color=GREY, markersize=3)
    axis.axvline(observed, color=_gaps.IMBALANCED, linewidth=1.2)
    axis.annotate(
        "the gaps",
        (observed, -0.9),
        color=_gaps.IMBALANCED,
        fontsize=7,
        ha="center",
        va="center",
        annotation_clip=False,
    )
    axis.set_yticks(range(len(nulls)), [null.null for null in nulls] if named else [""] * len(nulls))
    axis.set(xlabel="BIC(1) - BIC(2)", ylim=(len(nulls) - 0.5, -0.5))
    rows = [("observed", observed), *((null.null, value) for null in nulls for value in null.draws.tolist())]
    return pd.DataFrame(rows, columns=["name", "value"]).assign(panel="bic")
