"""Timelines of a few test videos: what is annotated in each modality, and what two runs find there.

Fu, Gao and Xu, figure 4, without the sampled frames. A bar covers the seconds in which a class is active; what a run
finds are its segments behind the gates, as they are scored. A class has a line of its own under its own name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from avbalance.declared import Role
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.parsing_predictions import PARSING, ParsingPredictions, kind_of, read_parsing
from avbalance.evaluation.predictions import PREDICTIONS
from avbalance.papers.avvp_gradient_modulation.videos import MODALITIES, shown_clips
from avbalance.reporting import figure_parts as parts
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figure_style import BLACK, LOOKS, STRESS

COLUMNS = ("clip", "modality", "row", "seed", "class", "onset", "offset")
TRUTH = "annotated"
COLOURS = (BLACK, LOOKS["baseline"].colour, STRESS, LOOKS["greedy"].colour)  # of the truth, and of each run
Lines = dict[tuple[str, str], NDArray[np.bool_]]  # modality, TRUTH or run -> active segments (C, T) of a clip


class ParsingTimelinesFigure(figures.DeclaredFigure):
    """A panel per clip, drawn under the first seed that all runs have; the CSV has one row per bar."""

    dataset: Role
    """data set of the runs"""
    clips: list[str]
    """ids of clips; where the data hold none of them, a rule chooses, which the figure then says"""
    runs: Annotated[list[figures.ReadFile], Field(min_length=1, max_length=len(COLOURS) - 1)]
    """runs that are drawn below the truth, with their predictions.parquet"""

    def files(self) -> Iterable[tuple[str, str]]:
        return [(each.run, PREDICTIONS) for each in self.runs]

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        seed, read = self._predictions(paper)
        if seed is None:
            return self._without(paper, "its runs were not made in this tier")
        first = next(iter(read.values()))
        shown = shown_clips(first, self.clips)
        note = f"Shown are {shown.rule}, under seed {seed}. Each class that is annotated or found has a line."
        if not len(shown.rows):
            return self._without(paper, f"no test video to show ({shown.rule})")
        clips = {clip: _lines(clip, read) for clip in first.id[shown.rows].tolist()}
        records = [
            (clip, modality, row, None if row == TRUTH else seed, first.classes[number], onset, offset)
            for clip, lines in clips.items()
            for (modality, row), active in lines.items()
            for number, own in enumerate(active)
            for onset, offset in _spans(own)
        ]
        numbers = pd.DataFrame(records, columns=list(COLUMNS)).astype({"seed": "Int64"})
        return self.drawing(_drawn(clips, first.classes), numbers, paper, [self.dataset], note)

    def _without(self, paper: Paper, why: str) -> figures.Drawing:
        figure, ((axis,),) = parts.new_figure(1.2)
        axis.set_axis_off()
        parts.write_inside(axis, why, width=90)
        return self.drawing(figure, pd.DataFrame(columns=list(COLUMNS)), paper, [self.dataset])

    def _predictions(self, paper: Paper) -> tuple[int | None, dict[str, ParsingPredictions]]:
        """The first seed that all runs have, in the order of the sheet, and their predictions by label; else None."""
        names = [need.run for need in self.runs]
        files = {paper.label(name): {run.seed: run for run in paper.run_files(self.dataset, name)} for name in names}
        for seed in files[paper.label(names[0])]:
            chosen = {name: runs[seed].predictions for name, runs in files.items() if seed in runs}
            if len(chosen) == len(files) and all(kind_of(path) == PARSING for path in chosen.values()):
                return seed, {name: read_parsing(path) for name, path in chosen.items()}
        return None, {}


def _lines(clip: str, read: Mapping[str, ParsingPredictions]) -> Lines:
    """What is active in a clip, row by row of its panel: of each modality the truth, then every run."""
    rows = {name: shown_clips(predictions, [clip]).rows for name, predictions in read.items()}
    first, own = next(iter(read.items()))
    truth = (own.truth_audio[rows[first][0]], own.truth_visual[rows[first][0]])
    segments = {name: predictions.segments(rows[name])[0] for name, predictions in read.items()}
    lines: Lines = {}
    for number, modality in enumerate(MODALITIES):
        lines[modality, TRUTH] = truth[number]
        lines |= {(modality, name): active[number] for name, active in segments.items()}
    return lines


def _drawn(clips: Mapping[str, Lines], classes: Sequence[str]) -> figures.Figure:
    """A row of panels for each clip, a column for each modality."""
    seen = {clip: _seen(lines) for clip, lines in clips.items()}
    heights = [0.27 * len(numbers) + 0.55 for numbers in seen.values()]
    figure, axes = parts.new_figure(
        sum(heights) + 0.6, len(clips), len(MODALITIES), height_ratios=heights, sharex=True, sharey="row"
    )
    for row, (clip, lines) in zip(axes, clips.items(), strict=True):
        for axis, modality in zip(row, MODALITIES, strict=True):
            own = {name: active for (where, name), active in lines.items() if where == modality}
            _draw_panel(axis, own, seen[clip])
            axis.set_title(f"{clip}, {modality}")
        row[0].set_yticks(range(len(seen[clip])), [parts.class_title(classes[number]) for number in seen[clip]])
    for axis in axes[-1]:
        axis.set_xlabel("second")
    names = dict.fromkeys(name for lines in clips.values() for _, name in lines)
    parts.key_below(
        figure, {name: {"color": colour, "linewidth": 5} for name, colour in zip(names, COLOURS, strict=False)}
    )
    return figure


def _seen(lines: Lines) -> list[int]:
    """The classes that are annotated or found anywhere in a clip."""
    return np.flatnonzero(np.any([active.any(axis=1) for active in lines.values()], axis=0)).tolist()


def _draw_panel(axis: parts.Axes, lines: Mapping[str, NDArray[np.bool_]], seen: Sequence[int]) -> None:
    """One modality of a clip: a line per class, in which the truth and every run have a lane."""
    lane, seconds = 0.8 / len(lines), next(iter(lines.values())).shape[1]
    for place, (active, colour) in enumerate(zip(lines.values(), COLOURS, strict=False)):
        for line, number in enumerate(seen):
            bars = [(onset, offset - onset) for onset, offset in _spans(active[number])]
            axis.broken_barh(bars, (line - 0.4 + place * lane, 0.9 * lane), color=colour)
    empty = [name for name, active in lines.items() if not active.any()]
    told = ["nothing is annotated" if name == TRUTH else f"{name} finds nothing" for name in empty]
    axis.text(1, 1.02, ", ".join(told), transform=axis.transAxes, ha="right", va="bottom", fontsize=7, style="italic")
    axis.set(xlim=(0, seconds), ylim=(len(seen) - 0.45, -0.55))
    axis.set_xticks(range(0, seconds + 1, 2 if seconds > 5 else 1))
    axis.tick_params(labelbottom=True, axis="x")
    axis.tick_params(length=0, axis="y")
    for line in range(1, len(seen)):
        axis.axhline(line - 0.5, color="#dddddd", linewidth=0.5)
    axis.grid(axis="x")


def _spans(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Maximal runs [onset, offset) of active segments (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return [(int(onset), int(offset)) for onset, offset in edges.reshape(-1, 2)]
