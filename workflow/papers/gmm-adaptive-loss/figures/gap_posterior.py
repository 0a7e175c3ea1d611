"""The posterior of being imbalanced over the gap, and on generated clips against the imbalance that was planted.

Ours: the abstracts of Liu, Yu and Liu name Bayes' theorem; no figure of the paper was available. The planted imbalance
|u_a - u_v| is what the generator made one modality more informative by; no training saw it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.gap_mixture import crossing
from avbalance.analysis.modality_gap import posterior
from avbalance.declared import Role
from avbalance.evaluation.gap_files import GAPS, MIXTURES
from avbalance.evaluation.paper import Paper
from avbalance.papers.gmm_adaptive_loss.figures import _gaps
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figure_style import BLACK

LARGE = 0.5  # planted imbalance from which a clip counts as imbalanced, for the area under the curve
NOTE = (
    "w = P(imbalanced | gap g). Above panels with planted imbalance: how w, and g alone, rank the clips (Spearman), and"
    f" the area under the curve (AUC) for a planted imbalance of at least {LARGE}."
)
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

    def files(self) -> Iterable[tuple[str, str]]:
        return [(line.run, file) for line in self.rows for file in (MIXTURES, GAPS)]

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        height, width = 1 + len(self.rows), len(self.datasets)
        figure, axes = parts.new_figure(1.9 * height + 0.2, height, width, sharey=True)
        numbers = []
        for column, number, gaps in _gaps.every_line(paper, self.datasets, self.rows):
            own, first = axes[1 + number, column], [axes[0, column]] if number == 0 else []
            if gaps is None:
                for axis in [own, *first]:
                    parts.write_inside(axis)
                    axis.set_title(paper.dataset(self.datasets[column]).label)
                continue
            for axis in first:
                axis.set_title(gaps.said, fontsize=7)
            planted = _gaps.planted_imbalance(paper.dataset(self.datasets[column]), gaps.clips["id"])
            frames = [*(_curve(axis, gaps) for axis in first), _planted(own, gaps, planted)]
            numbers += [frame.assign(**gaps.place) for frame in frames]
        axes[0, 0].set_ylim(-0.03, 1.03)
        for axis in axes[:, 0]:
            axis.set_ylabel("w")
        frame = figures.numbers_of(numbers, COLUMNS, "seed", "epoch")
        return self.drawing(figure, frame, paper, self.datasets, NOTE)


def _curve(axis: parts.Axes, gaps: _gaps.FittedGaps) -> pd.DataFrame:
    g, mixture = np.linspace(0, 1, 201), gaps.fit.mixture
    w = posterior(g, mixture)
    axis.plot(g, w, color=BLACK)
    axis.set(xlabel="gap g", xlim=(0, 1))
    frame = pd.DataFrame({"panel": "posterior", "g": g, "w": w})
    if mixture is None:
        parts.write_inside(axis, f"no mixture: {gaps.fit.reason}")
        return frame
    middle = crossing(mixture)
    if middle is not None:
        axis.axvline(middle, color=_gaps.IMBALANCED, linewidth=0.8, linestyle="--")
        side, height, align = (-0.02, 0.75, "right") if middle > 0.5 else (0.02, 0.08, "left")  # off the curve
        axis.text(middle + side, height, f"w = 0.5\nat g = {middle:.2f}", ha=align, color=_gaps.IMBALANCED, fontsize=7)
    return pd.concat([frame, _summary(crossing=np.nan if middle is None else middle)], ignore_index=True)


def _summary(**values: float) -> pd.DataFrame:
    return pd.DataFrame({"panel": "summary", "name": list(values), "value": list(values.values())})


def _planted(axis: parts.Axes, gaps: _gaps.FittedGaps, planted: NDArray[np.float64] | None) -> pd.DataFrame:
    g = gaps.clips["g"].to_numpy()
    w = posterior(g, gaps.fit.mixture)
    clips = pd.DataFrame({"panel": "clip", "id": gaps.clips["id"], "g": g, "w": w, "planted": planted})
    axis.set(xlabel="planted imbalance |u_a - u_v|", xlim=(0, 1))
    method, epoch = gaps.place["method"], f"epoch {gaps.fit.epoch}"
    axis.set_title(f"{method}\n{epoch}", fontsize=7)
    if planted is None:
        parts.write_inside(axis, "the data carry no planted truth")
        return clips
    axis.plot(planted, w, ".", color=_gaps.BALANCED, markersize=2.5, alpha=0.4, markeredgewidth=0, rasterized=True)
    spearman_w, spearman_g = (rank_correlation(values, planted) for values in (w, g))
    auc_w, auc_g = (area_under_curve(values, planted >= LARGE) for values in (w, g))
    ranks = [f"Spearman {rank:.2f}, AUC {area:.2f}" for rank, area in ((spearman_w, auc_w), (spearman_g, auc_g))]
    axis.set_title(f"{method}\n{epoch}: {ranks[0]}\ng alone: {ranks[1]}", fontsize=7)
    summary = _summary(spearman_w=spearman_w, spearman_g=spearman_g, auc_w=auc_w, auc_g=auc_g)
    return pd.concat([clips, summary], ignore_index=True)


def rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Spearman's correlation (mean ranks of ties) of two vectors (N,); NaN where one is constant."""
    from scipy.stats import spearmanr

    # scipy warns about constant vectors and gives NaN as well.
    return float(spearmanr(x, y).statistic) if np.ptp(x) and np.ptp(y) else float("nan")


def area_under_curve(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """How often a positive has the larger score of a pair with a negative, ties half; NaN without one of them."""
    from scipy.stats import mannwhitneyu

    pairs = int(positive.sum()) * int((~positive).sum())
    return float(mannwhitneyu(scores[positive], scores[~positive]).statistic / pairs) if pairs else float("nan")
