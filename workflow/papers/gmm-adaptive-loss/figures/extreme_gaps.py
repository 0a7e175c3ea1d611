"""The training clips with the largest modality gaps: which they are, and what each modality says of them. Ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from avbalance.declared import Role, Run
from avbalance.evaluation.gap_files import read_gaps
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.frames import read_parquet
from avbalance.papers.gmm_adaptive_loss.figures._gaps import gap_frame, planted_imbalance
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.drawing import AUDIO, VISUAL, heading, legend_below, new_figure, numbers_of, write_inside
from avbalance.reporting.figures import DeclaredFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("dataset", "method", "seed", "epoch", "rank", "id", "label", "s_audio", "s_visual", "d", "g", "planted")


class ExtremeGapsFigure(DeclaredFigure):
    """The first seed of the sheet, after the last epoch with kept scores; clips of equal gaps by their ids.

    The CSV has a row per clip: rank, id, class, scores, gaps, planted imbalance (generated clips).
    """

    datasets: list[Role]
    """data sets, a panel each"""
    run: Run
    """run whose gaps are drawn"""
    count: int
    """clips per data set"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> tuple[Figure, pd.DataFrame]:
        """The figure, and every number that it shows."""
        figure, axes = new_figure(3.6 * len(self.datasets), 0.24 * self.count + 1.8, columns=len(self.datasets))
        numbers = []
        for axis, role in zip(axes[0], self.datasets, strict=True):
            info, files = paper.dataset(role), paper.run_files(role, self.run)
            axis.set_title(info.label, fontsize=8)
            if not files:
                write_inside(axis)
                continue
            frame = extremes(files[0], info, self.count)
            places = range(len(frame))
            axis.barh([place - 0.2 for place in places], frame["s_audio"], 0.4, color=AUDIO, label="audio")
            axis.barh([place + 0.2 for place in places], frame["s_visual"], 0.4, color=VISUAL, label="visual")
            named = [f"{row.id} ({row.label})" for row in frame.itertuples()]
            axis.set_yticks(places, named, fontsize=5)
            axis.set(xlabel="score of the true class", xlim=(0, 1), ylim=(len(frame) - 0.5, -0.5))
            numbers.append(frame.assign(dataset=info.label, method=paper.label(self.run), seed=files[0].seed))
        legend_below(figure, axes[0], columns=2)
        figure.suptitle(heading(self.title, paper, self.datasets), fontsize=8)
        return figure, numbers_of(numbers, COLUMNS, "seed", "epoch", "rank")


def extremes(run: RunFile, info: DatasetInfo, count: int) -> pd.DataFrame:
    """The `count` clips with the largest gaps after the last epoch of which a run kept the scores."""
    gaps = read_gaps(run)
    frame = gap_frame(gaps.ids, gaps.audio[-1], gaps.visual[-1])
    frame["planted"] = planted_imbalance(info, gaps.ids)
    frame["label"] = _labels(info, frame["id"]) if info.manifest is not None else gaps.labels
    frame = frame.sort_values(["g", "id"], ascending=[False, True], ignore_index=True).head(count)
    return frame.assign(rank=frame.index + 1, epoch=gaps.epochs[-1])


def _labels(info: DatasetInfo, ids: pd.Series) -> pd.Series:
    manifest = read_parquet(str(info.manifest), ("id", "label"), "manifest")
    return ids.map(manifest.set_index("id")["label"])
