"""The training clips with the largest modality gaps: which they are, and what each modality says of them. Ours."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from avbalance.declared import Role, Run
from avbalance.evaluation.gap_files import GAPS
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.papers.gmm_adaptive_loss.figures import _gaps
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figure_style import AUDIO, GREY, VISUAL
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

    def files(self) -> Iterable[tuple[str, str]]:
        return [(self.run, GAPS)]

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        made = [role for role in self.datasets if paper.run_files(role, self.run)]
        heights = [0.15 * self.count + 0.5 if role in made else 0.7 for role in self.datasets]
        figure, axes = parts.new_figure(sum(heights) + 0.4, len(self.datasets), height_ratios=heights, sharex=True)
        for axis, role in zip(axes[:, 0], self.datasets, strict=True):
            axis.set(title=paper.dataset(role).label, xlim=(-0.02, 1.02), yticks=[])
            axis.tick_params(labelbottom=True)
        axes[-1, 0].set_xlabel("score of the true class")
        numbers = []
        for axis, info, files in _gaps.every_dataset(axes[:, 0], paper, self.datasets, self.run):
            frame = extremes(files[0], info, self.count)
            places = range(len(frame))
            axis.hlines(places, frame["s_audio"], frame["s_visual"], color=GREY, linewidth=1)
            for look, column in ((AUDIO, "s_audio"), (VISUAL, "s_visual")):
                axis.plot(frame[column], places, look.marker, color=look.colour, markersize=5)
            axis.set_yticks(places, [f"{row.id} ({parts.class_title(str(row.label))})" for row in frame.itertuples()])
            axis.set_ylim(len(frame) - 0.5, -0.5)
            axis.grid(axis="x")
            axis.set_title(f"{info.label}: {paper.label(self.run)}, seed {files[0].seed}, epoch {frame['epoch'][0]}")
            numbers.append(frame.assign(dataset=info.label, method=paper.label(self.run), seed=files[0].seed))
        looks = {"audio": AUDIO, "visual": VISUAL}
        parts.key_below(figure, {
            name: {"color": look.colour, "marker": look.marker, "linestyle": "none"} for name, look in looks.items()
        })  # fmt: skip
        frame = figures.numbers_of(numbers, COLUMNS, "seed", "epoch", "rank")
        return self.drawing(figure, frame, paper, self.datasets, "Each line is a training clip: its id and its class.")


def extremes(run: RunFile, info: DatasetInfo, count: int) -> pd.DataFrame:
    """The `count` clips with the largest gaps after the last epoch of which a run kept the scores."""
    frame = _gaps.gap_frame(run, -1)
    frame["planted"] = _gaps.planted_imbalance(info, frame["id"])
    if info.manifest is not None:
        labels = read_parquet(info.manifest, ("id", "label"), "manifest").set_index("id")["label"]
        frame["label"] = frame["id"].map(labels)
    frame = frame.sort_values(["g", "id"], ascending=[False, True], ignore_index=True).head(count)
    return frame.assign(rank=frame.index + 1)
