"""Teachers, student and late fusion: sizes, what follows what, and inputs of another recipe."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_models import BINS, CLIPS, FEATURE, FRAMES, VECTORS, batch_for, full, make, parameters
from torch import nn

from avbalance.errors import UserError
from avbalance.models.base import Batch
from avbalance.models.relevance import AudioTrunk, LinearBranch, VisualTrunk

READS = {
    "audio-teacher": ("audio",),
    "visual-teacher": ("visual",),
    "kd-student": ("audio", "visual"),
    "late-fusion": ("visual", "audio"),
}


def batch(audio: int = 1, visual: int = 2) -> Batch:
    return batch_for("kd-student", audio, visual)


@pytest.mark.parametrize(
    ("name", "settings", "classes", "number"),
    [
        ("audio-teacher", {}, 2, 5_179_090),
        ("visual-teacher", {}, 2, 51_586),
        ("visual-teacher", {"visual_feature": 2048}, 2, 262_530),
        ("kd-student", {}, 2, 10_419_122),
        ("kd-student", {"visual_feature": 2048}, 2, 11_078_322),
        ("late-fusion", {}, 26, 5_448_042),
        ("late-fusion", {"modalities": ["visual"]}, 26, 138_906),
        ("late-fusion", {"modalities": ["audio"]}, 26, 5_345_642),
        ("late-fusion", {"visual_feature": 2048}, 26, 5_448_042 + 819_600),
    ],
)
def test_parameters_at_full_size(name: str, settings: dict[str, Any], classes: int, number: int) -> None:
    assert parameters(full(name, classes, **settings)) == number


def test_shapes_at_full_size() -> None:
    trunk = full("audio-teacher", 2).encoders["audio"]
    sound = torch.empty(2, 1, 64, 313, device="meta")
    assert trunk.convolution(sound).shape == (2, 8, 16, 79) and trunk.linear.in_features == 10_112
    assert trunk(sound).shape == (2, 512)
    student = full("kd-student", 2)
    assert student.encoders["audio"].linear.in_features == 20_032 and student.head.in_features == 912
    one_second = full("audio-teacher", 10, frames=32).encoders["audio"]
    assert one_second(torch.empty(2, 1, 64, 32, device="meta")).shape == (2, 512)


@pytest.mark.parametrize("name", VECTORS)
def test_features_follow_a_relu_and_logits_none(name: str) -> None:
    model = make(name)
    output = model(batch())
    assert tuple(output.features) == model.modalities == READS[name]
    assert set(output.scores) == (set(READS[name]) if len(READS[name]) == 1 else set())
    assert all(float(feature.detach().min()) == 0 for feature in output.features.values())  # after a ReLU
    assert float(output.logits.detach().min()) < 0  # an output layer has none


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("modality", ["audio", "visual"])
def test_every_model_depends_on_what_it_reads_and_on_no_more(name: str, modality: str) -> None:
    model = make(name)
    other = batch(audio=5) if modality == "audio" else batch(visual=5)
    assert torch.equal(model(batch()).logits, model(other).logits) == (modality not in READS[name])


def test_audio_teacher_and_student_against_plain_formulas() -> None:
    model, here = make("audio-teacher"), batch()
    trunk = model.encoders["audio"]
    maps = nn.functional.conv2d(here.audio, trunk.convolution.weight, trunk.convolution.bias, stride=4, padding=2)
    hidden = (maps.clamp_min(0).flatten(1) @ trunk.linear.weight.T + trunk.linear.bias).clamp_min(0)
    expected = hidden @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model(here).logits, expected)
    student = make("kd-student")
    heard, seen = (student.encoders[name].linear for name in ("audio", "visual"))
    fused = torch.cat([heard(here.audio.flatten(1)).clamp_min(0), seen(here.visual).clamp_min(0)], 1)
    torch.testing.assert_close(student(here).logits, student.head(fused))


def test_late_fusion_puts_video_first_and_keeps_a_feature_of_the_right_size() -> None:
    model, here = make("late-fusion", visual_width=FEATURE), batch()
    assert model.group("visual") == [] and torch.equal(model(here).features["visual"], here.visual)
    heard = model.encoders["audio"](here.audio)
    torch.testing.assert_close(model(here).logits, model.head(torch.cat([here.visual, heard], 1)))
    assert VisualTrunk(400, 400).linear is None and VisualTrunk(2048, 400).linear is not None


def test_inputs_of_another_recipe_and_bad_settings_are_refused() -> None:
    wrong = batch()
    wrong.audio = torch.zeros(CLIPS, 1, BINS, FRAMES + 1)
    for name in ("audio-teacher", "kd-student", "late-fusion"):
        with pytest.raises(UserError, match=r"audio of a clip has shape \(1, 8, 14\), the model takes \(1, 8, 13\)"):
            make(name)(wrong)
    wrong.visual = torch.zeros(CLIPS, 3, 2, 5, 5)
    with pytest.raises(UserError, match="set the model's visual_feature"):
        make("visual-teacher")(wrong)
    for settings in ({"hidden": [8, 0]}, {"hidden": []}, {"modalities": ["audio", "audio"]}, {"modalities": []}):
        with pytest.raises(UserError, match=f"model, {next(iter(settings))}"):
            make("late-fusion", **settings)
    assert isinstance(make("kd-student").encoders["audio"], LinearBranch)
    assert isinstance(make("late-fusion").encoders["audio"], AudioTrunk)
