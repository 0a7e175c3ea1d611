"""PSP: groups, attention and pruning by hand, what scores are, initialisation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import small_models
import torch
from small_models import CLASSES, CLIPS, SEGMENTS, batch_for, random
from torch import nn
from torch.nn.functional import layer_norm

from avbalance.errors import UserError
from avbalance.models.base import build
from avbalance.models.psp import pruned


def make(**settings: Any) -> Any:
    return small_models.make("psp", **settings)


def batch() -> Any:
    return batch_for("psp")


def test_shapes_and_scores_without_gradient() -> None:
    model = make().eval()
    output = model(batch())
    assert output.logits.shape == (CLIPS, SEGMENTS, CLASSES)
    assert set(output.scores) == set(output.features) == {"audio", "visual"}
    mean = (output.features["audio"] + output.features["visual"]) / 2
    assert torch.equal(output.logits, model.classifier(mean))
    for name, scores in output.scores.items():
        assert scores.shape == output.logits.shape and not scores.requires_grad
        assert torch.equal(scores, model.classifier(output.features[name]))


def test_groups_are_the_paths_and_the_rest_is_shared() -> None:
    model = make()
    model(batch()).logits.square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {
        group: {names[id(each)].split(".")[:3][-1] for each in model.group(group)} for group in ("audio", "visual")
    }
    assert found == {"audio": {"project", "memory"}, "visual": {"attention", "project", "memory"}}
    listed = [id(each) for group in ("audio", "visual", "head") for each in model.group(group)]
    assert len(listed) == len(set(listed)) == len(names)
    head = {names[id(each)].split(".")[0] for each in model.group("head")}
    assert head == {"propagation", "classifier"}


def test_initialisation_is_xavier_uniform_but_for_projections_and_memories() -> None:
    model = build({"name": "psp"}, 29, torch.Generator().manual_seed(0))
    bounds = {}
    for name, part in model.named_modules():
        if isinstance(part, nn.Linear):
            rows, columns = part.weight.shape
            xavier, default = math.sqrt(6 / (rows + columns)), 1 / math.sqrt(columns)
            wanted = default if "project" in name else xavier
            bounds[name] = part.weight.abs().max().item() / wanted
    assert len(bounds) == 4 + 5 + 6 + 2
    assert all(0.9 < share <= 1 for name, share in bounds.items() if not name.endswith("score"))
    memory = model.encoders["visual"].memory.weight_ih_l0
    assert 0.99 / math.sqrt(128) < memory.abs().max().item() <= 1 / math.sqrt(128)


@pytest.mark.parametrize("guide", ["unit", "position"])
def test_guided_attention_against_its_formula(guide: str) -> None:
    attention = make(guide=guide).encoders["visual"].attention
    audio, maps = random(1, 2, 4, seed=3), random(1, 2, 7, 7, 6, seed=4)
    found = attention(audio, maps)
    for second in range(2):
        positions = maps[0, second].reshape(49, 6)
        hidden = (positions @ attention.see.weight.T + attention.see.bias).relu() @ attention.seen.weight.T
        told = (audio[0, second] @ attention.hear.weight.T + attention.hear.bias).relu() @ attention.heard.weight.T
        heard = told[None, :] if guide == "unit" else told[:, None]
        weight = ((hidden + heard).tanh() @ attention.score.weight[0]).softmax(0)
        torch.testing.assert_close(found[0, second], weight @ positions)


def test_guiding_by_position_needs_as_many_units_as_positions() -> None:
    with pytest.raises(UserError, match="guide position needs attention_width 49"):
        make(guide="position", attention_width=5)(batch())
    make(guide="unit", attention_width=5)(batch())


def test_pruning_by_hand() -> None:
    beta = torch.tensor([[[6.0, 3.0, 1.0], [0.0, 0.0, 0.0], [0.0, 4.0, 4.0]]])
    # shares .6, .3, .1: the last is at most the threshold, the others share anew
    expected = torch.tensor([[[2 / 3, 1 / 3, 0.0], [0.0, 0.0, 0.0], [0.0, 0.5, 0.5]]])
    torch.testing.assert_close(pruned(beta, 0.1000001), expected)
    torch.testing.assert_close(pruned(beta, 0.0)[0, 0], torch.tensor([0.6, 0.3, 0.1]))
    assert not bool(pruned(beta, 0.7).any())


def test_propagation_against_its_formula() -> None:
    block = make().eval().propagation
    audio, visual = random(2, SEGMENTS, 8, seed=5), random(2, SEGMENTS, 8, seed=6)
    weight = {name: part.weight for name, part in block.named_modules() if isinstance(part, nn.Linear)}
    v1, v2 = ((visual @ weight[name].T).relu() for name in ("visual_first", "visual_second"))
    a1, a2 = ((audio @ weight[name].T).relu() for name in ("audio_first", "audio_second"))
    beta = (torch.einsum("btd,bsd->bts", v2, a1) / math.sqrt(8)).relu()
    heard = visual + pruned(beta, 0.099) @ a2
    seen = audio + pruned(beta.mT, 0.099) @ v1
    found_audio, found_visual = block(audio, visual)
    for found, mixed, name in ((found_audio, seen, "audio_out"), (found_visual, heard, "visual_out")):
        expected = layer_norm((mixed @ weight[name].T).relu(), (8,), block.norm.weight, block.norm.bias, 1e-6)
        torch.testing.assert_close(found, expected)
    assert not torch.allclose(found_visual, block(torch.zeros_like(audio), visual)[1])
