"""MMTM blocks and the network of Greedy: gates, running means, curated forwards."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from avbalance.errors import UserError
from avbalance.models.base import Batch, build
from avbalance.models.mmtm import MMTM
from avbalance.models.mmtm_net import apply_gate

MODALITIES = ("audio", "visual")


def worked_block() -> Any:
    """One channel per modality: h = relu(q_a + q_v - 1), gates sigmoid(h ln 3) and sigmoid(-h ln 3)."""
    block = MMTM(MODALITIES, channels=1)
    weights = {
        "squeeze.weight": [[1.0, 1.0]],
        "squeeze.bias": [-1.0],
        "excite.audio.weight": [[math.log(3)]],
        "excite.audio.bias": [0.0],
        "excite.visual.weight": [[-math.log(3)]],
        "excite.visual.bias": [0.0],
    }
    block.load_state_dict({key: torch.tensor(value) for key, value in weights.items()}, strict=False)
    return block


def squeezes(audio: list[float], visual: list[float]) -> dict[str, Tensor]:
    return {"audio": torch.tensor(audio)[:, None], "visual": torch.tensor(visual)[:, None]}


def net(**settings: object) -> Any:
    known = {"name": "mmtm-net", "width": 2, "stem": "small", **settings}
    return build(known, 3, torch.Generator().manual_seed(0))


def batch(samples: int = 4, frames: int = 2, seed: int = 1) -> Any:
    generator = torch.Generator().manual_seed(seed)
    audio = torch.randn(samples, 1, 16, 24, generator=generator)
    visual = torch.randn(samples, 3, frames, 16, 16, generator=generator)
    return Batch(audio, visual, torch.zeros(samples, dtype=torch.long), torch.arange(samples))


def test_gates_by_hand() -> None:
    # h = relu(1 + 1 - 1) = 1: sigmoid(ln 3) = 3/4, sigmoid(-ln 3) = 1/4; h = relu(-1) = 0: both 1/2
    gates = worked_block().eval()(squeezes([1.0, 0.0], [1.0, 0.0]))
    torch.testing.assert_close(gates["audio"], torch.tensor([[0.75], [0.5]]))
    torch.testing.assert_close(gates["visual"], torch.tensor([[0.25], [0.5]]))


def test_running_mean_is_cumulative_per_modality_and_only_in_training() -> None:
    block = worked_block()
    block(squeezes([1.0, 0.0], [1.0, 0.0]))  # batch means 5/8 and 3/8
    block(squeezes([0.0], [0.0]))  # 1/2 and 1/2
    block.eval()(squeezes([9.0], [9.0]))
    assert int(block.gate_count) == 2
    assert block.gate_mean_audio.item() == pytest.approx((5 / 8 + 1 / 2) / 2)
    assert block.gate_mean_visual.item() == pytest.approx((3 / 8 + 1 / 2) / 2)
    block.train()(squeezes([1.0], [1.0]), cared="audio")  # curated forwards count too
    assert block.gate_mean_audio.item() == pytest.approx((5 / 8 + 1 / 2 + 3 / 4) / 3)


def test_a_gate_is_shared_by_the_frames_of_its_sample_only() -> None:
    maps = torch.ones(6, 1, 2, 2)  # B = 2, K = 3
    gated = apply_gate(maps, torch.tensor([[2.0], [5.0]]))
    assert gated[:, 0, 0, 0].tolist() == [2, 2, 2, 5, 5, 5]


def test_stages_are_a_setting() -> None:
    assert list(net().blocks) == ["2", "3", "4"]
    assert list(net(mmtm_stages=[4, 1, 2, 3]).blocks) == ["1", "2", "3", "4"]
    for stages in ([], [0, 1], [2, 2]):
        with pytest.raises(UserError, match="mmtm_stages"):
            net(mmtm_stages=stages)


def test_prediction_is_the_mean_of_the_branches_or_the_joint_head() -> None:
    output = net()(batch())
    torch.testing.assert_close(output.logits, (output.scores["audio"] + output.scores["visual"]) / 2)
    joint = net(head="concat")(batch())
    torch.testing.assert_close(joint.logits, joint.scores["audio"] + joint.scores["visual"])


@pytest.mark.parametrize("cared", MODALITIES)
def test_curation_changes_training_forwards_only_and_spares_the_cared_excitations(cared: str) -> None:
    model = net()
    model(batch(seed=2))
    model.cared = cared
    output = model(batch())
    sum(score.sum() for score in output.scores.values()).backward()
    other = "visual" if cared == "audio" else "audio"
    for block in model.blocks.values():
        assert block.excite[cared].weight.grad is None and block.excite[cared].bias.grad is None
        assert block.excite[other].bias.grad.abs().sum() > 0
        assert block.squeeze.bias.grad is not None
    assert all(parameter.grad is not None for parameter in model.main(cared))
    model.eval()
    in_curation = model(batch()).logits
    model.cared = None
    assert torch.equal(in_curation, model(batch()).logits)
