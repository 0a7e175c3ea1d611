"""A training loop of one screen that offers methods what the real one does."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from avbalance.methods.base import Method, TrainingStep
from avbalance.models.base import Batch, Model, build

sys.path.insert(0, str(Path(__file__).parent))  # makes the helper modules of this folder importable

CLASSES = 3


@dataclass
class TinyEvaluation:
    loss: dict[str, float]
    accuracy: dict[str, float]
    n: int


def tiny_batch(seed: int, samples: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(samples) % CLASSES
    audio = torch.randn(samples, 1, 16, 16, generator=generator) + label[:, None, None, None]
    visual = torch.randn(samples, 3, 1, 16, 16, generator=generator) - label[:, None, None, None, None] / 2
    return Batch(audio, visual, label, torch.arange(samples))


class TinySource:
    """The clips of the first epoch's batches, six at a time."""

    def evaluation(self, indices: Any) -> Iterator[Batch]:
        yield from (tiny_batch(index) for index in range(len(indices) // 6))


class TinyTrainer:
    """Three fixed batches per epoch, SGD with momentum, counter-based generators."""

    def __init__(self, model: Model, method: Method, epochs: int = 4, lr: float = 0.05) -> None:
        self.model, self.method, self.epochs, self.lr = model, method, epochs, lr
        self.device, self.epoch = torch.device("cpu"), 0
        self.needs: dict[str, dict[str, Any]] = {}
        self.parts, self.source = {"train": np.arange(18)}, TinySource()
        self.optimiser = torch.optim.SGD(model.parameters(), lr, momentum=0.9, weight_decay=1e-4)
        self.evaluated: list[str] = []
        self.clones: list[TinyTrainer] = []
        self.fits: list[dict[str, Any]] = []
        self.logs: list[dict[str, Any]] = []

    def evaluate(self, split: str) -> TinyEvaluation:
        self.evaluated.append(split)
        batch = tiny_batch({"train-sample": 100, "estimation": 200}[split])
        training = self.model.training
        self.model.eval()
        with torch.no_grad():
            output = self.model(batch)
        self.model.train(training)
        heads = {"logits": output.logits, **output.scores}
        loss = {head: cross_entropy(logits, batch.label).item() for head, logits in heads.items()}
        return TinyEvaluation(loss, dict.fromkeys(heads, 0.0), len(batch.label))

    def clone(self, method: Method) -> TinyTrainer:
        copied = TinyTrainer(copy.deepcopy(self.model), method, self.epochs, self.lr)
        self.clones.append(copied)
        return copied

    def fit_epochs(self, n: int, first_epoch: int, stream: str, schedule: bool) -> None:
        self.fits.append({"n": n, "first_epoch": first_epoch, "stream": stream, "schedule": schedule})
        for epoch in range(first_epoch, first_epoch + n):
            self.method.epoch_start(self, epoch)
            for index in range(3):
                self.step(epoch, index)
            self.logs.append({})
            self.method.epoch_end(self, epoch, self.logs[-1])

    def step(self, epoch: int, index: int) -> None:
        step = TrainingStep(epoch, index, 3, torch.Generator().manual_seed(1000 * epoch + index))
        batch = self.method.batch(self.model, tiny_batch(10 * epoch + index), step)
        self.optimiser.zero_grad()
        output = self.model(batch)
        torch.autograd.backward(self.method.loss(self.model, output, batch, step))
        self.method.gradients(self.model, output, batch, step)
        self.optimiser.step()
        self.method.after_step(self.model, step)

    def fit(self) -> None:
        self.method.prepare(self)
        self.fit_epochs(self.epochs, first_epoch=0, stream="main", schedule=True)


MakeTrainer = Callable[..., TinyTrainer]


@pytest.fixture
def make_trainer() -> MakeTrainer:
    """Return a function that builds a trainer for a method, a model name and model settings."""

    def make(method: Method, model: str = "fusion-net", epochs: int = 4, **settings: Any) -> TinyTrainer:
        merged = {"name": model, "width": 2, "stem": "small", **settings}
        return TinyTrainer(build(merged, CLASSES, torch.Generator().manual_seed(0)), method, epochs)

    return make


@pytest.fixture
def same_weights() -> Callable[[Model, Model], bool]:
    """Return a function that says whether the weights of the first model are bit-equal in the second."""

    def same(first: Model, second: Model) -> bool:
        other = second.state_dict()
        return all(torch.equal(value, other[key]) for key, value in first.state_dict().items())

    return same
