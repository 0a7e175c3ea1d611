"""Methods that change the course of an epoch: several optimiser steps for a batch, and clips that may share one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from avbalance.methods.base import Method, MethodCard

MakeTrainer = Callable[..., Any]


class Twice(Method):
    """Trains on each batch, then on its pictures with silence; clips of two groups do not share a batch."""

    card = MethodCard("twice", "Twice", "a test", "Two turns for each batch of one of two groups.")

    def __init__(self) -> None:
        super().__init__({})
        self.seen: list[tuple[int, str, list[int]]] = []
        self.weights: list[Any] = []
        self.losses: list[float] = []

    def clip_groups(self, indices: Any) -> dict[str, Any]:
        return {"late": indices[48:], "none": indices[:0], "early": indices[:48]}

    def turns(self, model: Any, batch: Any, step: Any) -> list[Any]:
        self.seen.append((step.index, step.group, batch.index.tolist()))
        return [batch, replace(batch, audio=torch.zeros_like(batch.audio))]

    def loss(self, model: Any, output: Any, batch: Any, step: Any) -> Any:
        found = super().loss(model, output, batch, step)
        self.losses.append(found.item())
        return found

    def after_step(self, model: Any, step: Any) -> None:
        self.weights.append(next(model.parameters()).detach().clone())


def test_each_turn_has_an_optimiser_step_and_groups_come_one_after_the_other(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(protocol={"epochs": 1, "batch_size": 20})
    method = trainer.method = Twice()
    train = trainer.parts["train"]
    trainer.train()
    # 96 clips in two groups of 48, batches of 20: three each, the last of 8; the group without clips has none
    late, early = len(train[48:]), 48
    sizes = [min(20, group - start) for group in (late, early) for start in range(0, group, 20)]
    assert [(index, len(rows)) for index, _, rows in method.seen] == list(enumerate(sizes))
    assert [group for _, group, _ in method.seen] == ["late"] * -(-late // 20) + ["early"] * 3
    for name, clips in (("late", train[48:]), ("early", train[:48])):
        rows = [row for _, group, rows in method.seen if group == name for row in rows]
        assert sorted(rows) == sorted(clips.tolist()) and rows != clips.tolist()
    assert len(method.weights) == len(method.losses) == 2 * len(sizes)
    pairs = zip(method.weights[:-1], method.weights[1:], strict=True)
    assert all(not torch.equal(one, two) for one, two in pairs)
    # the history's loss is the mean over steps of the means over turns
    assert np.isclose(trainer.history[0]["train_loss"], np.mean(method.losses), rtol=1e-6)
