"""Fidelity to the paper on modality relevance: which modality audio-visual classifiers rely on.

The item numbers are those of the paper's checklist. Settings are those of the paper's own tier, as its run sheet
resolves them; where a training is needed, widths alone are made smaller.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from relevance_files import declarations, made_up_paper
from torch import Tensor, nn
from torch.nn.functional import nll_loss

from avbalance.analysis.conditions import CONDITIONS, PUBLISHED, gaussian
from avbalance.analysis.relevance import metrics
from avbalance.data.audioset import RURAL, SPEECH, URBAN, outdoor_clips, part_sizes, random_parts
from avbalance.errors import UserError
from avbalance.evaluation.measure import measure, read_measurements
from avbalance.features.audio import spectrogram
from avbalance.features.clip import black_vector
from avbalance.features.frame_choice import uniform_frames
from avbalance.features.recipes import AudioRecipe, ClipVectorRecipe, get_audio_recipe, get_visual_recipe
from avbalance.methods.base import load as load_method
from avbalance.models.base import Batch, build
from avbalance.plan.plan import Plan, load_plan
from avbalance.plan.sheet import Row
from avbalance.reporting.cells import MeasuredCells, published_numbers
from avbalance.reporting.declared_tables import read_table
from avbalance.reporting.tables import build_table
from avbalance.training.cell import make_trainer
from avbalance.training.data import Clips, load_clips
from avbalance.training.loop import Trainer
from avbalance.training.outputs import Tensors

REPOSITORY = Path(__file__).parents[2]
SLUG = "modality-relevance"
sys.path[:0] = [str(REPOSITORY / "tests" / "training")]
DATASETS = {"audioset": "audioset", "kinetics-sounds": "kinetics-sounds-26"}
CLASSES = {"audioset": 2, "kinetics-sounds": 26}
PAIRS = [(f"urban-rural-{model}", f"speech-{model}") for model in ("audio", "visual", "student")]
MULTIMODAL = ("urban-rural-student", "speech-student", "ks-fusion")
# What makes a network small, by its name; FRAMES and FEATURE are those of the tiny stores.
FRAMES, FEATURE, CLIPS = 16, 16, 6
SOUND = {"frames": FRAMES, "audio_width": 12}
SMALL: dict[str, dict[str, Any]] = {
    "audio-teacher": {**SOUND, "channels": 2},
    "visual-teacher": {"visual_feature": FEATURE, "hidden": 8},
    "kd-student": {**SOUND, "visual_feature": FEATURE, "visual_width": 10},
    "late-fusion": {**SOUND, "channels": 2, "visual_feature": FEATURE, "visual_width": 10, "hidden": [8, 6]},
}
SHORT = {"epochs": 2, "batch_size": 16, "learning_rate": 3e-3}


@cache
def sheet() -> Plan:
    return load_plan(REPOSITORY, {"tier": "paper", "papers": {SLUG: {"datasets": DATASETS}}})


def rows() -> dict[str, Row]:
    """Run -> row of the paper's own runs: references are additions."""
    return {row.run: row for row in sheet().rows[SLUG] if not row.run.startswith("reference-")}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def full(run: str) -> Any:
    """The network of a run at full size, without memory."""
    row = rows()[run]
    with torch.device("meta"):
        return build(row.settings["model"], CLASSES[row.role], torch.Generator())


def small(run: str, seed: int = 0) -> Any:
    settings = rows()[run].settings["model"]
    return build({**settings, **SMALL[settings["name"]]}, 3, torch.Generator().manual_seed(seed)).eval()


def make_batch(audio: int = 1, visual: int = 2) -> Batch:
    """Noise drawn with the given seeds."""
    sound, pictures = random(CLIPS, 1, 64, FRAMES, seed=audio), random(CLIPS, FEATURE, seed=visual)
    return Batch(sound, pictures, torch.arange(CLIPS) % 3, torch.arange(CLIPS))


