"""Small branches: shapes, heads, groups, initialisation, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from avbalance.errors import UserError
from avbalance.models.base import Batch, load
from avbalance.models.branch_net import ConvolutionalBranch

ENCODERS = ("convolutional", "vector")


def make(seed: int = 0, **settings: object) -> Any:
    merged = {"name": "branch-net", "width": 4, "dimension": 24, "inputs": 6, **settings}
    return load("branch-net")(merged, 3, torch.Generator().manual_seed(seed))


def batch(encoder: str, samples: int = 5) -> Any:
    generator = torch.Generator().manual_seed(7)
    shapes = {"vector": ((6,), (6,)), "convolutional": ((1, 33, 20), (3, 2, 28, 28))}[encoder]
    audio, visual = (torch.randn(samples, *shape, generator=generator) for shape in shapes)
    return Batch(audio, visual, torch.arange(samples) % 3, torch.arange(samples))


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("heads", [True, False])
def test_shapes_and_groups(encoder: str, heads: bool) -> None:
    model = make(encoder=encoder, unimodal_heads=heads)
    output = model(batch(encoder))
    assert output.logits.shape == (5, 3)
    assert list(output.scores) == list(output.features) == ["audio", "visual"]
    assert all(score.shape == (5, 3) for score in output.scores.values())
    assert all(feature.shape == (5, 24) for feature in output.features.values())
    parts = [model.group(name) for name in ("audio", "visual", "head")]
    listed = [id(parameter) for each in parts for parameter in each]
    assert all(parts) and len(listed) == len(set(listed))
    assert set(listed) == {id(parameter) for parameter in model.parameters()}


def test_features_have_the_papers_width_by_default() -> None:
    model = load("branch-net")({}, 6, torch.Generator().manual_seed(0))
    assert model.fusion.linear.weight.shape == (6, 1024)
    assert {name: head.weight.shape for name, head in model.unimodal_heads.items()} == {
        "audio": (6, 512),
        "visual": (6, 512),
    }


@pytest.mark.parametrize("encoder", ENCODERS)
def test_split_scores_add_up_and_own_heads_leave_the_rest_alone(encoder: str) -> None:
    split, own = make(encoder=encoder, unimodal_heads=False).eval(), make(encoder=encoder).eval()
    for key, value in split.state_dict().items():
        assert torch.equal(value, own.state_dict()[key]), key
    nn.init.normal_(split.fusion.linear.bias, generator=torch.Generator().manual_seed(2))
    first, second = split(batch(encoder)), own(batch(encoder))
    torch.testing.assert_close(first.scores["audio"] + first.scores["visual"], first.logits)
    for name, head in own.unimodal_heads.items():
        assert torch.equal(second.scores[name], head(second.features[name]))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_score_of_a_modality_ignores_the_other(encoder: str) -> None:
    model, given, changed = make(encoder=encoder).eval(), batch(encoder), batch(encoder)
    changed.visual = torch.zeros_like(given.visual)
    before, after = model(given), model(changed)
    assert torch.equal(before.scores["audio"], after.scores["audio"])
    assert not torch.equal(before.scores["visual"], after.scores["visual"])
    assert not torch.equal(before.logits, after.logits)


def test_audio_fills_the_first_columns_of_the_head() -> None:
    model = make(encoder="vector").eval()
    with torch.no_grad():
        model.fusion.linear.weight[:, :24] = 0
    given, changed = batch("vector"), batch("vector")
    changed.audio = -given.audio
    assert torch.equal(model(given).logits, model(changed).logits)


@pytest.mark.parametrize("name", ["audio", "visual"])
def test_one_modality_alone(name: str) -> None:
    model = make(modalities=[name], unimodal_heads=False).eval()
    given = batch("convolutional")
    output = model(given)
    assert torch.equal(output.logits, output.scores[name]) and list(output.features) == [name]
    other = "visual" if name == "audio" else "audio"
    setattr(given, other, None)
    assert torch.equal(model(given).logits, output.logits)
    with pytest.raises(UserError, match=f"has no parameter group '{other}'"):
        model.group(other)


def test_frames_are_averaged() -> None:
    branch = ConvolutionalBranch("visual", 2, 5).eval()
    frames = torch.randn(2, 3, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    both = branch(frames)
    torch.testing.assert_close(both, (branch(frames[:, :, :1]) + branch(frames[:, :, 1:])) / 2)


def test_every_branch_learns() -> None:
    model, given = make(), batch("convolutional")
    output = model(given)
    torch.nn.functional.cross_entropy(output.logits, given.label).backward()
    assert all(parameter.grad is not None for name in ("audio", "visual") for parameter in model.group(name))


def test_building_leaves_the_global_generator_alone_and_follows_its_own() -> None:
    state = torch.get_rng_state()
    first, again, other = make(), make(), make(seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"encoder": "resnet"}, "encoder is 'resnet'; it must be one of convolutional, vector"),
        ({"modalities": ["visual", "audio"]}, "use audio and visual, or one of them"),
        ({"modalities": []}, "use audio and visual, or one of them"),
        ({"width": 0}, "width is 0; it must be at least 1"),
        ({"dimensions": 8}, "unknown setting dimensions; it takes encoder"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make(**settings)
