"""The posterior of being imbalanced over the gap, and on generated clips against the imbalance that was planted.

Ours: the abstracts of Liu, Yu and Liu name Bayes' theorem; no figure of the paper was available. The planted imbalance
|u_a - u_v| is what the generator made one modality more informative by; no training saw it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.gap_mixture import crossing
from avbalance.analysis.modality_gap import posterior
from avbalance.declared import Role
from avbalance.evaluation.paper import Paper
from avbalance.papers.gmm_adaptive_loss.figures._gaps import (
    BALANCED,
    IMBALANCED,
    FittedGaps,
    FittedRun,
    every_line,
    planted_imbalance,
)
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.drawing import heading, new_figure, numbers_of, write_inside
from avbalance.reporting.figures import DeclaredFigure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 201
LARGE = 0.5  # planted imbalance from which a clip counts as imbalanced, for the area under the curve
COLUMNS = ("panel", "dataset", "method", "seed", "epoch", "id", "g", "w", "planted", "name", "value")


class GapPosteriorFigure(DeclaredFigure):
    """The posterior of the first line, then the comparison with planted imbalance of each.

    The CSV has rows told apart by `panel`: posterior (g, w), clip (g, w, planted), summary (crossing, spearman of w and
    of g with the planted imbalance, auc of w and of g for a planted imbalance of at least 0.5).
    """

    datasets: list[Role]
    """data sets, a column of panels each"""
    rows: list[FittedRun]
    """what is drawn, a row of panels each below the posterior"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> tuple[Figure, pd.DataFrame]:
        """The figure, and every number that it shows."""
        height, width = 1 + len(self.rows), len(self.datasets)
        figure, axes = new_figure(3.4 * width, 2.3 * height + 0.9, height, width)
        numbers = []
        for column, number, gaps in every_line(paper, self.datasets, self.rows):
            axis, first = axes[1 + number, column], axes[0, column]
            if gaps is None:
                for each in [axis, first] if number == 0 else [axis]:
                    write_inside(each)
                continue
            if number == 0:
                first.set_title(f"{gaps.place['dataset']}: {gaps.said}", fontsize=7)
                numbers.append(_curve(first, gaps).assign(**gaps.place))
            planted = planted_imbalance(paper.dataset(self.datasets[column]), gaps.gaps.ids)
            numbers.append(_planted(axis, gaps, planted).assign(**gaps.place))
        figure.suptitle(heading(self.title, paper, self.datasets), fontsize=8)
        return figure, numbers_of(numbers, COLUMNS, "seed", "epoch")


def _curve(axis: Axes, known: FittedGaps) -> pd.DataFrame:
    g = np.linspace(0, 1, POINTS)
    w = posterior(g, known.fit.mixture)
    axis.plot(g, w, color="#222222", linewidth=1.2)
    axis.set(xlabel="gap g", ylabel="w = P(imbalanced | g)", xlim=(0, 1), ylim=(-0.02, 1.02))
    frame = pd.DataFrame({"panel": "posterior", "g": g, "w": w})
    if known.fit.mixture is None:
        write_inside(axis, f"no mixture: {known.fit.reason}", fontsize=6, va="baseline")
        return frame
    middle = crossing(known.fit.mixture)
    if middle is not None:
        axis.axvline(middle, color=IMBALANCED, linewidth=0.8, linestyle="--", label=f"w = 0.5 at g = {middle:.3f}")
        axis.legend(loc="best")
    summary = pd.DataFrame({"panel": "summary", "name": ["crossing"], "value": [np.nan if middle is None else middle]})
    return pd.concat([frame, summary], ignore_index=True)


def _planted(axis: Axes, known: FittedGaps, planted: NDArray[np.float64] | None) -> pd.DataFrame:
    g = np.abs(known.signed)
    w = posterior(g, known.fit.mixture)
    clips = pd.DataFrame({"panel": "clip", "id": known.gaps.ids, "g": g, "w": w, "planted": planted})
    axis.set(xlabel="planted imbalance |u_a - u_v|", ylabel="w = P(imbalanced | g)", xlim=(0, 1), ylim=(-0.02, 1.02))
    if planted is None:
        write_inside(axis, "the data carry no planted truth")
        return clips
    axis.plot(planted, w, ".", color=BALANCED, markersize=2, alpha=0.5)
    values = {
        "spearman_w": rank_correlation(w, planted),
        "spearman_g": rank_correlation(g, planted),
        "auc_w": area_under_curve(w, planted >= LARGE),
        "auc_g": area_under_curve(g, planted >= LARGE),
    }
    axis.set_title(
        f"{known.said}\nSpearman {values['spearman_w']:.2f} (of g {values['spearman_g']:.2f}), "
        f"AUC {values['auc_w']:.2f} (of g {values['auc_g']:.2f})",
        fontsize=7,
    )
    summary = pd.DataFrame({"panel": "summary", "name": list(values), "value": list(values.values())})
    return pd.concat([clips, summary], ignore_index=True)


def rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Spearman's correlation (mean ranks of ties) of two vectors (N,); NaN where one is constant."""
    ranks = _ranks(x), _ranks(y)
    if any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def area_under_curve(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """How often a positive has the larger score of a pair with a negative, ties half; NaN without one of them."""
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if not ones or not zeros:
        return float("nan")
    return float((_ranks(scores)[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1 of values (N,); equal ones have the mean of theirs."""
    return pd.Series(values).rank().to_numpy()
