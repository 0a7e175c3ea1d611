"""What each choice moves, beside how far published numbers of one method lie apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.factorial import interactions, main_effects, over_seeds
from avbalance.analysis.statistics import LEVEL
from avbalance.errors import UserError
from avbalance.evaluation.paper import Paper
from avbalance.papers.disagreement.sources._factors import Factorial
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figure_style import GREY, Look, look_of

COLUMNS = ("what", "choice", "together_with", "points", "low", "high", "seeds")
CHOICE, TOGETHER, PUBLISHED = "choice", "interaction", "published"  # of the column `what`
NOTE = "Intervals are 95 % intervals of the mean over seeds (Student's t); small dots are single seeds."


class EffectsFigure(Factorial, figures.DeclaredFigure):
    """A row per choice, and one per published pair of method and data set. The CSV has the interactions as well."""

    spread: str
    """file in the paper's folder published/"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        values = self.values(measured)
        rows = [] if values is None else list(self._rows(values))
        published = published_spread(Path(paper.published) / self.spread).sort_values(ascending=False)
        printed = [{"what": PUBLISHED, "choice": case, "points": points} for case, points in published.items()]
        roles = [role for role, info in paper.datasets.items() if info.data]
        figure, ((axis,),) = parts.new_figure(0.24 * (len(published) + len(self.choices()) + 3) + 0.6)
        if values is None:
            parts.write_inside(axis)
        else:
            self._draw(axis, values, [(str(case), float(points)) for case, points in published.items()])
        numbers = pd.DataFrame([*rows, *printed]).reindex(columns=list(COLUMNS)).astype({"seeds": "Int64"})
        return self.drawing(figure, numbers, paper, roles, NOTE, largest_interaction(rows))

    def _rows(self, values: NDArray[np.float64]) -> Iterator[dict[str, Any]]:
        named = {contrast: name for name, contrast in self.choices().items()}
        for own, effects in main_effects(values).items():
            yield {"what": CHOICE, "choice": named[own], **_told(effects)}
        for (one, other), effects in interactions(values).items():
            yield {"what": TOGETHER, "choice": named[one], "together_with": named[other], **_told(effects)}

    def _draw(self, axis: parts.Axes, values: NDArray[np.float64], published: list[tuple[str, float]]) -> None:
        named, effects = {contrast: name for name, contrast in self.choices().items()}, main_effects(values)
        choices = [_point(named[own], look_of("both"), per_seed) for own, per_seed in effects.items()]
        printed = [parts.Point(case, Look(GREY, "s"), points) for case, points in published]
        ends = [end for point in choices for end in (*(point.interval or ()), *point.seeds)]
        # Zero is always shown: an effect is read by its distance from it.
        low, high = min(0.0, *ends), max(*ends, *(points for _, points in published))
        margin = 0.05 * (high - low)
        axis.set(xlabel="points of accuracy", xlim=(low - margin, high + margin))
        axis.axvline(0.0, color=GREY, linewidth=0.9)
        parts.draw_points(axis, [("Effect of a choice", choices), ("Published, highest less lowest", printed)])


def published_spread(path: Path) -> pd.Series:
    """Highest less lowest accuracy in points by "<method>, <dataset>", of a file of method, dataset, accuracy, source.

    Raises UserError where it is no such file.
    """
    try:
        frame = pd.read_csv(path)
        grouped = frame["accuracy"].astype(float).groupby(frame["method"] + ", " + frame["dataset"], sort=False)
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise UserError(f"{path}: not a table of method, dataset, accuracy and source ({error}).") from error
    return grouped.max() - grouped.min()


def largest_interaction(rows: list[dict[str, Any]]) -> str | None:
    """The sentence on the two choices that act together the most; None where nothing was made."""
    pairs = [row for row in rows if row["what"] == TOGETHER]
    if not pairs:
        return None
    row = max(pairs, key=lambda each: abs(each["points"]))
    return (
        f"The largest interaction: {row['choice']} moves accuracy {row['points']:+.1f} points more "
        f"(95 %: {row['low']:+.1f} to {row['high']:+.1f}) together with {row['together_with']}."
    )


def _told(effects: NDArray[np.float64]) -> dict[str, Any]:
    estimate = over_seeds(effects)
    half = estimate.half_width(1 - LEVEL)
    return {
        "points": estimate.effect,
        "low": estimate.effect - half,
        "high": estimate.effect + half,
        "seeds": len(effects),
    }


def _point(name: str, look: Look, effects: NDArray[np.float64]) -> parts.Point:
    told = _told(effects)
    return parts.Point(name, look, told["points"], effects.tolist(), (told["low"], told["high"]))
