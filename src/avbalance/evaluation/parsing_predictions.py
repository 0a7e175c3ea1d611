"""Predictions of the tasks parsing and localisation, read into arrays: what their runs leave as predictions.parquet.

The schema's metadata (key "avbalance", JSON) says the task; a file without it is of classification, see predictions.py.
Axes: N rows (a video under one checkpoint), T segments, C classes; of an axis of length 2, index 0 is audio.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from avbalance.analysis.parsing_scores import (
    MEANS,
    METRICS,
    MODALITY_METRICS,
    ParsingScores,
    active_segments,
    evaluate,
    open_gates,
)
from avbalance.declared import Declared, read
from avbalance.errors import UserError
from avbalance.evaluation.rows import NO_SUBSET, REPAIRED, Coordinates

CLASSIFICATION, PARSING, LOCALISATION = "classification", "parsing", "localisation"
CARD = b"avbalance"
COMMON = ("id", "split", "condition", "checkpoint")
VIDEO_LEVEL = 3  # P, p_a, p_v

Strings = NDArray[np.str_]
BoolArray = NDArray[np.bool_]
Indices = NDArray[np.intp]


class PredictionCard(Declared):
    """What the metadata of a file say."""

    task: Literal["classification", "parsing", "localisation"]
    """whose predictions they are"""
    classes: Annotated[list[str], Field(min_length=1)]
    """names of the C classes"""
    segments: Annotated[int, Field(ge=1)]
    """T, segments of a video"""
    gate: Literal["global", "modality"] = "global"
    """of parsing: which probability opens a class, see parsing.py"""


@dataclass(frozen=True)
class Rows:
    """What rows of both tasks have: strings (N,), and the names of the C classes."""

    path: str
    id: Strings
    split: Strings
    condition: Strings
    checkpoint: Strings
    classes: tuple[str, ...]

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of the truth, by the protocol that is measured against each."""
        return (NO_SUBSET,)

    def places(self) -> Iterator[tuple[Coordinates, Indices]]:
        """Every split, condition, checkpoint and version of the truth, and its rows in the order of their ids."""
        keys = sorted(set(zip(self.split.tolist(), self.condition.tolist(), self.checkpoint.tolist(), strict=True)))
        order = np.argsort(self.id, kind="stable")
        for split, condition, checkpoint in keys:
            own = (self.split == split) & (self.condition == condition) & (self.checkpoint == checkpoint)
            for protocol in self.versions:
                place = Coordinates(split, condition=condition, protocol=protocol, checkpoint=checkpoint)
                yield place, order[own[order]]


@dataclass(frozen=True)
class ParsingPredictions(Rows):
    """frame_prob (N, T, 2, C); video_prob (N, 3, C): P, p_a, p_v; truths (N, C, T), repaired where there is one."""

    gate: str
    frame_prob: NDArray[np.float32]
    video_prob: NDArray[np.float32]
    truth_audio: BoolArray
    truth_visual: BoolArray
    truth_audio_repaired: BoolArray | None

    @property
    def versions(self) -> tuple[str, ...]:
        return (NO_SUBSET,) if self.truth_audio_repaired is None else (NO_SUBSET, REPAIRED)

    def truth(self, rows: Indices, protocol: str = NO_SUBSET) -> BoolArray:
        """Truth (n, 2, C, T) of some rows; raises UserError where there is no repaired version."""
        audio = self.truth_audio_repaired if protocol == REPAIRED else self.truth_audio
        if audio is None:
            raise UserError(f"{self.path}: there is no second version of the audio truth.")
        return np.stack([audio[rows], self.truth_visual[rows]], axis=1)

    def scores(self, rows: Indices, protocol: str = NO_SUBSET) -> ParsingScores:
        """The ten scores of some rows, against the first or the repaired version of the audio truth."""
        truth = self.truth(rows, protocol)
        P, p_a, p_v = np.moveaxis(self.video_prob[rows], 1, 0)
        return evaluate(self.frame_prob[rows], P, p_a, p_v, truth[:, 0], truth[:, 1], self.gate)

    def segments(self, rows: Indices) -> BoolArray:
        """Segments (n, 2, C, T) that are said to be active in some rows, closed gates applied."""
        P, p_a, p_v = np.moveaxis(self.video_prob[rows], 1, 0)
        return active_segments(self.frame_prob[rows], open_gates(self.gate, P, p_a, p_v))

    def seen(self, rows: Indices) -> tuple[str, ...]:
        """The metrics that a run has in some rows: those of one modality where it gives the other nothing but 0."""
        audio, visual = (self.frame_prob[rows, :, modality].any() for modality in (0, 1))
        return (*METRICS, *MEANS) if audio == visual else MODALITY_METRICS[0 if audio else 1]


@dataclass(frozen=True)
class LocalisationPredictions(Rows):
    """label (N, T): the class of each segment; logits (N, T, C). The last class is the background."""

    label: NDArray[np.int16]
    logits: NDArray[np.float32]


def kind_of(path: str | Path) -> str:
    """The task whose predictions a file holds; raises UserError for a file that is none."""
    card = _card(path, _opened(path, pq.read_schema))
    return card.task if card else CLASSIFICATION


