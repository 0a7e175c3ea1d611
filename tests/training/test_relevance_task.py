"""The task relevance: what it measures, under which conditions a finished model is tested, and on what data."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tiny_cell import make_data
from tiny_vectors import MODELS, SIZES, make_vector_data, vector_job, vector_settings

from avbalance.analysis.conditions import CONDITIONS, PUBLISHED
from avbalance.analysis.relevance import metrics
from avbalance.errors import UserError
from avbalance.training.cell import CellOptions, make_trainer, train_cell
from avbalance.training.data import load_clips
from avbalance.training.data_settings import DataSettings
from avbalance.training.outputs import read_need
from avbalance.training.tasks.base import load as load_task

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
]
MULTIMODAL = ("kd-student", "late-fusion")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.set_num_threads(1)
    return make_vector_data(tmp_path_factory.mktemp("vectors"))


@pytest.fixture(scope="module")
def clips(data: Any) -> Any:
    return load_clips(data.manifest, data.audio, data.visual)


def trainer_of(clips: Any, network: str = "kd-student", seed: int = 0, device: str = "cpu", **changes: Any) -> Any:
    method = "unimodal" if network not in MULTIMODAL or "model" in changes else "baseline"
    return make_trainer(method, vector_settings(network, **changes), seed, clips, torch.device(device))


def rows(trainer: Any, split: str = "test", checkpoint: str = "selected") -> dict[str, torch.Tensor]:
    """Condition -> logits of the part."""
    return {
        name: torch.cat([output.logits for _, output in outputs])
        for name, outputs in trainer.task.conditions(trainer, split, checkpoint)
    }


def fused(trainer: Any, condition: str) -> dict[str, torch.Tensor]:
    """What reaches the fusion under a condition, by modality."""
    found = dict(trainer.task.conditions(trainer, "test", "selected"))[condition]
    batches = [output.features for _, output in found]
    return {name: torch.cat([features[name] for features in batches]) for name in batches[0]}


# What validation measures


def test_validation_measures_balanced_accuracy_of_all_batches_together(clips: Any) -> None:
    trainer = trainer_of(clips)
    trainer.source = replace(trainer.source, eval_batch_size=7)
    trainer.parts["val"] = trainer.parts["val"][:14]  # unequal classes: 5, 5, 4
    found = trainer.evaluate("val")
    predicted = torch.cat([output.logits for _, output in trainer.outputs(trainer.parts["val"])]).argmax(1).numpy()
    expected = metrics(clips.labels[trainer.parts["val"]], predicted)
    assert found.metrics == pytest.approx(
        {"accuracy": expected.accuracy, "balanced_accuracy": expected.balanced_accuracy}
    )
    assert found.metrics["accuracy"] != found.metrics["balanced_accuracy"]
    assert found.loss.keys() == {"logits"} and found.n == 14


def test_the_epoch_of_the_best_balanced_accuracy_is_kept_ties_the_earlier(clips: Any) -> None:
    """Patience counts epochs without any gain: a constant metric stops after that many."""
    trainer = trainer_of(clips, protocol={"epochs": 9, "patience": 3, "learning_rate": 1e-12})
    trainer.train()
    values = [row["val_balanced_accuracy"] for row in trainer.history]
    assert len(set(values)) == 1 and len(values) == 4
    assert trainer.course.selected_epoch == 0


# Conditions


@pytest.mark.parametrize("model", MULTIMODAL)
def test_all_conditions_on_the_test_part_of_the_selected_model_only(model: str, clips: Any) -> None:
    trainer = trainer_of(clips, model)
    assert list(rows(trainer)) == list(CONDITIONS)
    for split, checkpoint in (("val", "selected"), ("test", "last"), ("val", "last")):
        assert list(rows(trainer, split, checkpoint)) == ["both"]
    few = trainer_of(clips, model, data={"conditions": list(PUBLISHED[:2])})
    assert list(rows(few)) == ["both", "gaussian-audio"]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("level", ["input", "fusion"])
@pytest.mark.parametrize("model", MULTIMODAL)
def test_rows_do_not_depend_on_the_batch_size_and_change_nothing(
    model: str, level: str, device: str, clips: Any
) -> None:
    trainer = trainer_of(clips, model, device=device, data={"missing_level": level})
    trainer.model.train()
    before = copy.deepcopy(trainer.model.state_dict())
    state = torch.get_rng_state()
    whole = rows(trainer)
    assert not trainer.model.training
    trainer.source = replace(trainer.source, eval_batch_size=7)
    parts = rows(trainer)
    for name, logits in whole.items():
        torch.testing.assert_close(parts[name], logits)
        assert torch.equal(logits, whole["both"]) == (name == "both")
        assert not logits.requires_grad and logits.device.type == device
    assert all(torch.equal(before[name], value) for name, value in trainer.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_what_stands_in_at_the_input(clips: Any) -> None:
    trainer = trainer_of(clips, data={"silence": "zero_waveform"})
    model, source = trainer.model.eval(), trainer.source
    scale = source.scale
    level = (-100 - scale.mean) / scale.deviation
    train = source.batch_of(trainer.parts["train"])
    inputs = {
        "silent-audio": torch.full_like(train.audio[:1], level),
        "mean-audio": train.audio.mean(0, keepdim=True),
        "black-video": torch.from_numpy(clips.black)[None],
        "mean-video": train.visual.mean(0, keepdim=True),
    }
    for condition, tensor in inputs.items():
        name = CONDITIONS[condition].modality
        expected = model.encode(name, tensor).detach().expand(SIZES["test"], -1)
        torch.testing.assert_close(fused(trainer, condition)[name], expected)
    assert abs(float(train.audio.mean())) < 1e-3 and abs(float(train.audio.std()) - 1) < 1e-3  # 0 is their mean
    zeros = fused(trainer_of(clips), "silent-audio")["audio"]
    torch.testing.assert_close(zeros[:1], model.encode("audio", torch.zeros_like(train.audio[:1])).detach())


@pytest.mark.parametrize("level", ["input", "fusion"])
def test_every_clip_gets_the_sound_of_one_other(level: str, clips: Any) -> None:
    trainer = trainer_of(clips, "late-fusion", data={"missing_level": level})
    intact, found = fused(trainer, "both")["audio"], fused(trainer, "shuffled-audio")["audio"]
    partner = torch.cdist(found, intact).argmin(1)
    torch.testing.assert_close(found, intact[partner])
    assert sorted(partner.tolist()) == list(range(SIZES["test"]))
    assert not (partner == torch.arange(SIZES["test"])).any()


def test_sensitivity_to_level_and_silence_in_further_rows(clips: Any) -> None:
    names = ["silent-audio@fusion", "silent-audio@zero_waveform", "silent-audio@fusion+zero_waveform"]
    trainer = trainer_of(clips, data={"sensitivity": [*names, "gaussian-video@fusion", "black-video@fusion"]})
    found = rows(trainer)
    assert list(found) == [*CONDITIONS, *names, "gaussian-video@fusion", "black-video@fusion"]
    fusion = rows(trainer_of(clips, data={"missing_level": "fusion"}))
    assert torch.equal(found["silent-audio@fusion"], fusion["silent-audio"])
    assert torch.equal(found["gaussian-video@fusion"], fusion["gaussian-video"])
    torch.testing.assert_close(found["black-video@fusion"], found["black-video"])
    waveform = rows(trainer_of(clips, data={"silence": "zero_waveform"}))
    assert torch.equal(found["silent-audio@zero_waveform"], waveform["silent-audio"])
    torch.testing.assert_close(found["silent-audio@fusion+zero_waveform"], waveform["silent-audio"])
    assert not torch.allclose(found["silent-audio@fusion"], found["silent-audio"])


def test_settings_that_do_not_exist_are_one_sentence() -> None:
    for settings, sentence in (
        ({"conditions": ["both", "deaf"]}, "no condition named 'deaf'; there are both, gaussian-audio"),
        ({"conditions": ["silent-audio"]}, "list both and every other condition once"),
        ({"sensitivity": ["both"]}, "list both and every other condition once"),
        ({"sensitivity": ["silent-audio@middle"]}, "no condition named 'silent-audio@middle'; after @ stands"),
        ({"sensitivity": ["both@fusion"]}, "no condition named 'both@fusion'"),
        ({"silence": "zero_waveform", "audio_recipe": "ks_fbank"}, "audio_recipe ks_fbank is not in decibels"),
    ):
        with pytest.raises(UserError, match=sentence):
            load_task({"task": "relevance", **settings}, "data")


# Data


def test_a_class_that_a_part_lacks_is_one_sentence(clips: Any) -> None:
    without = replace(clips, labels=np.where((clips.split == "val") & (clips.labels == 2), 0, clips.labels))
    with pytest.raises(UserError, match=r"the val part has 18 clips and none of class cat; give the data set more"):
        trainer_of(without)


def test_features_of_another_kind_are_one_sentence(clips: Any, tmp_path: Path) -> None:
    plain = make_data(tmp_path / "plain", {"train": 8, "val": 4, "test": 4})
    frames = load_clips(plain.manifest, plain.audio, plain.visual)
    for wrong in (frames, replace(clips, window=4), replace(clips, spectrograms=False)):
        with pytest.raises(UserError, match="task relevance needs a whole spectrogram and one visual vector per clip"):
            load_task({"task": "relevance"}, "data").check(wrong, wrong.parts(DataSettings()))


def test_without_a_black_vector_the_condition_is_refused(tmp_path: Path) -> None:
    data = make_vector_data(tmp_path / "bright", black=False)
    bright = load_clips(data.manifest, data.audio, data.visual)
    with pytest.raises(UserError, match="condition black-video: the card of the visual features does not say"):
        trainer_of(bright)
    trainer = trainer_of(bright, data={"conditions": ["both", "silent-audio", "mean-video"]})
    assert list(rows(trainer)) == ["both", "silent-audio", "mean-video"]


def test_a_cell_leaves_one_row_per_clip_and_condition(data: Any, clips: Any, tmp_path: Path) -> None:
    settings = vector_settings("late-fusion", data={"sensitivity": ["silent-audio@fusion"]}, protocol={"epochs": 2})
    jobs = [
        vector_job("ks-fusion", "baseline", settings),
        vector_job("ks-audio", "unimodal", vector_settings("late-fusion", model={"modalities": ["audio"]})),
    ]
    where = (data.manifest, data.audio, data.visual, tmp_path / "out", tmp_path / "cache", "cpu")
    train_cell(CellOptions(jobs, "x", *where))
    frames = [pq.read_table(tmp_path / "out" / job["folder"] / "predictions.parquet").to_pandas() for job in jobs]
    conditions = [*CONDITIONS, "silent-audio@fusion"]
    counts = frames[0].groupby(["split", "checkpoint", "condition"]).size().to_dict()
    assert counts == {
        **{("test", "selected", name): SIZES["test"] for name in conditions},
        ("test", "last", "both"): SIZES["test"],
        ("val", "selected", "both"): SIZES["val"],
        ("val", "last", "both"): SIZES["val"],
    }
    assert set(frames[1]["condition"]) == {"both"}
    test = frames[0].query("split == 'test' and checkpoint == 'selected'")
    for _, part in test.groupby("condition"):
        assert part["id"].tolist() == [f"test-{number:03d}" for number in range(SIZES["test"])]
        assert np.array_equal(part["label"], clips.labels[clips.split == "test"])
    # the file of weights tells what it is of, and makes the same rows again
    weights = read_need(tmp_path / "out" / jobs[0]["folder"] / "model.safetensors")
    again = trainer_of(clips, "late-fusion", data={"sensitivity": ["silent-audio@fusion"]})
    assert weights.facts == again.facts and weights.facts["model"] == MODELS["late-fusion"]
    again.model.load_state_dict(weights)
    for name, logits in rows(again).items():
        kept = np.stack(test.query("condition == @name")["logits"])
        np.testing.assert_array_equal(kept, logits.numpy(), name)


def test_a_clip_of_a_rare_class_counts_more_in_balanced_accuracy(clips: Any) -> None:
    trainer = trainer_of(clips)
    chosen = trainer.parts["val"][[0, 1, 3, 4, 6, 9]]  # dog, owl, dog, owl, dog, dog
    own, guess = trainer.task.clip_scores(clips, chosen, trainer.outputs(chosen), "balanced_accuracy")
    assert set(own) <= {0.0, 75.0, 150.0}  # 6 clips over 2 classes of 4 and 2
    assert guess == pytest.approx(np.full(6, 50.0))
    assert trainer.task.weights(clips.labels[chosen], "accuracy").tolist() == [100.0] * 6
