"""Greedy: speeds by hand, scripted decisions, curated training and its checkpoint."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import nn

from avbalance.errors import UserError
from avbalance.methods.branch_losses import BranchLosses, branch_loss
from avbalance.methods.greedy import (
    Curation,
    Greedy,
    learning_speed,
    next_curation,
    random_curation,
    relative_gradient,
    speed_difference,
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


def test_speeds_use_base_ten() -> None:
    assert learning_speed(1.0, 0.01) == pytest.approx(2.0)
    assert learning_speed(0.0, 0.01) == 0.0
    # s_audio = log10(1 / 0.01) = 2, s_visual = log10(0.1 / 1) = -1
    assert speed_difference({"audio": 1.0, "visual": 0.1}, {"audio": 0.01, "visual": 1.0}) == pytest.approx(3.0)


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


def test_the_threshold_is_exclusive_and_two_sided() -> None:
    assert forwards([0.01, -0.01, 0.0101, 0.0], [2, 2, 2, 2]) == [None, None, None, "audio"]
    assert forwards([-0.0101, 0.0], [2, 2]) == [None, "visual"]


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


def test_branch_loss_by_hand() -> None:
    # ln 2 for [0, 0], ln 4/3 for [ln 3, 0] of class 0
    scores = {"audio": torch.zeros(1, 2), "visual": torch.tensor([[1.0986123, 0.0]])}
    assert branch_loss(scores, torch.tensor([0])).item() == pytest.approx(0.693147 + 0.287682, abs=1e-5)


@pytest.mark.parametrize("options", [{"threshold": 1e9}, {"guide": "none"}])
def test_without_windows_it_is_the_branch_losses(options: dict[str, Any], make_trainer: Any, same_weights: Any) -> None:
    ours, control = (make_trainer(method, "mmtm-net", epochs=3) for method in (Greedy(options), BranchLosses()))
    ours.fit()
    control.fit()
    assert same_weights(ours.model, control.model)
    assert ours.logs[-1]["speed_difference"] != 0
    assert ours.logs[-1]["curated_audio"] == ours.logs[-1]["curated_visual"] == 0


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


def test_a_checkpoint_within_a_window_continues_identically(make_trainer: Any, same_weights: Any) -> None:
    options = {"threshold": 1e-6}
    straight = make_trainer(Greedy(options), "mmtm-net")
    steps = [(epoch, index) for epoch in range(4) for index in range(3)]
    for place in steps[:6]:
        straight.step(*place)
    assert straight.method.curation.active
    saved = io.BytesIO()
    torch.save(
        {
            "model": straight.model.state_dict(),
            "optimiser": straight.optimiser.state_dict(),
            "method": straight.method.state_dict(),
        },
        saved,
    )
    saved.seek(0)
    state = torch.load(saved, weights_only=True)
    resumed = make_trainer(Greedy(options), "mmtm-net")
    resumed.model.load_state_dict(state["model"])
    resumed.optimiser.load_state_dict(state["optimiser"])
    resumed.method.load_state_dict(state["method"])
    for place in steps[6:]:
        straight.step(*place)
        resumed.step(*place)
    assert same_weights(straight.model, resumed.model)
    assert straight.method.state_dict() == resumed.method.state_dict()


def test_a_network_without_blocks_is_refused(make_trainer: Any) -> None:
    with pytest.raises(UserError, match="no MMTM blocks"):
        make_trainer(Greedy()).fit()
