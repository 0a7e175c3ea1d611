"""Joint map of unimodal confidences per data set, with the accuracies on both preferred subsets below.

Xia et al. 2023, figure 1. The paper's maps lack a colour bar and tick labels and do not say which samples
they show; the colours of the published drawing give more samples than the test sets hold, so that ours
shows the training samples. Bins are 20 x 20: of some hundred samples, finer ones would hold one sample each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from avbalance.declared import Declared, Role
from avbalance.errors import UserError
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.evaluation.rows import ESTIMATED
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import NOT_STATED, CellValue, MeasuredCells
from avbalance.reporting.coordinates import Split, Subset
from avbalance.reporting.facts import ABSENT
from flowkeeper.files import read_json

Counts = NDArray[np.int64] | str  # of a map, or why there is none

BINS = 20
COLUMNS = ["panel", "dataset", "split", "audio_bin", "visual_bin", "count", "share"]
BAR_COLUMNS = ["subset", "method", "published", "ours_mean", "ours_sd", "seeds", "n", "data"]
MAP_NOTE = (
    f"Maps: share of the {{split}} samples in each of {BINS} x {BINS} bins of the mean confidences in the true class,"
    " white where there is none; above the dashed diagonal audio is preferred. At the edges, shares by each modality"
    " alone."
)


class SubsetBars(Declared):
    """A group of runs, on one subset."""

    subset: Subset
    """clips that are counted"""
    runs: list[figures.DrawnRun]
    """runs, a row each"""


class DiscrepancyMapFigure(figures.DeclaredFigure):
    """The CSV has one row per bin of a map that holds samples and one per run below, told apart by `panel`."""

    datasets: list[Role]
    """data sets, a column of panels each"""
    split: Split
    """part of the data set of which the maps are"""
    bars: list[SubsetBars] = Field(default=[])
    """groups of runs below the maps"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        infos = [paper.dataset(role) for role in self.datasets]
        figure, maps, below = self._panels()
        every = [_counts(info, self.split) for info in infos]
        numbers = [_map_numbers(info, self.split, counts) for info, counts in zip(infos, every, strict=True)]
        letters = [f"({chr(ord('a') + place)}) " if len(infos) > 1 else "" for place in range(len(infos))]
        titles = [letter + self._said(*each) for letter, *each in zip(letters, infos, every, strict=True)]
        parts.draw_maps(figure, maps, list(zip(titles, every, strict=True)))
        notes = [MAP_NOTE.format(split=self.split)]
        if self.bars:
            for place, (axis, info) in enumerate(zip(below, infos, strict=True)):
                numbers.append(self._draw_bars(axis, info, paper, measured, place == 0))
            parts.key_below(figure, parts.POINT_KEY)
            notes.append(f"Accuracies are of test clips. {parts.INTERVAL_NOTE}")
        frame = pd.concat(numbers, ignore_index=True).reindex(columns=[*COLUMNS, *BAR_COLUMNS])
        return self.drawing(figure, frame, paper, self.datasets, *notes)

    def _panels(self) -> tuple[figures.Figure, list[parts.Axes], list[parts.Axes]]:
        """The figure, its maps, and the panels of accuracies: below the maps, beside a single one."""
        columns = len(self.datasets)
        if columns == 1:
            figure, ((left, right),) = parts.new_figure(3.3, columns=2)
            if not self.bars:
                right.set_axis_off()
            return figure, [left], [right]
        listed = sum(len(group.runs) + 1.4 for group in self.bars)
        heights = [5.6 / columns + 0.8, *([0.155 * listed + 0.5] if self.bars else [])]
        figure, axes = parts.new_figure(sum(heights), len(heights), columns, height_ratios=heights)
        return figure, axes[0].tolist(), axes[-1].tolist()

    def _said(self, info: DatasetInfo, counts: Counts) -> str:
        """What stands above a map: the data set, how many samples, and which modality they prefer."""
        if isinstance(counts, str):
            return info.label
        share = read_json(Path(str(info.confidence)) / "stopping.json")["shares"].get(self.split, {}).get("audio_share")
        told = "" if share is None else f"\nprefer audio {100 * share:.0f} %, visual {100 * (1 - share):.0f} %"
        return f"{info.label}, n = {counts.sum()}{told}"

    def _draw_bars(
        self, axis: parts.Axes, info: DatasetInfo, paper: Paper, measured: MeasuredCells, named: bool
    ) -> pd.DataFrame:
        groups, records = [], []
        for group in self.bars:
            cells = list(self._cells(group, info.role, measured))
            sizes = {cell.n for _, cell, _ in cells if cell.n is not None}
            told = f", n = {max(sizes)}" if sizes else ""
            points = [
                parts.accuracy_point(run.label or paper.label(run.run), run.look, cell, seeds)
                for run, cell, seeds in cells
            ]
            groups.append((f"{group.subset.replace('_', ' ')}{told}", points))
            records += [
                {"panel": "bar", "dataset": info.label, "split": "test", "subset": group.subset,
                 "method": paper.label(run.run), **cell.record}
                for run, cell, _ in cells
            ]  # fmt: skip
        axis.set(xlabel="accuracy (%)", xlim=(0, 100), xticks=range(0, 101, 25))
        parts.draw_points(axis, groups, named)
        parts.draw_chance(axis, measured.chance(info.role))
        return pd.DataFrame(records)

    @staticmethod
    def _cells(
        group: SubsetBars, role: str, measured: MeasuredCells
    ) -> Iterator[tuple[figures.DrawnRun, CellValue, list[float]]]:
        for run in group.runs:
            place = {"dataset": role, "run": run.run, "subset": group.subset}
            yield run, measured.cell(place), list(measured.by_seed(place).values())


def _counts(info: DatasetInfo, split: str) -> Counts:
    """Samples in each of BINS x BINS bins, rows audio, columns visual; or why there is no map of them."""
    if info.data is None or info.confidence is None:
        return ABSENT
    if ESTIMATED in info.withheld:
        return NOT_STATED
    path = Path(info.confidence) / "histogram.npz"
    try:
        with np.load(path, allow_pickle=False) as archive:
            fine: NDArray[np.int64] = archive[split]
    except (FileNotFoundError, KeyError, ValueError, OSError) as error:
        raise UserError(f"{path}: has no map of the {split} samples ({error}); run confidence again.") from error
    # The file is finer than the drawing, so that other bin sizes need no new estimate.
    joined = len(fine) // BINS
    counts: NDArray[np.int64] = fine.reshape(BINS, joined, BINS, joined).sum(axis=(1, 3))
    return counts if counts.sum() else ABSENT


def _map_numbers(info: DatasetInfo, split: str, counts: Counts) -> pd.DataFrame:
    if isinstance(counts, str):
        told = None if counts == NOT_STATED else 0
        return pd.DataFrame({"panel": ["map"], "dataset": [info.label], "split": [split], "count": [told]})
    audio, visual = np.nonzero(counts)
    held = counts[audio, visual]
    frame = pd.DataFrame({"audio_bin": audio, "visual_bin": visual, "count": held, "share": held / counts.sum()})
    return frame.assign(panel="map", dataset=info.label, split=split, data=info.data)
