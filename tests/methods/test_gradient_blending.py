"""Gradient-Blending: weights from given histories, the estimation, online, offline and fixed."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from one_step import gradients, network
from three_head_runs import easy_clips, make

from avbalance.errors import UserError
from avbalance.methods.gradient_blending import (
    GradientBlending,
    SingleHead,
    blending_weights,
    estimate,
    overfitting_and_generalisation,
    re_estimated,
)
from avbalance.training.loop import Trainer


def test_guards() -> None:
    assert blending_weights([0.1, 0.1, 0.1], [0.0, 0.3, 0.1]) == pytest.approx([0.0, 0.75, 0.25])
    assert blending_weights([0.1, 0.1, 0.1], [-5.0, 0.3, 0.1]) == pytest.approx([0.0, 0.75, 0.25])
    assert blending_weights([0.2, 0.1, 0.1], [-1.0, 0.0, -0.1]) == [1 / 3] * 3
    # dO^2 is floored at 1e-6: gains 1e-6 / 1e-6 = 1 and 3e-6 / 1e-6 = 3
    assert blending_weights([0.0, 1e-5], [1e-6, 3e-6]) == pytest.approx([0.25, 0.75])
    assert blending_weights([-0.1, 0.1], [1.0, 1.0]) == pytest.approx([0.5, 0.5])


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return easy_clips(tmp_path_factory.mktemp("blending"))


def blending(clips: Any, **options: Any) -> Any:
    resnet = {"encoder": "resnet18", "dimension": None, "stem": "small", "width": 4}
    return make(clips, "gradient-blending", options, resnet, epochs=1, estimation_holdout=0.2)


@pytest.mark.parametrize("head", ["audio", "visual"])
def test_a_single_head_trains_its_own_path_only(head: str) -> None:
    trained = gradients(SingleHead({"head": head}), network(unimodal_heads=True))
    assert {name.split(".")[1] for name in trained} == {head}
    assert {name.split(".")[0] for name in trained} == {"encoders", "unimodal_heads"}


def test_estimation_reports_what_the_copies_measured(clips: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, copies, clone = blending(clips), [], Trainer.clone
    monkeypatch.setattr(Trainer, "clone", lambda *given: copies.append(clone(*given)) or copies[-1])
    record = estimate(trainer, 1, first_epoch=0, schedule=False)
    for (head, raw), key, copied in zip(record["heads"].items(), ("audio", "visual", "logits"), copies, strict=True):
        assert raw["train_loss"] == [each.evaluate("train-sample").loss[key] for each in (trainer, copied)], head
        assert raw["held_out_loss"] == [each.evaluate("estimation").loss[key] for each in (trainer, copied)]
        expected = overfitting_and_generalisation(tuple(raw["train_loss"]), tuple(raw["held_out_loss"]))
        assert (raw["added_overfitting"], raw["added_generalisation"]) == expected


def test_with_statistics_of_the_present_weights_a_hardly_trained_network_is_near_guessing(clips: Any) -> None:
    guessing, losses = math.log(4), {}
    for batch_norm in ("as trained", "re-estimated"):
        trainer = blending(clips, batch_norm=batch_norm)
        for kernel in (weight for weight in trainer.model.encoders.parameters() if weight.ndim == 4):
            kernel.data *= 3  # statistics at initialisation, 0 and 1, are far from those of these weights
        before = copy.deepcopy(trainer.model.state_dict())
        trainer.method.epoch_start(trainer, 0)
        assert all(torch.equal(value, before[key]) for key, value in trainer.model.state_dict().items())
        heads = trainer.method.trajectory[0]["heads"].values()
        losses[batch_norm] = [loss for head in heads for loss in (*head["train_loss"], *head["held_out_loss"])]
    assert all(math.isfinite(loss) and loss < 3 * guessing for loss in losses["re-estimated"])
    assert max(losses["as trained"]) > 100 * guessing


def test_re_estimated_statistics_are_means_over_the_batches_of_the_training_part(clips: Any) -> None:
    trainer = blending(clips)
    trainer.source = replace(trainer.source, eval_batch_size=20)
    first = next(layer for layer in trainer.model.encoders.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    seen: list[torch.Tensor] = []
    first.register_forward_pre_hook(lambda layer, given: seen.append(given[0].detach().mean((0, 2, 3))))
    before, training = copy.deepcopy(trainer.model.state_dict()), trainer.model.training
    with re_estimated(trainer):
        assert len(seen) == 4  # of 76 clips
        torch.testing.assert_close(first.running_mean, torch.stack(seen).mean(0))
        assert first.momentum == 0.1 and trainer.model.training == training
    assert all(torch.equal(value, before[key]) for key, value in trainer.model.state_dict().items())
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_offline_weights_come_from_a_file(clips: Any) -> None:
    trainer = blending(clips, weights="offline")
    with pytest.raises(UserError, match=r"reads weights\.json of gradient-blending-weights; name the run"):
        trainer.train()
    trainer.needs = {"weights": {"weights": {"joint": 0.5, "audio": 0.2, "visual": 0.3}}}
    trainer.train()
    assert trainer.method.weights == [0.2, 0.3, 0.5] and trainer.method.artifacts() == {}


def test_bad_input_is_refused(clips: Any) -> None:
    with pytest.raises(UserError, match="sum to 1"):
        GradientBlending({"weights": [1, 1, 1]})
    for weights in ("online", [0, 0, 1]):
        with pytest.raises(UserError, match="unimodal_heads"):
            make(clips, "gradient-blending", {"weights": weights}, {"unimodal_heads": False}, 1).train()