def layers(model: nn.Module) -> list[str]:
    """Kinds of the modules that come from PyTorch, but for those that hold others."""
    own = [module for module in model.modules() if not list(module.children())]
    return [type(module).__name__ for module in own if type(module).__module__.startswith("torch")]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    from tiny_vectors import make_vector_data

    data = make_vector_data(tmp_path_factory.mktemp("vectors"))
    return load_clips(data.manifest, data.audio, data.visual)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trainer_of(run: str, clips: Clips, needs: dict[str, Any] | None = None, **changes: Any) -> Trainer:
    """A short training of a run with a narrow network; changes are laid over its data settings."""
    settings = copy.deepcopy(rows()[run].settings)
    settings["model"] |= SMALL[settings["model"]["name"]]
    settings["protocol"] |= SHORT
    settings["data"] |= changes
    return make_trainer(rows()[run].method, settings, 0, clips, torch.device("cpu"), needs or {})


def teachers(student: str, clips: Clips) -> dict[str, Tensors]:
    """The weights that a student reads, each of a trained teacher."""
    found = {}
    for name, need in rows()[student].needs.items():
        trainer = trainer_of(need["run"], clips)
        trainer.train()
        found[name] = Tensors(copy.deepcopy(trainer.states["selected"]))
        found[name].facts = trainer.facts
    return found


@pytest.fixture(scope="module")
def taught(clips: Clips) -> dict[str, Tensors]:
    return teachers("urban-rural-student", clips)


def conditions(trainer: Trainer) -> dict[str, dict[str, Tensor]]:
    """Condition -> logits, and what is fused of each modality, on the test part."""
    found = {}
    for name, outputs in trainer.task.conditions(trainer, "test", "selected"):
        kept = [output for _, output in outputs]
        features = {key: torch.cat([each.features[key] for each in kept]) for key in kept[0].features}
        found[name] = {"logits": torch.cat([each.logits for each in kept]), **features}
    return found


# Data


def test_item_01_both_tasks_differ_in_their_labels_alone(clips: Clips) -> None:
    for first, second in PAIRS:
        one, other = rows()[first], rows()[second]
        assert other.settings["data"].pop("labelling") == "speech" and "labelling" not in one.settings["data"]
        assert one.settings == other.settings and (one.dataset, one.method) == (other.dataset, other.method)
        other.settings["data"]["labelling"] = "speech"
    urban, speech = trainer_of("urban-rural-audio", clips), trainer_of("speech-audio", clips)
    assert urban.parts.keys() == speech.parts.keys()
    assert all(np.array_equal(urban.parts[name], speech.parts[name]) for name in urban.parts)
    first, second = (each.source.batch_of(each.parts["train"]) for each in (urban, speech))
    assert torch.equal(first.audio, second.audio) and urban.source.scale == speech.source.scale
    assert not torch.equal(first.label, second.label)


def test_item_02_seventy_twenty_ten_at_random() -> None:
    assert part_sizes(7276) == {"train": 5094, "val": 1455, "test": 727}
    assert part_sizes(100) == {"train": 70, "val": 20, "test": 10}
    ids = [f"clip{number:04d}" for number in range(7276)]
    parts = random_parts(ids, np.random.default_rng(0))
    assert {name: int((parts == name).sum()) for name in ("train", "val", "test")} == part_sizes(7276)
    shuffled = random_parts(ids[::-1], np.random.default_rng(0))[::-1]
    assert np.array_equal(parts, shuffled)  # of the sorted ids
    sizes = {int((random_parts(ids, np.random.default_rng(seed))[:3638] == "test").sum()) for seed in range(5)}
    assert len(sizes) > 1  # a stratified draw would take the same number of either half each time
    with pytest.raises(UserError, match="9 clips leave none for test"):
        random_parts(ids[:9], np.random.default_rng(0))


