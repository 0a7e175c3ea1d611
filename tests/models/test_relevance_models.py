"""Teachers, student and late fusion: sizes, what follows what, conditions at both levels, and frozen teachers."""

from __future__ import annotations

import copy
import importlib
from typing import Any

import pytest
import torch
from avbalance.analysis.distillation import distillation_terms
from torch import Tensor, nn

from avbalance.analysis.conditions import CONDITIONS, StandIns, find, fusion_stand_ins, mean_clip, shuffled_partners
from avbalance.errors import UserError
from avbalance.models.audio_teacher import AudioTeacher
from avbalance.models.base import Batch, complete, load
from avbalance.models.kd_student import KDStudent
from avbalance.models.late_fusion import LateFusion
from avbalance.models.relevance import AudioTrunk, Branch, VisualTrunk
from avbalance.models.visual_teacher import VisualTeacher

BINS, FRAMES, FEATURE, CLIPS, CLASSES = 8, 13, 6, 7, 3
SOUND = {"bins": BINS, "frames": FRAMES, "audio_width": 10}
SMALL: dict[str, dict[str, Any]] = {
    "audio-teacher": {**SOUND, "channels": 2},
    "visual-teacher": {"visual_feature": FEATURE, "hidden": 5},
    "kd-student": {**SOUND, "visual_feature": FEATURE, "visual_width": 9},
    "late-fusion": {**SOUND, "channels": 2, "visual_feature": FEATURE, "visual_width": 9, "hidden": [8, 4]},
}
READS = {
    "audio-teacher": ("audio",),
    "visual-teacher": ("visual",),
    "kd-student": ("audio", "visual"),
    "late-fusion": ("visual", "audio"),
}
CUT = ("kd-student", "late-fusion")
NETWORKS: dict[str, Any] = {
    "audio-teacher": AudioTeacher,
    "visual-teacher": VisualTeacher,
    "kd-student": KDStudent,
    "late-fusion": LateFusion,
}


def make(name: str, seed: int = 0, **settings: Any) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return load(name)({"name": name, **SMALL[name], **settings}, CLASSES, generator)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(audio: int = 1, visual: int = 2, clips: int = CLIPS) -> Batch:
    """A batch whose modalities are drawn with the given seeds."""
    sound, pictures = random(clips, 1, BINS, FRAMES, seed=audio), random(clips, FEATURE, seed=visual)
    return Batch(sound, pictures, torch.arange(clips) % CLASSES, torch.arange(clips))


def part(whole: Batch, chosen: slice) -> Batch:
    return Batch(*(getattr(whole, name)[chosen] for name in ("audio", "visual", "label", "index")))


def full(name: str, classes: int, **settings: Any) -> Any:
    """The network at full size, without memory."""
    network = NETWORKS[name]
    defaults = importlib.import_module(network.__module__).DEFAULTS
    with torch.device("meta"):
        return network(complete(settings, defaults), classes)


