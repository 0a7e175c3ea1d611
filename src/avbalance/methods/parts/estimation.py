"""A trained parsing network's probabilities on many clips, for methods that look over the training set."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from avbalance.methods.base import Given, Indices, Method, Training
from avbalance.methods.parts.parsing import Pair

BATCH = 128  # the batch of MCG-NJU/JoMoLD, over which it takes means of means


class Estimation(Method):
    """Base of methods that look over the training set with the weights of the need "model", and write a `record`."""

    record: dict[str, Any] | None

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.record = None

    def load(self, trainer: Training) -> None:
        """Put the needed weights into the trainer's model; raises UserError where that cannot be."""
        self.load_weights(trainer.model, self.needed(trainer, "model", "model.safetensors"), "model")


def video_probabilities(
    trainer: Training, indices: Indices, visual_indices: Indices | None = None
) -> tuple[Pair, Tensor]:
    """p_a and p_v, and the labels, of the clips at `indices`: `(N, C)` on the CPU, in this order.

    In eval mode, which is undone. With `visual_indices (N,)` the pictures are those of other clips.
    """
    training = trainer.model.training
    trainer.model.eval()
    columns: list[list[Tensor]] = [[], [], []]
    with torch.no_grad():
        for start in range(0, len(indices), BATCH):
            here = slice(start, start + BATCH)
            batch = trainer.source.batch_of(indices[here], None if visual_indices is None else visual_indices[here])
            output: Any = trainer.model(batch)
            for column, values in zip(columns, (output.p_a, output.p_v, batch.label), strict=True):
                column.append(values)
    # The caller may be in the middle of a training: dropout must be as it was.
    trainer.model.train(training)
    audio, visual, label = (torch.cat(column).cpu() for column in columns)
    return Pair(audio, visual), label
