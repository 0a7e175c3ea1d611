"""ReconBoost: whose turn it is, its loss by hand, and who learns from it."""

from __future__ import annotations

import math

import pytest
import torch
from one_step import CLASSES, network

from avbalance.methods.base import TrainingStep
from avbalance.methods.reconboost import ReconBoost, boosting_loss, learner
from avbalance.models.base import Batch, ModelOutput

STEP = TrainingStep(2, 0, 3, torch.Generator())  # the first turn of visual


def test_turns_by_hand() -> None:
    assert [learner(epoch, 1) for epoch in range(5)] == ["audio", None, "visual", None, "audio"]
    assert [learner(epoch, 2) for epoch in (0, 1, 2, 3, 4, 5, 7, 8)] == [
        "audio", "audio", None, None, "visual", "visual", None, "audio"
    ]  # fmt: skip


def test_boosting_loss_by_hand() -> None:
    # p_y = 3/4 and 1/2, q_y = 1/2 and 1, C = 2, w1 = 5, w2 = 1:
    # ((5 - 0.5) ln(4/3) + (5 - 1) ln 2) / 2 / 2
    scores = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    found = boosting_loss(scores, torch.tensor([0.5, 1.0]), torch.tensor([0, 1]), 5.0, 1.0)
    assert found.item() == pytest.approx((4.5 * math.log(4 / 3) + 4 * math.log(2)) / 4)


def test_the_loss_of_a_turn_by_hand() -> None:
    # visual p = (3/4, 1/4), audio q = (1/2, 1/2), label 0: -(5 - 1/2) ln(3/4) / 2 + 0.5 * (1/4)^2
    scores = {"audio": torch.tensor([[1.0, 1.0]]), "visual": torch.tensor([[math.log(3), 0.0]])}
    output = ModelOutput(scores["audio"] + scores["visual"], scores, {})
    batch = Batch(None, None, torch.tensor([0]), torch.tensor([0]))
    method = ReconBoost()
    expected = 4.5 * math.log(4 / 3) / 2 + 0.5 / 16
    assert method.loss(network(), output, batch, STEP).item() == pytest.approx(expected)
    assert method.means.close() == pytest.approx({"boosting": 4.5 * math.log(4 / 3) / 2, "agreement": 1 / 16})
    # the first turn: nothing is known, so that q counts as 1 and there is no agreement; here audio: p_y = 1/2
    first = TrainingStep(0, 0, 3, torch.Generator())
    assert method.loss(network(), output, batch, first).item() == pytest.approx(4 * math.log(2) / 2)
    # rectification: p_y of the sum (ln 3 + 1, 1) is 3/4
    between = TrainingStep(1, 0, 3, torch.Generator())
    assert method.loss(network(), output, batch, between).item() == pytest.approx(math.log(4 / 3))


def test_the_agreement_draws_the_learner_to_the_other_by_hand() -> None:
    """p = (3/4, 1/4), q = (1/2, 1/2): MSE (1/4)^2, whose slope in the first logit is 2 (1/4) p (1 - p) = 3/32; half."""
    scores = {"audio": torch.tensor([[1.0, 1.0]]), "visual": torch.tensor([[math.log(3), 0.0]])}
    for logits in scores.values():
        logits.requires_grad_()
    output = ModelOutput(scores["audio"] + scores["visual"], scores, {})
    batch = Batch(None, None, torch.tensor([0]), torch.tensor([0]))
    ReconBoost({"fit": 0.0, "reconcile": 0.0}).loss(network(), output, batch, STEP).backward()
    assert scores["visual"].grad.tolist() == [pytest.approx([3 / 64, -3 / 64])]
    assert scores["audio"].grad is None


@pytest.mark.parametrize(("epoch", "learning"), [(0, {"audio"}), (1, {"audio", "visual"}), (2, {"visual"})])
def test_in_a_turn_one_modality_learns(epoch: int, learning: set[str]) -> None:
    model = network(fusion="sum")
    generator = torch.Generator().manual_seed(1)
    audio, visual = (torch.randn(6, *shape, generator=generator) for shape in ((1, 16, 16), (3, 1, 16, 16)))
    batch = Batch(audio, visual, torch.arange(6) % CLASSES, torch.arange(6))
    ReconBoost().loss(model, model(batch), batch, TrainingStep(epoch, 0, 3, torch.Generator())).backward()
    heads = {"audio": model.fusion.first, "visual": model.fusion.second}
    for name, head in heads.items():
        parameters = [*model.group(name), *head.parameters()]
        assert all((parameter.grad is not None) == (name in learning) for parameter in parameters)