@pytest.mark.parametrize(
    ("name", "settings", "classes", "parameters"),
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
def test_parameters_at_full_size(name: str, settings: dict[str, Any], classes: int, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in full(name, classes, **settings).parameters()) == parameters


def kinds(model: nn.Module) -> dict[type[nn.Module], int]:
    layers = [type(module) for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    return {kind: layers.count(kind) for kind in set(layers)}


@pytest.mark.parametrize(
    ("name", "convolutions", "linear"),
    [("audio-teacher", 1, 2), ("visual-teacher", 0, 2), ("kd-student", 0, 3), ("late-fusion", 1, 4)],
)
def test_layers_are_those_of_the_text(name: str, convolutions: int, linear: int) -> None:
    model = full(name, 2)
    assert (kinds(model).get(nn.Conv2d, 0), kinds(model)[nn.Linear]) == (convolutions, linear)
    assert not any("Norm" in type(module).__name__ or "Drop" in type(module).__name__ for module in model.modules())


def test_shapes_at_full_size() -> None:
    trunk = full("audio-teacher", 2).encoders["audio"]
    sound = torch.empty(2, 1, 64, 313, device="meta")
    assert trunk.convolution(sound).shape == (2, 8, 16, 79) and trunk.linear.in_features == 10_112
    assert trunk(sound).shape == (2, 512)
    student = full("kd-student", 2)
    assert student.encoders["audio"].linear.in_features == 20_032 and student.head.in_features == 912
    one_second = full("audio-teacher", 10, frames=32).encoders["audio"]
    assert one_second(torch.empty(2, 1, 64, 32, device="meta")).shape == (2, 512)


def test_unimodal_versions_differ_in_the_first_width_only() -> None:
    layers = {
        names: [layer.weight.shape for layer in full("late-fusion", 26, modalities=list(names)).head[::2]]
        for names in (("visual", "audio"), ("visual",), ("audio",))
    }
    assert [shapes[0] for shapes in layers.values()] == [(256, 912), (256, 400), (256, 512)]
    assert all(shapes[1:] == [(128, 256), (26, 128)] for shapes in layers.values())


@pytest.mark.parametrize("name", SMALL)
def test_output_and_groups(name: str) -> None:
    model = make(name)
    output = model(batch())
    assert output.logits.shape == (CLIPS, CLASSES)
    assert tuple(output.features) == model.modalities == READS[name]
    assert set(output.scores) == (set(READS[name]) if len(READS[name]) == 1 else set())
    parts = [model.group(group) for group in (*model.modalities, "head")]
    listed = [id(parameter) for part in parts for parameter in part]
    assert all(parts) and len(listed) == len(set(listed))
    assert set(listed) == {id(parameter) for parameter in model.parameters()}
    assert all(float(feature.detach().min()) == 0 for feature in output.features.values())  # after a ReLU
    assert float(output.logits.detach().min()) < 0  # an output layer has none


@pytest.mark.parametrize("name", SMALL)
def test_building_follows_its_generator_and_no_other(name: str) -> None:
    state = torch.get_rng_state()
    first, again, other = make(name), make(name), make(name, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    biases = [module.bias for module in first.modules() if isinstance(module, nn.Linear)]
    assert all(bias.detach().abs().max() > 0 for bias in biases)  # PyTorch's defaults, not those of the other papers


@pytest.mark.parametrize("name", SMALL)
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
    with pytest.raises(UserError, match=r"hidden\[1\] is 0"):
        make("late-fusion", hidden=[8, 0])
    with pytest.raises(UserError, match="hidden is empty"):
        make("late-fusion", hidden=[])
    for modalities in ([], ["audio", "audio"], ["sound"]):
        with pytest.raises(UserError, match="list audio, visual or both, once"):
            make("late-fusion", modalities=modalities)
    with pytest.raises(UserError, match="channels is 0"):
        make("audio-teacher", channels=0)
    assert isinstance(make("kd-student").encoders["audio"], Branch)
    assert isinstance(make("late-fusion").encoders["audio"], AudioTrunk)


# Conditions


def stand_ins(model: Any, level: str) -> StandIns:
    """Stand-ins of a level, black being drawn at random in place of an extractor's answer."""
    here = batch()
    inputs = StandIns(
        torch.zeros(1, BINS, FRAMES),
        random(FEATURE, seed=9),
        {"audio": mean_clip([here.modality("audio")]), "visual": mean_clip([here.modality("visual")])},
    )
    if level == "input":
        return inputs
    means = {name: mean_clip([feature]) for name, feature in model(here).features.items()}
    return fusion_stand_ins(inputs, "zero_tensor", model.encode, means)


@torch.no_grad()
def evaluated(
    model: Any, name: str, level: str, sizes: tuple[int, ...] = (CLIPS,), seed: int = 3
) -> tuple[Tensor, Any]:
    """Logits of all clips under a condition, in batches of these sizes, and the features of the last batch."""
    model.eval()
    whole, condition = batch(), find(name)
    generator = torch.Generator().manual_seed(seed)
    others = None
    if condition.stand_in == "shuffled":
        values = whole.modality(str(condition.modality))
        if level == "fusion":
            values = model.encode(str(condition.modality), values)
        others = values[shuffled_partners(CLIPS, generator)]
    logits, start, features = [], 0, None
    for size in sizes:
        chosen = slice(start, start + size)
        given = None if others is None else others[chosen]
        output = model.withheld(part(whole, chosen), condition, level, stand_ins(model, level), generator, given)
        logits.append(output.logits)
        start, features = start + size, output.features
    return torch.cat(logits), features


@pytest.mark.parametrize("level", ["input", "fusion"])
@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_do_not_depend_on_the_batch_size_and_change_no_model(name: str, level: str, condition: str) -> None:
    model = make(name)
    before = copy.deepcopy(model.state_dict())
    whole, _ = evaluated(model, condition, level)
    torch.testing.assert_close(evaluated(model, condition, level, (3, 1, 3))[0], whole)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    intact = model(batch()).logits
    assert torch.allclose(whole, intact) == (condition == "both")


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("condition", ["shuffled-audio", "shuffled-video", "black-video"])
def test_what_the_sub_network_makes_is_the_same_at_both_levels(name: str, condition: str) -> None:
    model = make(name)
    torch.testing.assert_close(evaluated(model, condition, "input")[0], evaluated(model, condition, "fusion")[0])


def test_silence_and_noise_replace_the_fused_values_themselves() -> None:
    model = make("late-fusion")
    silent = evaluated(model, "silent-audio", "fusion")[1]
    assert not silent["audio"].any() and silent["audio"].shape == (CLIPS, 10)
    assert evaluated(model, "silent-audio", "input")[1]["audio"].any()  # A(0) is not 0
    noise = evaluated(model, "gaussian-audio", "fusion")[1]["audio"]
    assert float(noise.min()) < 0  # no ReLU after it
    assert torch.equal(evaluated(model, "gaussian-video", "fusion")[1]["audio"], model(batch()).features["audio"])
    black = evaluated(model, "black-video", "fusion")[1]["visual"]
    expected = model.encode("visual", random(FEATURE, seed=9)[None]).detach()
    assert black.any() and torch.equal(black, expected.expand(CLIPS, -1))


@pytest.mark.parametrize("name", CUT)
def test_a_head_deaf_to_audio_makes_equal_rows(name: str) -> None:
    model = make(name)
    first = model.head if name == "kd-student" else model.head[0]
    columns = slice(0, 10) if name == "kd-student" else slice(9, 19)
    with torch.no_grad():
        first.weight[:, columns] = 0
    intact = evaluated(model, "both", "fusion")[0]
    for condition in ("gaussian-audio", "silent-audio", "mean-audio", "shuffled-audio"):
        for level in ("input", "fusion"):
            assert torch.equal(evaluated(model, condition, level)[0], intact)
    assert not torch.allclose(evaluated(model, "black-video", "fusion")[0], intact)


def test_another_level_and_a_unimodal_model() -> None:
    with pytest.raises(UserError, match=r"missing\.level is 'middle'; it must be one of input, fusion"):
        make("kd-student").withheld(batch(), find("both"), "middle", StandIns())
    with pytest.raises(UserError, match="the model has no audio that could be withheld"):
        make("visual-teacher").withheld(batch(), find("silent-audio"), "input", StandIns())


# Distillation


def test_teachers_stay_as_they_are_while_the_student_learns() -> None:
    student, teachers = make("kd-student"), [make("audio-teacher", seed=1), make("visual-teacher", seed=2)]
    before = [copy.deepcopy(teacher.state_dict()) for teacher in teachers]
    started = copy.deepcopy(student.state_dict())
    everything = [parameter for model in (student, *teachers) for parameter in model.parameters()]
    optimiser = torch.optim.Adam(everything, lr=1e-2)  # even where the optimiser is given their parameters
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        here = batch()
        soft = [teacher(here).logits for teacher in teachers]
        loss = distillation_terms(student(here).logits, *soft, here.label).total()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    for teacher, state in zip(teachers, before, strict=True):
        assert all(torch.equal(state[key], value) for key, value in teacher.state_dict().items())
    assert not any(torch.equal(started[key], value) for key, value in student.state_dict().items())
    assert losses[-1] < 0.8 * losses[0]
