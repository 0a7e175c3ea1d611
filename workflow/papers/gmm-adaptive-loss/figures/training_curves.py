"""What trainings logged, epoch by epoch, in several panels: one run without and one with a method. Ours."""

from __future__ import annotations

from typing import Literal

from avbalance.declared import Declared, Role, Run
from avbalance.evaluation.gap_files import read_mixtures
from avbalance.evaluation.histories import HISTORY
from avbalance.evaluation.paper import Paper
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells

COLUMNS = ("panel", "method", "series", "epoch", "mean", "sd", "seeds")


class LoggedCurve(figures.Curve):
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


class WarmUpLine(Declared):
    """A vertical line at the end of the warm-up."""

    run: Run
    """run whose mixtures.json says where"""
    label: str
    """its name in the legend"""


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

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        figure, (axes,) = figures.new_figure(3.8 * len(self.panels), 4.2, columns=len(self.panels))
        runs = [need.run for need in self.runs if need.file == HISTORY]
        frames = {run: figures.logged(paper, self.dataset, run) for run in runs}
        marked = paper.run_files(self.dataset, self.line.run) if self.line else []
        numbers = []
        for axis, panel in zip(axes, self.panels, strict=True):
            axis.set(title=panel.title, xlabel="epoch")
            for run, style in zip(runs, figures.BEFORE_AND_AFTER, strict=True):
                for curve in panel.curves:
                    own = curve.draw(axis, frames[run], curve.column, style, paper.label(run), 0.12)
                    numbers += [own.assign(method=paper.label(run), panel=panel.title)] if len(own) else []
            if not axis.lines:
                figures.write_inside(axis)
                continue
            if self.line and marked:
                end = read_mixtures(marked[0])[0] + 0.5
                axis.axvline(end, color="#777777", linestyle=":", linewidth=0.9, label=self.line.label)
            axis.legend(loc="best", fontsize=5)
        note = "mean and standard deviation over seeds"
        figure.suptitle(self.head(paper, [self.dataset], note), fontsize=8)
        return figure, figures.numbers_of(numbers, COLUMNS, "epoch", "seeds")
