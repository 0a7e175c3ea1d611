"""Greedy: speeds by hand, scripted decisions, curated training and its checkpoint."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from one_step import gradients, network
from torch import nn

from avbalance.errors import UserError
from avbalance.methods.greedy import (
    Curation,
    Greedy,
    next_curation,
    random_curation,
    relative_gradient,
)


def parameter(values: list[float], gradient: list[float] | None) -> nn.Parameter:
    made = nn.Parameter(torch.tensor(values))
    made.grad = None if gradient is None else torch.tensor(gradient)
    return made


def test_relative_gradient_sums_before_dividing() -> None:
    # gradients 1 + 4, weights 9 + 16 + 25; a missing gradient adds nothing above the line
    tensors = [parameter([3.0, 4.0], [1.0, 2.0]), parameter([0.0, 5.0], None)]
    assert relative_gradient(tensors) == pytest.approx(5 / 50)
    assert relative_gradient([parameter([1.0], None)]) == 0.0


def forwards(differences: list[float], epochs: list[int], **rules: Any) -> list[str | None]:
    """Return what each of the forwards cares for, given d_speed after each step."""
    curation, cared = Curation(), []
    for difference, epoch in zip(differences, epochs, strict=True):
        cared.append(curation.modality)
        curation = next_curation(curation, difference, epoch, Greedy(rules).options)
    return cared


def test_scripted_decisions() -> None:
    # epoch 1 is regular whatever happens; the first step of epoch 2 triggers; five curated; one regular
    assert forwards([9.0, -0.5] + [9.0] * 5 + [0.5, 0.0], [1, 2, 2, 2, 2, 2, 2, 2, 2]) == (
        [None, None] + ["visual"] * 5 + [None, "audio"]
    )


def test_window_and_start_are_rules() -> None:
    assert forwards([1.0] * 6, [1, 2, 3, 3, 3, 3], window=2, start_epoch=3) == [
        None,
        None,
        None,
        "audio",
        "audio",
        None,
    ]


def test_random_curation_draws_thirds_from_its_generator() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = [random_curation(generator) for _ in range(3000)]
    for choice in (None, "audio", "visual"):
        assert draws.count(choice) == pytest.approx(1000, abs=5 * (3000 * 2 / 9) ** 0.5)


def test_joint_loss_trains_the_joint_head() -> None:
    trained = gradients(Greedy({"losses": "joint"}), network("mmtm-net", head="concat"))
    assert trained["joint_head.linear.weight"].any()


def test_a_network_without_blocks_is_refused() -> None:
    with pytest.raises(UserError, match="no MMTM blocks"):
        gradients(Greedy(), network())
