"""Teachers, student and late fusion: sizes, what follows what, and inputs of another recipe."""

from __future__ import annotations

import pytest
import torch
from small_models import BINS, CLIPS, FEATURE, FRAMES, VECTORS, batch_for, make
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
