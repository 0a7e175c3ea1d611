"""Joint map of unimodal confidences per data set, with the accuracies on both preferred subsets below.

Xia et al. 2023, figure 1. The paper's maps lack a colour bar and tick labels and do not say which samples
they show; the colours of the published drawing give more samples than the test sets hold, so that ours
shows the training samples.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from avbalance.declared import Declared, Role
from avbalance.errors import UserError
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.reporting import figures
from avbalance.reporting.cells import SMALL, MeasuredCells
from avbalance.reporting.coordinates import Split, Subset

COLUMNS = ["panel", "dataset", "split", "audio_bin", "visual_bin", "count", "share"]
BAR_COLUMNS = ["subset", "method", "published", "ours_mean", "ours_sd", "seeds", "n", "data"]


class SubsetBars(Declared):
    """A group of bars, of one subset."""

    subset: Subset
    """clips that are counted"""
    runs: list[figures.DrawnRun]
    """runs, a bar each"""


class DiscrepancyMapFigure(figures.DeclaredFigure):
    """The CSV has one row per bin of a map that holds samples and one per bar, told apart by `panel`."""

    datasets: list[Role]
    """data sets, a column of panels each"""
    split: Split
    """part of the data set of which the maps are"""
    bars: list[SubsetBars] = Field(default=[])
    """groups of bars below the maps"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        rows, columns = (2 if self.bars else 1), len(self.datasets)
        figure, axes = figures.new_figure(4.0 * columns, 3.3 * rows + 1.6, rows, columns)
        numbers: list[pd.DataFrame] = []
        for column, role in enumerate(self.datasets):
            info, letter = paper.dataset(role), chr(ord("a") + column)
            counts = _counts(info, self.split)
            figures.draw_map(figure, axes[0, column], counts, f"({letter}) {info.label}, {self.split} samples")
            numbers.append(_map_numbers(info, self.split, counts))
            if self.bars:
                numbers.append(self._draw_bars(axes[1, column], info, paper, measured))
        hatched = f"hatched bars: fewer than {SMALL} clips" if self.bars else None
        lines = self.head(paper, self.datasets, hatched).splitlines()
        figure.suptitle("\n".join(textwrap.fill(line, 68 * columns) for line in lines), fontsize=8)
        figures.legend_below(figure, axes.ravel(), columns=min(5, 2 * columns))
        return figure, pd.concat(numbers, ignore_index=True).reindex(columns=[*COLUMNS, *BAR_COLUMNS])

    def _draw_bars(self, axis: figures.Axes, info: DatasetInfo, paper: Paper, measured: MeasuredCells) -> pd.DataFrame:
        position, ticks, records = 0.0, [], []
        for group in self.bars:
            ticks.append((position + (len(group.runs) - 1) / 2, group.subset.replace("_", " ")))
            for run in group.runs:
                cell = measured.cell({"dataset": info.role, "run": run.run, "subset": group.subset})
                label = paper.label(run.run)
                if cell.ours_mean is not None:
                    hatch = "//" if cell.small else None
                    more: dict[str, Any] = {"color": run.colour, "label": run.label or label, "hatch": hatch}
                    axis.bar(position, cell.ours_mean, yerr=cell.ours_sd or 0.0, capsize=2, **more)
                if cell.published is not None:
                    places = (position - 0.4, position + 0.4)
                    axis.hlines(cell.published, *places, color="black", linestyle=":", label="published")
                records.append({"panel": "bar", "dataset": info.label, "split": "test", "subset": group.subset,
                                "method": label, **cell.record})  # fmt: skip
                position += 1
            position += 1
        axis.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
        axis.set(ylabel="accuracy (%)", ylim=(0, 100))
        return pd.DataFrame(records)


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


def _map_numbers(info: DatasetInfo, split: str, counts: NDArray[np.int64] | None) -> pd.DataFrame:
    if counts is None:
        return pd.DataFrame({"panel": ["map"], "dataset": [info.label], "split": [split], "count": [0]})
    audio, visual = np.nonzero(counts)
    held = counts[audio, visual]
    frame = pd.DataFrame({"audio_bin": audio, "visual_bin": visual, "count": held, "share": held / counts.sum()})
    return frame.assign(panel="map", dataset=info.label, split=split, data=info.data)