def test_item_03_non_speech_is_the_absence_of_the_label(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    labels = ((URBAN, SPEECH), (URBAN, "/m/05zppz"), (RURAL,), (URBAN, RURAL, SPEECH), (SPEECH,))
    path.write_text("".join(f'{letter * 11}, 0.0, 10.0, "{",".join(own)}"\n'
                            for letter, own in zip("abcde", labels, strict=True)))  # fmt: skip
    found = outdoor_clips([path])
    assert [name[0] for name in found.ids] == ["a", "b", "c"]  # neither both outdoor labels nor none
    assert found.labels["speech"].tolist() == [1, 0, 0]  # male speech alone is not "Speech"
    assert found.labels["urban_rural"].tolist() == [0, 0, 1]


def test_item_04_ten_seconds_of_one_channel_make_64_by_313() -> None:
    for row in rows().values():
        recipe = get_audio_recipe(row.settings["data"]["audio_recipe"])
        assert isinstance(recipe, AudioRecipe)
        assert (recipe.rate, recipe.seconds, recipe.fit, recipe.shape) == (16_000, 10.0, "pad", (64, 313))
        assert (recipe.n_fft, recipe.hop, recipe.bins) == (1024, 512, 64)
    short, long = (np.sin(np.arange(n, dtype=np.float32)) for n in (80_000, 200_000))
    silence = spectrogram(np.zeros(160_000, dtype=np.float32), 16_000, recipe)
    assert silence.shape == (64, 313) and (silence == -100).all()
    assert (spectrogram(short, 16_000, recipe)[:, -100:] == -100).all()  # filled up with zeros
    assert np.array_equal(spectrogram(long, 16_000, recipe), spectrogram(long[:160_000], 16_000, recipe))


def test_item_05_eight_frames_at_even_distances_of_a_frozen_network() -> None:
    assert uniform_frames(300).tolist() == [0, 43, 85, 128, 171, 214, 256, 299]
    assert uniform_frames(8).tolist() == list(range(8)) and uniform_frames(3).tolist() == [0, 1, 2, 2, 2, 2, 2, 2]
    for row in rows().values():
        recipe = get_visual_recipe(row.settings["data"]["visual_recipe"])
        assert isinstance(recipe, ClipVectorRecipe) and (recipe.frames, recipe.shape) == (8, (400,))
    # what is trained begins at the stored vector: no parameter sees a picture
    assert {name: tuple(value.shape) for name, value in full("urban-rural-visual").named_parameters()} == {
        "encoders.visual.linear.weight": (128, 400), "encoders.visual.linear.bias": (128,),
        "head.weight": (2, 128), "head.bias": (2,),
    }  # fmt: skip


def test_item_06_features_bear_the_name_of_their_backend(clips: Clips, taught: dict[str, Tensors]) -> None:
    names = [f"uniform8-{name}" for name in ("k400r50", "imagenetr50", "randomr50", "small64")]
    assert len({sheet().store("audioset", "visual", name) for name in names}) == len(names)
    assert [get_visual_recipe(name).as_dict()["encoder"] for name in names] == [
        "k400r50", "imagenetr50", "randomr50", "small",
    ]  # fmt: skip
    student = trainer_of("urban-rural-student", clips, dict(taught), visual_recipe="uniform8-imagenetr50")
    with pytest.raises(UserError, match="was trained on other features than this run"):
        student.train()
    cell = next(cell for cell in sheet().cells if cell.row.run == "urban-rural-visual")
    other = replace(cell.row, settings={**cell.row.settings, "data": {
        **cell.row.settings["data"], "visual_recipe": "uniform8-randomr50"}})  # fmt: skip
    mixed = replace(cell, jobs=(cell.jobs[0], replace(cell.jobs[0], row=other)))
    with pytest.raises(UserError, match="use several visual recipes"):
        sheet().cell_store_files(mixed)


# Networks


@pytest.mark.parametrize("run", rows())
def test_item_07_relu_after_every_layer_but_the_last(run: str) -> None:
    assert set(layers(full(run))) <= {"Conv2d", "Linear", "ReLU"}
    model, batch = small(run), make_batch()
    found = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    output = found[-1]
    assert output.out_features == 3 and float(model(batch).logits.detach().min()) < 0
    for layer in found[:-1]:
        answers = []
        for value in (-1.0, -7.0):  # below 0, a ReLU lets nothing through
            hook = layer.register_forward_hook(lambda module, given, made, value=value: torch.full_like(made, value))
            answers.append(model(batch).logits)
            hook.remove()
        assert torch.equal(*answers) and not torch.equal(answers[0], model(batch).logits)


@pytest.mark.parametrize("run", ["urban-rural-audio", "speech-audio"])
def test_item_08_the_audio_teacher_is_one_convolution_and_two_linear_layers(run: str) -> None:
    model = full(run)
    assert layers(model) == ["Conv2d", "Linear", "Linear"]
    assert sum(parameter.numel() for parameter in model.parameters()) == 5_179_090
    trunk = model.encoders["audio"]
    assert trunk.convolution(torch.empty(1, 1, 64, 313, device="meta")).shape == (1, 8, 16, 79)
    assert trunk.linear.in_features == 10_112


@pytest.mark.parametrize("run", ["urban-rural-visual", "speech-visual"])
def test_item_09_the_video_teacher_is_two_linear_layers(run: str) -> None:
    model = full(run)
    assert layers(model) == ["Linear", "Linear"]
    assert sum(parameter.numel() for parameter in model.parameters()) == 51_586


@pytest.mark.parametrize("run", ["urban-rural-student", "speech-student"])
def test_item_10_the_student_has_a_linear_layer_per_modality_and_one_for_both(run: str) -> None:
    model = full(run)
    assert layers(model) == ["Linear"] * 3
    sizes = [(layer.in_features, layer.out_features) for layer in model.modules() if isinstance(layer, nn.Linear)]
    assert sizes == [(64 * 313, 512), (400, 400), (912, 2)]
    assert sum(parameter.numel() for parameter in model.parameters()) == 10_419_122


def test_item_11_teachers_are_frozen_and_answer_for_the_same_clips(clips: Clips, taught: dict[str, Tensors]) -> None:
    before = copy.deepcopy(taught)
    student = trainer_of("urban-rural-student", clips, dict(taught))
    student.train()
    for name, weights in taught.items():
        assert all(torch.equal(value, before[name][key]) for key, value in weights.items())
    own = {id(parameter) for group in student.optimiser.param_groups for parameter in group["params"]}
    assert own == {id(parameter) for parameter in student.model.parameters()}
    # the student's loss is that with its teachers' logits of the very clips of the batch
    batch = student.source.batch_of(student.parts["train"][[9, 2, 30]])
    soft = []
    for name, run in (("teacher_audio", "urban-rural-audio"), ("teacher_visual", "urban-rural-visual")):
        teacher = trainer_of(run, clips).model.eval()
        teacher.load_state_dict(taught[name])
        soft.append(teacher(batch).logits.detach())
    output = student.model(batch)
    loss = student.method.loss(student.model, output, batch, None)
    torch.testing.assert_close(loss, objective(output.logits, *soft, batch.label, 1.0))


def objective(logits: Tensor, audio: Tensor, visual: Tensor, label: Tensor, temperature: float) -> Tensor:
    """Cross-entropy plus T^2 KL(teacher || student) of both teachers, written out, means over the batch."""
    total = -logits.log_softmax(1)[torch.arange(len(label)), label].mean()
    for teacher in (audio, visual):
        q, p = (torch.exp(z / temperature) for z in (teacher, logits))
        q, p = q / q.sum(1, keepdim=True), p / p.sum(1, keepdim=True)
        total = total + temperature**2 * (q * (q / p).log()).sum(1).mean()
    return total


@pytest.mark.parametrize(("temperature", "total"), [(1.0, 0.46172116), (2.0, 0.53621190)])
def test_item_12_a_plain_sum_of_three_losses(temperature: float, total: float) -> None:
    for run in ("urban-rural-student", "speech-student"):
        assert rows()[run].method == "distillation"
        assert rows()[run].settings["method"] == {
            "temperature": 1.0, "w_label": 1.0, "w_audio": 1.0, "w_visual": 1.0,
        }  # fmt: skip
    method: Any = load_method("distillation")({**rows()["speech-student"].settings["method"],
                                               "temperature": temperature})  # fmt: skip
    soft = torch.tensor([[[0.5, 0.1], [-0.3, 0.4]], [[2.0, -1.0], [0.0, 1.5]]])
    method.teachers = {"audio": soft[0], "visual": soft[1]}
    output: Any = copy.copy(make_batch())
    output.logits = torch.tensor([[1.0, -0.5], [0.2, 0.8]])
    batch = Batch(None, None, torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert float(method.loss(None, output, batch, None)) == pytest.approx(total, abs=1e-6)


def test_item_13_four_hundred_and_512_make_912_and_three_linear_layers() -> None:
    model = full("ks-fusion")
    sizes = [(layer.in_features, layer.out_features) for layer in model.head if isinstance(layer, nn.Linear)]
    assert sizes == [(912, 256), (256, 128), (128, 26)]
    batch = Batch(torch.empty(1, 1, 64, 313, device="meta"), torch.empty(1, 400, device="meta"), None, None)
    widths = {name: features.shape[1] for name, features in model.features(batch).items()}
    assert list(widths.items()) == [("visual", 400), ("audio", 512)]
    assert sum(parameter.numel() for parameter in model.parameters()) == 5_448_042
    assert model.encoders["visual"].linear is None  # 400 stored values are fused as they are


def test_item_14_unimodal_versions_differ_in_the_first_width_of_the_head() -> None:
    models = {run: full(run) for run in ("ks-audio", "ks-visual", "ks-fusion")}
    heads = {run: [tuple(value.shape) for value in model.head.parameters()] for run, model in models.items()}
    assert [heads[run][0] for run in models] == [(256, 512), (256, 400), (256, 912)]
    assert heads["ks-audio"][1:] == heads["ks-visual"][1:] == heads["ks-fusion"][1:]
    fused = dict(models["ks-fusion"].encoders.named_parameters())
    for run in ("ks-audio", "ks-visual"):
        for name, value in models[run].encoders.named_parameters():
            assert fused[name].shape == value.shape
    settings = [rows()[run].settings for run in models]
    assert all(each["protocol"] == settings[0]["protocol"] for each in settings)


@pytest.mark.parametrize("run", ["ks-audio", "ks-visual", "ks-fusion", "speech-audio", "urban-rural-visual"])
def test_item_15_the_loss_is_the_negative_log_likelihood(run: str) -> None:
    model, batch = small(run), make_batch()
    output = model(batch)
    loss = load_method(rows()[run].method)(rows()[run].settings.get("method")).loss(
        model, output, batch, None
    )  # fmt: skip
    torch.testing.assert_close(loss, nll_loss(output.logits.log_softmax(1), batch.label))


def test_item_16_unimodal_models_start_nothing_else(clips: Clips) -> None:
    for run in ("ks-audio", "ks-visual", "ks-fusion", "urban-rural-audio", "speech-visual"):
        assert rows()[run].waits_for() == [] and rows()[run].needs == {}
    for labels in ("urban-rural", "speech"):
        assert rows()[f"{labels}-student"].waits_for() == [f"{labels}-audio", f"{labels}-visual"]
    # a student starts from its own seed's weights, whatever its teachers are
    started = {name: value.clone() for name, value in trainer_of("urban-rural-student", clips).model.named_parameters()}
    weights = teachers("urban-rural-student", clips)
    student = trainer_of("urban-rural-student", clips, dict(weights))
    student.method.prepare(student)
    assert all(torch.equal(value, started[name]) for name, value in student.model.named_parameters())


# Missing modalities


def test_item_17_conditions_touch_inputs_at_test_time_alone(clips: Clips) -> None:
    alone = trainer_of("ks-fusion", clips, conditions=["both"], sensitivity=None)
    every = trainer_of("ks-fusion", clips)
    for trainer in (alone, every):
        trainer.train()
    assert alone.history == every.history
    assert all(torch.equal(value, every.states["last"][name]) for name, value in alone.states["last"].items())
    before = copy.deepcopy(every.model.state_dict())
    found = conditions(every)
    assert all(torch.equal(value, before[name]) for name, value in every.model.state_dict().items())
    for name in CONDITIONS:
        kept = {"audio", "visual"} - {CONDITIONS[name].modality}
        assert all(torch.equal(found[name][modality], found["both"][modality]) for modality in kept)
    # where nothing in the head reads sound, withholding it changes nothing
    with torch.no_grad():
        every.model.head.get_parameter("0.weight")[:, 10:] = 0
    deaf = conditions(every)
    assert all(torch.equal(deaf[name]["logits"], deaf["both"]["logits"]) for name in CONDITIONS if "audio" in name)
    assert not torch.equal(deaf["black-video"]["logits"], deaf["both"]["logits"])


def test_item_18_late_fusion_is_cut_at_the_fusion_and_the_student_at_its_input(
    clips: Clips, taught: dict[str, Tensors]
) -> None:
    levels = {run: rows()[run].settings["data"]["missing_level"] for run in MULTIMODAL}
    assert levels == {"urban-rural-student": "input", "speech-student": "input", "ks-fusion": "fusion"}
    student, fusion = trainer_of("urban-rural-student", clips, dict(taught)), trainer_of("ks-fusion", clips)
    noise, noisy = conditions(student)["gaussian-audio"]["audio"], conditions(fusion)["gaussian-audio"]["audio"]
    assert float(noise.min()) == 0.0  # went through the student's layer and its ReLU
    assert float(noisy.min()) < -1.0  # takes the place of what the sub-network makes
    assert noisy.shape == (len(fusion.parts["test"]), 12)


def test_item_19_a_black_video_is_what_the_extractor_makes_of_black_frames(
    clips: Clips, taught: dict[str, Tensors]
) -> None:
    black = black_vector(get_visual_recipe("uniform8-small16"))
    assert len(black) == 16 and any(black)
    assert clips.black is not None and clips.black.any()
    student, fusion = trainer_of("urban-rural-student", clips, dict(taught)), trainer_of("ks-fusion", clips)
    for trainer in (student, fusion):
        expected = trainer.model.encode("visual", torch.from_numpy(clips.black)[None]).detach()
        found = conditions(trainer)["black-video"]["visual"]
        torch.testing.assert_close(found, expected.expand_as(found))
        assert not torch.equal(expected, torch.zeros_like(expected))


def test_item_20_silence_is_zero_everywhere(clips: Clips, taught: dict[str, Tensors]) -> None:
    assert {rows()[run].settings["data"]["silence"] for run in MULTIMODAL} == {"zero_tensor"}
    fused = conditions(trainer_of("ks-fusion", clips))["silent-audio"]["audio"]
    assert torch.equal(fused, torch.zeros_like(fused))
    student = trainer_of("urban-rural-student", clips, dict(taught))
    zeros = torch.zeros(1, 1, 64, FRAMES)
    expected = student.model.encode("audio", zeros).detach()
    found = conditions(student)["silent-audio"]["audio"]
    torch.testing.assert_close(found, expected.expand_as(found))
    # on standardised sound: 0 is the mean of the training part
    train = student.source.batch_of(student.parts["train"]).audio
    assert train is not None and abs(float(train.mean())) < 1e-3 and abs(float(train.std()) - 1) < 1e-3


def test_item_21_noise_is_standard_normal_seeded_and_not_of_the_batch(clips: Clips) -> None:
    generator = torch.Generator().manual_seed(3)
    whole = gaussian(torch.empty(500, 40), generator)
    assert abs(float(whole.mean())) < 0.02 and abs(float(whole.std()) - 1) < 0.02
    trainer = trainer_of("ks-fusion", clips)
    names = [name for name in conditions(trainer) if name.startswith("gaussian")]
    first = conditions(trainer)
    trainer.source = replace(trainer.source, eval_batch_size=7)
    again = conditions(trainer)
    for name in names:
        torch.testing.assert_close(again[name]["logits"], first[name]["logits"])
    both = [first[name]["audio" if "audio" in name else "visual"] for name in ("gaussian-audio", "gaussian-video")]
    assert not torch.equal(both[0][0, :10], both[1][0, :10])  # each condition has a stream of its own
    trainer.seed = 1
    assert not torch.equal(conditions(trainer)["gaussian-audio"]["audio"], first["gaussian-audio"]["audio"])
    assert len({tuple(row) for row in both[0].tolist()}) == len(both[0])  # and each clip numbers of its own


# Metrics and tables


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, MeasuredCells]:
    folder = tmp_path_factory.mktemp("reported")
    paper = made_up_paper(folder, seeds=(0,))
    paper = replace(paper, datasets={role: replace(info, manifest=None, features={})
                                     for role, info in paper.datasets.items()})  # fmt: skip
    measure(paper, declarations()["measures"], folder / "measurements.parquet")
    frame = read_measurements(folder / "measurements.parquet")
    return paper, MeasuredCells(paper, frame, published_numbers(paper, declarations()))


ORDER = ["Audio Model", "Video Model", "AV Model", "Gaussian Audio", "Gaussian Video", "Silent Audio", "Black Video"]
FIVE = ["accuracy", "balanced_accuracy", "precision_zd1", "recall", "macro_f1"]


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("table1", ("urban-rural-audio", "urban-rural-visual", "urban-rural-student")),
        ("table2", ("speech-audio", "speech-visual", "speech-student")),
        ("table3", ("ks-audio", "ks-visual", "ks-fusion")),
    ],
)
def test_item_22_seven_rows_and_five_metrics_in_the_published_order(
    name: str, runs: tuple[str, ...], reported: tuple[Any, MeasuredCells]
) -> None:
    declared = next(each for each in declarations()["tables"] if each["id"] == name)
    table = build_table(reported[0], read_table(declared, (), name), reported[1])
    keys, cells = table.row_keys[: len(ORDER)], table.cells[: len(ORDER)]  # references stand below
    assert [key[0].label for key in keys] == ORDER
    assert [key[0].coordinates["metric"] for key in table.column_keys] == FIVE
    assert [key[0].coordinates["run"] for key in keys] == [*runs[:2], *[runs[2]] * 5]
    places = [key[0].coordinates.get("condition", "both") for key in keys]
    assert places == ["both", "both", *PUBLISHED]
    assert all(cell.ours_mean is not None and cell.published is not None for line in cells for cell in line)


