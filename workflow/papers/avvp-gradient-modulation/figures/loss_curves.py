"""Training losses of the two modalities, epoch by epoch, of one run without and one with a method.

Fu, Gao and Xu, figure 5. The paper does not say which loss it draws. Decision: the cross-entropy of each modality's own
video-level probability against the labels of the video, not weighted: the targets that are trained on are smoothed and
denoised, which gives the two modalities floors that differ, and with them a gap that no balance could close.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from avbalance.declared import Role
from avbalance.evaluation.histories import HISTORY
from avbalance.evaluation.paper import Paper
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells

COLUMNS = ["method", "series", "epoch", "mean", "sd", "seeds", "drawn"]


class LossCurve(figures.DrawnCurve):
    """A loss that trainings log after every epoch."""

    column: Literal[
        "loss_audio", "loss_visual", "loss_audio_target", "loss_visual_target", "loss_audio_msdu", "loss_visual_msdu",
        "train_loss", "train_prediction_loss", "val_loss",
    ]  # fmt: skip
    """column of history.csv"""


class LossCurvesFigure(figures.DeclaredFigure):
    """The run before is dashed, the one after solid; bands are a standard deviation to either side.

    The CSV has mean and standard deviation over seeds of everything that the runs logged per epoch.
    """

    dataset: Role
    """data set of the runs"""
    curves: Annotated[list[LossCurve], Field(min_length=1)]
    """what is drawn"""
    runs: Annotated[list[figures.ReadFile], Field(min_length=2, max_length=2)]
    """the run before and the one after, with their history.csv"""

    def files(self) -> Iterable[tuple[str, str]]:
        return [(each.run, HISTORY) for each in self.runs]

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        figure, ((axis,),) = parts.new_figure(3.4)
        axis.set(xlabel="epoch", ylabel="training loss (cross-entropy)")
        columns = [curve.column for curve in self.curves]
        frames = {paper.label(need.run): figures.logged(paper, self.dataset, need.run) for need in self.runs}
        ends = figures.draw_curves(axis, self.curves, frames)
        if not axis.has_data():
            parts.write_inside(axis)
        axis.set_ylim(0, 1.05 * axis.dataLim.y1 if axis.has_data() else 1)
        parts.whole_epochs(axis)
        parts.name_lines(axis, 2.6, ends)
        parts.key_below(figure, figures.key_of(frames))
        told = [own.assign(method=run, drawn=own["series"].isin(columns)) for run, own in frames.items()]
        numbers = pd.concat(told, ignore_index=True)[COLUMNS]
        note = f"{figures.seeds_line(numbers['seeds'])} {figures.BAND_NOTE}"
        return self.drawing(figure, numbers, paper, [self.dataset], note)
