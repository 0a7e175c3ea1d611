"""MLA: projection and weights of the prediction by hand, and which turn changes what."""

from __future__ import annotations

import math

import pytest
import torch
from one_step import clips, network

from avbalance.errors import UserError
from avbalance.methods.base import TrainingStep
from avbalance.methods.mla import MLA, next_projection
from avbalance.models.shared_head_net import entropy_weights


def test_projection_by_hand() -> None:
    # P = I, r = (1, 2), alpha = 0.5: k = r, r k = 5, P - k k^T / 5.5 = [[9, -4], [-4, 3]] / 11, whose norm is
    # sqrt(81 + 16 + 16 + 9) / 11 = sqrt(122) / 11
    found = next_projection(torch.eye(2), torch.tensor([1.0, 2.0]), 0.5)
    expected = torch.tensor([[9.0, -4.0], [-4.0, 3.0]]) / math.sqrt(122)
    assert torch.allclose(found, expected)


def test_a_direction_that_was_learned_is_taken_out_of_the_gradient() -> None:
    # with alpha near 0, P = I - r r^T / |r|^2: nothing is left along r = (3, 4), everything along (4, -3)
    found = next_projection(torch.eye(2), torch.tensor([3.0, 4.0]), 1e-6)
    assert torch.allclose(torch.tensor([3.0, 4.0]) @ found, torch.zeros(2), atol=1e-5)
    assert torch.allclose(torch.tensor([4.0, -3.0]) @ found, torch.tensor([4.0, -3.0]), atol=1e-5)


def test_the_surer_modality_weighs_more_by_hand() -> None:
    # even of two classes: H = ln 2, exp(-H) = 1/2. (3/4, 1/4): H = ln 4 - 3/4 ln 3, exp(-H) = 3^(3/4) / 4 = 0.569877
    even, sure = [0.0, 0.0], [math.log(3), 0.0]
    weights = entropy_weights(torch.tensor([[even, even], [sure, even]]))
    assert weights[:, 0].tolist() == pytest.approx([0.467343, 0.532657], abs=1e-6)
    assert weights[:, 1].tolist() == pytest.approx([0.5, 0.5])


def test_a_turn_trains_one_encoder_and_the_head_and_later_turns_are_projected() -> None:
    method, model = MLA(), network("shared-head-net")
    step = TrainingStep(0, 1, 4, torch.Generator())  # alpha = 0.1^(1 + 1/4)
    turns = method.turns(model, clips(), step)
    assert [(turn.audio is None, turn.visual is None) for turn in turns] == [(False, True), (True, False)]
    for number, (turn, modality) in enumerate(zip(turns, ("audio", "visual"), strict=True)):
        model.zero_grad(set_to_none=True)
        output = model(turn)
        assert torch.equal(output.logits, output.scores[modality]) and len(output.scores) == 1
        method.loss(model, output, turn, step).backward()
        plain = model.head.weight.grad.clone()
        method.gradients(model, output, turn, step)
        trained = {name for name in ("audio", "visual") if model.group(name)[0].grad is not None}
        assert trained == {modality}
        if number == 0:  # nothing was learned before
            assert torch.equal(model.head.weight.grad, plain)
        else:
            dimension = plain.shape[1]
            feature = output.features["visual"].mean(0)
            expected = plain @ next_projection(torch.eye(dimension), feature, 0.1**1.25)
            assert torch.allclose(model.head.weight.grad, expected)
            assert 0 < method.means.close()["projected_share"] < 1


@pytest.mark.parametrize(("projection", "own", "projected"), [("replaced", 0, 1), ("added", 1, 1), ("none", 1, 0)])
def test_the_projection_replaces_the_gradient_or_is_added_to_it(projection: str, own: int, projected: int) -> None:
    method, model = MLA({"projection": projection}), network("shared-head-net")
    method.projection = torch.eye(model.head.in_features) if projection != "none" else None
    step = TrainingStep(0, 3, 4, torch.Generator())  # alpha = 0.1^(1 + 3/4)
    turn = method.turns(model, clips(), step)[1]
    output = model(turn)
    method.loss(model, output, turn, step).backward()
    gradient = model.head.weight.grad.clone()
    method.gradients(model, output, turn, step)
    matrix = next_projection(torch.eye(model.head.in_features), output.features["visual"].mean(0), 0.1**1.75)
    torch.testing.assert_close(model.head.weight.grad, own * gradient + projected * gradient @ matrix)


def test_a_model_without_a_shared_head_is_refused() -> None:
    method, model = MLA(), network("fusion-net", unimodal_heads=True)
    step = TrainingStep(0, 0, 4, torch.Generator())
    turn = method.turns(model, clips(), step)[0]
    with pytest.raises(UserError, match="no head that both modalities share; use shared-head-net"):
        method.gradients(model, model(turn), turn, step)
