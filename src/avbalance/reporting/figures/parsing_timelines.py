"""Timelines of a few test videos: what is annotated in each modality, and what two runs find there.

Fu, Gao and Xu, figure 4, without the sampled frames. A bar covers the seconds in which a class is active; what a run
finds are its segments behind the gates, as they are scored.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from avbalance.evaluation.paper import Paper
from avbalance.evaluation.parsing_predictions import PARSING, ParsingPredictions, kind_of, read_parsing
from avbalance.papers.avvp_gradient_modulation.videos import MODALITIES, shown_clips
from avbalance.reporting.cells import Measured
from avbalance.reporting.figures.discrepancy_map import stand_in_note

COLUMNS = ["clip", "modality", "row", "seed", "class", "onset", "offset"]
TRUTH = "truth"
ROW_HEIGHT = 0.8


@dataclass(frozen=True)
class Line:
    """One row of bars of one clip: segments (C, T) of one modality, as annotated or as a run finds them."""

    clip: str
    modality: str
    row: str
    seed: int | None
    active: NDArray[np.bool_]


def draw(declaration: Mapping[str, Any], paper: Paper, measured: Measured) -> tuple[Figure, pd.DataFrame]:
    """Figure and its numbers, one row per bar.

    declaration: title, dataset (role), clips (ids; where the data hold none of them, a rule chooses, which the
    figure then says), runs: [{run, file: predictions.parquet}], drawn below the truth under the first seed
    that all of them have.
    """
    role, names = str(declaration["dataset"]), [str(need["run"]) for need in declaration["runs"]]
    seed, read = _predictions(paper, role, names)
    heading = f"{declaration['title']}\n{stand_in_note(paper, [role])}"
    if seed is None:
        return _empty(f"{heading}\nits runs were not made in this tier"), pd.DataFrame(columns=COLUMNS)
    first = read[names[0]]
    shown = shown_clips(first, [str(clip) for clip in declaration["clips"]])
    heading += f"\n{shown.rule}; seed {seed}"
    if not len(shown.rows):
        return _empty(f"{heading}\nthere is none"), pd.DataFrame(columns=COLUMNS)
    lines = _lines(paper, seed, read, first.id[shown.rows].tolist())
    return _drawn(heading, lines, first.classes), _numbers(lines, first.classes)


def _predictions(paper: Paper, role: str, names: Sequence[str]) -> tuple[int | None, dict[str, ParsingPredictions]]:
    """The first seed that all runs have, in the order of the sheet, and the predictions of each; None without one."""
    files = {name: {run.seed: run for run in paper.run_files(role, name)} for name in names}
    for seed in files[names[0]]:
        chosen = {name: runs.get(seed) for name, runs in files.items()}
        if all(run is not None and kind_of(run.predictions) == PARSING for run in chosen.values()):
            return seed, {name: read_parsing(run.predictions) for name, run in chosen.items() if run is not None}
    return None, {}


def _lines(paper: Paper, seed: int, read: Mapping[str, ParsingPredictions], clips: Sequence[str]) -> list[Line]:
    found = []
    for clip in clips:
        rows = {name: shown_clips(predictions, [clip]).rows for name, predictions in read.items()}
        first = next(iter(read))
        truth = (read[first].truth_audio[rows[first][0]], read[first].truth_visual[rows[first][0]])
        segments = {name: predictions.segments(rows[name])[0] for name, predictions in read.items()}
        for number, modality in reversed(list(enumerate(MODALITIES))):
            found.append(Line(clip, modality, TRUTH, None, truth[number]))
            found += [Line(clip, modality, paper.label(name), seed, own[number]) for name, own in segments.items()]
    return found


def _drawn(heading: str, lines: Sequence[Line], classes: Sequence[str]) -> Figure:
    clips = [list(group) for _, group in itertools.groupby(lines, key=lambda line: line.clip)]
    figure = Figure(figsize=(8.4, 1.4 + 2.1 * len(clips)), layout="constrained")
    seen = np.flatnonzero(np.any([line.active.any(axis=1) for line in lines], axis=0)).tolist()
    paired = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    palette = [*paired[::2], *paired[1::2]]  # its neighbours are shades of one colour
    colours = {number: palette[place % len(palette)] for place, number in enumerate(seen)}
    for axis, group in zip(figure.subplots(len(clips), 1, squeeze=False)[:, 0], clips, strict=True):
        _draw_clip(axis, group, colours)
    handles = [Patch(color=colours[number], label=classes[number]) for number in seen]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)), frameon=False)
    figure.suptitle(heading, fontsize=8)
    return figure


def _draw_clip(axis: Axes, lines: Sequence[Line], colours: Mapping[int, Any]) -> None:
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


def _numbers(lines: Sequence[Line], classes: Sequence[str]) -> pd.DataFrame:
    records = [
        (line.clip, line.modality, line.row, line.seed, classes[number], onset, offset)
        for line in lines
        for number in np.flatnonzero(line.active.any(axis=1)).tolist()
        for onset, offset in _spans(line.active[number])
    ]
    return pd.DataFrame(records, columns=COLUMNS).astype({"seed": "Int64"})


def _empty(heading: str) -> Figure:
    figure = Figure(figsize=(6.0, 1.2))
    figure.suptitle(heading, fontsize=8)
    return figure
