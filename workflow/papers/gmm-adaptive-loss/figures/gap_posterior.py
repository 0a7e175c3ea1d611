"""The posterior of being imbalanced over the gap, and on generated clips against the imbalance that was planted.

Ours: the abstracts of Liu, Yu and Liu name Bayes' theorem; no figure of the paper was available. The planted imbalance
|u_a - u_v| is what the generator made one modality more informative by; no training saw it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.gap_mixture import crossing
from avbalance.analysis.modality_gap import posterior
from avbalance.declared import Role
from avbalance.evaluation.paper import Paper
from avbalance.papers.gmm_adaptive_loss.figures import _gaps
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells

LARGE = 0.5  # planted imbalance from which a clip counts as imbalanced, for the area under the curve
COLUMNS = ("panel", "dataset", "method", "seed", "epoch", "id", "g", "w", "planted", "name", "value")


class GapPosteriorFigure(figures.DeclaredFigure):
    """The posterior of the first line, then the comparison with planted imbalance of each.

    The CSV has rows told apart by `panel`: posterior (g, w), clip (g, w, planted), summary (crossing, spearman of w and
    of g with the planted imbalance, auc of w and of g for a planted imbalance of at least 0.5).
    """

    datasets: list[Role]
    """data sets, a column of panels each"""
    rows: list[_gaps.FittedRun]
    """what is drawn, a row of panels each below the posterior"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        height, width = 1 + len(self.rows), len(self.datasets)
        figure, axes = figures.new_figure(3.4 * width, 2.3 * height + 0.9, height, width)
        numbers = []
        for column, number, gaps in _gaps.every_line(paper, self.datasets, self.rows):
            own, first = axes[1 + number, column], [axes[0, column]] if number == 0 else []
            if gaps is None:
                for axis in [own, *first]:
                    figures.write_inside(axis)
                continue
            for axis in first:
                axis.set_title(f"{gaps.place['dataset']}: {gaps.said}", fontsize=7)
            planted = _gaps.planted_imbalance(paper.dataset(self.datasets[column]), gaps.clips["id"])
            frames = [*(_curve(axis, gaps) for axis in first), _planted(own, gaps, planted)]
            numbers += [frame.assign(**gaps.place) for frame in frames]
        figure.suptitle(self.head(paper, self.datasets), fontsize=8)
        return figure, figures.numbers_of(numbers, COLUMNS, "seed", "epoch")


def _curve(axis: figures.Axes, gaps: _gaps.FittedGaps) -> pd.DataFrame:
    g, mixture = np.linspace(0, 1, 201), gaps.fit.mixture
    w = posterior(g, mixture)
    axis.plot(g, w, color=figures.BLACK, linewidth=1.2)
    axis.set(xlabel="gap g", ylabel="w = P(imbalanced | g)", xlim=(0, 1), ylim=(-0.02, 1.02))
    frame = pd.DataFrame({"panel": "posterior", "g": g, "w": w})
    if mixture is None:
        figures.write_inside(axis, f"no mixture: {gaps.fit.reason}", fontsize=6, va="baseline")
        return frame
    middle = crossing(mixture)
    if middle is not None:
        label = f"w = 0.5 at g = {middle:.3f}"
        axis.axvline(middle, color=_gaps.IMBALANCED, linewidth=0.8, linestyle="--", label=label)
        axis.legend(loc="best")
    return pd.concat([frame, _summary(crossing=np.nan if middle is None else middle)], ignore_index=True)


def _summary(**values: float) -> pd.DataFrame:
    return pd.DataFrame({"panel": "summary", "name": list(values), "value": list(values.values())})


def _planted(axis: figures.Axes, gaps: _gaps.FittedGaps, planted: NDArray[np.float64] | None) -> pd.DataFrame:
    g = gaps.clips["g"].to_numpy()
    w = posterior(g, gaps.fit.mixture)
    clips = pd.DataFrame({"panel": "clip", "id": gaps.clips["id"], "g": g, "w": w, "planted": planted})
    axis.set(xlabel="planted imbalance |u_a - u_v|", ylabel="w = P(imbalanced | g)", xlim=(0, 1), ylim=(-0.02, 1.02))
    if planted is None:
        figures.write_inside(axis, "the data carry no planted truth")
        return clips
    axis.plot(planted, w, ".", color=_gaps.BALANCED, markersize=2, alpha=0.5)
    spearman_w, spearman_g = (rank_correlation(values, planted) for values in (w, g))
    auc_w, auc_g = (area_under_curve(values, planted >= LARGE) for values in (w, g))
    told = f"Spearman {spearman_w:.2f} (of g {spearman_g:.2f}), AUC {auc_w:.2f} (of g {auc_g:.2f})"
    axis.set_title(f"{gaps.said}\n{told}", fontsize=7)
    summary = _summary(spearman_w=spearman_w, spearman_g=spearman_g, auc_w=auc_w, auc_g=auc_g)
    return pd.concat([clips, summary], ignore_index=True)


def rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Spearman's correlation (mean ranks of ties) of two vectors (N,); NaN where one is constant."""
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic) if np.ptp(x) and np.ptp(y) else float("nan")


def area_under_curve(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """How often a positive has the larger score of a pair with a negative, ties half; NaN without one of them."""
    from scipy.stats import mannwhitneyu

    pairs = int(positive.sum()) * int((~positive).sum())
    return float(mannwhitneyu(scores[positive], scores[~positive]).statistic / pairs) if pairs else float("nan")
