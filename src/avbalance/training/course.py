"""The course of a training: a row of history per epoch, the best epochs, confidences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from avbalance.analysis.learning import LOSS
from avbalance.training.protocol import Protocol
from avbalance.training.tasks.base import Evaluation

Losses = tuple[float, float]  # what the method minimises, and the loss of its prediction alone
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Kept:
    """The best epoch of one part so far, 0-based, its value of the metric, and the weights after it."""

    epoch: int
    value: float
    weights: Weights


@dataclass
class Course:
    """What is known of the epochs that are done.

    history: a row per epoch. confidence: by part, per epoch float32 (n,). best: by part, val, and test where it is
    watched.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    confidence: dict[str, list[Any]] = field(default_factory=dict)
    best: dict[str, Kept] = field(default_factory=dict)

    @property
    def selected_epoch(self) -> int:
        """0-based epoch of the selected model; -1 before the first."""
        return self.best["val"].epoch if self.best else len(self.history) - 1

    def keep_if_better(self, part: str, epoch: int, value: float, protocol: Protocol, weights: Weights) -> None:
        """Keep copies of the weights after an epoch that is the best of a part so far."""
        # Nothing is selected then, so that copies of the weights would serve nothing.
        if part == "val" and protocol.select == "last":
            return
        if part not in self.best or protocol.better(value, self.best[part].value):
            self.best[part] = Kept(epoch, value, copied(weights))

    def state_dict(self) -> dict[str, Any]:
        """Everything, in forms that torch saves."""
        return {
            "history": self.history,
            "confidence": {name: [torch.from_numpy(row) for row in rows] for name, rows in self.confidence.items()},
            "best": {part: vars(kept) for part, kept in self.best.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.history = state["history"]
        self.confidence = {name: [row.numpy() for row in rows] for name, rows in state["confidence"].items()}
        self.best = {part: Kept(**kept) for part, kept in state["best"].items()}


def row_of_history(
    epoch: int, rate: float, losses: Losses, evaluations: Mapping[str, Evaluation], several: bool
) -> dict[str, Any]:
    """The columns that all methods have in common; several: the model has a head for each of several modalities."""
    row: dict[str, Any] = {"epoch": epoch + 1, "lr": rate, "train_loss": losses[0], LOSS: losses[1]}
    for part, evaluation in evaluations.items():
        row |= {f"{part}_{metric}": value for metric, value in evaluation.metrics.items()}
        row[f"{part}_loss"] = evaluation.loss["logits"]
        if several:
            heads = {head: value for head, value in evaluation.accuracy.items() if head != "logits"}
            row |= {f"{part}_accuracy_{head}": value for head, value in heads.items()}
    return row


def copied(weights: Mapping[str, Tensor]) -> Weights:
    """The weights as they are now."""
    return {name: value.detach().clone() for name, value in weights.items()}
