"""Joint map of unimodal confidences per data set, with the accuracies on both preferred subsets below.

Xia et al. 2023, figure 1. The paper's maps lack a colour bar and tick labels and do not say which samples
they show; the colours of the published drawing give more samples than the test sets hold, so that ours
shows the training samples.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from avbalance.errors import UserError
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.reporting.cells import SMALL, Measured

COLUMNS = ["panel", "dataset", "split", "audio_bin", "visual_bin", "count", "share"]
BAR_COLUMNS = ["subset", "method", "published", "ours_mean", "ours_sd", "seeds", "n", "data"]
AUDIO_EDGE, VISUAL_EDGE = "#3b6fd4", "#f2a900"


def draw(declaration: Mapping[str, Any], paper: Paper, measured: Measured) -> tuple[Figure, pd.DataFrame]:
    """Figure and its numbers.

    declaration: title, datasets (roles), split of the maps, bars: groups of {subset, runs: [{run, colour}]}
    (may be empty). The CSV has one row per map bin that holds samples and one per bar, told apart by
    `panel`.
    """
    roles, bars = list(declaration["datasets"]), declaration.get("bars", [])
    rows = 2 if bars else 1
    figure = Figure(figsize=(4.0 * len(roles), 3.3 * rows + 1.6), layout="constrained")
    axes = figure.subplots(rows, len(roles), squeeze=False)
    numbers: list[pd.DataFrame] = []
    for column, role in enumerate(roles):
        info = paper.dataset(role)
        letter = chr(ord("a") + column)
        counts = _counts(info, str(declaration["split"]))
        draw_map(figure, axes[0, column], counts, f"({letter}) {info.label}, {declaration['split']} samples")
        numbers.append(_map_numbers(info, str(declaration["split"]), counts))
        if bars:
            numbers.append(_draw_bars(axes[1, column], info, bars, paper, measured))
    hatched = f"\nhatched bars: fewer than {SMALL} clips" if bars else ""
    heading = f"{declaration['title']}\n{stand_in_note(paper, roles)}{hatched}"
    figure.suptitle(_fitted(heading, len(roles)), fontsize=8)
    _shared_legend(figure, axes.ravel().tolist(), columns=min(5, 2 * len(roles)))
    return figure, pd.concat(numbers, ignore_index=True).reindex(columns=[*COLUMNS, *BAR_COLUMNS])


def stand_in_note(paper: Paper, roles: list[str]) -> str:
    """The data behind each panel, printed on the figure itself."""
    infos = [paper.dataset(role) for role in roles]
    return "\n".join(
        f"{info.label}: {info.describe} ({info.data})" if info.data else f"{info.label}: not made in this tier"
        for info in infos
    )


def _counts(info: DatasetInfo, split: str) -> NDArray[np.int64] | None:
    if info.data is None or info.confidence is None:
        return None
    path = Path(info.confidence) / "histogram.npz"
    try:
        with np.load(path, allow_pickle=False) as archive:
            counts: NDArray[np.int64] = archive[split]
    except (FileNotFoundError, KeyError, ValueError, OSError) as error:
        raise UserError(f"{path}: has no map of the {split} samples ({error}); run confidence again.") from error
    return counts


def draw_map(figure: Figure, axis: Axes, counts: NDArray[np.int64] | None, title: str) -> None:
    """One map of counts (bins, bins), rows audio, columns visual; None: it says that there is none."""
    axis.set(title=title, xlabel="mean visual confidence", ylabel="mean audio confidence", xlim=(0, 1), ylim=(0, 1))
    axis.set_aspect("equal")
    axis.set_xticks(np.linspace(0, 1, 6))
    axis.set_yticks(np.linspace(0, 1, 6))
    if counts is None or counts.sum() == 0:
        axis.text(0.5, 0.5, "not made in this tier", ha="center", va="center")
        return
    share = counts / counts.sum()
    norm = PowerNorm(0.5, vmin=0, vmax=share.max())
    image = axis.imshow(share, origin="lower", extent=(0, 1, 0, 1), cmap="magma", norm=norm, interpolation="nearest")
    figure.colorbar(image, ax=axis, shrink=0.8, label=f"share of {counts.sum()} samples")
    axis.plot([0, 1], [0, 1], color="white", linewidth=0.8, linestyle="--")
    axis.plot([0, 0, 1], [0, 1, 1], color=AUDIO_EDGE, linewidth=3, label="audio-preferred side")
    axis.plot([0, 1, 1], [0, 0, 1], color=VISUAL_EDGE, linewidth=3, label="visual-preferred side")


def _map_numbers(info: DatasetInfo, split: str, counts: NDArray[np.int64] | None) -> pd.DataFrame:
    if counts is None:
        return pd.DataFrame({"panel": ["map"], "dataset": [info.label], "split": [split], "count": [0]})
    audio, visual = np.nonzero(counts)
    held = counts[audio, visual]
    frame = pd.DataFrame({"audio_bin": audio, "visual_bin": visual, "count": held, "share": held / counts.sum()})
    return frame.assign(panel="map", dataset=info.label, split=split, data=info.data)


def _draw_bars(
    axis: Axes, info: DatasetInfo, groups: list[dict[str, Any]], paper: Paper, measured: Measured
) -> pd.DataFrame:
    position, ticks, records = 0.0, [], []
    for group in groups:
        first = position
        for run in group["runs"]:
            cell = measured.cell({"dataset": info.role, "run": run["run"], "subset": group["subset"]})
            label = paper.label(run["run"])
            if cell.ours_mean is not None:
                hatch = "//" if cell.small else None
                error, colour = cell.ours_sd or 0.0, run["colour"]
                axis.bar(position, cell.ours_mean, color=colour, yerr=error, capsize=2, label=label, hatch=hatch)
            if cell.published is not None:
                places = (position - 0.4, position + 0.4)
                axis.hlines(cell.published, *places, color="black", linestyle=":", label="published")
            records.append({"panel": "bar", "dataset": info.label, "split": "test", "subset": group["subset"],
                            "method": label, **cell.record})  # fmt: skip
            position += 1
        ticks.append(((first + position - 1) / 2, str(group["subset"]).replace("_", " ")))
        position += 1
    axis.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
    axis.set(ylabel="accuracy (%)", ylim=(0, 100))
    return pd.DataFrame(records)


def _fitted(text: str, columns: int) -> str:
    """The lines of `text` broken to the width of a figure of so many columns of maps."""
    return "\n".join(textwrap.fill(line, 68 * columns) for line in text.splitlines())


def _shared_legend(figure: Figure, axes: list[Axes], columns: int) -> None:
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns, frameon=False)
