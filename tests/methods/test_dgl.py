"""DGL: predictions of one modality by hand, and which gradient reaches which weights."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from one_step import clips, gradients, network
from torch import Tensor, nn

from avbalance.errors import UserError
from avbalance.methods.base import TrainingStep
from avbalance.methods.baseline import Baseline
from avbalance.methods.dgl import DGL, logits_alone
from avbalance.models.fusion import ConcatFusion


def of(part: str, found: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: gradient for name, gradient in found.items() if name.startswith(part)}


def test_logits_of_one_modality_have_zeros_in_the_others_place() -> None:
    fusion = ConcatFusion(1, 2)
    fusion.linear.weight = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    fusion.linear.bias = nn.Parameter(torch.tensor([0.5, -0.5]))
    features = {"audio": torch.tensor([[2.0]], requires_grad=True), "visual": torch.tensor([[3.0]])}
    net: Any = SimpleNamespace(fusion=fusion)
    alone = logits_alone(net, features, "audio")
    assert alone.tolist() == [[1 * 2 + 0.5, 3 * 2 - 0.5]]
    assert logits_alone(net, features, "visual").tolist() == [[2 * 3 + 0.5, 4 * 3 - 0.5]]
    alone.sum().backward()
    assert features["audio"].grad is not None and features["audio"].grad.tolist() == [[1 + 3]]
    assert fusion.linear.weight.grad is None and fusion.linear.bias.grad is None


def test_the_loss_of_a_step_by_hand() -> None:
    """A head of biases ln 3, 0, 0 says 3/5, 1/5, 1/5 to anything: (ln(5/3) + 2 ln 5) / 3, once and 4 (1 + 1) times."""
    model, batch = network(fusion="concat"), clips()
    with torch.no_grad():
        model.fusion.linear.weight.zero_()
        model.fusion.linear.bias.copy_(torch.tensor([math.log(3), 0.0, 0.0]))
    found = DGL({"alpha": 4.0}).loss(model, model(batch), batch, TrainingStep(0, 0, 1, torch.Generator()))
    assert found.item() == pytest.approx(9 * (math.log(5 / 3) + 2 * math.log(5)) / 3)


@pytest.mark.parametrize("fusion", ["sum", "concat"])
def test_fusion_head_learns_from_the_fused_loss_and_encoders_from_theirs(fusion: str) -> None:
    fused = gradients(Baseline(), network(fusion=fusion))
    once, four = (gradients(DGL({"alpha": alpha}), network(fusion=fusion)) for alpha in (1.0, 4.0))
    for name, gradient in of("fusion.", fused).items():
        torch.testing.assert_close(once[name], gradient)
        torch.testing.assert_close(four[name], gradient)
    for name, gradient in of("encoders.", once).items():
        torch.testing.assert_close(four[name], 4 * gradient)
        assert not torch.equal(gradient, fused[name])


def test_an_encoder_learns_as_if_the_other_modality_were_not_there() -> None:
    model, other = network(), network()
    with torch.no_grad():
        for parameter in other.encoders["visual"].parameters():
            parameter.mul_(-2)
    found, changed = gradients(DGL(), model), gradients(DGL(), other)
    assert of("encoders.audio.", found)
    for name, gradient in of("encoders.audio.", found).items():
        assert torch.equal(changed[name], gradient)


def test_a_network_without_a_fusion_head_is_refused() -> None:
    with pytest.raises(UserError, match="dgl: the model has no fusion head"):
        gradients(DGL(), network("unimodal-net", modality="audio"))
