"""Predictions of the tasks parsing and localisation, read into arrays: what their runs leave as predictions.parquet.

The schema's metadata (key "avbalance", JSON) says the task; a file without it is of classification, see predictions.py.
Axes: N rows (a video under one checkpoint), T segments, C classes; of an axis of length 2, index 0 is audio.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from avbalance.analysis.parsing_scores import GATES, ParsingScores, active_segments, evaluate, open_gates
from avbalance.errors import UserError

CLASSIFICATION, PARSING, LOCALISATION = "classification", "parsing", "localisation"
KINDS = (CLASSIFICATION, PARSING, LOCALISATION)
CARD = b"avbalance"
COMMON = ("id", "split", "condition", "checkpoint")
VIDEO_LEVEL = 3  # P, p_a, p_v
REMEDY = "delete the run's folder and run it again"

Strings = NDArray[np.str_]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """What rows of both tasks have: strings (N,), and the names of the C classes."""

    path: str
    id: Strings
    split: Strings
    condition: Strings
    checkpoint: Strings
    classes: tuple[str, ...]

    def groups(self) -> list[tuple[tuple[str, str, str], NDArray[np.intp]]]:
        """(split, condition, checkpoint) and its rows, in the order of their ids."""
        keys = sorted(set(zip(self.split.tolist(), self.condition.tolist(), self.checkpoint.tolist(), strict=True)))
        order = np.argsort(self.id, kind="stable")
        found = []
        for split, condition, checkpoint in keys:
            own = (self.split == split) & (self.condition == condition) & (self.checkpoint == checkpoint)
            found.append(((split, condition, checkpoint), order[own[order]]))
        return found


@dataclass(frozen=True)
class ParsingPredictions(Rows):
    """frame_prob (N, T, 2, C); video_prob (N, 3, C): P, p_a, p_v; truths (N, C, T), repaired where there is one."""

    gate: str
    frame_prob: NDArray[np.float32]
    video_prob: NDArray[np.float32]
    truth_audio: BoolArray
    truth_visual: BoolArray
    truth_audio_repaired: BoolArray | None

    def scores(self, rows: NDArray[np.intp], repaired: bool = False) -> ParsingScores:
        """The ten scores of some rows, against the first or the repaired version of the audio truth."""
        audio = self.truth_audio_repaired if repaired else self.truth_audio
        if audio is None:
            raise UserError(f"{self.path}: there is no second version of the audio truth.")
        P, p_a, p_v = np.moveaxis(self.video_prob[rows], 1, 0)
        return evaluate(self.frame_prob[rows], P, p_a, p_v, audio[rows], self.truth_visual[rows], self.gate)

    def segments(self, rows: NDArray[np.intp]) -> BoolArray:
        """Segments (n, 2, C, T) that are said to be active in some rows, closed gates applied."""
        P, p_a, p_v = np.moveaxis(self.video_prob[rows], 1, 0)
        return active_segments(self.frame_prob[rows], open_gates(self.gate, P, p_a, p_v))


@dataclass(frozen=True)
class LocalisationPredictions(Rows):
    """label (N, T): the class of each segment; logits (N, T, C). The last class is the background."""

    label: NDArray[np.int16]
    logits: NDArray[np.float32]


def kind_of(path: str | Path) -> str:
    """The task whose predictions a file holds, one of KINDS; raises UserError for a file that is none."""
    return str(_card(path, _schema(path)).get("task", CLASSIFICATION))


def read_parsing(path: str | Path) -> ParsingPredictions:
    """Read predictions of the task parsing; raises UserError for files that are absent, empty or malformed."""
    columns = (*COMMON, "frame_prob", "video_prob", "truth_audio", "truth_visual", "truth_audio_repaired")
    table, card, classes = _read(path, PARSING, columns)
    segments = _segments(path, card)
    gate = card.get("gate")
    if gate not in GATES:
        raise UserError(f"{path}: its gate is {gate!r}, not one of {', '.join(GATES)}; {REMEDY}.")
    frames = _matrix(path, table, "frame_prob", segments * 2 * len(classes))
    videos = _matrix(path, table, "video_prob", VIDEO_LEVEL * len(classes))
    shape = (len(classes), segments)
    truth_audio = _cells(path, table, "truth_audio", shape)
    return ParsingPredictions(
        **_common(path, table, classes),
        gate=str(gate),
        frame_prob=frames.reshape(-1, segments, 2, len(classes)),
        video_prob=videos.reshape(-1, VIDEO_LEVEL, len(classes)),
        truth_audio=truth_audio,
        truth_visual=_cells(path, table, "truth_visual", shape),
        truth_audio_repaired=_second_version(path, table, shape, truth_audio),
    )


def read_localisation(path: str | Path) -> LocalisationPredictions:
    """Read predictions of the task localisation; raises UserError for files that are absent, empty or malformed."""
    table, card, classes = _read(path, LOCALISATION, (*COMMON, "label", "logits"))
    segments = _segments(path, card)
    label = _matrix(path, table, "label", segments).astype(np.int16)
    if ((label < 0) | (label >= len(classes))).any():
        raise UserError(f"{path}: a label is not one of its {len(classes)} classes; {REMEDY}.")
    logits = _matrix(path, table, "logits", segments * len(classes)).reshape(-1, segments, len(classes))
    return LocalisationPredictions(**_common(path, table, classes), label=label, logits=logits)


def _schema(path: str | Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        said = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable table ({said}); run the step that writes it: train.") from error


def _card(path: str | Path, schema: pa.Schema) -> dict[str, Any]:
    """What the metadata say: {} for classification."""
    text = (schema.metadata or {}).get(CARD)
    if text is None:
        return {}
    try:
        card = json.loads(text)
    except ValueError as error:
        raise UserError(f"{path}: its metadata are not JSON ({error}); {REMEDY}.") from error
    if not isinstance(card, dict) or card.get("task") not in KINDS:
        raise UserError(f"{path}: its metadata name none of the tasks {', '.join(KINDS)}; {REMEDY}.")
    return card


def _read(path: str | Path, task: str, columns: tuple[str, ...]) -> tuple[pa.Table, dict[str, Any], tuple[str, ...]]:
    """The columns of a file, its card and the names of its classes."""
    schema = _schema(path)
    card = _card(path, schema)
    if card.get("task", CLASSIFICATION) != task:
        said = card.get("task", CLASSIFICATION)
        raise UserError(
            f"{path}: holds predictions of {said}, not of {task}; give the run the task that it was made for."
        )
    lacking = [name for name in columns if name not in schema.names]
    if lacking:
        raise UserError(f"{path}: has no column {lacking[0]!r}; {REMEDY}.")
    classes = card.get("classes")
    if not isinstance(classes, list) or not classes:
        raise UserError(f"{path}: its metadata name no classes; {REMEDY}.")
    try:
        table = pq.read_table(path, columns=list(columns)).combine_chunks()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable table ({' '.join(str(error).split())}); {REMEDY}.") from error
    if table.num_rows == 0:
        raise UserError(f"{path}: holds no predictions; {REMEDY}.")
    return table, card, tuple(map(str, classes))


def _segments(path: str | Path, card: dict[str, Any]) -> int:
    segments = card.get("segments")
    if not isinstance(segments, int) or segments < 1:
        raise UserError(f"{path}: its metadata say {segments!r} segments; {REMEDY}.")
    return segments


def _common(path: str | Path, table: pa.Table, classes: tuple[str, ...]) -> dict[str, Any]:
    """The fields of Rows; raises UserError when a video stands twice under one checkpoint."""
    for name in COMMON:
        if table[name].null_count:
            raise UserError(f"{path}: the column {name} is not whole; {REMEDY}.")
    counted = table.group_by(list(COMMON)).aggregate([([], "count_all")])
    twice = counted.filter(pc.greater(counted["count_all"], 1))
    if twice.num_rows:
        raise UserError(f"{path}: video {twice['id'][0].as_py()} is predicted twice; {REMEDY}.")
    strings = {name: table[name].to_numpy().astype(str) for name in COMMON}
    return {"path": str(path), "classes": classes, **strings}


def _lists(path: str | Path, table: pa.Table, name: str) -> pa.ListArray:
    column = table[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # of no chunk, or of several
        column = pa.concat_arrays(column.chunks)
    if not pa.types.is_list(column.type):
        raise UserError(f"{path}: {name} does not hold lists; {REMEDY}.")
    return column


def _matrix(path: str | Path, table: pa.Table, name: str, width: int) -> NDArray[Any]:
    """A column of lists of `width` finite numbers, as (N, width)."""
    column = _lists(path, table, name)
    lengths = pc.list_value_length(column)
    wrong = column.null_count or pc.any(pc.not_equal(lengths, width)).as_py() or column.flatten().null_count
    if wrong:
        raise UserError(f"{path}: {name} must be lists of {width} numbers; {REMEDY}.")
    values = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    if not np.isfinite(values).all():
        first = table["id"][int(np.isfinite(values).all(axis=1).argmin())].as_py()
        raise UserError(f"{path}: {name} of video {first} is not finite; {REMEDY}.")
    return values


def _cells(path: str | Path, table: pa.Table, name: str, shape: tuple[int, int]) -> BoolArray:
    """Lists of the numbers c * T + t of active cells as masks (N, C, T); a null list has none."""
    column = _lists(path, table, name)
    if name != "truth_audio_repaired" and column.null_count:
        raise UserError(f"{path}: {name} is not known for every video; {REMEDY}.")
    values = column.flatten().to_numpy(zero_copy_only=False)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    size = shape[0] * shape[1]
    if len(values) and not (values.dtype.kind in "iu" and values.min() >= 0 and values.max() < size):
        raise UserError(f"{path}: {name} has cells outside its {shape[0]} classes x {shape[1]} segments; {REMEDY}.")
    masks = np.zeros((table.num_rows, size), dtype=bool)
    masks[np.repeat(np.arange(table.num_rows), lengths), values.astype(np.intp)] = True
    return masks.reshape(-1, *shape)


def _second_version(path: str | Path, table: pa.Table, shape: tuple[int, int], first: BoolArray) -> BoolArray | None:
    """The repaired audio truth; the first version for a video that has no second; None where no video has one."""
    column = table["truth_audio_repaired"]
    if column.null_count == table.num_rows:
        return None
    known = pc.is_valid(column).to_numpy()
    return np.where(known[:, None, None], _cells(path, table, "truth_audio_repaired", shape), first)
