"""The training loop: it knows no method and no layer, only hooks, parts of the data and random streams."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avbalance.errors import UserError
from avbalance.methods.base import Method, Step
from avbalance.models.base import Batch, Model
from avbalance.stopping import early_stop
from avbalance.training.data import BatchSource
from avbalance.training.partition import Indices
from avbalance.training.progress import Progress
from avbalance.training.state import Checkpoints
from avbalance.training.streams import derive, torch_stream


@dataclass(frozen=True)
class Protocol:
    """How long, how fast and by what a run is trained and selected; every run of a paper shares it.

    Rates are per optimiser step of SGD; `decay_every` is in epochs; `patience` in epochs without an improvement of the
    validation accuracy by at least `min_delta` percentage points (None: train to the end).
    """

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float
    weight_decay: float
    decay_every: int
    decay_factor: float
    select: str = "validation"
    patience: int | None = None
    min_delta: float = 0.1
    record_confidence: bool = False
    max_steps: int | None = None  # stop every epoch after so many steps (checks of the paper tier)

    def __post_init__(self) -> None:
        if self.select != "validation":
            raise UserError(f"protocol.select is {self.select!r}; runs are selected on validation only.")

    def rate(self, epoch: int) -> float:
        """Learning rate of a 0-based epoch."""
        return self.learning_rate * self.decay_factor ** (epoch // self.decay_every)


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy and accuracy (percent) per head over `n` clips; `true_class` (n,) probability of the label."""

    loss: dict[str, float]
    accuracy: dict[str, float]
    n: int
    true_class: NDArray[np.float32]


