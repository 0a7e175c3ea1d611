"""Timelines of a few test videos: what is annotated in each modality, and what two runs find there.

Fu, Gao and Xu, figure 4, without the sampled frames. A bar covers the seconds in which a class is active; what a run
finds are its segments behind the gates, as they are scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from avbalance.declared import Role
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.parsing_predictions import PARSING, ParsingPredictions, kind_of, read_parsing
from avbalance.papers.avvp_gradient_modulation.videos import MODALITIES, shown_clips
from avbalance.reporting import figures
from avbalance.reporting.cells import MeasuredCells

COLUMNS = ("clip", "modality", "row", "seed", "class", "onset", "offset")
ROW_HEIGHT = 0.8
Lines = dict[tuple[str, str], NDArray[np.bool_]]  # modality, truth or run -> active segments (C, T) of a clip


class ParsingTimelinesFigure(figures.DeclaredFigure):
    """A panel per clip, drawn under the first seed that all runs have; the CSV has one row per bar."""

    dataset: Role
    """data set of the runs"""
    clips: list[str]
    """ids of clips; where the data hold none of them, a rule chooses, which the figure then says"""
    runs: Annotated[list[figures.ReadFile], Field(min_length=1)]
    """runs that are drawn below the truth, with their predictions.parquet"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> figures.Drawing:
        seed, read = self._predictions(paper)
        if seed is None:
            return self._without(paper, "its runs were not made in this tier")
        first = next(iter(read.values()))
        shown = shown_clips(first, self.clips)
        note = f"{shown.rule}; seed {seed}"
        if not len(shown.rows):
            return self._without(paper, note, "there is none")
        clips = {clip: _lines(clip, read) for clip in first.id[shown.rows].tolist()}
        figure = _drawn(clips, first.classes)
        figure.suptitle(self.head(paper, [self.dataset], note), fontsize=8)
        records = [
            (clip, modality, row, None if row == "truth" else seed, first.classes[number], onset, offset)
            for clip, lines in clips.items()
            for (modality, row), active in lines.items()
            for number, own in enumerate(active)
            for onset, offset in _spans(own)
        ]
        return figure, pd.DataFrame(records, columns=list(COLUMNS)).astype({"seed": "Int64"})

    def _without(self, paper: Paper, *notes: str) -> figures.Drawing:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.0, 1.2))
        figure.suptitle(self.head(paper, [self.dataset], *notes), fontsize=8)
        return figure, pd.DataFrame(columns=list(COLUMNS))

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
    for number, modality in reversed(list(enumerate(MODALITIES))):
        lines[modality, "truth"] = truth[number]
        lines |= {(modality, name): active[number] for name, active in segments.items()}
    return lines


def _drawn(clips: Mapping[str, Lines], classes: Sequence[str]) -> figures.Figure:
    import matplotlib
    from matplotlib.patches import Patch

    figure, axes = figures.new_figure(8.4, 1.4 + 2.1 * len(clips), len(clips))
    active = [line.any(axis=1) for lines in clips.values() for line in lines.values()]
    seen = np.flatnonzero(np.any(active, axis=0)).tolist()
    paired = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    palette = [*paired[::2], *paired[1::2]]  # its neighbours are shades of one colour
    colours = {number: palette[place % len(palette)] for place, number in enumerate(seen)}
    for axis, (clip, lines) in zip(axes[:, 0], clips.items(), strict=True):
        _draw_clip(axis, clip, lines, colours)
    handles = [Patch(color=colours[number], label=classes[number]) for number in seen]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)), frameon=False)
    return figure


def _draw_clip(axis: figures.Axes, clip: str, lines: Lines, colours: Mapping[int, Any]) -> None:
    """One panel; the classes of a line share its height."""
    shares = [number for number in colours if any(active[number].any() for active in lines.values())]
    height, seconds = ROW_HEIGHT / max(len(shares), 1), next(iter(lines.values())).shape[1]
    for place, active in enumerate(lines.values()):
        for share, number in enumerate(shares):
            bars = [(onset, offset - onset) for onset, offset in _spans(active[number])]
            axis.broken_barh(bars, (place - ROW_HEIGHT / 2 + share * height, height), color=colours[number])
    axis.set_yticks(range(len(lines)), [", ".join(names) for names in lines])
    axis.set(title=clip, xlim=(0, seconds), ylim=(len(lines) - 0.5, -0.5), xlabel="second")
    axis.set_xticks(range(seconds + 1))
    axis.axhline(len(lines) / 2 - 0.5, color="black", linewidth=0.8)
    axis.grid(axis="x", color="#dddddd", linewidth=0.5)
    axis.set_axisbelow(True)


def _spans(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Maximal runs [onset, offset) of active segments (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return [(int(onset), int(offset)) for onset, offset in edges.reshape(-1, 2)]
