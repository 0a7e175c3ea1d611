"""The training loop: it knows no method and no layer, only hooks, parts of the data and random streams."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from avbalance.analysis.learning import LOSS
from avbalance.errors import UserError
from avbalance.methods.base import Method, Step
from avbalance.models.base import Batch, Model
from avbalance.stopping import early_stop
from avbalance.training.data import BatchSource
from avbalance.training.partition import Indices
from avbalance.training.progress import Progress
from avbalance.training.state import Checkpoints
from avbalance.training.streams import derive, seed_globally, torch_stream
from avbalance.training.tasks.base import Evaluation, Outputs, Task


@dataclass(frozen=True)
class Protocol:
    """How long, how fast and by what a run is trained and selected; every run of a paper shares it.

    optimiser: "sgd" or "adam" (default betas). The rate is multiplied by `decay_factor` every `decay_every` epochs, or
    after each number of epochs in `decay_at`. select: "validation", the epoch with the best validation `metric`, of
    equals the earlier or the later one (`ties`); or "last". `patience`: epochs without an improvement of the metric by
    at least `min_delta` percentage points (None: train to the end). stop_at_loss: training ends when the loss of the
    prediction alone, which all methods have in common, was below this in each of the last STOP_EPOCHS epochs (None:
    train to the end): hardly any gradient is left then. watch_test: evaluate the test part after every
    epoch and keep the best of them beside the selected model; nothing is selected by it. precision: "fp32", or "bf16":
    forward pass and loss of training under autocast; weights, optimiser and evaluation stay in float32.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    decay_factor: float
    momentum: float = 0.0
    decay_every: int | None = None
    decay_at: tuple[int, ...] | None = None
    optimiser: str = "sgd"
    drop_last: bool = False
    select: str = "validation"
    metric: str = "accuracy"
    ties: str = "earlier"
    patience: int | None = None
    min_delta: float = 0.1
    stop_at_loss: float | None = None
    record_confidence: bool = False
    watch_test: bool = False
    precision: str = "fp32"
    max_steps: int | None = None  # stop every epoch after so many steps (checks of the paper tier)

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UserError(f"protocol.{name} is {getattr(self, name)!r}; it must be {' or '.join(allowed)}.")
        if (self.decay_every is None) == (self.decay_at is None):
            raise UserError("protocol: set one of decay_every and decay_at, and the other to null.")

    def rate(self, epoch: int) -> float:
        """Learning rate of a 0-based epoch."""
        if self.decay_at is not None:
            return self.learning_rate * self.decay_factor ** sum(epoch >= end for end in self.decay_at)
        assert self.decay_every is not None
        return self.learning_rate * self.decay_factor ** (epoch // self.decay_every)

    def better(self, value: float, best: float) -> bool:
        """Whether a later epoch with this value is preferred to an earlier one."""
        return value > best if self.ties == "earlier" else value >= best


_CHOICES = {
    "select": ("validation", "last"),
    "ties": ("earlier", "later"),
    "optimiser": ("sgd", "adam"),
    "precision": ("fp32", "bf16"),
}


STOP_EPOCHS = 5  # of a loss below `stop_at_loss`: one epoch may be low by its draws
Losses = tuple[float, float]  # what the method minimises, and the loss of its prediction alone
_NONE_YET: Losses = (0.0, 0.0)


@dataclass(frozen=True)
class Kept:
    """The best epoch of one part so far, 0-based, its value of the metric, and the weights after it."""

    epoch: int
    value: float
    weights: dict[str, Tensor]


@dataclass
class Trainer:
    """One model in training with one method.

    `parts` maps train, val, test, ... to clip indices. Nothing here is selected by the test part; the confidences of
    unimodal runs are recorded on all parts and are not looked at. `states` holds the finished run's weights: selected,
    last and, where the test part is watched, best-test. `facts`: what the saved weights tell of this training.
    """

    model: Model
    method: Method
    task: Task
    source: BatchSource
    parts: dict[str, Indices]
    protocol: Protocol
    seed: int
    checkpoints: Checkpoints | None = None
    needs: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    stream: str = "main"
    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    confidence: dict[str, list[Any]] = field(default_factory=dict)  # per epoch float32 (n,)
    best: dict[str, Kept] = field(default_factory=dict)  # by part: val, and test where it is watched
    states: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    optimiser: torch.optim.Optimizer = field(init=False)
    _first_epoch: int = 0  # of the training under way

    def __post_init__(self) -> None:
        metric = self.protocol.metric
        if metric not in self.task.metrics:
            known = ", ".join(self.task.metrics)
            raise UserError(f"protocol.metric is {metric!r}; task {self.task.name} has {known}.")
        self.optimiser = self._fresh_optimiser()

    @property
    def device(self) -> torch.device:
        return self.source.device

    @property
    def epochs(self) -> int:
        return self.protocol.epochs

    @property
    def selected_epoch(self) -> int:
        """0-based epoch of the selected model; -1 before the first."""
        return self.best["val"].epoch if self.best else len(self.history) - 1

    def _fresh_optimiser(self) -> torch.optim.Optimizer:
        rule = self.protocol
        if rule.optimiser == "adam":
            return torch.optim.Adam(
                self.model.parameters(), lr=rule.rate(self.epoch), weight_decay=rule.weight_decay, fused=True
            )
        return torch.optim.SGD(
            self.model.parameters(),
            lr=rule.rate(self.epoch),
            momentum=rule.momentum,
            weight_decay=rule.weight_decay,
            foreach=True,  # the fused form fails for parameters that get their first gradient later than others
        )

    def clone(self, method: Method) -> Trainer:
        """A trainer of a deep copy of the model, with fresh optimiser state and this trainer's learning rate."""
        return Trainer(
            model=copy.deepcopy(self.model),
            method=method,
            task=self.task,
            source=self.source,
            parts=self.parts,
            protocol=self.protocol,
            seed=self.seed,
            checkpoints=self.checkpoints,
            needs=self.needs,
            facts=self.facts,
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
        """The whole run: all epochs, validation after each; the selected model stays in place.

        A method that fits its model by itself has a single epoch without steps.
        """
        if self.method.card.fits:
            self.method.prepare(self)
            loss = self.evaluate("train").loss["logits"]
            self._close_epoch(0, (loss, loss))
        else:
            self._run(0, self.protocol.epochs, fixed_rate=None, main=True)
        self.states = {"last": self._weights()}
        self.states["selected"] = self.best["val"].weights if "val" in self.best else self.states["last"]
        if "test" in self.best:
            self.states["best-test"] = self.best["test"].weights
        self.model.load_state_dict(self.states["selected"])

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def _run(self, first: int, stop: int, fixed_rate: float | None, main: bool = False) -> None:
        self.method.prepare(self)
        self._first_epoch = first
        epoch, index, totals = self._resume(first)
        while epoch < stop and not self._over():
            self.epoch = epoch
            if index == 0:
                self.method.epoch_start(self, epoch)
            self._set_rate(fixed_rate if fixed_rate is not None else self.protocol.rate(epoch))
            losses = self._epoch(epoch, index, totals, main)
            if main:
                self._close_epoch(epoch, losses)
            epoch, index, totals = epoch + 1, 0, _NONE_YET
            self._maybe_save(epoch, 0, torch.zeros(2))

    def _epoch(self, epoch: int, index: int, totals: Losses, main: bool) -> Losses:
        """Steps of one epoch from batch `index` on, where the losses sum to `totals`; returns the mean losses.

        A method may have left no clip to train on: then there is no step, and no mean (NaN). Raises UserError when the
        mean of a step or more is not finite: nothing that follows from it would be a result.
        """
        losses = torch.tensor(totals, dtype=torch.float64, device=self.device)
        indices = self.parts["train"]
        if not len(indices):
            return math.nan, math.nan
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
        mean, prediction = (losses / limit).tolist()
        if not math.isfinite(mean):
            raise UserError(
                f"the loss of method {self.method.name} became {mean} in epoch {epoch + 1}; "
                "lower protocol.learning_rate."
            )
        return mean, prediction

    def _step(self, batch: Batch, step: Step) -> Tensor:
        """One optimiser step; returns two losses, still on the device: the method's, and that of its prediction."""
        label = batch.label
        seed_globally(self.device, derive(self.seed, self.stream, "global", step.epoch, step.index))
        self.model.train()
        batch = self.method.batch(self.model, batch, step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.protocol.precision == "bf16"):
            output = self.model(batch)
            loss = self.method.loss(self.model, output, batch, step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.method.gradients(self.model, output, batch, step)
        self.optimiser.step()
        self.method.after_step(self.model, step)
        with torch.no_grad():
            return torch.stack([loss, self.task.loss(output, label)]).double()

    def _close_epoch(self, epoch: int, losses: Losses) -> None:
        log: dict[str, Any] = {"epoch": epoch + 1, "lr": self.protocol.rate(epoch)}
        log |= {"train_loss": losses[0], LOSS: losses[1]}
        parts = ("val", "test") if self.protocol.watch_test else ("val",)
        evaluations = {part: self.evaluate(part) for part in parts}
        for part, evaluation in evaluations.items():
            log |= {f"{part}_{metric}": value for metric, value in evaluation.metrics.items()}
            log[f"{part}_loss"] = evaluation.loss["logits"]
            if len(self.model.modalities) > 1:
                log |= {
                    f"{part}_accuracy_{head}": value for head, value in evaluation.accuracy.items() if head != "logits"
                }
        self.method.epoch_end(self, epoch, log)
        if self.protocol.record_confidence:
            for name in ("train", "val", "test"):
                evaluation = evaluations[name] if name in evaluations else self.evaluate(name)
                self.confidence.setdefault(name, []).append(evaluation.true_class)
        for part in parts:
            self._keep_if_better(part, epoch, log[f"{part}_{self.protocol.metric}"])
        self.history.append(log)
        self.progress.epoch(self.stream, log, self.protocol.epochs, self.protocol.metric)

    def _keep_if_better(self, part: str, epoch: int, value: float) -> None:
        if part == "val" and self.protocol.select == "last":
            return
        if part not in self.best or self.protocol.better(value, self.best[part].value):
            self.best[part] = Kept(epoch, value, self._weights())

    def _over(self) -> bool:
        """Whether `patience` epochs have passed without a gain (see stopping.py), or the loss has come to rest at 0."""
        rule = self.protocol
        recent = [row[LOSS] for row in self.history[-STOP_EPOCHS:]]
        if rule.stop_at_loss is not None and len(recent) == STOP_EPOCHS and max(recent) < rule.stop_at_loss:
            return True
        values = [row[f"val_{rule.metric}"] for row in self.history]
        return rule.patience is not None and early_stop(values, rule.min_delta, rule.patience)[1] is not None

    def _set_rate(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    @torch.no_grad()
    def evaluate(self, split: str) -> Evaluation:
        """How the model does on one part, in eval mode with test-time transforms."""
        if split not in self.parts:
            raise UserError(f"method {self.method.name} needs the part {split!r}; set data.estimation_holdout above 0.")
        indices = self.parts[split]
        return self.task.evaluate(self.source.clips, indices, self.outputs(indices))

    @torch.no_grad()
    def outputs(self, indices: Indices) -> Outputs:
        """Batches of `indices` and what the model, in eval mode, makes of them."""
        self.model.eval()
        for batch in self.source.evaluation(indices):
            yield batch, self.model(batch)

    def _maybe_save(self, epoch: int, index: int, losses: Tensor) -> None:
        if self.checkpoints is None or not self.checkpoints.due():
            return
        self.checkpoints.save(
            self.stream,
            {
                "first_epoch": self._first_epoch,
                "epoch": epoch,
                "index": index,
                "totals": losses.tolist(),
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "method": self.method.state_dict(),
                "history": self.history,
                "confidence": {name: [torch.from_numpy(row) for row in rows] for name, rows in self.confidence.items()},
                "best": {part: vars(kept) for part, kept in self.best.items()},
            },
        )

    def _resume(self, first: int) -> tuple[int, int, Losses]:
        """Take up the last state of this training; a state of an earlier one on the same stream is passed over."""
        state = self.checkpoints.load(self.stream) if self.checkpoints else None
        if state is None or state["first_epoch"] != first:
            return first, 0, _NONE_YET
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.method.load_state_dict(state["method"])
        self.history = state["history"]
        self.confidence = {name: [row.numpy() for row in rows] for name, rows in state["confidence"].items()}
        self.best = {part: Kept(**kept) for part, kept in state["best"].items()}
        self.progress.note(f"resumed at epoch {state['epoch'] + 1}, step {state['index'] + 1}")
        loss, prediction = state["totals"]
        return state["epoch"], state["index"], (loss, prediction)


def parameter_count(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
