"""MMTM blocks and the network of Greedy: gates, running means, curated and blind forwards."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from avbalance.errors import UserError
from avbalance.models.base import Batch, load
from avbalance.models.mmtm import MMTM
from avbalance.models.mmtm_net import MMTMNet, apply_gate, utilisation_rate

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
    model = load("mmtm-net")({"width": 2, "stem": "small", **settings}, 3, torch.Generator().manual_seed(0))
    assert isinstance(model, MMTMNet)
    return model


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


def test_a_curated_gate_is_the_running_mean_and_the_other_stays_live() -> None:
    block = worked_block()
    block(squeezes([0.0], [0.0]))
    gates = block(squeezes([1.0, 1.0], [1.0, 1.0]), cared="audio")
    # running mean of 1/2 and 3/4, this call included
    torch.testing.assert_close(gates["audio"], torch.full((2, 1), 5 / 8))
    torch.testing.assert_close(gates["visual"], torch.full((2, 1), 1 / 4))
    assert not gates["audio"].requires_grad and gates["visual"].requires_grad


def test_recorded_squeezes_are_means_over_samples() -> None:
    block = worked_block().eval()
    block.recording = True
    block(squeezes([3.0], [1.0]))
    block(squeezes([1.0, 1.0, 3.0], [2.0, 2.0, 3.0]))
    assert int(block.squeeze_count) == 4
    assert block.squeeze_mean_audio.item() == pytest.approx(2.0)  # (3 + 1 + 1 + 3) / 4
    assert block.squeeze_mean_visual.item() == pytest.approx(2.0)  # (1 + 2 + 2 + 3) / 4
    block.recording = False
    blind = block(squeezes([0.0], [77.0]), blind="audio")  # h = relu(0 + 2 - 1) = 1
    assert blind["audio"].item() == pytest.approx(0.75)


def test_blind_without_recording_is_an_error() -> None:
    with pytest.raises(UserError, match="mean squeeze vectors"):
        worked_block().eval()(squeezes([0.0], [0.0]), blind="audio")


@pytest.mark.parametrize(("channels", "parameters"), [(64, 16_576), (128, 65_920), (256, 262_912), (512, 1_050_112)])
def test_block_parameter_counts(channels: int, parameters: int) -> None:
    block = MMTM(MODALITIES, channels)
    assert sum(parameter.numel() for parameter in block.parameters()) == parameters


def test_a_gate_is_shared_by_the_frames_of_its_sample_only() -> None:
    maps = torch.ones(6, 1, 2, 2)  # B = 2, K = 3
    gated = apply_gate(maps, torch.tensor([[2.0], [5.0]]))
    assert gated[:, 0, 0, 0].tolist() == [2, 2, 2, 5, 5, 5]


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (5, 3), (2, 4)])
def test_any_number_of_samples_and_frames(samples: int, frames: int) -> None:
    assert net().eval()(batch(samples, frames)).logits.shape == (samples, 3)


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


def test_curated_equals_regular_when_the_running_mean_is_the_gate() -> None:
    # identical samples have identical gates; after one forward the running mean equals them
    samples = batch(1)
    same = Batch(
        samples.audio.expand(3, -1, -1, -1),
        samples.visual.expand(3, -1, -1, -1, -1),
        torch.zeros(3).long(),
        torch.arange(3),
    )
    regular, curated = net(), net()
    curated.cared = "visual"
    expected, found = regular(same), curated(same)
    for modality in MODALITIES:
        torch.testing.assert_close(found.scores[modality], expected.scores[modality])


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


def test_a_blind_branch_depends_on_its_own_modality_only() -> None:
    model, both, changed = net().eval(), batch(), batch()
    changed.visual = both.visual + 1
    with torch.no_grad(), model.recording_squeezes():
        model(both)
    seeing = [model(each).scores["audio"] for each in (both, changed)]
    with model.blinded("audio"):
        blind = [model(each).scores["audio"] for each in (both, changed)]
    assert model.blind is None
    assert not torch.equal(*seeing)
    assert torch.equal(*blind)
    assert not torch.equal(blind[0], seeing[0])


def test_recording_starts_afresh() -> None:
    model = net().eval()
    for _ in range(2):
        with torch.no_grad(), model.recording_squeezes():
            model(batch(3))
    assert [int(block.squeeze_count) for block in model.blocks.values()] == [3, 3, 3]
    model(batch(3))
    assert int(model.blocks["2"].squeeze_count) == 3


def test_utilisation_rate_by_hand() -> None:
    assert utilisation_rate(0.8, 0.6) == pytest.approx(0.25)
    with pytest.raises(UserError, match="undefined"):
        utilisation_rate(0.0, 0.0)


def test_running_means_survive_a_checkpoint() -> None:
    model = net()
    model(batch())
    restored = net()
    restored.load_state_dict(copy.deepcopy(model.state_dict()))
    assert int(restored.blocks["3"].gate_count) == 1
    assert torch.equal(restored.blocks["3"].gate_mean_visual, model.blocks["3"].gate_mean_visual)
