"""The training loop: it knows no method and no layer, only hooks, parts of the data and random streams."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from avbalance.errors import UserError
from avbalance.methods.base import Indices, Method, TrainingStep
from avbalance.models.base import Batch, Model
from avbalance.streams import derive, seed_globally, torch_stream
from avbalance.training.course import Course, Losses, Weights, copied, row_of_history
from avbalance.training.data import BatchSource
from avbalance.training.progress import Progress
from avbalance.training.protocol import Protocol
from avbalance.training.state import Checkpoints
from avbalance.training.tasks.base import Evaluation, Outputs, Task

_NONE_YET: Losses = (0.0, 0.0)
_KEPT = ("model", "optimiser", "method", "course")  # what a resumed training takes up


@dataclass
class Trainer:
    """One model in training with one method.

    `parts` maps train, val, test, ... to clip indices; nothing is selected by the test part. `states` holds the
    finished run's weights: selected, last and, where the test part is watched, best-test. `facts`: what saved weights
    tell of this training.
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
    course: Course = field(default_factory=Course)
    states: dict[str, Weights] = field(default_factory=dict)
    optimiser: torch.optim.Optimizer = field(init=False)
    _first_epoch: int = 0  # of the training under way

    def __post_init__(self) -> None:
        rule, parameters = self.protocol, self.model.parameters()
        common: dict[str, Any] = {"lr": rule.rate(self.epoch), "weight_decay": rule.weight_decay}
        if rule.optimiser == "adam":
            # One kernel for all parameters: of small networks the step itself is otherwise a good part of an epoch.
            self.optimiser = torch.optim.Adam(parameters, fused=True, **common)
        else:  # the fused form fails for parameters that get their first gradient later than others
            self.optimiser = torch.optim.SGD(parameters, momentum=rule.momentum, foreach=True, **common)

    @property
    def device(self) -> torch.device:
        return self.source.device

    @property
    def epochs(self) -> int:
        return self.protocol.epochs

    @property
    def history(self) -> list[dict[str, Any]]:
        return self.course.history

    def clone(self, method: Method) -> Trainer:
        """A trainer of a deep copy of the model, with fresh optimiser state and this trainer's learning rate."""
        return replace(
            self,
            model=copy.deepcopy(self.model),
            method=method,
            # A stream of its own, so that a copy's draws never shift those of the training that it was taken from.
            stream=f"{self.stream}.clone",
            course=Course(),
            states={},
            _first_epoch=0,
        )

    def fit_epochs(self, n: int, first_epoch: int, stream: str, schedule: bool) -> None:
        """Train `n` epochs, numbered from `first_epoch`, on the random stream `stream`; one that was killed goes on.

        With `schedule` the learning rate follows the epochs; without, it stays that of `first_epoch`.
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
        best = self.course.best
        self.states = {"last": copied(self.model.state_dict())}
        self.states["selected"] = best["val"].weights if "val" in best else self.states["last"]
        if "test" in best:
            self.states["best-test"] = best["test"].weights
        self.model.load_state_dict(self.states["selected"])

    def _run(self, first: int, stop: int, fixed_rate: float | None, main: bool = False) -> None:
        self.method.prepare(self)
        self._first_epoch = first
        epoch, index, totals = self._resume(first)
        while epoch < stop and not self.protocol.over(self.history):
            self.epoch = epoch
            # An epoch that is resumed in its middle was begun already: its start must not be prepared twice.
            if index == 0:
                self.method.epoch_start(self, epoch)
            for group in self.optimiser.param_groups:
                group["lr"] = self.protocol.rate(epoch) if fixed_rate is None else fixed_rate
            losses = self._epoch(epoch, index, totals, main)
            if main:
                self._close_epoch(epoch, losses)
            epoch, index, totals = epoch + 1, 0, _NONE_YET
            self._maybe_save(epoch, 0, torch.zeros(2))

    def _epoch(self, epoch: int, index: int, totals: Losses, main: bool) -> Losses:
        """Steps of one epoch from batch `index` on, where the losses sum to `totals`; returns the mean losses.

        Without a clip to train on there is no step, and no mean (NaN). Raises UserError for a mean that is not finite.
        """
        losses = torch.tensor(totals, dtype=torch.float64, device=self.device)
        indices = self.parts["train"]
        if not len(indices):
            return math.nan, math.nan
        groups = {name: clips for name, clips in self.method.clip_groups(indices).items() if len(clips)}
        names = [name for name, clips in groups.items() for _ in range(self.source.batches(clips))]
        # Tests of full size make a few steps only; the schedule still counts whole epochs.
        limit = len(names) if self.protocol.max_steps is None else min(len(names), self.protocol.max_steps)
        seeds = [derive(self.seed, self.stream, "augment", epoch, number) for number in range(len(names))]
        order = derive(self.seed, self.stream, "order", epoch)
        for batch in self.source.training([*groups.values()], order, seeds, first=index):
            # Fresh in each step: a resumed run needs no state of any generator to go on with the same draws.
            generator = torch_stream(self.device, self.seed, self.stream, "step", epoch, index)
            losses += self._step(batch, TrainingStep(epoch, index, limit, generator, names[index]))
            index += 1
            # Before the state is saved: the end of an epoch is saved by the caller, as the beginning of the next one.
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

    def _step(self, batch: Batch, step: TrainingStep) -> Tensor:
        """One batch, in one optimiser step for each of the method's turns.

        Returns two losses, still on the device: the method's and that of its prediction, means over the turns.
        """
        # Dropout and other library code draw from torch's global stream, which methods may have used in between.
        seed_globally(self.device, derive(self.seed, self.stream, "global", step.epoch, step.index))
        self.model.train()
        turns = self.method.turns(self.model, batch, step)
        return torch.stack([self._turn(turn, batch.label, step) for turn in turns]).mean(0)

    def _turn(self, batch: Batch, label: Tensor, step: TrainingStep) -> Tensor:
        """Forward, backward and the optimiser's step of one turn; label: that of the clips before any method."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.protocol.precision == "bf16"):
            # Only the forward pass and the loss: backward runs in the types that the forward chose, as PyTorch advises.
            output = self.model(batch)
            loss = self.method.loss(self.model, output, batch, step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.method.gradients(self.model, output, batch, step)
        self.optimiser.step()
        self.method.after_step(self.model, step)
        with torch.no_grad():
            # Kept on the device: reading two numbers in every step would wait for it.
            return torch.stack([loss, self.task.loss(output, label)]).double()

    def _close_epoch(self, epoch: int, losses: Losses) -> None:
        rule, course = self.protocol, self.course
        parts = ("val", "test") if rule.watch_test else ("val",)
        evaluations = {part: self.evaluate(part) for part in parts}
        log = row_of_history(epoch, rule.rate(epoch), losses, evaluations, len(self.model.modalities) > 1)
        # After both evaluations: a method may change the model here, and the row must be of the model that was
        # evaluated.
        self.method.epoch_end(self, epoch, log)
        if rule.record_confidence:
            for name in ("train", "val", "test"):
                evaluation = evaluations[name] if name in evaluations else self.evaluate(name)
                course.confidence.setdefault(name, []).append(evaluation.true_class)
        for part in parts:
            course.keep_if_better(part, epoch, log[f"{part}_{rule.metric}"], rule, self.model.state_dict())
        course.history.append(log)
        self.progress.epoch(log, rule.epochs, rule.metric)

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
        place = {"first_epoch": self._first_epoch, "epoch": epoch, "index": index, "totals": losses.tolist()}
        parts = {name: getattr(self, name).state_dict() for name in _KEPT}
        self.checkpoints.save(self.stream, {**place, **parts})

    def _resume(self, first: int) -> tuple[int, int, Losses]:
        """Take up the last state of this training; a state of an earlier one on the same stream is passed over."""
        state = self.checkpoints.load(self.stream) if self.checkpoints else None
        # Gradient-Blending trains its copies on one stream super-epoch after super-epoch: an older one's state is no
        # use.
        if state is None or state["first_epoch"] != first:
            return first, 0, _NONE_YET
        for name in _KEPT:
            getattr(self, name).load_state_dict(state[name])
        self.progress.note(f"resumed at epoch {state['epoch'] + 1}, step {state['index'] + 1}")
        loss, prediction = state["totals"]
        return state["epoch"], state["index"], (loss, prediction)


def parameter_count(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
