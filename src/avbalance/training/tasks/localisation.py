"""One class, or background, for every second of a clip, learnt from labels per second (AVE, Tian et al. 2018)."""

from __future__ import annotations

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
from avbalance.training.tasks.base import (
    Evaluation,
    Outputs,
    Place,
    Task,
    common_columns,
    described,
    every_head,
    lists,
    logit_columns,
    mean_by_head,
)


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
            for head, logits in every_head(output).items():
                flat = logits.reshape(len(label), -1)
                entry = sums.setdefault(head, [0.0, 0.0])
                entry[0] += float(cross_entropy(flat.double(), label, reduction="sum"))
                entry[1] += float((flat.argmax(1) == label).sum())
        return mean_by_head(sums, SEGMENTS * len(indices), len(indices))

    def predictions(self, clips: Clips, indices: Indices, place: Place, outputs: Outputs) -> pa.Table:
        columns = common_columns(clips, indices, place)
        columns["label"] = lists(_classes_per_second(clips)[indices].astype(np.int16))
        return described(columns | logit_columns(outputs, len(indices)), self.name, clips)


def _classes_per_second(clips: Clips) -> NDArray[np.int64]:
    """Index (N, T) of the class in each second, the last class where there is no event."""
    active = clips.truth["events_visual"].copy()
    # The background is the last class (28 of 0 to 28 in AVE): a second without any event.
    active[:, -1] = ~active[:, :-1].any(1)
    return active.argmax(1).astype(np.int64)


TASK = Localisation
