"""The choice of encoder: shapes, heads and groups of the networks that have it, methods on it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from avbalance.errors import UserError
from avbalance.models.base import Batch, build
from avbalance.models.encoders import ConvolutionalEncoder

SMALL = {"encoder": "convolutional", "width": 4, "dimension": 24}


def make(name: str = "fusion-net", **settings: object) -> Any:
    return build({"name": name, **SMALL, **settings}, 3, torch.Generator().manual_seed(0))


def batch(samples: int = 5) -> Any:
    generator = torch.Generator().manual_seed(7)
    audio, visual = (torch.randn(samples, *shape, generator=generator) for shape in ((1, 33, 20), (3, 2, 28, 28)))
    return Batch(audio, visual, torch.arange(samples) % 3, torch.arange(samples))


def test_maps_are_an_eighth_of_the_input_rounded_up() -> None:
    encoder = ConvolutionalEncoder(1, width=2, dimension=5)
    assert encoder(torch.zeros(2, 1, 32, 64)).shape == (2, 5, 4, 8)
    assert encoder(torch.zeros(2, 1, 33, 20)).shape == (2, 5, 5, 3)
    kernels = [tuple(part.weight.shape) for part in encoder.modules() if isinstance(part, nn.Conv2d)]
    assert kernels == [(2, 1, 3, 3), (4, 2, 3, 3), (8, 4, 3, 3), (5, 8, 1, 1)]


@pytest.mark.parametrize("name", ["audio", "visual"])
def test_one_modality_alone(name: str) -> None:
    model, given = make("unimodal-net", modality=name).eval(), batch()
    output = model(given)
    assert output.features[name].shape == (5, 24)
    setattr(given, "visual" if name == "audio" else "audio", None)
    assert torch.equal(model(given).logits, output.logits)


def test_features_are_as_wide_as_those_of_resnet_by_default() -> None:
    assert make(width=3, dimension=None).fusion.linear.weight.shape == (3, 2 * 24)
    assert make(encoder="resnet18", width=3, dimension=None).fusion.linear.weight.shape == (3, 2 * 24)


def test_mmtm_blocks_stand_between_the_layers_of_the_small_encoder() -> None:
    model = make("mmtm-net")
    assert {stage: block.squeeze.in_features for stage, block in model.blocks.items()} == {
        "2": 2 * 8,  # both modalities' channels: twice the width, four times the width, the dimension
        "3": 2 * 16,
        "4": 2 * 24,
    }
    output = model(batch())
    output.logits.sum().backward()
    kernels = [part.weight for part in model.encoders.modules() if isinstance(part, nn.Conv2d)]
    assert len(kernels) == 2 * 4 and all(kernel.grad.abs().sum() > 0 for kernel in kernels)
    for parameter in model.blocks.parameters():  # without gates of their own the branches are the encoders alone
        nn.init.zeros_(parameter)
    halved = model.eval()(batch()).features["audio"]
    layers = model.encoders["audio"].layers
    maps = batch().audio
    for number in range(4):
        maps = layers[3 * number : 3 * number + 3](maps)
        maps = maps if number == 0 else maps / 2  # sigmoid(0)
    torch.testing.assert_close(halved, maps.mean((2, 3)))


@pytest.mark.parametrize("name", ["fusion-net", "mmtm-net"])
def test_resnet_has_no_dimension_of_its_own(name: str) -> None:
    with pytest.raises(UserError, match="ResNet-18 has 8 times its width: set dimension to null"):
        make(name, encoder="resnet18")
