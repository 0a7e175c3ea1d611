"""Dropout by comparison: shares, scale and gradients, repeated under a seed, nothing at test time."""

from __future__ import annotations

import math

import pytest
import torch

from avbalance.models.dropout import Dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_values_are_dropped_with_the_share_and_the_others_scaled(share: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    values = torch.full((400_000,), 2.0, dtype=dtype)
    found = Dropout(share)(values)
    scaled = torch.tensor(2 / (1 - share)).to(dtype)
    assert found.dtype == dtype
    assert ((found == 0) | ((found - scaled).abs() <= 2e-2 * scaled)).all()
    error = 5 * math.sqrt(share * (1 - share) / len(values))
    assert (found == 0).float().mean().item() == pytest.approx(share, abs=error)


def test_gradients_pass_where_values_do() -> None:
    values = torch.ones(1000, requires_grad=True)
    torch.manual_seed(0)
    found = Dropout(0.25)(values)
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(values.grad, found)
    torch.manual_seed(0)
    assert torch.equal(Dropout(0.25)(values), found)
    assert not torch.equal(Dropout(0.25)(values), found)


def test_at_test_time_and_with_share_0_values_stay_and_with_1_none_does() -> None:
    values = torch.rand(10)
    assert Dropout(0.5).eval()(values) is values
    assert Dropout(0.0)(values) is values
    assert Dropout(1.0)(values).tolist() == [0.0] * 10
