"""Timelines of a few test videos: what is annotated in each modality, and what two runs find there.

Fu, Gao and Xu, figure 4, without the sampled frames. A bar covers the seconds in which a class is active; what a run
finds are its segments behind the gates, as they are scored.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from avbalance.declared import Role
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.parsing_predictions import PARSING, ParsingPredictions, kind_of, read_parsing
from avbalance.evaluation.seed_clips import MODALITIES, shown_clips
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells

COLUMNS = ["clip", "modality", "row", "seed", "class", "onset", "offset"]
ROW_HEIGHT = 0.8


@dataclass(frozen=True)
class Timeline:
    """One row of bars of one clip: segments (C, T) of one modality, as annotated or as a run finds them."""

    clip: str
    modality: str
    row: str
    seed: int | None
    active: NDArray[np.bool_]


class ParsingTimelinesFigure(figures.DeclaredFigure):
    """A panel per clip, drawn under the first seed that all runs have; the CSV has one row per bar."""

    dataset: Role
    """data set of the runs"""
    clips: list[str]
    """ids of clips; where the data hold none of them, a rule chooses, which the figure then says"""
    runs: Annotated[list[figures.ReadFile], Field(min_length=1)]
    """runs that are drawn below the truth, with their predictions.parquet"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        seed, read = _predictions(paper, self.dataset, [need.run for need in self.runs])
        if seed is None:
            return self._without("its runs were not made in this tier", paper)
        first = read[self.runs[0].run]
        shown = shown_clips(first, self.clips)
        note = f"{shown.rule}; seed {seed}"
        if not len(shown.rows):
            return self._without(f"{note}\nthere is none", paper)
        lines = _lines(paper, seed, read, first.id[shown.rows].tolist())
        figure = _drawn(lines, first.classes)
        figure.suptitle(self.head(paper, [self.dataset], note), fontsize=8)
        return figure, _numbers(lines, first.classes)

    def _without(self, reason: str, paper: Paper) -> figures.Drawing:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.0, 1.2))
        figure.suptitle(self.head(paper, [self.dataset], reason), fontsize=8)
        return figure, pd.DataFrame(columns=COLUMNS)


def _predictions(paper: Paper, role: str, names: Sequence[str]) -> tuple[int | None, dict[str, ParsingPredictions]]:
    """The first seed that all runs have, in the order of the sheet, and the predictions of each; None without one."""
    files = {name: {run.seed: run for run in paper.run_files(role, name)} for name in names}
    for seed in files[names[0]]:
        chosen = {name: runs[seed].predictions for name, runs in files.items() if seed in runs}
        if len(chosen) == len(files) and all(kind_of(path) == PARSING for path in chosen.values()):
            return seed, {name: read_parsing(path) for name, path in chosen.items()}
    return None, {}


def _lines(paper: Paper, seed: int, read: Mapping[str, ParsingPredictions], clips: Sequence[str]) -> list[Timeline]:
    lines = []
    for clip in clips:
        rows = {name: shown_clips(predictions, [clip]).rows for name, predictions in read.items()}
        first = next(iter(read))
        truth = (read[first].truth_audio[rows[first][0]], read[first].truth_visual[rows[first][0]])
        segments = {name: predictions.segments(rows[name])[0] for name, predictions in read.items()}
        for number, modality in reversed(list(enumerate(MODALITIES))):
            lines.append(Timeline(clip, modality, "truth", None, truth[number]))
            lines += [Timeline(clip, modality, paper.label(name), seed, own[number]) for name, own in segments.items()]
    return lines


def _drawn(lines: Sequence[Timeline], classes: Sequence[str]) -> figures.Figure:
    import matplotlib
    from matplotlib.patches import Patch

    clips = [list(group) for _, group in itertools.groupby(lines, key=lambda line: line.clip)]
    figure, axes = figures.new_figure(8.4, 1.4 + 2.1 * len(clips), len(clips))
    seen = np.flatnonzero(np.any([line.active.any(axis=1) for line in lines], axis=0)).tolist()
    paired = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    palette = [*paired[::2], *paired[1::2]]  # its neighbours are shades of one colour
    colours = {number: palette[place % len(palette)] for place, number in enumerate(seen)}
    for axis, group in zip(axes[:, 0], clips, strict=True):
        _draw_clip(axis, group, colours)
    handles = [Patch(color=colours[number], label=classes[number]) for number in seen]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)), frameon=False)
    return figure


def _draw_clip(axis: figures.Axes, lines: Sequence[Timeline], colours: Mapping[int, Any]) -> None:
    """One panel; the classes of a line share its height."""
    shares = [number for number in colours if any(line.active[number].any() for line in lines)]
    height = ROW_HEIGHT / max(len(shares), 1)
    for place, line in enumerate(lines):
        for share, number in enumerate(shares):
            bars = [(onset, offset - onset) for onset, offset in _spans(line.active[number])]
            axis.broken_barh(bars, (place - ROW_HEIGHT / 2 + share * height, height), color=colours[number])
    axis.set_yticks(range(len(lines)), [f"{line.modality}, {line.row}" for line in lines])
    axis.set(title=lines[0].clip, xlim=(0, lines[0].active.shape[1]), ylim=(len(lines) - 0.5, -0.5), xlabel="second")
    axis.set_xticks(range(lines[0].active.shape[1] + 1))
    axis.axhline(len(lines) / 2 - 0.5, color="black", linewidth=0.8)
    axis.grid(axis="x", color="#dddddd", linewidth=0.5)
    axis.set_axisbelow(True)


def _spans(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Maximal runs [onset, offset) of active segments (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return [(int(onset), int(offset)) for onset, offset in edges.reshape(-1, 2)]


def _numbers(lines: Sequence[Timeline], classes: Sequence[str]) -> pd.DataFrame:
    records = [
        (line.clip, line.modality, line.row, line.seed, classes[number], onset, offset)
        for line in lines
        for number in np.flatnonzero(line.active.any(axis=1)).tolist()
        for onset, offset in _spans(line.active[number])
    ]
    return pd.DataFrame(records, columns=COLUMNS).astype({"seed": "Int64"})
