"""MMCosine: cosines by hand, what they do not depend on, and that the scale is kept with the weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from one_step import clips, network
from torch import Tensor

from avbalance.errors import UserError
from avbalance.methods.mmcosine import MMCosine
from avbalance.models.cosine_net import CosineFusion


def head(first: Any, second: Any, scale: float) -> CosineFusion:
    fusion = CosineFusion(2, 2)
    with torch.no_grad():
        fusion.linear.weight.copy_(torch.cat([torch.tensor(first), torch.tensor(second)], 1))
        fusion.scale.fill_(scale)
    return fusion


def test_logits_by_hand() -> None:
    """Features (3, 4) and (0, 5) have the directions (0.6, 0.8) and (0, 1).

    Weights of the first: (2, 0), cosine 0.6, and (0, -7), cosine -0.8; of the second: (3, 4), cosine 0.8, and (1, 0),
    cosine 0. Times the scale 10.
    """
    fusion = head([[2.0, 0.0], [0.0, -7.0]], [[3.0, 4.0], [1.0, 0.0]], 10.0)
    fused, first, second = fusion(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 5.0]]))
    torch.testing.assert_close(first, torch.tensor([[6.0, -8.0]]))
    torch.testing.assert_close(second, torch.tensor([[8.0, 0.0]]))
    torch.testing.assert_close(fused, torch.tensor([[14.0, -8.0]]))


def test_neither_the_size_of_features_nor_of_weights_nor_a_bias_matters() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second, one, two = (torch.randn(2, 2, generator=generator) for _ in range(4))

    def logits(size: float) -> Tensor:
        return head((size * one).tolist(), two.tolist(), 3.0)(first, second / size)[0]

    torch.testing.assert_close(logits(5.0), logits(1.0))
    assert [name for name, each in CosineFusion(2, 2).named_parameters() if each.requires_grad] == ["linear.weight"]


def test_the_network_starts_as_fusion_net_with_concat() -> None:
    cosine, plain = network("cosine-net").state_dict(), network(fusion="concat").state_dict()
    assert set(cosine) - set(plain) == {"fusion.scale"}
    assert all(torch.equal(cosine[name], value) for name, value in plain.items())


def test_one_modality_s_logits_add_up_to_the_prediction_and_features_can_be_joined_anew() -> None:
    model = network("cosine-net").eval()
    output = model(clips())
    torch.testing.assert_close(output.scores["audio"] + output.scores["visual"], output.logits)
    assert torch.equal(model.fuse(output.features), output.logits)
    assert output.logits.abs().max() <= 2 * 15


def test_the_scale_is_kept_with_the_weights() -> None:
    trained, again = network("cosine-net"), network("cosine-net")
    MMCosine({"scale": 7.0}).prepare(SimpleNamespace(model=trained))
    again.load_state_dict(trained.state_dict())
    torch.testing.assert_close(again.eval()(clips()).logits, 7 / 15 * network("cosine-net").eval()(clips()).logits)


def test_another_network_is_an_error() -> None:
    with pytest.raises(UserError, match="the model's logits are no cosines; use cosine-net"):
        MMCosine().prepare(SimpleNamespace(model=network()))
