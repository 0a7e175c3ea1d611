"""What trainings logged, epoch by epoch, in several panels: one run without and one with a method. Ours."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any, Literal

from avbalance.declared import Declared, Role, Run
from avbalance.evaluation.gap_files import MIXTURES, read_mixtures
from avbalance.evaluation.histories import HISTORY
from avbalance.evaluation.paper import Paper
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figure_style import GREY

COLUMNS = ("panel", "method", "series", "epoch", "mean", "sd", "seeds")


class LoggedCurve(figures.DrawnCurve):
    """A number that trainings log after every epoch."""

    column: Literal[
        "train_loss", "train_prediction_loss", "loss_uni", "loss_fusion", "loss_gap", "loss_align", "gap_mean", "mu_B",
        "mu_I", "pi_I", "share_imbalanced", "bic_difference", "val_loss", "val_accuracy", "val_accuracy_audio",
        "val_accuracy_visual", "test_loss", "test_accuracy", "test_accuracy_audio", "test_accuracy_visual", "lr",
    ]  # fmt: skip
    """column of history.csv"""


class CurvePanel(Declared):
    """A panel."""

    title: str
    """what stands above it"""
    curves: list[LoggedCurve]
    """what is drawn in it"""
    percent: bool = False
    """whether it shows per cent, from 0 to 100; default: from 0 to the largest value"""


class WarmUpLine(Declared):
    """A vertical line at the end of the warm-up."""

    run: Run
    """run whose mixtures.json says where"""
    label: str
    """its name in the key below"""


class TrainingCurvesFigure(figures.DeclaredFigure):
    """Of `runs`, those of history.csv are drawn, the first dashed, the second solid; bands are a standard deviation.

    The CSV has mean and standard deviation over seeds, by panel, method, column and epoch.
    """

    dataset: Role
    """data set of the runs"""
    panels: list[CurvePanel]
    """panels, from left to right"""
    line: WarmUpLine | None = None
    """what marks the end of the warm-up"""

    def files(self) -> Iterable[tuple[str, str]]:
        return [(self.line.run, MIXTURES)] if self.line else []

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        figure, (axes,) = parts.new_figure(2.8, columns=len(self.panels))
        runs = [need.run for need in self.runs if need.file == HISTORY]
        frames = {paper.label(run): figures.logged(paper, self.dataset, run) for run in runs}
        marked = paper.run_files(self.dataset, self.line.run) if self.line else []
        numbers = []
        for axis, panel in zip(axes, self.panels, strict=True):
            axis.set(title="\n".join(textwrap.wrap(panel.title, 31)), xlabel="epoch")
            ends = figures.draw_curves(axis, panel.curves, frames)
            columns = [curve.column for curve in panel.curves]
            for run, frame in frames.items():
                own = frame[frame["series"].isin(columns)]
                numbers += [own.assign(method=run, panel=panel.title)] if len(own) else []
            if not axis.has_data():
                parts.write_inside(axis)
                continue
            axis.set_ylim(0, 100 if panel.percent else 1.05 * axis.dataLim.y1)
            parts.whole_epochs(axis)
            if marked:
                axis.axvline(read_mixtures(marked[0])[0] + 0.5, color=GREY, linestyle=":", linewidth=0.9)
            parts.name_lines(axis, 1.5, ends)
        key: dict[str, dict[str, Any]] = {**figures.key_of(frames)}
        parts.key_below(figure, key | ({self.line.label: {"color": GREY, "linestyle": ":"}} if self.line else {}))
        frame = figures.numbers_of(numbers, COLUMNS, "epoch", "seeds")
        note = f"{figures.seeds_line(frame['seeds'].dropna())} {figures.BAND_NOTE}"
        return self.drawing(figure, frame, paper, [self.dataset], note)
