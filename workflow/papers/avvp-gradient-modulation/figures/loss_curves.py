"""Training losses of the two modalities, epoch by epoch, of one run without and one with a method.

Fu, Gao and Xu, figure 5. The paper does not say which loss it draws. Decision: the cross-entropy of each modality's own
video-level probability against the labels of the video, not weighted: the targets that are trained on are smoothed and
denoised, which gives the two modalities floors that differ, and with them a gap that no balance could close.
"""

from __future__ import annotations

from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from avbalance.declared import Role
from avbalance.evaluation.paper import Paper
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells

COLUMNS = ["method", "series", "epoch", "mean", "sd", "seeds", "drawn"]


class LossCurve(figures.Curve):
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
    curves: list[LossCurve]
    """what is drawn"""
    runs: Annotated[list[figures.ReadFile], Field(min_length=2, max_length=2)]
    """the run before and the one after, with their history.csv"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        figure, ((axis,),) = figures.new_figure(6.4, 4.4)
        axis.set(xlabel="epoch", ylabel="training loss")
        columns, frames = [curve.column for curve in self.curves], []
        for need, style in zip(self.runs, figures.BEFORE_AND_AFTER, strict=True):
            label, frame = paper.label(need.run), figures.logged(paper, self.dataset, need.run)
            frames.append(frame.assign(method=label, drawn=frame["series"].isin(columns)))
            for curve in self.curves:
                curve.draw(axis, frame, curve.column, style, label)
        if axis.lines:
            axis.legend(loc="best")
        else:
            figures.write_inside(axis)
        numbers = pd.concat(frames, ignore_index=True)[COLUMNS]
        seeds = "-".join(str(seed) for seed in sorted(set(numbers["seeds"])))
        note = f"mean and standard deviation over {seeds} seeds" if seeds else None
        figure.suptitle(self.head(paper, [self.dataset], note))
        return figure, numbers
