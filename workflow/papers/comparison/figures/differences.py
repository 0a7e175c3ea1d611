"""Every method's lead over the tuned Baseline with its interval, by data set, and who is ahead in words."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from avbalance.declared import Role, Run
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.versus import BETTER, WORSE, Against, sentence, versus
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figure_style import BLACK, GREY, Look

COLUMNS = ("dataset", "method", "difference", "low", "high", "p", "verdict", "seeds", "n")
NOTE = (
    "Differences are paired by seed and clip; intervals cover other seeds and other test clips, and are of all methods"
    " of a data set together (Holm, 95 %). Hollow markers: not told apart."
)


class DifferencesFigure(figures.DeclaredFigure):
    """Points of accuracy that each of `runs` is ahead of another one; a row of the CSV for each."""

    datasets: list[Role]
    """data sets, a panel for each that is made"""
    against: Run
    """run that all others are compared with"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        runs = [need.run for need in self.runs]
        compared = {role: versus(paper, role, runs, self.against) for role in self.datasets}
        compared = {role: own for role, own in compared.items() if own} or {self.datasets[0]: []}
        rows = max(len(own) for own in compared.values())
        figure, (axes,) = parts.new_figure(0.16 * rows + 1.0, columns=len(compared))
        frames = []
        for place, (axis, (role, own)) in enumerate(zip(axes, compared.items(), strict=True)):
            label = paper.dataset(role).label
            axis.set(title=label, xlabel=f"points ahead of {paper.label(self.against)}")
            parts.draw_points(axis, [("", [_point(paper, each) for each in own])], place == 0)
            axis.axvline(0.0, color=GREY, linewidth=0.8)
            frames.append(_frame(paper, label, own))
        said = [sentence(paper, role, own, self.against) for role, own in compared.items() if own]
        frame = figures.numbers_of(frames, COLUMNS, "seeds", "n")
        return self.drawing(figure, frame, paper, list(compared), *said, NOTE)


def _point(paper: Paper, compared: Against) -> parts.Point:
    outcome, told = compared.outcome, compared.verdict in (BETTER, WORSE)
    interval = None if outcome.low is None or outcome.high is None else (outcome.low, outcome.high)
    look = Look(BLACK if told else GREY, "o")
    return parts.Point(paper.label(compared.run), look, outcome.effect, outcome.seeds, interval, hollow=not told)


def _frame(paper: Paper, label: str, compared: Sequence[Against]) -> pd.DataFrame:
    records = [
        {
            "dataset": label, "method": paper.label(each.run), "difference": each.outcome.effect,
            "low": each.outcome.low, "high": each.outcome.high, "p": each.p, "verdict": each.verdict,
            "seeds": len(each.outcome.seeds), "n": each.outcome.n,
        }
        for each in compared
    ]  # fmt: skip
    return pd.DataFrame(records, columns=list(COLUMNS))