def of(confusion: list[list[int]]) -> Any:
    counts = np.array(confusion)
    label = np.repeat(np.arange(len(counts)), counts.sum(axis=1))
    return metrics(label, np.concatenate([np.repeat(np.arange(len(counts)), row) for row in counts]))


def test_item_23_macro_averages_and_balanced_accuracy_is_macro_recall(reported: tuple[Any, MeasuredCells]) -> None:
    found = of([[170, 117], [124, 316]])
    assert [found.accuracy, found.balanced_accuracy, found.precision_zd1, found.recall, found.macro_f1] == (
        pytest.approx([66.850069, 65.525816, 65.401172, 65.525816, 65.456918], abs=1e-5)
    )
    other = of([[130, 157], [79, 361]])
    assert (other.macro_f1, other.weighted_f1) == pytest.approx((63.89, 66.31), abs=0.005)
    generator = np.random.default_rng(0)
    for classes in (2, 5, 26):
        label, predicted = generator.integers(0, classes, (2, 300))
        each = metrics(label, predicted)
        assert abs(each.recall - each.balanced_accuracy) <= 1e-7  # 1e-9 of shares


def test_item_24_precision_of_classes_that_are_never_predicted() -> None:
    found = of([[3, 1, 0], [2, 2, 0], [0, 4, 0]])
    assert (found.precision_zd0, found.precision_zd1) == pytest.approx((29.523810, 62.857143), abs=1e-5)
    assert found.macro_f1 == pytest.approx(34.343434, abs=1e-5)
    declared = {each["id"]: each for each in declarations()["tables"]}
    supplement = [item["value"] for item in declared["tableS1"]["columns"][0]["values"]]
    assert {"precision_zd0", "precision_zd1"} <= set(supplement)
    published = declarations()["published"]
    assert all(spec["values"]["precision"] == "precision_zd1" for spec in published)


