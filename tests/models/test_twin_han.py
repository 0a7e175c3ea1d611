"""Two HANs: different draws, one batch, groups of both."""

from __future__ import annotations

from typing import Any

import torch

from avbalance.models.base import Batch, build
from avbalance.models.twin_han import TwinOutput

SETTINGS = {"width": 8, "dropout": 0.1}


def make(name: str, **settings: Any) -> Any:
    return build({"name": name, **SETTINGS, **settings}, 4, torch.Generator().manual_seed(0))


def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    audio, visual = (torch.randn(3, 10, width, generator=generator) for width in (128, 2560))
    return Batch(audio, visual, torch.zeros(3, 4), torch.arange(3))


def test_the_first_is_a_single_han_of_the_same_seed_and_the_second_another() -> None:
    twins, single = make("twin-han").eval(), make("han").eval()
    output, alone = twins(batch()), single(batch())
    assert isinstance(output, TwinOutput) and output.peer is not None
    for name in ("frame_prob", "P", "p_a", "p_v", "f_a", "logits", "frame_att"):
        assert torch.equal(getattr(output, name), getattr(alone, name))
    assert torch.equal(output.scores["audio"], alone.scores["audio"])
    assert not torch.allclose(output.peer.P, output.P)
    twins.second.load_state_dict(single.state_dict())
    assert torch.equal(twins(batch()).peer.P, output.P)


def test_the_networks_share_nothing() -> None:
    twins = make("twin-han")
    twins(batch()).peer.P.sum().backward()
    assert all(parameter.grad is None for parameter in twins.first.parameters())
    assert any(parameter.grad is not None for parameter in twins.second.parameters())
