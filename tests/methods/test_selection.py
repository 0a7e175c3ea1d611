"""Small-loss selection: what has the largest losses, among how many videos, and in which epochs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from avbalance.methods.base import TrainingStep
from avbalance.methods.parts.selection import RecentVideos, largest_losses, mean_kept, warmed


def column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def test_largest_losses_by_hand() -> None:
    loss, label = column(0.1, 0.9, 0.5, 3.0, 0.7, 0.5), column(1, 1, 1, 0, 1, 1)
    for ratio, expected in ((0.4, {1, 4}), (0.39, {1}), (0.0, set()), (1.0, {0, 1, 2, 4, 5}), (0.6, {1, 4, 5})):
        found = largest_losses(loss, label, torch.tensor([ratio]))
        assert set(found[:, 0].nonzero()[:, 0].tolist()) == expected
    assert not bool(largest_losses(loss, torch.zeros(6, 1), torch.tensor([1.0])).any())
    apart = largest_losses(torch.tensor([[1.0, 9.0], [2.0, 8.0]]), torch.ones(2, 2), torch.tensor([0.5, 0.5]))
    assert apart.tolist() == [[False, True], [True, False]]


def test_mean_over_what_is_kept() -> None:
    values = torch.tensor([1.0, 2.0, 6.0])
    assert float(mean_kept(values, torch.tensor([False, True, False]))) == 3.5
    assert float(mean_kept(values, torch.ones(3, dtype=torch.bool))) == 0.0


def test_warm_up_of_ratios() -> None:
    ratio = torch.tensor([0.4, 0.2], dtype=torch.float64)

    def at(epoch: int, index: int, warmup: Any = "step") -> Tensor:
        return warmed(ratio, TrainingStep(epoch, index, 10, torch.Generator()), warmup)

    assert at(0, 0).tolist() == at(0, 9).tolist() == [0.0, 0.0]
    assert torch.equal(at(1, 0), ratio) and torch.equal(at(7, 3), ratio)
    # u = 3 / (.9 * 10) = 1/3; full from batch 9 on
    torch.testing.assert_close(at(0, 3, "linear"), ratio / 3)
    assert torch.equal(at(0, 9, "linear"), ratio) and torch.equal(at(1, 0, "linear"), ratio)


@pytest.mark.parametrize(("sizes", "expected"), [([128, 128, 16, 128], [128, 128, 16, 128]), ([200, 40], [200, 40]),
    ([16] * 9, [16, 32, 48, 64, 80, 96, 112, 128, 128]), ([50, 50, 50, 20], [50, 100, 100, 120])])  # fmt: skip
def test_as_many_whole_batches_as_fit_into_128_videos(sizes: list[int], expected: list[int]) -> None:
    recent, first, found = RecentVideos(), 0, []
    for size in sizes:
        (joined,) = recent.joined(torch.arange(first, first + size)[:, None])
        first += size
        assert joined[:, 0].tolist() == list(range(first - len(joined), first))
        found.append(len(joined))
    assert found == expected


def test_recent_videos_keep_no_gradient_and_are_taken_up_again() -> None:
    recent, resumed = RecentVideos(), RecentVideos()
    recent.joined(torch.ones(4, 2, requires_grad=True) * 3)
    resumed.load_state_dict(recent.state_dict())
    now = torch.zeros(2, 2)
    assert not recent.joined(now)[0].requires_grad
    assert torch.equal(resumed.joined(now)[0], torch.cat([3 * torch.ones(4, 2), now]))
