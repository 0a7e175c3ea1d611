"""The posterior of being imbalanced over the gap, and on generated clips against the imbalance that was planted.

Ours: the abstracts of Liu, Yu and Liu name Bayes' theorem; no figure of the paper was available. The planted imbalance
|u_a - u_v| is what the generator made one modality more informative by; no training saw it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata

from avbalance.analysis.gap_mixture import crossing
from avbalance.analysis.modality_gap import posterior
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import Measured
from avbalance.reporting.figures._gaps import Measurement, empty, head, measurement, planted_imbalance, reference

POINTS = 201
IMBALANCED = 0.5  # planted imbalance from which a clip counts as imbalanced, for the area under the curve
COLUMNS = ["panel", "dataset", "method", "seed", "epoch", "id", "g", "w", "planted", "name", "value"]


def draw(declaration: Mapping[str, Any], paper: Paper, measured: Measured) -> tuple[Figure, pd.DataFrame]:
    """Figure and its numbers.

    declaration: title, datasets (roles, a column each), rows: [{run, epoch: first or last fit with kept scores}]. The
    posterior is drawn for the first of the rows, the comparison with planted imbalance for each, under the first seed
    of the sheet. The CSV has rows told apart by `panel`: posterior (g, w), clip (g, w, planted), summary (crossing,
    spearman of w and of g with the planted imbalance, auc of w and of g for a planted imbalance of at least 0.5).
    """
    roles, lines = [str(role) for role in declaration["datasets"]], list(declaration["rows"])
    figure = Figure(figsize=(3.4 * len(roles), 2.3 * (1 + len(lines)) + 0.9), layout="constrained")
    axes = figure.subplots(1 + len(lines), len(roles), squeeze=False)
    numbers = []
    for column, role in enumerate(roles):
        info = paper.dataset(role)
        for number, line in enumerate(lines):
            axis, file = axes[1 + number, column], reference(paper, role, str(line["run"]))
            if file is None:
                empty(axis)
                if number == 0:
                    empty(axes[0, column])
                continue
            known = measurement(file, str(line["epoch"]))
            place: dict[str, Any] = {"dataset": info.label, "method": paper.label(str(line["run"]))}
            place |= {"seed": file.seed, "epoch": known.fit.epoch}
            said = f"{place['method']}\nseed {file.seed}, after {known.fit.epoch} epochs"
            if number == 0:
                axes[0, column].set_title(f"{info.label}: {said}", fontsize=7)
                numbers.append(_curve(axes[0, column], known).assign(**place))
            planted = planted_imbalance(info, known.gaps.ids)
            numbers.append(_planted(axis, known, planted, said).assign(**place))
    head(figure, declaration["title"], paper, roles)
    whole = pd.concat(numbers, ignore_index=True) if numbers else pd.DataFrame()
    return figure, whole.reindex(columns=COLUMNS).astype({"seed": "Int64", "epoch": "Int64"})


def _curve(axis: Axes, known: Measurement) -> pd.DataFrame:
    g = np.linspace(0, 1, POINTS)
    w = posterior(g, known.fit.mixture)
    axis.plot(g, w, color="#222222", linewidth=1.2)
    axis.set(xlabel="gap g", ylabel="w = P(imbalanced | g)", xlim=(0, 1), ylim=(-0.02, 1.02))
    frame = pd.DataFrame({"panel": "posterior", "g": g, "w": w})
    if known.fit.mixture is None:
        axis.text(0.5, 0.5, f"no mixture: {known.fit.reason}", ha="center", fontsize=6, transform=axis.transAxes)
        return frame
    middle = crossing(known.fit.mixture)
    if middle is not None:
        axis.axvline(middle, color="#d62728", linewidth=0.8, linestyle="--", label=f"w = 0.5 at g = {middle:.3f}")
        axis.legend(loc="best")
    summary = pd.DataFrame({"panel": "summary", "name": ["crossing"], "value": [np.nan if middle is None else middle]})
    return pd.concat([frame, summary], ignore_index=True)


def _planted(axis: Axes, known: Measurement, planted: NDArray[np.float64] | None, said: str) -> pd.DataFrame:
    g = np.abs(known.signed)
    w = posterior(g, known.fit.mixture)
    clips = pd.DataFrame({"panel": "clip", "id": known.gaps.ids, "g": g, "w": w, "planted": planted})
    axis.set(xlabel="planted imbalance |u_a - u_v|", ylabel="w = P(imbalanced | g)", xlim=(0, 1), ylim=(-0.02, 1.02))
    if planted is None:
        axis.text(0.5, 0.5, "the data carry no planted truth", ha="center", va="center", transform=axis.transAxes)
        return clips
    axis.plot(planted, w, ".", color="#3b6fd4", markersize=2, alpha=0.5)
    values = {
        "spearman_w": rank_correlation(w, planted),
        "spearman_g": rank_correlation(g, planted),
        "auc_w": area_under_curve(w, planted >= IMBALANCED),
        "auc_g": area_under_curve(g, planted >= IMBALANCED),
    }
    axis.set_title(
        f"{said}\nSpearman {values['spearman_w']:.2f} (of g {values['spearman_g']:.2f}), "
        f"AUC {values['auc_w']:.2f} (of g {values['auc_g']:.2f})",
        fontsize=7,
    )
    summary = pd.DataFrame({"panel": "summary", "name": list(values), "value": list(values.values())})
    return pd.concat([clips, summary], ignore_index=True)


def rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Spearman's correlation (mean ranks of ties) of two vectors (N,); NaN where one is constant."""
    ranks = rankdata(x), rankdata(y)
    if any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def area_under_curve(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """How often a positive has the larger score of a pair with a negative, ties half; NaN without one of them."""
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if not ones or not zeros:
        return float("nan")
    return float((rankdata(scores)[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))
