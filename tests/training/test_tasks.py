"""Tasks: what batches carry, what validation measures, what a finished run leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tiny_cell import make_data
from tiny_segments import CLASSES, SIZES, make_segment_data, segment_settings

from avbalance.analysis.parsing_scores import METRICS, evaluate
from avbalance.data.manifest import make_manifest, read_manifest, write_manifest
from avbalance.errors import UserError
from avbalance.training.cell import CellOptions, make_trainer, train_cell
from avbalance.training.data import load_clips
from avbalance.training.tasks import base as tasks
from avbalance.training.tasks.base import Place

CPU = torch.device("cpu")
HAN = {"name": "han", "width": 8}
PSP = {"name": "psp", "visual_width": 4, "guide_width": 16, "projection_width": 32, "width": 32, "classifier_width": 16}


@pytest.fixture(scope="module")
def parsing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    data = make_segment_data(tmp_path_factory.mktemp("parsing"), repaired=True)
    return data, load_clips(data.manifest, data.audio, data.visual)


@pytest.fixture(scope="module")
def localisation(tmp_path_factory: pytest.TempPathFactory) -> Any:
    data = make_segment_data(tmp_path_factory.mktemp("localisation"), grid=True)
    return data, load_clips(data.manifest, data.audio, data.visual)


def parsing_settings(**protocol: Any) -> dict[str, Any]:
    return segment_settings("parsing", HAN, **{"metric": "segment_Type", "ties": "later", **protocol})


def trainer_of(clips: Any, settings: dict[str, Any], method: str = "han") -> Any:
    return make_trainer(method, settings, 0, clips, CPU)


def test_batches_of_segments_carry_vectors_and_all_labels(parsing: Any) -> None:
    _, clips = parsing
    source = trainer_of(clips, parsing_settings()).source
    batch = source.batch_of(np.array([3, 0]))
    assert (batch.audio.shape, batch.visual.shape) == ((2, 10, 128), (2, 10, 2560))
    assert batch.audio.dtype == batch.visual.dtype == batch.label.dtype == torch.float32
    assert batch.label.tolist() == [[1, 0, 0, 1], [1, 1, 0, 0]]  # clip 3 has classes 3 and 0, clip 0 has 0 and 1
    assert batch.index.tolist() == [3, 0]
    assert np.array_equal(batch.visual.numpy(), clips.visual[clips.visual_rows[[3, 0]]].astype(np.float32))


def test_tracks_can_be_exchanged(parsing: Any) -> None:
    _, clips = parsing
    source = trainer_of(clips, parsing_settings()).source
    own, other = source.batch_of(np.array([0, 1])), source.batch_of(np.array([4, 5]))
    mixed = source.batch_of(np.array([0, 1]), np.array([4, 5]))
    assert torch.equal(mixed.audio, own.audio) and torch.equal(mixed.visual, other.visual)
    assert torch.equal(mixed.label, own.label)


def test_what_is_learnt_does_not_depend_on_the_truth_per_second(parsing: Any, tmp_path: Path) -> None:
    data, clips = parsing
    manifest = read_manifest(data.manifest)
    train = manifest.frame["split"] == "train"
    manifest.frame.loc[train, ["events_audio", "events_visual"]] = None
    card = {key: value for key, value in manifest.card.items() if key != "digest"}
    write_manifest(make_manifest(manifest.frame.to_dict("records"), card, "toy"), tmp_path / "manifest.parquet")
    blind = load_clips(tmp_path / "manifest.parquet", data.audio, data.visual)
    runs = [trainer_of(each, parsing_settings()) for each in (clips, blind)]
    for run in runs:
        run.train()
    states = [run.model.state_dict() for run in runs]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert runs[0].history == runs[1].history


def test_validation_of_parsing_is_the_ten_scores_of_the_outputs(parsing: Any) -> None:
    _, clips = parsing
    trainer = trainer_of(clips, parsing_settings())
    indices = trainer.parts["val"]
    with torch.no_grad():
        output = trainer.model.eval()(trainer.source.batch_of(indices))
    truth = [clips.truth[name][indices] for name in ("events_audio", "events_visual")]
    video = [value.numpy() for value in (output.P, output.p_a, output.p_v)]
    expected = evaluate(output.frame_prob.numpy(), *video, *truth, "modality").dataset()
    found = trainer.evaluate("val")
    assert found.metrics.keys() == set(METRICS)
    assert found.metrics == pytest.approx(expected)


@pytest.mark.parametrize("watch", [False, True])
def test_a_parsing_cell_leaves_probabilities_and_truth(watch: bool, parsing: Any, tmp_path: Path) -> None:
    data, clips = parsing
    settings = parsing_settings(watch_test=watch)
    settings["data"]["gate"] = "global"
    names = ["predictions.parquet", "history.csv", "record.json", "model.safetensors"]
    folder = "p/d/r/seed0"
    job = {"run": "r", "seed": 0, "method": "han", "settings": settings, "folder": folder, "inputs": {},
           "choose": None, "outputs": [f"{folder}/{name}" for name in names]}  # fmt: skip
    options = CellOptions(
        [job], "x", data.manifest, data.audio, data.visual, tmp_path / "out", tmp_path / "cache", "cpu"
    )
    train_cell(options)
    table = pq.read_table(tmp_path / "out" / folder / "predictions.parquet")
    assert json.loads(table.schema.metadata[b"avbalance"]) == {
        "task": "parsing", "classes": clips.classes, "segments": 10, "gate": "global",
    }  # fmt: skip
    columns = table.to_pydict()
    assert set(columns["split"]) == {"test"}
    assert columns["checkpoint"] == [name for name in (["selected", "best-test"] if watch else ["selected"])
                                     for _ in range(SIZES["test"])]  # fmt: skip
    assert {len(row) for row in columns["frame_prob"]} == {10 * 2 * CLASSES}
    assert {len(row) for row in columns["video_prob"]} == {3 * CLASSES}
    test = np.flatnonzero(clips.split == "test")
    for column, name in (("truth_audio", "events_audio"), ("truth_audio_repaired", "events_audio_repaired")):
        cells = [np.flatnonzero(active).tolist() for active in clips.truth[name][test].reshape(len(test), -1)]
        assert columns[column][: len(test)] == cells
    history = (tmp_path / "out" / folder / "history.csv").read_text().splitlines()
    assert all(f"val_{metric}" in history[0].split(",") for metric in METRICS)
    assert ("test_event_A" in history[0]) == watch


def test_localisation_learns_a_class_for_every_second(localisation: Any) -> None:
    _, clips = localisation
    settings = segment_settings("localisation", PSP, epochs=40, learning_rate=0.01, decay_every=40)
    trainer = trainer_of(clips, settings, method="psp")
    batch = trainer.source.batch_of(np.array([1]))
    assert batch.visual.shape == (1, 10, 7, 7, 4)
    assert batch.label.tolist() == [[4, 1, 1, 1, 1, 4, 4, 4, 4, 4]]  # class 1 from second 1 to 5, else background
    trainer.train()
    assert trainer.evaluate("test").metrics["accuracy"] > 60  # 60 % of all seconds are background
    task, indices = trainer.task, trainer.parts["test"]
    table = task.predictions(clips, indices, Place("test"), trainer.outputs(indices)).to_pydict()
    logits = np.array(table["logits"]).reshape(len(indices), 10, CLASSES + 1)
    right = 100 * (logits.argmax(2) == np.array(table["label"])).mean()
    assert right == pytest.approx(trainer.evaluate("test").metrics["accuracy"])


def test_what_a_task_lacks_is_one_sentence(parsing: Any, tmp_path: Path) -> None:
    plain = make_data(tmp_path / "plain", {"train": 8, "val": 4, "test": 4})
    frames = load_clips(plain.manifest, plain.audio, plain.visual)
    with pytest.raises(UserError, match="no column events_audio: task parsing needs the truth per second"):
        trainer_of(frames, parsing_settings())
    with pytest.raises(UserError, match="settings, task: is 'captioning'; there are classification, localisation"):
        tasks.load({"task": "captioning"}, "settings")
    data = parsing[0]
    mixed = make_segment_data(tmp_path / "mixed")
    with pytest.raises(UserError, match=r"one has vectors per second, the other has not; choose data\.audio_recipe"):
        load_clips(plain.manifest, plain.audio, _with_index_of(plain.manifest, mixed.visual))
    assert data.manifest.exists()


def _with_index_of(manifest: Path, store: Path) -> Path:
    """The store with an index that lists the manifest's clips, so that only its kind is wrong."""
    import pandas as pd

    index = pd.read_parquet(store / "index.parquet").head(len(read_manifest(manifest).frame))
    index["id"] = read_manifest(manifest).frame["id"].to_numpy()
    index.to_parquet(store / "index.parquet", index=False)
    return store


def test_clip_scores_have_the_metrics_as_their_means(parsing: Any, localisation: Any) -> None:
    trainer = trainer_of(parsing[1], parsing_settings())
    val = trainer.parts["val"]
    for metric in ("segment_A", "event_Type"):
        own, guess = trainer.task.clip_scores(trainer.source.clips, val, trainer.outputs(val), metric)
        assert own.mean() == pytest.approx(trainer.evaluate("val").metrics[metric])
        assert guess.tolist() == [0.0] * len(val)  # every video has an event
    trainer = trainer_of(localisation[1], segment_settings("localisation", PSP), "psp")
    own, guess = trainer.task.clip_scores(trainer.source.clips, val, trainer.outputs(val), "accuracy")
    assert own.mean() == pytest.approx(trainer.evaluate("val").metrics["accuracy"])
    assert guess.tolist() == [60.0] * len(val)  # four of ten seconds have an event
