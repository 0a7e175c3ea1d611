"""Modality valuation: contributions, copies and what takes part by hand; when clips come again, and what they train."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from one_step import network
from three_head_runs import easy_clips, kill_after, make, same

from avbalance.methods.base import TrainingStep
from avbalance.methods.valuation import AUDIO, BOTH, VISUAL, Valuation, again, contributions, copies, kinds
from avbalance.models.base import Batch, Model, ModelOutput


def test_contributions_and_copies_by_hand() -> None:
    """Right with both, with audio alone, with visual alone; a pair counts 2, one counts 1.

    All: (1 + 2 - 1) / 2 = 1 and 1. Audio with and without visual: (1 + 2 - 0) / 2 = 3/2 and (0 + 2 - 1) / 2 = 1/2. Both
    together alone: 1 and 1. Audio, but not with visual: 1/2 and -1/2. None: 0 and 0.
    """
    right, wrong = [1.0, 0.0], [0.0, 1.0]
    answers = [(right, right, right), (right, right, wrong), (right, wrong, wrong), (wrong, right, wrong)]
    both, audio, visual = torch.tensor([*answers, (wrong, wrong, wrong)]).transpose(0, 1)
    found = contributions(both, audio, visual, torch.zeros(5, dtype=torch.int64))
    assert found.tolist() == [[1, 1], [1.5, 0.5], [1, 1], [0.5, -0.5], [0, 0]]
    assert copies(found).tolist() == [[0, 0], [0, 1], [0, 0], [1, 3], [2, 2]]


def test_shares_of_the_modality_level_by_hand() -> None:
    assert again(0.25, 0.75, 1.0) == pytest.approx((1 / 3, 0))  # 2/3 of one half, for sound
    assert again(0.75, 0.25, 0.5) == pytest.approx((0, 1 / 6))
    assert again(0.5, 0.5, 1.0) == (0, 0)


def test_what_takes_part_is_shuffled_and_complete() -> None:
    extra = np.array([[1, 2], [0, 0], [3, 0]])
    made = [kinds(extra, np.random.default_rng(seed)) for seed in range(40)]
    assert all(sorted(each[0]) == [BOTH, AUDIO, VISUAL, VISUAL] for each in made)
    assert all(each[1, 0] == BOTH and sorted(each[2]) == [BOTH, AUDIO, AUDIO, AUDIO] for each in made)
    first = np.array([each[0, 0] for each in made])
    assert {kind: int((first == kind).sum()) > 0 for kind in (BOTH, AUDIO, VISUAL)} == {BOTH: 1, AUDIO: 1, VISUAL: 1}
    assert kinds(np.zeros((2, 2), dtype=np.int64), np.random.default_rng(0)).tolist() == [[BOTH], [BOTH]]


class Sum(Model):
    """Adds the features up."""

    def fuse(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        return features["audio"] + features["visual"]


def test_the_loss_of_a_step_by_hand() -> None:
    """Clip 2 comes twice, with sound alone and with both; clip 0 with pictures alone.

    Sound says 3 : 1, pictures 1 : 1 of class 0: probabilities 3/4, 3/4 and 1/2.
    """
    method = Valuation()
    method.extra = torch.tensor([[0, 1], [0, 0], [1, 0]])
    method.kinds, method.met = torch.tensor([[BOTH, VISUAL], [BOTH, BOTH], [AUDIO, BOTH]]), torch.tensor([1, 0, 0])
    rows, label = torch.tensor([2, 0, 2]), torch.zeros(3, dtype=torch.int64)
    audio = torch.tensor([[math.log(3), 0.0]]).repeat(3, 1).requires_grad_()
    visual = torch.zeros(3, 2, requires_grad=True)
    output = ModelOutput(audio + visual, {}, {"audio": audio, "visual": visual})
    step = TrainingStep(9, 0, 1, torch.Generator())
    loss = method.loss(Sum(), output, Batch(None, None, label, rows), step)
    assert loss.item() == pytest.approx((2 * math.log(4 / 3) + math.log(2)) / 3)
    loss.backward()
    assert audio.grad is not None and audio.grad.any(1).tolist() == [True, False, True]
    assert visual.grad is not None and visual.grad.any(1).tolist() == [False, True, True]
    assert method.met.tolist() == [2, 0, 2]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return easy_clips(tmp_path_factory.mktemp("valued"))


class Watched(Valuation):
    """Writes down which clips a step has, and with what."""

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.seen: list[tuple[int, int, int]] = []

    def loss(self, model: Any, output: Any, batch: Any, step: Any) -> Any:
        before = self.met.clone()
        loss = super().loss(model, output, batch, step)
        for row in batch.index.tolist() if self.extra is not None else ():
            self.seen.append((step.epoch, row, int(self.kinds[row, before[row]])))
            before[row] += 1
        return loss


@pytest.mark.parametrize("level", ["sample", "modality"])
def test_after_the_warm_up_every_clip_comes_once_with_both_and_as_often_alone_as_laid_down(
    clips: Any, level: str
) -> None:
    trainer = make(clips, "valuation", {}, {"unimodal_heads": False}, epochs=2)
    method = trainer.method = Watched({"warm_up": 0.5, "level": level, "strength": 3.0})
    trainer.train()
    train = trainer.parts["train"]
    assert {epoch for epoch, _, _ in method.seen} == {1} and method.extra is not None
    for kind, expected in (
        (BOTH, torch.ones_like(method.met)),
        (AUDIO, method.extra[:, 0]),
        (VISUAL, method.extra[:, 1]),
    ):
        found = np.bincount([row for _, row, each in method.seen if each == kind], minlength=len(method.met))
        assert found[train].tolist() == expected[train].tolist()
    assert method.extra.any() and len(method.seen) == len(train) + int(method.extra.sum())
    assert level == "sample" or (not method.extra.all(0).any() and (method.extra.sum(0) == 0).any())
    assert trainer.history[1]["again_audio"] == pytest.approx(method.extra[train, 0].double().mean().item())
    assert "again_audio" not in trainer.history[0]


def test_values_are_those_of_the_network_with_a_zero_in_the_other_ones_place(clips: Any) -> None:
    trainer = make(clips, "valuation", {"warm_up": 0.0}, {"unimodal_heads": False})
    trainer.method.epoch_start(trainer, 0)
    assert trainer.method.extra is None  # one epoch is without at least
    trainer.method.epoch_start(trainer, 1)
    head, extra = trainer.model.fusion.linear, trainer.method.extra
    for batch, output in trainer.outputs(trainer.parts["train"]):
        heard, seen = (
            output.features[name] @ columns.T + head.bias
            for name, columns in zip(("audio", "visual"), head.weight.chunk(2, 1), strict=True)
        )
        values = contributions(output.logits, heard, seen, batch.label)
        assert extra[batch.index].tolist() == copies(values).tolist()


def test_an_epoch_that_was_left_goes_on_with_the_same_clips(clips: Any, tmp_path: Any) -> None:
    from avbalance.training.state import Checkpoints

    settings: dict[str, Any] = {"options": {"warm_up": 0.5}, "model": {"unimodal_heads": False}, "epochs": 2}
    whole = make(clips, "valuation", **settings)
    whole.train()
    train = whole.parts["train"]
    assert (whole.method.met[train] == 1 + whole.method.extra[train].sum(1)).all()
    kill_after(make(clips, "valuation", **settings, checkpoints=Checkpoints(tmp_path, "key", every_s=0.0)), 1, 4)
    resumed = make(clips, "valuation", **settings, checkpoints=Checkpoints(tmp_path, "key", every_s=0.0))
    resumed.train()
    assert same(resumed, whole) and torch.equal(resumed.method.met, whole.method.met)


def test_a_network_of_one_modality_is_refused() -> None:
    from avbalance.errors import UserError

    method, model = Valuation(), network("unimodal-net", modality="audio")
    method.extra = torch.zeros(6, 2)
    label = torch.zeros(6, dtype=torch.int64)
    batch = Batch(torch.randn(6, 1, 16, 16), None, label, torch.arange(6))
    method.kinds, method.met = torch.zeros(6, 1, dtype=torch.int64), torch.zeros(6, dtype=torch.int64)
    with pytest.raises(UserError, match="method valuation: the model has no visual features"):
        method.loss(model, model(batch), batch, TrainingStep(9, 0, 1, torch.Generator()))
