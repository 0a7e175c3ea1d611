"""Audio-visual video parsing: labels of the video are learnt, events per second and modality are predicted.

Tian et al. 2020 (ECCV, "Unified Multisensory Perception"). The truth per second serves evaluation alone; no method sees
it but the reference of strong supervision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from avbalance.analysis.parsing_scores import METRICS, ParsingScores, evaluate, score_segments
from avbalance.data import SEGMENTS
from avbalance.errors import UserError
from avbalance.methods.base import Indices
from avbalance.methods.parts.parsing import binary_cross_entropy
from avbalance.models.base import ModelOutput
from avbalance.models.parsing import ParsingOutput
from avbalance.training.data import Clips
from avbalance.training.data_settings import DataSettings
from avbalance.training.tasks.base import Evaluation, Outputs, Place, Task, common_columns, lists


class ParsingSettings(DataSettings):
    """Data settings of parsing."""

    gate: Literal["global", "modality"] = "modality"
    """which probability of the video opens a class: that of both (HAN, MM-Pyramid, CVCMS), or its own (MA, JoMoLD)"""


class Parsing(Task):
    """Labels (N, C) float32 of whole videos; the ten F-scores by which videos are said to be parsed well."""

    Settings = ParsingSettings
    name = "parsing"
    metrics = METRICS
    parts = ("test",)
    checkpoints = ("selected",)
    data: ParsingSettings

    def check(self, clips: Clips, parts: Mapping[str, Indices]) -> None:
        for name in ("events_audio", "events_visual"):
            if name not in clips.truth:
                raise UserError(f"the manifest has no column {name}: task parsing needs the truth per second.")

    def targets(self, clips: Clips) -> Tensor:
        return torch.as_tensor(clips.label_matrix, dtype=torch.float32)

    def loss(self, output: ModelOutput, label: Tensor) -> Tensor:
        assert isinstance(output, ParsingOutput)
        return binary_cross_entropy(output.P[: len(label)], label)

    def clip_scores(
        self, clips: Clips, indices: Indices, outputs: Outputs, metric: str
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        truth = _truth(clips, indices)
        nothing = np.zeros_like(truth[0])
        guess = score_segments(nothing, nothing, *truth)
        return 100.0 * self._scores(clips, indices, outputs)[0].of(metric), 100.0 * guess.of(metric)

    def evaluate(self, clips: Clips, indices: Indices, outputs: Outputs) -> Evaluation:
        scores, loss = self._scores(clips, indices, outputs)
        return Evaluation(loss={"logits": loss}, n=len(indices), metrics=scores.dataset())

    def _scores(self, clips: Clips, indices: Indices, outputs: Outputs) -> tuple[ParsingScores, float]:
        """F-scores of every video, and the mean loss."""
        frame_prob, video_prob, loss = _probabilities(outputs)
        P, p_a, p_v = np.moveaxis(video_prob, 1, 0)
        return evaluate(frame_prob, P, p_a, p_v, *_truth(clips, indices), gate=self.data.gate), loss

    def predictions(self, clips: Clips, indices: Indices, place: Place, outputs: Outputs) -> pa.Table:
        frame_prob, video_prob, _ = _probabilities(outputs)
        columns = common_columns(clips, indices, place)
        columns["frame_prob"] = lists(frame_prob.reshape(len(indices), -1))
        columns["video_prob"] = lists(video_prob.reshape(len(indices), -1))
        for name in ("events_audio", "events_visual", "events_audio_repaired"):
            column = name.replace("events", "truth")
            columns[column] = _cells(clips.truth[name][indices]) if name in clips.truth else _no_cells(len(indices))
        card = {"task": self.name, "classes": clips.classes, "segments": SEGMENTS, "gate": self.data.gate}
        return pa.table(columns).replace_schema_metadata({b"avbalance": json.dumps(card).encode()})


def _truth(clips: Clips, indices: Indices) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What is heard and what is seen, (N, C, T) each."""
    return clips.truth["events_audio"][indices], clips.truth["events_visual"][indices]


def _probabilities(outputs: Outputs) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Probabilities of segments (N, T, 2, C) and of videos (N, 3, C: P, p_a, p_v), and the mean loss of P."""
    frames, videos, loss, n = [], [], 0.0, 0
    for batch, output in outputs:
        assert isinstance(output, ParsingOutput)
        frames.append(output.frame_prob.float().cpu())
        videos.append(torch.stack([output.P, output.p_a, output.p_v], 1).float().cpu())
        loss += float(binary_cross_entropy(output.P, batch.label)) * len(batch.label)
        n += len(batch.label)
    return torch.cat(frames).numpy(), torch.cat(videos).numpy(), loss / n


def _cells(active: NDArray[np.bool_]) -> pa.Array:
    """Numbers c * T + t of the active cells of each row of (N, C, T), as lists of int16."""
    flat = active.reshape(len(active), -1)
    offsets = np.concatenate([[0], np.cumsum(flat.sum(1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.nonzero(flat)[1].astype(np.int16)))


def _no_cells(n: int) -> pa.Array:
    return pa.nulls(n, pa.list_(pa.int16()))


TASK = Parsing
