"""Small-loss selection per class and modality, as methods against noisy labels use it on video labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from avbalance.errors import UserError
from avbalance.methods.base import Method, Training, TrainingStep
from avbalance.methods.parts.parsing import Pair

RATIO_VIDEOS = 128
"""Videos that a share of noisy labels is taken of: the batch of MCG-NJU/JoMoLD.

In smaller batches a class has so few positives that `floor(ratio k)` is nearly always 0.
"""
WARMUP_EPOCHS = 0.9  # share of the first epoch over which JoMoLD's code means its ratios to grow

Warmup = Literal["step", "linear"]


class RecentVideos:
    """Labels and losses of the last batches, so that shares of noisy labels are taken of 128 videos at any batch size.

    Remembers the last whole batches that fit, with the one at hand, into RATIO_VIDEOS; each loss as it was then.
    """

    def __init__(self) -> None:
        self._batches: list[tuple[Tensor, ...]] = []

    def joined(self, *values: Tensor) -> tuple[Tensor, ...]:
        """The batch's `values`, each `(B, C)`, below those of the batches before it; they are remembered.

        Rows -B to the end are the batch's. No gradient flows. To be called once a step.
        """
        room, first = RATIO_VIDEOS - len(values[0]), len(self._batches)
        while first > 0 and room >= len(self._batches[first - 1][0]):
            first -= 1
            room -= len(self._batches[first][0])
        self._batches = [*self._batches[first:], tuple(value.detach() for value in values)]
        device = values[0].device  # a resumed run finds what it remembers on the CPU
        return tuple(torch.cat([each.to(device) for each in column]) for column in zip(*self._batches, strict=True))

    def state_dict(self) -> list[list[Tensor]]:
        """What is remembered, a list of tensors per batch."""
        return [list(values) for values in self._batches]

    def load_state_dict(self, state: Sequence[Sequence[Tensor]]) -> None:
        self._batches = [tuple(values) for values in state]


def needed_ratios(method: Method, trainer: Training) -> Pair:
    """The shares of noisy positives `(C,)` of both modalities from the needed file `ratios`.

    Raises UserError when the run has none, or for another number of classes.
    """
    record, classes = method.needed(trainer, "ratios", "noise_ratios.json"), len(trainer.source.clips.classes)
    audio, visual = (
        torch.tensor(record[name], dtype=torch.float64, device=trainer.device) for name in ("audio", "visual")
    )
    if audio.shape != (classes,) or visual.shape != (classes,):
        raise UserError(
            f"the needed file ratios has {len(audio)} audio and {len(visual)} visual ratios, the data set {classes} "
            "classes; let the run sheet take it from a run on the same data set."
        )
    return Pair(audio, visual)


def warmed(ratio: Tensor, step: TrainingStep, warmup: Warmup) -> Tensor:
    """The noise ratios `(C,)` in force at a step.

    "step": none in the first epoch, full from then on: the net effect of JoMoLD's code, whose ratios shrink in place
    from 0 at the first batch. "linear": `ratio * min(1, u)`, u the share passed of the first 0.9 epochs.
    """
    if warmup == "step":
        # What the reference code does, though it reads like a ramp: ratios are multiplied in place by 0 at the first
        # batch.
        return ratio * float(step.epoch > 0)
    return ratio * min(1.0, (step.epoch * step.batches + step.index) / (WARMUP_EPOCHS * step.batches))


def largest_losses(loss: Tensor, label: Tensor, ratio: Tensor) -> Tensor:
    """Boolean `(B, C)`: of the k positives of each class, the `floor(ratio k)` with the largest losses.

    loss and label `(B, C)`, ratio `(C,)`. Equal losses are ranked by their place in the batch, the first as smallest.
    """
    positive = label > 0.5
    kept = positive.sum(0) - (ratio.double() * positive.sum(0)).floor().long()
    return positive & (rank(loss.detach(), positive) >= kept)


def rank(values: Tensor, positive: Tensor) -> Tensor:
    """Rank from 0, within each column, of the positive entries by ascending value; the others come after them."""
    # The second argsort inverts the first: place in the order -> place of each entry in it.
    order = values.masked_fill(~positive, float("inf")).argsort(dim=0, stable=True)
    return order.argsort(dim=0)


def mean_kept(values: Tensor, dropped: Tensor) -> Tensor:
    """Mean of the entries `(B, C)` that are not dropped, a scalar; 0 without any."""
    kept = ~dropped
    return (values * kept).sum() / kept.sum().clamp_min(1)
