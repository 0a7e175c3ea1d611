"""Fusion heads by hand-worked numbers, and the network that uses them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from avbalance.errors import UserError
from avbalance.models.base import Batch, build
from avbalance.models.fusion import FUSIONS

FIRST, SECOND = torch.tensor([[2.0]]), torch.tensor([[5.0]])  # one sample, D = 1; C = 2


def fuse(name: str, **weights: list[list[float]] | list[float]) -> list[list[float]]:
    head = FUSIONS[name](1, 2)
    head.load_state_dict({key.replace("__", "."): torch.tensor(value) for key, value in weights.items()})
    outputs: tuple[Tensor, ...] = head(FIRST, SECOND)
    return [[round(number, 4) for number in output[0].tolist()] for output in outputs]


def test_sum_keeps_the_full_bias_of_each_modality() -> None:
    # first: [1, 3] * 2 + [1, 1] = [3, 7]; second: [2, 4] * 5 + [10, 10] = [20, 30]
    fused, first, second = fuse(
        "sum",
        first__weight=[[1.0], [3.0]],
        first__bias=[1.0, 1.0],
        second__weight=[[2.0], [4.0]],
        second__bias=[10.0, 10.0],
    )
    assert (fused, first, second) == ([23, 37], [3, 7], [20, 30])


def test_concat_halves_the_bias() -> None:
    # fused: [1*2 + 2*5 + 10, 3*2 + 4*5 + 20]; first: [2 + 5, 6 + 10]; second: [10 + 5, 20 + 10]
    fused, first, second = fuse("concat", linear__weight=[[1.0, 2.0], [3.0, 4.0]], linear__bias=[10.0, 20.0])
    assert (fused, first, second) == ([22, 46], [7, 16], [15, 30])


def test_film_scales_and_shifts_the_second() -> None:
    # gamma = 2 x_1 + 1, beta = 3 x_1 - 1, W = [1, -1], b = [0, 1]
    # fused: 5 * 5 + 5 = 30; second zero: beta = 5; first zero: gamma = 1, beta = -1, 5 - 1 = 4
    fused, first, second = fuse(
        "film",
        condition__weight=[[2.0], [3.0]],
        condition__bias=[1.0, -1.0],
        linear__weight=[[1.0], [-1.0]],
        linear__bias=[0.0, 1.0],
    )
    assert (fused, first, second) == ([30, -29], [5, -4], [4, -3])


def test_gated_uses_the_first_as_gate() -> None:
    # gate: sigmoid(ln 3 / 2 * 2) = 3/4, of zero 1/2; value: 2 * 5 + 1 = 11, of zero 1; W = [4, 0], b = [0, 1]
    # fused: 4 * 3/4 * 11 = 33; second zero: 4 * 3/4 * 1 = 3; first zero: 4 * 1/2 * 11 = 22
    fused, first, second = fuse(
        "gated",
        first__weight=[[0.5493061]],
        first__bias=[0.0],
        second__weight=[[2.0]],
        second__bias=[1.0],
        linear__weight=[[4.0], [0.0]],
        linear__bias=[0.0, 1.0],
    )
    assert (fused, first, second) == ([33, 1], [3, 1], [22, 1])


def net(seed: int = 0, **settings: object) -> Any:
    known = {"name": "fusion-net", "width": 2, "stem": "small", **settings}
    return build(known, 3, torch.Generator().manual_seed(seed))


def batch() -> Any:
    generator = torch.Generator().manual_seed(1)
    audio, visual = (
        torch.randn(4, 1, 16, 16, generator=generator),
        torch.randn(4, 3, 1, 16, 16, generator=generator),
    )
    return Batch(audio, visual, torch.zeros(4, dtype=torch.long), torch.arange(4))


@pytest.mark.parametrize("fusion", ["sum", "concat", "film", "gated"])
def test_unimodal_heads_change_no_other_weight_and_not_the_logits(fusion: str) -> None:
    plain, headed = net(fusion=fusion), net(fusion=fusion, unimodal_heads=True)
    extended = headed.state_dict()
    for key, value in plain.state_dict().items():
        assert torch.equal(value, extended[key]), key
    assert len(extended) == len(plain.state_dict()) + 4
    first, second = plain(batch()), headed(batch())
    assert torch.equal(first.logits, second.logits)
    assert not torch.allclose(first.scores["audio"], second.scores["audio"])


@pytest.mark.parametrize("fusion", ["sum", "concat", "film", "gated"])
def test_the_score_of_a_modality_ignores_the_other(fusion: str) -> None:
    model, both = net(fusion=fusion).eval(), batch()
    for parameter in model.group("head"):  # film's second score is constant while its biases are 0
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(2))
    changed = batch()
    changed.visual = torch.zeros_like(both.visual)
    before, after = model(both), model(changed)
    assert torch.equal(before.scores["audio"], after.scores["audio"])
    assert not torch.equal(before.scores["visual"], after.scores["visual"])


def test_a_batch_with_one_modality_is_answered_by_its_own_head() -> None:
    model, one = net(unimodal_heads=True).eval(), batch()
    expected = model(batch()).scores["audio"]
    one.visual = None
    output = model(one)
    assert torch.equal(output.logits, expected)
    assert list(output.scores) == ["audio"]
    with pytest.raises(UserError, match="carries no visual"):
        net()(one)


def test_modalities_set_the_order_of_the_head() -> None:
    model = net(fusion="film", modalities=["visual", "audio"]).eval()
    features = model(batch()).features
    expected = model.fusion(features["visual"], features["audio"])[0]
    assert torch.equal(model(batch()).logits, expected)
    with pytest.raises(UserError, match="must order audio and visual"):
        net(modalities=["audio"])
