"""One label per clip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from avbalance.methods.base import Indices
from avbalance.models.base import Batch, ModelOutput
from avbalance.training.data import Clips
from avbalance.training.data_settings import DataSettings
from avbalance.training.degraded import degraded_outputs
from avbalance.training.interplay import interplay_logits
from avbalance.training.probe import probe_logits
from avbalance.training.tasks.base import (
    Evaluation,
    Outputs,
    Place,
    Task,
    common_columns,
    every_head,
    logit_columns,
    mean_by_head,
)

if TYPE_CHECKING:
    from avbalance.training.loop import Trainer


class ClassificationSettings(DataSettings):
    """Data settings of classification."""

    probes: bool = False
    """also test linear probes of the selected model's encoders: conditions probe-audio, probe-visual"""
    interplay: bool = False
    """also test the joint model with one modality of other clips, see training/interplay.py"""
    degraded: bool = False
    """also test the selected model with one modality noisy, and without it, see training/degraded.py"""
    noise_levels: list[int] = Field(default=[0])
    """signal-to-noise ratios of `degraded`, in dB"""


class OneLabel(Task):
    """Labels (N,) int64; cross-entropy and accuracy of every head."""

    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def targets(self, clips: Clips) -> Tensor:
        return torch.as_tensor(clips.labels)

    def loss(self, output: ModelOutput, label: Tensor) -> Tensor:
        return cross_entropy(output.logits[: len(label)], label)

    def clip_scores(
        self, clips: Clips, indices: Indices, outputs: Outputs, metric: str
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        predicted = torch.cat([output.logits.argmax(1) for _, output in outputs]).cpu().numpy()
        labels = clips.labels[indices]
        weights = self.weights(labels, metric)
        most = np.bincount(labels).argmax()  # which class is named, of equal ones, means nothing: a share, not answers
        return weights * (predicted == labels), np.full(len(labels), (weights * (labels == most)).mean())

    def weights(self, labels: Indices, metric: str) -> NDArray[np.float64]:
        """What a right answer counts in a metric, by clip (N,), in percent: the mean of all is 100."""
        return np.full(len(labels), 100.0)

    def evaluate(self, clips: Clips, indices: Indices, outputs: Outputs) -> Evaluation:
        sums: dict[str, list[float]] = {}
        true_class = []
        for batch, output in outputs:
            rows = torch.arange(len(batch.label), device=batch.label.device)
            for head, logits in every_head(output).items():
                # float64: of clips that a network is sure of, float32 rounds the loss to 0.
                log_probability = logits.double().log_softmax(1)[rows, batch.label]
                entry = sums.setdefault(head, [0.0, 0.0])
                entry[0] -= float(log_probability.sum())
                entry[1] += float((logits.argmax(1) == batch.label).sum())
                if head == "logits":
                    true_class.append(log_probability.exp().float().cpu().numpy())
        return replace(mean_by_head(sums, len(indices), len(indices)), true_class=np.concatenate(true_class))

    def predictions(self, clips: Clips, indices: Indices, place: Place, outputs: Outputs) -> pa.Table:
        columns = common_columns(clips, indices, place)
        columns = {"id": columns.pop("id"), "label": pa.array(clips.labels[indices], pa.int16()), **columns}
        return pa.table(columns | logit_columns(outputs, len(indices)))


class Classification(OneLabel):
    """One label per clip; the test part may also be predicted by probes, or with one modality changed."""

    Settings = ClassificationSettings
    name = "classification"
    data: ClassificationSettings

    def conditions(self, trainer: Trainer, split: str, checkpoint: str) -> Iterable[tuple[str, Outputs]]:
        yield from super().conditions(trainer, split, checkpoint)
        if (split, checkpoint) != ("test", "selected"):
            return
        further: dict[str, Tensor] = {}
        if self.data.probes:
            further |= {f"probe-{name}": logits for name, logits in probe_logits(trainer, split).items()}
        if self.data.interplay and len(trainer.model.modalities) > 1:
            further |= interplay_logits(trainer, split)
        where = torch.as_tensor(trainer.parts[split])
        named = Batch(None, None, trainer.source.targets[where], where)
        for condition, logits in further.items():
            yield condition, [(named, ModelOutput(logits, {}, {}))]
        if self.data.degraded:
            yield from degraded_outputs(trainer, split, self.data.noise_levels)


TASK = Classification