@dataclass
class Trainer:
    """One model in training with one method.

    `parts` maps train, val, test, ... to clip indices. `select` on "validation" never evaluates the test part; the
    confidences of unimodal runs are recorded on all parts and are not looked at here.
    """

    model: Model
    method: Method
    source: BatchSource
    parts: dict[str, Indices]
    protocol: Protocol
    seed: int
    checkpoints: Checkpoints | None = None
    needs: dict[str, dict[str, Any]] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    stream: str = "main"
    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    confidence: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = -1
    last: dict[str, Tensor] = field(default_factory=dict)
    optimiser: torch.optim.Optimizer = field(init=False)
    _first_epoch: int = 0  # of the training under way

    def __post_init__(self) -> None:
        self.optimiser = self._fresh_optimiser()

    @property
    def device(self) -> torch.device:
        return self.source.device

    @property
    def epochs(self) -> int:
        return self.protocol.epochs

    def _fresh_optimiser(self) -> torch.optim.Optimizer:
        rule = self.protocol
        return torch.optim.SGD(
            self.model.parameters(),
            lr=rule.rate(self.epoch),
            momentum=rule.momentum,
            weight_decay=rule.weight_decay,
        )

    def clone(self, method: Method) -> Trainer:
        """A trainer of a deep copy of the model, with fresh optimiser state and this trainer's learning rate."""
        return Trainer(
            model=copy.deepcopy(self.model),
            method=method,
            source=self.source,
            parts=self.parts,
            protocol=self.protocol,
            seed=self.seed,
            checkpoints=self.checkpoints,
            needs=self.needs,
            progress=self.progress,
            stream=f"{self.stream}.clone",
            epoch=self.epoch,
        )

    def fit_epochs(self, n: int, first_epoch: int, stream: str, schedule: bool) -> None:
        """Train `n` epochs, numbered from `first_epoch`, on the random stream `stream`.

        With `schedule` the learning rate follows the epochs; without, it stays that of `first_epoch`. A training
        that was killed inside goes on from its last state.
        """
        self.stream, self.epoch = stream, first_epoch
        self._run(first_epoch, first_epoch + n, fixed_rate=None if schedule else self.protocol.rate(first_epoch))

    def train(self) -> None:
        """The whole run: all epochs, validation after each, the best epoch kept (ties: the earlier)."""
        self._run(0, self.protocol.epochs, fixed_rate=None, main=True)
        self.last = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        if self.best:
            self.model.load_state_dict(self.best)

    def _run(self, first: int, stop: int, fixed_rate: float | None, main: bool = False) -> None:
        self.method.prepare(self)
        self._first_epoch = first
        epoch, index, total = self._resume(first)
        while epoch < stop and not self._patience_over():
            self.epoch = epoch
            if index == 0:
                self.method.epoch_start(self, epoch)
            self._set_rate(fixed_rate if fixed_rate is not None else self.protocol.rate(epoch))
            mean_loss = self._epoch(epoch, index, total, main)
            if main:
                self._close_epoch(epoch, mean_loss)
            epoch, index, total = epoch + 1, 0, 0.0
            self._maybe_save(epoch, 0, torch.zeros(()))

    def _epoch(self, epoch: int, index: int, total: float, main: bool) -> float:
        """Steps of one epoch from batch `index` on, where the losses sum to `total`; returns the mean loss.

        Raises UserError when the mean is not finite: nothing that follows from it would be a result.
        """
        losses = torch.tensor(total, dtype=torch.float64, device=self.device)
        indices = self.parts["train"]
        batches = self.source.batches(indices)
        limit = batches if self.protocol.max_steps is None else min(batches, self.protocol.max_steps)
        seeds = [derive(self.seed, self.stream, "augment", epoch, number) for number in range(batches)]
        order = derive(self.seed, self.stream, "order", epoch)
        for batch in self.source.training(indices, order, seeds, first=index):
            step = Step(
                epoch=epoch,
                index=index,
                batches=limit,
                generator=torch_stream(self.device, self.seed, self.stream, "step", epoch, index),
            )
            losses += self._step(batch, step)
            index += 1
            if index >= limit:
                break
            self._maybe_save(epoch, index, losses)
            self.progress.step(self.stream, epoch, index, limit, self.protocol.epochs if main else None)
        mean = float(losses) / limit
        if not math.isfinite(mean):
            raise UserError(
                f"the loss of method {self.method.name} became {mean} in epoch {epoch + 1}; "
                "lower protocol.learning_rate."
            )
        return mean

    def _step(self, batch: Batch, step: Step) -> Tensor:
        """One optimiser step; returns the loss, still on the device."""
        torch.manual_seed(derive(self.seed, self.stream, "global", step.epoch, step.index))
        self.model.train()
        batch = self.method.batch(self.model, batch, step)
        output = self.model(batch)
        loss = self.method.loss(self.model, output, batch, step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.method.gradients(self.model, output, batch, step)
        self.optimiser.step()
        self.method.after_step(self.model, step)
        return loss.detach()

    def _close_epoch(self, epoch: int, mean_loss: float) -> None:
        log: dict[str, Any] = {"epoch": epoch + 1, "lr": self.protocol.rate(epoch), "train_loss": mean_loss}
        validation = self.evaluate("val")
        log["val_accuracy"] = validation.accuracy["logits"]
        log["val_loss"] = validation.loss["logits"]
        self.method.epoch_end(self, epoch, log)
        if self.protocol.record_confidence:
            for name in ("train", "val", "test"):
                evaluation = validation if name == "val" else self.evaluate(name)
                self.confidence.setdefault(name, []).append(evaluation.true_class)
        if self.best_epoch < 0 or log["val_accuracy"] > self.history[self.best_epoch]["val_accuracy"]:
            self.best_epoch = epoch
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.history.append(log)
        self.progress.epoch(self.stream, log, self.protocol.epochs)

    def _patience_over(self) -> bool:
        """Whether `patience` epochs have passed without a gain, see stopping.py."""
        rule, accuracies = self.protocol, [row["val_accuracy"] for row in self.history]
        return rule.patience is not None and early_stop(accuracies, rule.min_delta, rule.patience)[1] is not None

    def _set_rate(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    @torch.no_grad()
    def evaluate(self, split: str) -> Evaluation:
        """Loss and accuracy of every head on one part, in eval mode with test-time transforms."""
        if split not in self.parts:
            raise UserError(f"method {self.method.name} needs the part {split!r}; set data.estimation_holdout above 0.")
        sums: dict[str, list[float]] = {}
        true_class = []
        self.model.eval()
        for batch, heads in self.outputs(self.parts[split]):
            rows = torch.arange(len(batch.label), device=self.device)
            for head, logits in heads.items():
                log_probability = logits.double().log_softmax(1)[rows, batch.label]
                hits = (logits.argmax(1) == batch.label).sum()
                entry = sums.setdefault(head, [0.0, 0.0])
                entry[0] -= float(log_probability.sum())
                entry[1] += float(hits)
                if head == "logits":
                    true_class.append(log_probability.exp().float().cpu().numpy())
        n = len(self.parts[split])
        return Evaluation(
            loss={head: entry[0] / n for head, entry in sums.items()},
            accuracy={head: 100.0 * entry[1] / n for head, entry in sums.items()},
            n=n,
            true_class=np.concatenate(true_class),
        )

    @torch.no_grad()
    def outputs(self, indices: Indices) -> Iterable[tuple[Batch, dict[str, Tensor]]]:
        """Batches of `indices` with the logits of every head: "logits" and each modality that has scores."""
        self.model.eval()
        for batch in self.source.evaluation(indices):
            output = self.model(batch)
            yield batch, {"logits": output.logits, **output.scores}

    def _maybe_save(self, epoch: int, index: int, losses: Tensor) -> None:
        if self.checkpoints is None or not self.checkpoints.due():
            return
        self.checkpoints.save(
            self.stream,
            {
                "first_epoch": self._first_epoch,
                "epoch": epoch,
                "index": index,
                "total": float(losses),
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "method": self.method.state_dict(),
                "history": self.history,
                "confidence": {name: [torch.from_numpy(row) for row in rows] for name, rows in self.confidence.items()},
                "best": self.best,
                "best_epoch": self.best_epoch,
            },
        )

    def _resume(self, first: int) -> tuple[int, int, float]:
        """Take up the last state of this training; a state of an earlier one on the same stream is passed over."""
        state = self.checkpoints.load(self.stream) if self.checkpoints else None
        if state is None or state["first_epoch"] != first:
            return first, 0, 0.0
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.method.load_state_dict(state["method"])
        self.history = state["history"]
        self.confidence = {name: [row.numpy() for row in rows] for name, rows in state["confidence"].items()}
        self.best = {name: value.to(self.device) for name, value in state["best"].items()}
        self.best_epoch = state["best_epoch"]
        self.progress.note(f"resumed at epoch {state['epoch'] + 1}, step {state['index'] + 1}")
        return state["epoch"], state["index"], state["total"]


def parameter_count(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
