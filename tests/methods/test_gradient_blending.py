"""Gradient-Blending: weights from given histories, the estimation, online, offline and fixed."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch

from avbalance.errors import UserError
from avbalance.methods.baseline import Baseline
from avbalance.methods.gradient_blending import (
    GradientBlending,
    SingleHead,
    blending_weights,
    estimate,
    overfitting_and_generalisation,
    re_estimated,
)
from avbalance.methods.gradient_blending_weights import GradientBlendingWeights


def test_guards() -> None:
    assert blending_weights([0.1, 0.1, 0.1], [0.0, 0.3, 0.1]) == pytest.approx([0.0, 0.75, 0.25])
    assert blending_weights([0.1, 0.1, 0.1], [-5.0, 0.3, 0.1]) == pytest.approx([0.0, 0.75, 0.25])
    assert blending_weights([0.2, 0.1, 0.1], [-1.0, 0.0, -0.1]) == [1 / 3] * 3
    # dO^2 is floored at 1e-6: gains 1e-6 / 1e-6 = 1 and 3e-6 / 1e-6 = 3
    assert blending_weights([0.0, 1e-5], [1e-6, 3e-6]) == pytest.approx([0.25, 0.75])
    assert blending_weights([-0.1, 0.1], [1.0, 1.0]) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(("head", "moved", "still"), [("audio", "audio", "visual"), ("visual", "visual", "audio")])
def test_a_single_head_trains_its_own_path_only(head: str, moved: str, still: str, make_trainer: Any) -> None:
    trainer = make_trainer(SingleHead({"head": head}), epochs=1, unimodal_heads=True)
    before = copy.deepcopy(trainer.model)
    trainer.fit()

    def changed(name: str) -> list[bool]:
        return [not torch.equal(a, b) for a, b in zip(before.group(name), trainer.model.group(name), strict=True)]

    assert all(changed(moved))
    assert not any(changed(still))
    for old, new in zip(before.fusion.parameters(), trainer.model.fusion.parameters(), strict=True):
        assert torch.equal(old, new)


def test_estimation_reports_what_the_copies_measured(make_trainer: Any) -> None:
    trainer = make_trainer(GradientBlending(), unimodal_heads=True)
    record = estimate(trainer, 2, first_epoch=0, schedule=False)
    for head, key, clone in zip(
        ("audio", "visual", "joint"), ("audio", "visual", "logits"), trainer.clones, strict=True
    ):
        raw = record["heads"][head]
        assert raw["train_loss"] == [each.evaluate("train-sample").loss[key] for each in (trainer, clone)]
        assert raw["held_out_loss"] == [each.evaluate("estimation").loss[key] for each in (trainer, clone)]
        expected = overfitting_and_generalisation(tuple(raw["train_loss"]), tuple(raw["held_out_loss"]))
        assert (raw["added_overfitting"], raw["added_generalisation"]) == expected


def test_with_statistics_of_the_present_weights_a_hardly_trained_network_is_near_guessing(
    make_trainer: Any, same_weights: Any
) -> None:
    guessing, found = math.log(3), {}
    for batch_norm in ("as trained", "re-estimated"):
        trainer = make_trainer(GradientBlending({"batch_norm": batch_norm}), epochs=1, width=8, unimodal_heads=True)
        for kernel in (weight for weight in trainer.model.encoders.parameters() if weight.ndim == 4):
            kernel.data *= 3  # statistics at initialisation, 0 and 1, are far from those of these weights
        before = copy.deepcopy(trainer.model)
        trainer.method.epoch_start(trainer, 0)
        assert same_weights(before, trainer.model)
        heads = trainer.method.trajectory[0]["heads"].values()
        found[batch_norm] = [loss for head in heads for loss in (*head["train_loss"], *head["held_out_loss"])]
    assert all(math.isfinite(loss) and loss < 3 * guessing for loss in found["re-estimated"])
    assert max(found["as trained"]) > 100 * guessing


def test_re_estimated_statistics_are_means_over_the_batches_of_the_training_part(make_trainer: Any) -> None:
    trainer = make_trainer(Baseline(), unimodal_heads=True)
    encoder = trainer.model.encoders["audio"]
    first = next(layer for layer in encoder.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    seen: list[torch.Tensor] = []
    first.register_forward_pre_hook(lambda layer, given: seen.append(given[0].detach().mean((0, 2, 3))))
    before, training = copy.deepcopy(trainer.model.state_dict()), trainer.model.training
    with re_estimated(trainer):
        assert len(seen) == 3
        torch.testing.assert_close(first.running_mean, torch.stack(seen).mean(0))
        assert not all(torch.equal(value, before[key]) for key, value in trainer.model.state_dict().items())
        assert first.momentum == 0.1 and trainer.model.training == training
    assert all(torch.equal(value, before[key]) for key, value in trainer.model.state_dict().items())
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_offline_is_two_runs_joined_by_a_file(make_trainer: Any) -> None:
    first = make_trainer(GradientBlendingWeights({"epochs": 3}), epochs=0, unimodal_heads=True)
    first.fit()
    written = first.method.artifacts()["weights.json"]
    assert [clone.fits[0] | {"stream": ""} for clone in first.clones] == [
        {"n": 3, "first_epoch": 0, "stream": "", "schedule": True}
    ] * 3
    second = make_trainer(GradientBlending({"weights": "offline"}), epochs=1, unimodal_heads=True)
    second.needs = {"weights": written}
    second.fit()
    assert second.clones == []
    assert second.method.weights == list(written["weights"].values())
    assert second.method.artifacts() == {}


def test_bad_input_is_refused(make_trainer: Any) -> None:
    with pytest.raises(UserError, match="sum to 1"):
        GradientBlending({"weights": [1, 1, 1]})
    with pytest.raises(UserError, match=r"reads weights\.json of gradient-blending-weights; name the run"):
        make_trainer(GradientBlending({"weights": "offline"}), unimodal_heads=True).fit()
    with pytest.raises(UserError, match="unimodal_heads"):
        make_trainer(GradientBlending()).fit()
    with pytest.raises(UserError, match="unimodal_heads"):
        make_trainer(GradientBlending({"weights": [0, 0, 1]})).fit()
