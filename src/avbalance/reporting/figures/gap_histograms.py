"""Histograms of the modality gap of the training clips with the mixture that was fitted to it, and of the signed gap.

Ours: the abstracts of Liu, Yu and Liu say that the gap's distribution is a mixture of two Gaussians; no figure of the
paper was available. A better two-component fit alone shows no second mode, hence the panel with unimodal samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from avbalance.analysis.gap_mixture import Mixture
from avbalance.analysis.modality_gap import bimodality
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import Measured
from avbalance.reporting.figures._gaps import Measurement, empty, head, measurement, reference

BINS, SIGNED_BINS = np.linspace(0, 1, 51), np.linspace(-1, 1, 101)
BALANCED, IMBALANCED, BOTH, PLAIN = "#3b6fd4", "#d62728", "#222222", "#c9c9c9"
POINTS = 201
COLUMNS = [
    "panel", "dataset", "method", "seed", "epoch", "id", "label", "s_audio", "s_visual", "d", "g",
    "low", "high", "density", "name", "value",
]  # fmt: skip


def draw(declaration: Mapping[str, Any], paper: Paper, measured: Measured) -> tuple[Figure, pd.DataFrame]:
    """Figure and its numbers.

    declaration: title, datasets (roles, a column each), rows: [{run, epoch: first or last fit with kept scores}], each
    two panels, gap and signed gap; nulls: true for a row of BIC(1) - BIC(2), observed and of unimodal samples of the
    same number. The first seed of the sheet is drawn. The CSV has rows told apart by `panel`: clip, gap and signed
    (histograms), mixture (six numbers by name), bic (a null's draws, or observed).
    """
    roles, lines = [str(role) for role in declaration["datasets"]], list(declaration["rows"])
    nulls = bool(declaration.get("nulls", False))
    height = 2 * len(lines) + (1 if nulls else 0)
    figure = Figure(figsize=(3.6 * len(roles), 2.1 * height + 0.9), layout="constrained")
    axes = figure.subplots(height, len(roles), squeeze=False)
    numbers = []
    for column, role in enumerate(roles):
        for number, line in enumerate(lines):
            own = axes[2 * number : 2 * number + 2, column].tolist()
            run = reference(paper, role, str(line["run"]))
            place: dict[str, Any] = {"dataset": paper.dataset(role).label, "method": paper.label(str(line["run"]))}
            if run is None:
                for axis in own:
                    empty(axis)
                continue
            known = measurement(run, str(line["epoch"]))
            place |= {"seed": run.seed, "epoch": known.fit.epoch}
            title = f"{place['dataset']}: {place['method']}\nseed {run.seed}, after {known.fit.epoch} epochs"
            own[0].set_title(title, fontsize=7)
            numbers += [frame.assign(**place) for frame in _panels(own, known)]
            if nulls and number == 0:
                numbers.append(_draw_nulls(axes[-1, column], known).assign(**place))
        if nulls and reference(paper, role, str(lines[0]["run"])) is None:
            empty(axes[-1, column])
    head(figure, declaration["title"], paper, roles)
    _legend(figure, axes[0].tolist())
    whole = pd.concat(numbers, ignore_index=True) if numbers else pd.DataFrame()
    return figure, whole.reindex(columns=COLUMNS).astype({"seed": "Int64", "epoch": "Int64", "label": "Int64"})


def _panels(axes: Sequence[Axes], known: Measurement) -> list[pd.DataFrame]:
    """Both histograms of one run; their numbers, those of the clips and of the mixture."""
    g, d = np.abs(known.signed), known.signed
    frames = [known.frame.assign(panel="clip"), _histogram(axes[0], g, BINS, "gap", "gap g = |s_a - s_v|")]
    frames.append(_histogram(axes[1], d, SIGNED_BINS, "signed", "signed gap d = s_a - s_v, positive: audio leads"))
    axes[1].axvline(0, color=BOTH, linewidth=0.6)
    if known.fit.mixture is None:
        axes[0].text(0.5, 0.9, f"no mixture: {known.fit.reason}", ha="center", fontsize=6, transform=axes[0].transAxes)
        return frames
    _draw_mixture(axes[0], known.fit.mixture)
    named = vars(known.fit.mixture)
    frames.append(pd.DataFrame({"panel": "mixture", "name": list(named), "value": list(named.values())}))
    return frames


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


def _draw_nulls(axis: Axes, known: Measurement) -> pd.DataFrame:
    """BIC(1) - BIC(2) of the gaps as a line, of as many unimodal values as points; numbers of both."""
    if known.fit.bic_1 is None:
        axis.text(0.5, 0.5, f"no fit: {known.fit.reason}", ha="center", fontsize=6, transform=axis.transAxes)
        return pd.DataFrame({"panel": "bic", "name": ["observed"], "value": [np.nan]})
    observed, found = bimodality(np.abs(known.signed), known.run.seed)
    for place, null in enumerate(found):
        axis.plot(null.draws, np.full(len(null.draws), place), ".", color="#777777", markersize=3)
    axis.axvline(observed, color=IMBALANCED, linewidth=1.2)
    axis.set_yticks(range(len(found)), [null.null for null in found])
    axis.set(xlabel="BIC(1) - BIC(2); line: gaps, points: unimodal", ylim=(len(found) - 0.5, -0.5))
    names = ["observed", *(null.null for null in found for _ in null.draws)]
    values = [observed, *(value for null in found for value in null.draws.tolist())]
    return pd.DataFrame({"panel": "bic", "name": names, "value": values})


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=4, frameon=False)