def read_parsing(path: str | Path) -> ParsingPredictions:
    """Read predictions of the task parsing; raises UserError for files that are absent, empty or malformed."""
    columns = ("frame_prob", "video_prob", "truth_audio", "truth_visual", "truth_audio_repaired")
    table, card, common = _read(path, PARSING, columns)
    classes, segments = len(card.classes), card.segments
    frames = _matrix(path, table, "frame_prob", segments * 2 * classes)
    videos = _matrix(path, table, "video_prob", VIDEO_LEVEL * classes)
    audio, visual = (_cells(path, table, name, (classes, segments)) for name in ("truth_audio", "truth_visual"))
    repaired, second = None, table["truth_audio_repaired"]
    if second.null_count < table.num_rows:  # a video that has no second version keeps the first
        known = pc.is_valid(second).to_numpy()[:, None, None]
        repaired = np.where(known, _cells(path, table, "truth_audio_repaired", (classes, segments)), audio)
    return ParsingPredictions(
        **common,
        gate=card.gate,
        frame_prob=frames.reshape(-1, segments, 2, classes),
        video_prob=videos.reshape(-1, VIDEO_LEVEL, classes),
        truth_audio=audio,
        truth_visual=visual,
        truth_audio_repaired=repaired,
    )


def read_localisation(path: str | Path) -> LocalisationPredictions:
    """Read predictions of the task localisation; raises UserError for files that are absent, empty or malformed."""
    table, card, common = _read(path, LOCALISATION, ("label", "logits"))
    classes, segments = len(card.classes), card.segments
    label = _matrix(path, table, "label", segments).astype(np.int16)
    if ((label < 0) | (label >= classes)).any():
        raise _malformed(path, f"a label is not one of its {classes} classes")
    logits = _matrix(path, table, "logits", segments * classes).reshape(-1, segments, classes)
    return LocalisationPredictions(**common, label=label, logits=logits)


def _opened(path: str | Path, read: Callable[[str | Path], Any]) -> Any:
    try:
        return read(path)
    except (OSError, pa.ArrowException) as error:
        said = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable table ({said}); run the step that writes it: train.") from error


def _malformed(path: str | Path, what: str) -> UserError:
    return UserError(f"{path}: {what}; delete the run's folder and run it again.")


def _card(path: str | Path, schema: pa.Schema) -> PredictionCard | None:
    """What the metadata say; None for classification."""
    text = (schema.metadata or {}).get(CARD)
    if text is None:
        return None
    try:
        return read(PredictionCard, json.loads(text), f"{path}, metadata")
    except ValueError as error:
        raise _malformed(path, f"its metadata are not JSON ({error})") from error


def _read(path: str | Path, task: str, columns: tuple[str, ...]) -> tuple[pa.Table, PredictionCard, dict[str, Any]]:
    """The table of a file, its card, and the fields of Rows; raises UserError for a video twice at a checkpoint."""
    table = _opened(path, pq.read_table).combine_chunks()
    card = _card(path, table.schema)
    if card is None or card.task != task:
        said = card.task if card else CLASSIFICATION
        raise UserError(
            f"{path}: holds predictions of {said}, not of {task}; give the run the task that it was made for."
        )
    for name in (*COMMON, *columns):
        if name not in table.column_names:
            raise _malformed(path, f"has no column {name!r}")
        if name in COMMON and table[name].null_count:
            raise _malformed(path, f"the column {name} is not whole")
    if table.num_rows == 0:
        raise _malformed(path, "holds no predictions")
    counted = table.group_by(list(COMMON)).aggregate([([], "count_all")])
    twice = counted.filter(pc.greater(counted["count_all"], 1))
    if twice.num_rows:
        raise _malformed(path, f"video {twice['id'][0].as_py()} is predicted twice")
    strings = {name: table[name].to_numpy().astype(str) for name in COMMON}
    return table, card, {"path": str(path), "classes": tuple(card.classes), **strings}


def _lists(path: str | Path, table: pa.Table, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """All values of a column of lists, and the lengths of the lists, -1 of a null."""
    column = pa.concat_arrays(table[name].chunks)
    if not pa.types.is_list(column.type):
        raise _malformed(path, f"{name} does not hold lists")
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    return column.flatten().to_numpy(zero_copy_only=False), lengths


def _matrix(path: str | Path, table: pa.Table, name: str, width: int) -> NDArray[Any]:
    """A column of lists of `width` finite numbers, as (N, width)."""
    values, lengths = _lists(path, table, name)
    if (lengths != width).any():
        raise _malformed(path, f"{name} must be lists of {width} numbers")
    finite = np.isfinite(values.reshape(-1, width)).all(axis=1)
    if not finite.all():
        raise _malformed(path, f"{name} of video {table['id'][int(finite.argmin())].as_py()} is not finite")
    return values.reshape(-1, width)


def _cells(path: str | Path, table: pa.Table, name: str, shape: tuple[int, int]) -> BoolArray:
    """Lists of the numbers c * T + t of active cells as masks (N, C, T); a null list has none."""
    values, lengths = _lists(path, table, name)
    if name != "truth_audio_repaired" and (lengths < 0).any():
        raise _malformed(path, f"{name} is not known for every video")
    size = shape[0] * shape[1]
    if len(values) and not (values.dtype.kind in "iu" and values.min() >= 0 and values.max() < size):
        raise _malformed(path, f"{name} has cells outside its {shape[0]} classes x {shape[1]} segments")
    masks = np.zeros((table.num_rows, size), dtype=bool)
    masks[np.repeat(np.arange(table.num_rows), np.maximum(lengths, 0)), values.astype(np.intp)] = True
    return masks.reshape(-1, *shape)
