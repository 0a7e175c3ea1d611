"""Mean ranks of methods over data sets and seeds, and which of them are told apart (Friedman, Nemenyi)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from avbalance.analysis.ranks import Ranking, alike, ranking
from avbalance.analysis.subsets import OVERALL
from avbalance.declared import Role, Run
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figure_style import BLACK, GREY

NOTE = (
    "A block is a data set under a seed; blocks of one data set share its clips, so that this is about other seeds on"
    " these data sets, not about other data sets. Lines at the right join methods whose mean ranks differ by less than"
    " the critical difference."
)


class CriticalDifferenceFigure(figures.DeclaredFigure):
    """Methods that every data set has, from the best mean rank down; a row of the CSV for each."""

    datasets: list[Role]
    """data sets; those that are not made do not count"""
    methods: list[Run]
    """runs that are ranked; those that a data set lacks are left out"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        roles = [role for role in self.datasets if any(paper.run_files(role, run) for run in self.methods)]
        table = self._blocks(measured, roles)
        figure, ((axis,),) = parts.new_figure(0.16 * max(table.shape[1], 3) + 0.8)
        if table.shape[1] < 2:
            parts.write_inside(axis)
            empty = pd.DataFrame(columns=["method", "mean_rank", "blocks"])
            return self.drawing(figure, empty, paper, roles or self.datasets[:1], NOTE)
        ranked = ranking(table.to_numpy())
        order = np.argsort(ranked.ranks, kind="stable")
        names, ranks = [paper.label(table.columns[place]) for place in order], ranked.ranks[order]
        axis.plot(ranks, range(len(ranks)), "o", color=BLACK)
        groups = alike(ranks, ranked.difference)
        apart = 0.025 * len(ranks)
        for number, (first, last) in enumerate(groups, start=1):
            away = len(ranks) + number * apart
            axis.plot([away, away], [first - 0.2, last + 0.2], color=GREY, linewidth=2)
        axis.set_yticks(range(len(names)), names)
        axis.set(
            xlabel="mean rank (1: best)",
            ylim=(len(names) - 0.4, -0.6),
            xlim=(0.5, len(names) + (len(groups) + 1) * apart),
        )
        axis.grid(axis="x")
        numbers = pd.DataFrame({"method": names, "mean_rank": ranks, "blocks": ranked.blocks})
        return self.drawing(figure, numbers, paper, roles, _test_line(ranked), NOTE)

    def _blocks(self, measured: MeasuredCells, roles: list[str]) -> pd.DataFrame:
        """Accuracy by block (data set, seed) and run: runs that no data set lacks, seeds that all of them have."""
        place = {"subset": OVERALL, "protocol": NO_SUBSET}
        values = {
            run: {
                (role, seed): value
                for role in roles
                for seed, value in measured.by_seed({**place, "dataset": role, "run": run}).items()
            }
            for run in self.methods
        }
        frame = pd.DataFrame({run: pd.Series(own, dtype=float) for run, own in values.items() if own})
        whole = [run for run in frame if {role for role, _ in values[run]} == set(roles)]
        return frame[whole].dropna()


def _test_line(ranked: Ranking) -> str:
    tested = "" if np.isnan(ranked.p) else f"Friedman's test: chi squared {ranked.statistic:.1f}, p = {ranked.p:.2g}. "
    return f"{tested}Critical difference (Nemenyi, 5 %): {ranked.difference:.2f} over {ranked.blocks} blocks."
