"""Predictions of the tasks parsing and localisation, read into arrays: what their runs leave as predictions.parquet.

The schema's metadata (key "avbalance", JSON) says the task; a file without it is of classification, see predictions.py.
Axes: N rows (a video under one checkpoint), T segments, C classes; of an axis of length 2, index 0 is audio.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from avbalance.analysis.parsing_scores import (
    ALONE,
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
from avbalance.evaluation.predictions import KEY, check_rows, malformed, matrix
from avbalance.evaluation.rows import NO_SUBSET, REPAIRED, Coordinates
from avbalance.table_files import read_parquet

CLASSIFICATION, PARSING, LOCALISATION = "classification", "parsing", "localisation"
CARD = b"avbalance"
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
        # Both or neither: a run that finds nothing at all is scored on everything.
        return (*METRICS, *MEANS, *ALONE) if audio == visual else MODALITY_METRICS[0 if audio else 1]


@dataclass(frozen=True)
class LocalisationPredictions(Rows):
    """label (N, T): the class of each segment; logits (N, T, C). The last class is the background."""

    label: NDArray[np.int16]
    logits: NDArray[np.float32]


def kind_of(path: str | Path) -> str:
    """The task whose predictions a file holds; raises UserError for a file that is none."""
    card = _card(path)
    return card.task if card else CLASSIFICATION


def read_parsing(path: str | Path) -> ParsingPredictions:
    """Read predictions of the task parsing; raises UserError for files that are absent, empty or malformed."""
    truths = ("truth_audio", "truth_visual", "truth_audio_repaired")
    frame, card, common = _read(path, PARSING, ("frame_prob", "video_prob", *truths))
    classes, segments = len(card.classes), card.segments
    for name in truths[:2]:
        if frame[name].isna().any():
            raise malformed(path, f"{name} is not known for every video")
    audio, visual, repaired = (_cells(frame, name, path, (classes, segments)) for name in truths)
    known = frame["truth_audio_repaired"].notna().to_numpy()[:, None, None]
    return ParsingPredictions(
        **common,
        gate=card.gate,
        frame_prob=matrix(frame, "frame_prob", path, segments * 2 * classes).reshape(-1, segments, 2, classes),
        video_prob=matrix(frame, "video_prob", path, VIDEO_LEVEL * classes).reshape(-1, VIDEO_LEVEL, classes),
        truth_audio=audio,
        truth_visual=visual,
        # a video that has no second version keeps the first
        truth_audio_repaired=np.where(known, repaired, audio) if known.any() else None,
    )


def read_localisation(path: str | Path) -> LocalisationPredictions:
    """Read predictions of the task localisation; raises UserError for files that are absent, empty or malformed."""
    frame, card, common = _read(path, LOCALISATION, ("label", "logits"))
    classes, segments = len(card.classes), card.segments
    label = matrix(frame, "label", path, segments).astype(np.int16)
    if ((label < 0) | (label >= classes)).any():
        raise malformed(path, f"a label is not one of its {classes} classes")
    logits = matrix(frame, "logits", path, segments * classes).reshape(-1, segments, classes)
    return LocalisationPredictions(**common, label=label, logits=logits)


def _card(path: str | Path) -> PredictionCard | None:
    """What the metadata of a file say; None for classification."""
    try:
        text = (pq.read_schema(path).metadata or {}).get(CARD)
    except (OSError, pa.ArrowException) as error:
        said = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable table ({said}); run the step that writes it: train.") from error
    if text is None:
        return None
    try:
        return read(PredictionCard, json.loads(text), f"{path}, metadata")
    except ValueError as error:
        raise malformed(path, f"its metadata are not JSON ({error})") from error


def _read(path: str | Path, task: str, columns: tuple[str, ...]) -> tuple[pd.DataFrame, PredictionCard, dict[str, Any]]:
    """The rows of a file, its card, and the fields of Rows; raises UserError for those of another task."""
    card = _card(path)
    if card is None or card.task != task:
        said = card.task if card else CLASSIFICATION
        raise UserError(
            f"{path}: holds predictions of {said}, not of {task}; give the run the task that it was made for."
        )
    frame = read_parquet(path, (*KEY, *columns), "train")
    check_rows(frame, path)
    strings = {name: frame[name].to_numpy().astype(str) for name in KEY}
    return frame, card, {"path": str(path), "classes": tuple(card.classes), **strings}


def _cells(frame: pd.DataFrame, name: str, path: str | Path, shape: tuple[int, int]) -> BoolArray:
    """Lists of the numbers c * T + t of active cells as masks (N, C, T); a null list has none."""
    masks = np.zeros((len(frame), shape[0] * shape[1]), dtype=bool)
    for mask, cells in zip(masks, frame[name], strict=True):
        if cells is not None and len(cells):
            if cells.min() < 0 or cells.max() >= len(mask):
                raise malformed(path, f"{name} has cells outside its {shape[0]} classes x {shape[1]} segments")
            mask[cells] = True
    return masks.reshape(-1, *shape)
