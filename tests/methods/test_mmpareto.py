"""MMPareto: shares and joined gradients by hand, and what a step leaves in encoders and heads."""

from __future__ import annotations

import pytest
import torch
from one_step import gradients, network

from avbalance.errors import UserError
from avbalance.methods.baseline import Baseline
from avbalance.methods.head_losses import HeadLosses
from avbalance.methods.mmpareto import MMPareto, fused_share, joined


@pytest.mark.parametrize(
    ("fused", "unimodal", "share"),
    [
        ([1.0, 0.0], [1.0, 1.0], 0.5),  # <g_f, g_m> = 1: an acute angle
        # <g_f, g_m> = -2, ||g_m||^2 = 2, ||g_f - g_m||^2 = 10: (2 + 2) / 10. The point is (0.2, 0.6), at a right angle
        # to the segment's direction (3, -1)
        ([2.0, 0.0], [-1.0, 1.0], 0.4),
        ([0.0, 3.0], [1.0, 0.0], 0.1),  # a right angle: (1 - 0) / (9 + 1)
        ([0.0, 0.0], [1.0, 0.0], 1.0),  # the shortest vector is g_f = 0: (1 - 0) / 1
        ([0.0, 0.0], [0.0, 0.0], 0.0),  # nothing to share: 0 / 1e-12
    ],
)
def test_share_of_the_fused_gradient_over_the_whole_encoder(
    fused: list[float], unimodal: list[float], share: float
) -> None:
    one, other = ([torch.tensor([[value]]) for value in values] for values in (fused, unimodal))  # two tensors each
    assert fused_share(one, other).item() == pytest.approx(share)


def test_joined_gradient_keeps_the_length_of_the_sum() -> None:
    fused, unimodal = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 1.0])
    # h = 0.8 (2, 0) + 1.2 (-1, 1) = (0.4, 1.2), ||h||^2 = 1.6; the sum (1, 1) has 2: stretched by sqrt(1.25)
    found = joined(fused, unimodal, torch.tensor(0.4), gamma=1.5)
    assert found.tolist() == pytest.approx([1.5 * 1.1180340 * 0.4, 1.5 * 1.1180340 * 1.2])
    # at lambda 1/2 h is the sum itself; h = 2 g_f = (4, 0) is longer than the sum and stays as it is
    assert joined(fused, unimodal, torch.tensor(0.5), 1.5).tolist() == pytest.approx([1.5, 1.5])
    assert joined(fused, unimodal, torch.tensor(1.0), 1.0).tolist() == pytest.approx([4.0, 0.0])


@pytest.mark.parametrize("gamma", [1.0, 1.5])
def test_encoders_get_the_joined_gradient_and_heads_the_plain_sum(gamma: float) -> None:
    method, model = MMPareto({"gamma": gamma}), network(unimodal_heads=True)
    found = gradients(method, model)
    fused = gradients(Baseline(), network(unimodal_heads=True))
    whole = gradients(HeadLosses(), network(unimodal_heads=True))
    shares = method.means.close()
    assert set(found) == set(whole)
    for modality in ("audio", "visual"):
        names = [name for name in found if name.startswith(f"encoders.{modality}.")]
        pairs = [(fused[name], whole[name] - fused[name]) for name in names]
        share = fused_share(*zip(*pairs, strict=True))
        assert shares[f"fused_share_{modality}"] == pytest.approx(share.item(), abs=1e-4)
        for name, pair in zip(names, pairs, strict=True):
            torch.testing.assert_close(found[name], joined(*pair, share, gamma), rtol=1e-3, atol=1e-5)
    heads = [name for name in found if not name.startswith("encoders.")]
    assert any(name.startswith("unimodal_heads") for name in heads)
    for name in heads:
        torch.testing.assert_close(found[name], whole[name])


def test_heads_of_their_own_are_needed() -> None:
    with pytest.raises(UserError, match="mmpareto needs a head per modality"):
        gradients(MMPareto(), network())
