"""What every network must do, tested on each of them; settings, loading, initialisation of the image networks."""

from __future__ import annotations

import pytest
import torch
from small_models import CLASSES, CLIPS, IMAGES, NETWORKS, REFERENCES, batch_for, make
from torch import nn

from avbalance.errors import UserError
from avbalance.models.base import ImageModel, build, load, names, read_settings


def test_every_network_on_disk_is_tested_here() -> None:
    assert set(names()) == set(NETWORKS) | REFERENCES


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_groups_that_partition_the_parameters(name: str) -> None:
    model = make(name)
    output = model(batch_for(name))
    assert output.logits.shape[0] == CLIPS and output.logits.shape[-1] == CLASSES
    for scores in output.scores.values():
        assert scores.shape == output.logits.shape and bool(scores.isfinite().all())
    parts = [model.group(group) for group in (*model.modalities, "head")]
    listed = [id(parameter) for part in parts for parameter in part]
    assert all(parts) and len(listed) == len(set(listed))
    assert set(listed) == {id(parameter) for parameter in model.parameters()}
    with pytest.raises(UserError, match="no parameter group 'middle'; it has "):
        model.group("middle")


@pytest.mark.parametrize("name", NETWORKS)
def test_building_leaves_the_global_generator_alone_and_follows_its_own(name: str) -> None:
    state = torch.get_rng_state()
    first, again, other = make(name), make(name), make(name, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    for (key, weight), twin in zip(first.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(weight, twin), key
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


@pytest.mark.parametrize("name", names())
def test_settings_are_read_and_what_is_wrong_is_said_with_its_place(name: str) -> None:
    assert read_settings({"name": name}).name == name
    for field in load(name).Settings.model_fields.keys() - {"name"}:
        with pytest.raises(UserError, match=rf"^a, {field}: is .*\.$"):
            read_settings({"name": name, field: {"no": "value"}}, "a")


def test_sentences_about_settings() -> None:
    for settings, sentence in (
        ({"widht": 8}, "model: unknown key 'widht'; did you mean 'width'"),
        ({"stem": "large"}, "model, stem: is 'large'; use 'imagenet' or 'small'"),
        ({"width": 0}, "model, width: is 0; it must be greater than or equal to 1"),
        ({"name": "fusion"}, "no model named 'fusion'; did you mean 'fusion-net'; there are "),
    ):
        with pytest.raises(UserError) as raised:
            build({"name": "fusion-net", **settings}, 3, torch.Generator())
        assert sentence in str(raised.value)
    with pytest.raises(UserError, match="model: lacks the key 'name'"):
        read_settings({})


@pytest.mark.parametrize("name", ["mmtm-net", "han", "late-fusion"])
def test_a_missing_modality_is_an_error_where_it_is_needed(name: str) -> None:
    without = batch_for(name)
    without.audio = None
    with pytest.raises(UserError, match="carries no audio"):
        make(name)(without)
    assert make("unimodal-net")(batch_for("unimodal-net")).logits.shape == (CLIPS, CLASSES)


@pytest.mark.parametrize("name", IMAGES)
def test_image_networks_are_initialised_by_kaiming_and_xavier(name: str) -> None:
    model, generator = make(name), torch.Generator().manual_seed(0)
    assert isinstance(model, ImageModel)
    for part in model.modules():  # the same draws through torch's own rules
        if isinstance(part, nn.Conv2d):
            empty = torch.empty_like(part.weight)
            wanted = nn.init.kaiming_normal_(empty, mode="fan_out", nonlinearity="relu", generator=generator)
            torch.testing.assert_close(part.weight, wanted)
        elif isinstance(part, nn.Linear):
            wanted = nn.init.xavier_normal_(torch.empty_like(part.weight), generator=generator)
            torch.testing.assert_close(part.weight, wanted)
            assert not part.bias.any()
