"""Greedy: speeds by hand, scripted decisions, curated training and its checkpoint."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from avbalance.errors import UserError
from avbalance.methods.branch_losses import BranchLosses
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


@pytest.mark.parametrize("guide", ["guided", "random"])
def test_windows_open_after_the_start_epoch(guide: str, make_trainer: Any, same_weights: Any) -> None:
    ours = make_trainer(Greedy({"guide": guide, "threshold": 1e-6}), "mmtm-net", epochs=4)
    control = make_trainer(BranchLosses(), "mmtm-net", epochs=4)
    ours.fit()
    control.fit()
    counts = [log["curated_audio"] + log["curated_visual"] for log in ours.logs]
    assert counts[0] == 0
    assert sum(counts) > 0
    if guide == "guided":
        # epoch 2: regular, 2 curated; epoch 3: 3 curated; epoch 4: regular, 2 curated
        assert counts == [0, 2, 3, 2]
    assert not same_weights(control.model, ours.model)


def test_joint_loss_trains_the_joint_head(make_trainer: Any) -> None:
    trainer = make_trainer(Greedy({"losses": "joint"}), "mmtm-net", epochs=1, head="concat")
    before = copy.deepcopy(trainer.model.joint_head.linear.weight)
    trainer.fit()
    assert not torch.equal(before, trainer.model.joint_head.linear.weight)


def test_a_network_without_blocks_is_refused(make_trainer: Any) -> None:
    with pytest.raises(UserError, match="no MMTM blocks"):
        make_trainer(Greedy()).fit()
