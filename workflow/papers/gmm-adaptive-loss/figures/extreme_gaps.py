"""The training clips with the largest modality gaps: which they are, and what each modality says of them. Ours."""

from __future__ import annotations

import pandas as pd

from avbalance.declared import Role, Run
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.papers.gmm_adaptive_loss.figures import _gaps
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.table_files import read_parquet

COLUMNS = ("dataset", "method", "seed", "epoch", "rank", "id", "label", "s_audio", "s_visual", "d", "g", "planted")


class ExtremeGapsFigure(figures.DeclaredFigure):
    """The first seed of the sheet, after the last epoch with kept scores; clips of equal gaps by their ids.

    The CSV has a row per clip: rank, id, class, scores, gaps, planted imbalance (generated clips).
    """

    datasets: list[Role]
    """data sets, a panel each"""
    run: Run
    """run whose gaps are drawn"""
    count: int
    """clips per data set"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        figure, (axes,) = figures.new_figure(
            3.6 * len(self.datasets), 0.24 * self.count + 1.8, columns=len(self.datasets)
        )
        for axis, role in zip(axes, self.datasets, strict=True):
            axis.set_title(paper.dataset(role).label, fontsize=8)
        numbers = []
        for axis, info, files in _gaps.every_dataset(axes, paper, self.datasets, self.run):
            frame = extremes(files[0], info, self.count)
            places = range(len(frame))
            axis.barh([place - 0.2 for place in places], frame["s_audio"], 0.4, color=figures.AUDIO, label="audio")
            axis.barh([place + 0.2 for place in places], frame["s_visual"], 0.4, color=figures.VISUAL, label="visual")
            axis.set_yticks(places, [f"{row.id} ({row.label})" for row in frame.itertuples()], fontsize=5)
            axis.set(xlabel="score of the true class", xlim=(0, 1), ylim=(len(frame) - 0.5, -0.5))
            numbers.append(frame.assign(dataset=info.label, method=paper.label(self.run), seed=files[0].seed))
        figures.legend_below(figure, axes, columns=2)
        figure.suptitle(self.head(paper, self.datasets), fontsize=8)
        return figure, figures.numbers_of(numbers, COLUMNS, "seed", "epoch", "rank")


def extremes(run: RunFile, info: DatasetInfo, count: int) -> pd.DataFrame:
    """The `count` clips with the largest gaps after the last epoch of which a run kept the scores."""
    frame = _gaps.gap_frame(run, -1)
    frame["planted"] = _gaps.planted_imbalance(info, frame["id"])
    if info.manifest is not None:
        labels = read_parquet(info.manifest, ("id", "label"), "manifest").set_index("id")["label"]
        frame["label"] = frame["id"].map(labels)
    frame = frame.sort_values(["g", "id"], ascending=[False, True], ignore_index=True).head(count)
    return frame.assign(rank=frame.index + 1)
