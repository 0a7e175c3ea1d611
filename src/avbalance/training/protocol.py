"""How long, how fast and by what a run is trained and selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import model_validator

from avbalance.analysis.learning import LOSS
from avbalance.declared import Above0, Declared, Size, Weight, refusal
from avbalance.stopping import early_stop

STOP_EPOCHS = 5  # of a loss below `stop_at_loss`: one epoch may be low by its draws


class Protocol(Declared):
    """How long, how fast and by what a run is trained and selected; every run of a paper shares it."""

    epochs: Size
    """how often the training part is seen"""
    batch_size: Size
    """clips of a step"""
    learning_rate: Above0
    """rate of the first epoch"""
    weight_decay: Weight
    """weight of the squared weights"""
    decay_factor: Above0
    """what the rate is multiplied by"""
    decay_every: Size | None = None
    """epochs after which, again and again, the rate is multiplied; this or decay_at is set, the other is null"""
    decay_at: list[Size] | None = None
    """numbers of epochs after each of which the rate is multiplied"""
    optimiser: Literal["sgd", "adam"] = "sgd"
    """adam: with its default betas; it reads no momentum"""
    momentum: Weight = 0.0
    """momentum of sgd"""
    drop_last: bool = False
    """whether an epoch ends before its last, smaller batch"""
    select: Literal["validation", "last"] = "validation"
    """which epoch is selected: that with the best validation metric, or the last"""
    metric: str = "accuracy"
    """validation metric of the task by which an epoch is selected, and of which patience counts gains"""
    ties: Literal["earlier", "later"] = "earlier"
    """which of two epochs of equal metric is selected"""
    patience: Size | None = None
    """epochs without a gain after which training ends; null: train to the end"""
    min_delta: Weight = 0.1
    """percentage points of the metric that are a gain"""
    stop_at_loss: Above0 | None = None
    """nats: training ends when the loss of the prediction alone was below it in each of the last five epochs: hardly
    any gradient is left then"""
    record_confidence: bool = False
    """whether the probability of every clip's label is kept after every epoch, for the estimate of discrepancy"""
    watch_test: bool = False
    """evaluate the test part after every epoch, and keep the best as checkpoint best-test; nothing is selected by it"""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: forward pass and loss of training under autocast; weights, optimiser and evaluation stay in float32"""
    max_steps: Size | None = None
    """steps after which every epoch stops, to try something out"""

    @model_validator(mode="after")
    def _one_schedule(self) -> Self:
        if (self.decay_every is None) == (self.decay_at is None):
            raise refusal("set one of decay_every and decay_at, and the other to null")
        return self

    def rate(self, epoch: int) -> float:
        """Learning rate of a 0-based epoch."""
        if self.decay_at is not None:
            return self.learning_rate * self.decay_factor ** sum(epoch >= end for end in self.decay_at)
        assert self.decay_every is not None
        return self.learning_rate * self.decay_factor ** (epoch // self.decay_every)

    def better(self, value: float, best: float) -> bool:
        """Whether a later epoch with this value is preferred to an earlier one."""
        return value > best if self.ties == "earlier" else value >= best

    def over(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether `patience` epochs have passed without a gain (see stopping.py), or the loss has come to rest at 0."""
        recent = [row[LOSS] for row in history[-STOP_EPOCHS:]]
        if self.stop_at_loss is not None and len(recent) == STOP_EPOCHS and max(recent) < self.stop_at_loss:
            return True
        values = [row[f"val_{self.metric}"] for row in history]
        return self.patience is not None and early_stop(values, self.min_delta, self.patience)[1] is not None
