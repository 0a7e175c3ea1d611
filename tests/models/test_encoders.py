"""The choice of encoder: shapes, heads and groups of the networks that have it, methods on it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from avbalance import methods
from avbalance.errors import UserError
from avbalance.methods.base import Step
from avbalance.models.base import Batch, load
from avbalance.models.encoders import ConvolutionalEncoder
from avbalance.models.resnet import encode

SMALL = {"encoder": "convolutional", "width": 4, "dimension": 24}


def make(name: str = "fusion-net", seed: int = 0, **settings: object) -> Any:
    return load(name)({"name": name, **SMALL, **settings}, 3, torch.Generator().manual_seed(seed))


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


@pytest.mark.parametrize("heads", [True, False])
def test_shapes_and_groups_of_late_fusion(heads: bool) -> None:
    model = make(unimodal_heads=heads)
    output = model(batch())
    assert output.logits.shape == (5, 3)
    assert all(score.shape == (5, 3) for score in output.scores.values())
    assert {name: feature.shape for name, feature in output.features.items()} == {"audio": (5, 24), "visual": (5, 24)}
    parts = [model.group(name) for name in ("audio", "visual", "head")]
    listed = [id(parameter) for each in parts for parameter in each]
    assert all(parts) and len(listed) == len(set(listed))
    assert set(listed) == {id(parameter) for parameter in model.parameters()}


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


def test_without_the_setting_the_encoder_is_resnet_and_the_weights_are_what_they_were() -> None:
    named = make(encoder="resnet18", dimension=None).state_dict()
    silent = load("fusion-net")({"width": 4}, 3, torch.Generator().manual_seed(0)).state_dict()
    assert list(named) == list(silent) and "encoders.audio.stages.3.1.conv2.weight" in silent
    assert all(torch.equal(value, silent[name]) for name, value in named.items())


def test_heads_of_their_own_leave_the_rest_of_the_network_alone() -> None:
    split, own = make(unimodal_heads=False).eval(), make(unimodal_heads=True).eval()
    for key, value in split.state_dict().items():
        assert torch.equal(value, own.state_dict()[key]), key
    assert torch.equal(split(batch()).logits, own(batch()).logits)


def test_frames_are_averaged() -> None:
    encoder = ConvolutionalEncoder(3, 2, 5).eval()
    frames = torch.randn(2, 3, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    both = encode(encoder, "visual", frames)
    each = [encode(encoder, "visual", frames[:, :, [number]]) for number in (0, 1)]
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)


def test_building_leaves_the_global_generator_alone_and_follows_its_own() -> None:
    state = torch.get_rng_state()
    first, again, other = make(), make(), make(seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


@pytest.mark.parametrize(
    ("method", "options"),
    [("baseline", {}), ("ogm-ge", {}), ("dgm", {"gamma": 0.8}), ("gradient-blending", {"weights": [0.3, 0.3, 0.4]})],
)
def test_methods_of_late_fusion_train_every_convolution_of_it(method: str, options: dict[str, Any]) -> None:
    model, given = make(unimodal_heads=True), batch()
    hooks, step = methods.load(method)(options), Step(0, 0, 1, torch.Generator().manual_seed(0))
    output = model(hooks.batch(model, given, step))
    hooks.loss(model, output, given, step).backward()
    kernels = [part.weight for part in model.encoders.modules() if isinstance(part, nn.Conv2d)]
    before = [kernel.grad.clone() for kernel in kernels]
    hooks.gradients(model, output, given, step)
    assert len(kernels) == 2 * 4 and all(gradient.abs().sum() > 0 for gradient in before)
    changed = sum(not torch.equal(kernel.grad, old) for kernel, old in zip(kernels, before, strict=True))
    assert changed == {"ogm-ge": 8, "dgm": 8}.get(method, 0)  # noise reaches both encoders, damping one


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


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("fusion-net", {"encoder": "resnet"}, "encoder is 'resnet'; it must be one of resnet18, convolutional"),
        ("fusion-net", {"width": 0}, "width is 0; it must be at least 1"),
        ("fusion-net", {"dimension": 0}, "dimension is 0; it must be at least 1"),
        ("fusion-net", {"encoder": "resnet18"}, "ResNet-18 has 8 times its width: set dimension to null"),
        ("unimodal-net", {"dimensions": 8}, "unknown setting dimensions; it takes modality, encoder, dimension"),
        ("mmtm-net", {"encoder": "resnet18"}, "ResNet-18 has 8 times its width: set dimension to null"),
    ],
)
def test_settings_are_checked(name: str, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make(name, **settings)