def test_item_25_the_test_part_selects_nothing_and_is_looked_at_once(clips: Clips, tmp_path: Path) -> None:
    for row in rows().values():
        protocol = row.settings["protocol"]
        assert (protocol["select"], protocol["metric"]) == ("validation", "balanced_accuracy")
        assert not protocol.get("watch_test", False)
    trainer = trainer_of("ks-fusion", clips)
    seen: list[str] = []
    evaluate = trainer.evaluate
    trainer.evaluate = lambda part: seen.append(part) or evaluate(part)
    trainer.train()
    assert set(seen) == {"val"} and "test" not in " ".join(trainer.history[0])
    # other test clips, the same model
    test = trainer.parts["test"]
    visual = np.array(clips.visual)
    visual[clips.visual_rows[test]] = 3.0
    other = trainer_of("ks-fusion", replace(clips, visual=visual))
    other.train()
    assert all(torch.equal(value, other.states["selected"][name]) for name, value in trainer.states["selected"].items())
    splits = [(split, checkpoint, [name for name, _ in trainer.task.conditions(trainer, split, checkpoint)])
              for split in trainer.task.parts for checkpoint in trainer.task.checkpoints]  # fmt: skip
    for split, checkpoint, names in splits:
        assert (len(names) > 1) == ((split, checkpoint) == ("test", "selected"))
