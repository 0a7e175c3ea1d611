"""The model contract: batches, groups, initialisation, dynamic loading."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from avbalance.errors import UserError
from avbalance.models.base import Batch, initialise, load

SETTINGS: dict[str, dict[str, Any]] = {
    "unimodal-net": {"name": "unimodal-net", "modality": "visual"},
    "fusion-net": {"name": "fusion-net", "unimodal_heads": True},
    "mmtm-net": {"name": "mmtm-net"},
}


def make(name: str, seed: int = 0, **settings: object) -> Any:
    generator = torch.Generator().manual_seed(seed)
    merged = {**SETTINGS[name], "width": 2, "stem": "small", **settings}
    return load(name)(merged, 3, generator)


def batch(samples: int = 2, frames: int = 2) -> Any:
    generator = torch.Generator().manual_seed(7)
    return Batch(
        torch.randn(samples, 1, 16, 24, generator=generator),
        torch.randn(samples, 3, frames, 16, 16, generator=generator),
        torch.arange(samples) % 3,
        torch.arange(samples),
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_groups_partition_the_parameters(name: str) -> None:
    model = make(name)
    parts = [model.group(group) for group in (*model.modalities, "head")]
    listed = [id(parameter) for part in parts for parameter in part]
    assert all(parts)
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(parameter) for parameter in model.parameters()}


def test_unknown_group_is_named() -> None:
    with pytest.raises(UserError, match="no parameter group 'audio'; it has visual, head"):
        make("unimodal-net").group("audio")


@pytest.mark.parametrize("name", SETTINGS)
def test_output_shapes(name: str) -> None:
    model = make(name)
    output = model(batch(samples=5))
    assert output.logits.shape == (5, 3)
    assert set(output.scores) == set(output.features) == set(model.modalities)
    assert all(score.shape == (5, 3) for score in output.scores.values())
    assert all(feature.shape == (5, 16) for feature in output.features.values())


@pytest.mark.parametrize("name", SETTINGS)
def test_building_leaves_the_global_generator_alone_and_follows_its_own(name: str) -> None:
    state = torch.get_rng_state()
    first, again, other = make(name), make(name), make(name, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    for (key, weight), twin in zip(first.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(weight, twin), key
    stem, other_stem = (next(model.parameters()) for model in (first, other))
    assert not torch.equal(stem, other_stem)


def test_unknown_setting_value_and_model_are_refused() -> None:
    with pytest.raises(UserError, match="fusion-net: unknown setting widht; it takes fusion"):
        make("fusion-net", widht=8)
    with pytest.raises(UserError, match="stem is 'large'"):
        make("fusion-net", stem="large")
    with pytest.raises(UserError, match="width is 0"):
        make("unimodal-net", width=0)
    with pytest.raises(UserError, match="no model named 'no-net'"):
        load("no-net")


def test_a_missing_modality_is_an_error_where_it_is_needed() -> None:
    without = batch()
    without.audio = None
    with pytest.raises(UserError, match="carries no audio"):
        make("mmtm-net")(without)
    assert make("unimodal-net")(without).logits.shape == (2, 3)


def test_initialise_resets_what_was_there() -> None:
    module: Any = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Linear(4, 2))
    for parameter in module.parameters():
        nn.init.constant_(parameter, 9.0)
    initialise(module, torch.Generator().manual_seed(3))
    # the same draws through torch's own rules: Kaiming fan-out, then Xavier
    generator = torch.Generator().manual_seed(3)
    conv = nn.init.kaiming_normal_(torch.empty(4, 3, 3, 3), mode="fan_out", nonlinearity="relu", generator=generator)
    linear = nn.init.xavier_normal_(torch.empty(2, 4), generator=generator)
    torch.testing.assert_close(module[0].weight, conv)
    torch.testing.assert_close(module[2].weight, linear)
    assert torch.equal(module[1].weight, torch.ones(4)) and torch.equal(module[1].bias, torch.zeros(4))
    assert torch.equal(module[2].bias, torch.zeros(2))


def test_batch_moves_with_all_its_parts() -> None:
    moved = batch().to("meta")
    assert {tensor.device.type for tensor in (moved.audio, moved.visual, moved.label, moved.index)} == {"meta"}
