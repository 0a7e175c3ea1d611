"""One class, or background, for every second of a clip, learnt from labels per second (AVE, Tian et al. 2018)."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from avbalance.data import SEGMENTS
from avbalance.errors import UserError
from avbalance.methods.base import Indices
from avbalance.models.base import ModelOutput
from avbalance.training.data import Clips
from avbalance.training.tasks.base import Evaluation, Outputs, Place, Task, common_columns, lists


class Localisation(Task):
    """Labels (N, T) int64; the last class is the background. Accuracy counts every second, background included."""

    name = "localisation"
    metrics = ("accuracy",)

    def check(self, clips: Clips, parts: Mapping[str, Indices]) -> None:
        if "events_visual" not in clips.truth:
            raise UserError("the manifest has no column events_visual: task localisation needs labels per second.")

    def targets(self, clips: Clips) -> Tensor:
        return torch.as_tensor(_classes_per_second(clips))

    def loss(self, output: ModelOutput, label: Tensor) -> Tensor:
        return cross_entropy(output.logits[: len(label)].flatten(0, 1), label.flatten())

    def clip_scores(
        self, clips: Clips, indices: Indices, outputs: Outputs, metric: str
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        predicted = torch.cat([output.logits.argmax(2) for _, output in outputs]).cpu().numpy()
        label = _classes_per_second(clips)[indices]
        most = np.bincount(label.ravel()).argmax()
        return 100.0 * (predicted == label).mean(1), 100.0 * (label == most).mean(1)

    def evaluate(self, clips: Clips, indices: Indices, outputs: Outputs) -> Evaluation:
        sums: dict[str, list[float]] = {}
        for batch, output in outputs:
            label = batch.label.reshape(-1)
            for head, logits in {"logits": output.logits, **output.scores}.items():
                flat = logits.reshape(len(label), -1)
                entry = sums.setdefault(head, [0.0, 0.0])
                entry[0] += float(cross_entropy(flat.double(), label, reduction="sum"))
                entry[1] += float((flat.argmax(1) == label).sum())
        n = SEGMENTS * len(indices)
        accuracy = {head: 100.0 * entry[1] / n for head, entry in sums.items()}
        return Evaluation(
            loss={head: entry[0] / n for head, entry in sums.items()},
            n=len(indices),
            metrics={"accuracy": accuracy["logits"]},
            accuracy=accuracy,
        )

    def predictions(self, clips: Clips, indices: Indices, place: Place, outputs: Outputs) -> pa.Table:
        heads: dict[str, list[Tensor]] = {}
        for _, output in outputs:
            for head, logits in {"logits": output.logits, **output.scores}.items():
                heads.setdefault(head, []).append(logits.float().cpu())
        columns = common_columns(clips, indices, place)
        label = _classes_per_second(clips)[indices].astype(np.int16)
        offsets = np.arange(0, label.size + 1, label.shape[1], dtype=np.int32)
        columns["label"] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(label.ravel()))
        empty = pa.nulls(len(indices), pa.list_(pa.float32()))
        for column, head in (("logits", "logits"), ("logits_audio", "audio"), ("logits_visual", "visual")):
            made = head in heads
            columns[column] = lists(torch.cat(heads[head]).numpy().reshape(len(indices), -1)) if made else empty
        card = {"task": self.name, "classes": clips.classes, "segments": SEGMENTS}
        return pa.table(columns).replace_schema_metadata({b"avbalance": json.dumps(card).encode()})


def _classes_per_second(clips: Clips) -> NDArray[np.int64]:
    """Index (N, T) of the class in each second, the last class where there is no event."""
    active = clips.truth["events_visual"].copy()
    active[:, -1] = ~active[:, :-1].any(1)
    found: NDArray[np.int64] = active.argmax(1).astype(np.int64)
    return found


TASK = Localisation
