"""Bad input of modality-relevance and gmm-adaptive-loss: one sentence, and nothing is left half-written.

Tests beside the code know more of these: of AudioSet's lists, of teachers of other classes or features, of a mixture
that cannot be fitted. Here a whole step ends, and what it leaves is looked at.
"""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
sys.path.insert(0, str(Path(__file__).parents[1] / "features"))

from clip_files import grey_steps, write_clip_manifest, write_mp4
from tiny_cell import TinyData, make_data, tiny_job, tiny_settings
from tiny_vectors import CLASSES, FURTHER, SIZES, make_vector_data, vector_job, vector_manifest, vector_settings
from tiny_vectors import write_vectors as store_of_vectors

from avbalance.cli import main
from avbalance.data.audioset import NAMES, RURAL, SPEECH, URBAN
from avbalance.data.manifest import make_manifest, read_manifest, write_manifest
from avbalance.data.sources.audioset import AudioSetOptions
from avbalance.errors import UserError
from avbalance.features import networks
from avbalance.features.extract import extract
from avbalance.features.recipes import get_visual_recipe
from avbalance.training import cell
from avbalance.training.cell import CellOptions, train_cell

HEADS: dict[str, Any] = {"model": {"unimodal_heads": True}, "method": {"warm_up_epochs": 1}}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def dataset_step(
    folder: Path, rows: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, list[str]]:
    """`avbalance dataset` on AudioSet lists of these rows: exit status, its error, and the files it left."""
    (folder / "lists").mkdir()
    for place, name in enumerate(AudioSetOptions.model_fields["lists"].default):
        (folder / "lists" / name).write_text("# Segments csv\n" + "".join(f"{row}\n" for row in rows[place::3]))
    names = "".join(f'{place},{label},"{name}"\n' for place, (label, name) in enumerate(NAMES.items()))
    (folder / "lists" / "class_labels_indices.csv").write_text("index,mid,display_name\n" + names)
    options = {"lists_dir": "lists", "media_root": "media", "allow_missing": True}
    spec = {"kind": "audioset", "stands_for": None, "describe": "toy", "options": options}
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"name": "toy", "spec": spec})))
    status = main(["dataset", "--out", "data/manifest.parquet"])
    said = capsys.readouterr().err
    assert "Traceback" not in said
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    return status, errors[0] if errors else said, files_below(folder / "data")


def files_below(folder: Path) -> list[str]:
    """All files, locks aside, which are there to stay."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def segment(number: int, *labels: str) -> str:
    return f'{number:_>11}, 30.000, 40.000, "{",".join(labels)}"'


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([segment(n, URBAN, RURAL) for n in range(9)], "error: lists: none of the clips in balanced_train_segments"),
        ([segment(n, SPEECH) for n in range(9)], "error: lists: none of the clips in balanced_train_segments"),
        ([segment(n, RURAL) for n in range(20)], "error: media: not one of the 20 clips is urban; get clips of both"),
        ([segment(n, (URBAN, RURAL)[n % 2]) for n in range(8)], "error: 8 clips leave none for test; get at least 10"),
        (
            [segment(n, (URBAN, RURAL)[n % 2]) for n in range(20)] + [segment(3, RURAL)],
            "already; remove one of the two.",
        ),
    ],
)
def test_lists_of_audioset_that_make_no_data_set_end_the_first_step(
    rows: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, error, left = dataset_step(tmp_path, rows, monkeypatch, capsys)
    assert (status, left) == (2, [])
    assert said in error


def test_clips_of_both_or_neither_outdoor_label_are_left_out_and_the_former_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("WARNING", logger="avbalance")
    usable = [segment(n, (URBAN, RURAL)[n % 2]) for n in range(20)]
    odd = [segment(50, RURAL, URBAN, SPEECH), segment(51, SPEECH), segment(52, URBAN, RURAL)]
    status, _, left = dataset_step(tmp_path, usable + odd, monkeypatch, capsys)
    assert status == 0 and "manifest.parquet" in left
    for number in (50, 52):  # each list tells of its own
        assert f", left out; first: {number:_>11}_000030: urban and rural at once" in caplog.text
    assert f"{51:_>11}" not in caplog.text
    assert read_manifest(tmp_path / "data" / "manifest.parquet").card["left_out"] == {
        "both labels": 2,
        "missing": 0,
        "surplus": 0,
    }


def refused(folder: Path, data: TinyData, job: dict[str, Any], said: str) -> None:
    """Training the job ends in one sentence, with no file in results and no run or draft in the cache."""
    own = folder / job["run"]
    kept = files_below(folder / "out")
    with pytest.raises(UserError, match=said) as caught:
        train_cell(CellOptions([job], "x", data.manifest, data.audio, data.visual, folder / "out", own, "cpu"))
    assert "\n" not in str(caught.value)
    assert files_below(folder / "out") == kept
    assert files_below(own / "runs") == [] and not list((own / "runs").glob("*"))


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("labelling", [None, "speech"])
def test_a_class_without_clips_in_a_part_is_refused_before_training(
    tmp_path: Path, split: str, labelling: str | None
) -> None:
    data = make_vector_data(tmp_path / "data")
    manifest = vector_manifest(SIZES)
    column, classes = ("label", CLASSES) if labelling is None else ("label_speech", FURTHER)
    chosen = manifest.frame["split"] == split
    manifest.frame.loc[chosen & (manifest.frame[column] == classes[0]), column] = classes[1]
    rows = manifest.frame.dropna(axis=1).to_dict("records")
    write_manifest(make_manifest(rows, manifest.card, "tiny"), data.manifest)
    settings = vector_settings("visual-teacher", data={"labelling": labelling})
    sentence = f"the {split} part has {SIZES[split]} clips and none of class {classes[0]}; give the data set more clips"
    refused(tmp_path, data, vector_job("teacher", "unimodal", settings), sentence)


@pytest.mark.parametrize("other", ["half-a", "other split"])
def test_a_teacher_of_another_split_is_refused_before_the_student_is_trained(tmp_path: Path, other: str) -> None:
    data = make_vector_data(tmp_path / "data")
    short: dict[str, Any] = {"protocol": {"epochs": 1}}
    halved = {**short, "data": {"train_part": "half-a"}} if other == "half-a" else short
    teachers = [
        vector_job("teacher-audio", "unimodal", vector_settings("audio-teacher", **short)),
        vector_job("teacher-visual", "unimodal", vector_settings("visual-teacher", **halved)),
    ]
    where = (tmp_path / "out", tmp_path / "cache", "cpu")
    train_cell(CellOptions(teachers, "x", data.manifest, data.audio, data.visual, *where))
    if other == "other split":  # the data set was made anew, with one training clip and one test clip exchanged
        frame = vector_manifest(SIZES).frame
        frame.loc[[3, len(frame) - 1], "split"] = ["test", "train"]
        rows = frame.dropna(axis=1).to_dict("records")
        write_manifest(make_manifest(rows, vector_manifest(SIZES).card, "tiny"), data.manifest)
    files = {f"teacher_{name}": f"paper/tiny/teacher-{name}/seed0/model.safetensors" for name in ("audio", "visual")}
    student = vector_job("student", "distillation", vector_settings(**short), inputs=files)
    which = "visual" if other == "half-a" else "audio"
    refused(tmp_path, data, student, f"teacher_{which} was trained on other clips than this run; name a run with")


def test_gaps_that_are_no_numbers_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of an epoch is a number still, and after it the network's heads are not."""
    data = make_data(tmp_path / "data")
    made = cell.make_trainer

    def broken(*arguments: Any) -> Any:
        trainer = made(*arguments)
        measure = trainer.method.measure

        def after_breaking(again: Any, finished: int) -> None:
            with torch.no_grad():
                trainer.model.unimodal_heads["audio"].weight.fill_(float("nan"))
            measure(again, finished)

        trainer.method.measure = after_breaking
        return trainer

    monkeypatch.setattr(cell, "make_trainer", broken)
    for method in ("adaptive-loss", "head-losses"):
        job = tiny_job(method, tiny_settings(**HEADS))
        refused(tmp_path, data, job, "96 of 96 samples have no finite gap, so the network has diverged; ")


def test_a_training_that_diverges_ends_before_its_gaps_are_measured(tmp_path: Path) -> None:
    settings = tiny_settings(**HEADS, protocol={"learning_rate": 1e30})
    sentence = r"the loss of method adaptive-loss became (nan|inf) in epoch 1; lower protocol\.learning_rate"
    refused(tmp_path, make_data(tmp_path / "data"), tiny_job("adaptive-loss", settings), sentence)


def test_a_store_of_another_recipe_than_the_declared_one_is_refused(tmp_path: Path) -> None:
    """Also where shapes agree, as those of uniform8-imagenetr50 and uniform8-randomr50 do."""
    data = make_vector_data(tmp_path / "data")
    job = vector_job("teacher", "unimodal", vector_settings("visual-teacher", data={"visual_recipe": "uniform8-x"}))
    refused(tmp_path, data, job, r"data/visual: a store of recipe uniform8-small16, and run teacher is declared with")
    ids = vector_manifest(SIZES).frame["id"].tolist()
    wide = store_of_vectors(tmp_path / "wide", get_visual_recipe("uniform8-small64"), np.zeros((len(ids), 64)), ids)
    job = vector_job("teacher", "unimodal", vector_settings("visual-teacher"))
    refused(tmp_path, replace(data, visual=wide), job, r"wide: a store of recipe uniform8-small64, .*small16; give it")


def test_a_recipe_that_the_network_was_not_set_up_for_is_refused(tmp_path: Path) -> None:
    """The paper's other backend has 2,048 values: the recipe alone was changed."""
    data = make_vector_data(tmp_path / "data")
    settings = vector_settings("visual-teacher", model={"visual_feature": 400})
    said = r"the visual of a clip has shape \(16,\), the model takes \(400,\); set the model's visual_feature to what"
    refused(tmp_path, data, vector_job("teacher", "unimodal", settings), said)


def test_recipes_of_two_kinds_are_refused(tmp_path: Path) -> None:
    """Frames for a network of vectors, and a vector for one of frames."""
    vectors, frames = make_vector_data(tmp_path / "vectors"), make_data(tmp_path / "frames", SIZES)
    job = vector_job("teacher", "unimodal", vector_settings("visual-teacher", data=tiny_settings()["data"]))
    refused(tmp_path, frames, job, "task relevance needs a whole spectrogram and one visual vector per clip; set data")
    declared = {name: vector_settings()["data"][name] for name in ("audio_recipe", "visual_recipe")}
    job = tiny_job("head-losses", tiny_settings(**HEADS, data=declared))
    said = "the network takes frames per clip, and the visual store has vectors; set data.visual_recipe to a recipe"
    refused(tmp_path, vectors, job, said)


@pytest.mark.parametrize("content", ["network", "list", "tensor", "text"])
def test_weights_of_another_network_end_the_extraction_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    """torch lists every parameter that is absent, one a line; of 8 frames of a clip nothing may be stored."""
    (tmp_path / "media").mkdir()
    write_mp4(tmp_path / "media" / "a.mp4", grey_steps(20), None)
    manifest = write_clip_manifest(tmp_path, ["a.mp4"])
    file = tmp_path / "weights" / "SLOW_8x8_R50.pyth"
    file.parent.mkdir()
    wrong = {"network": torch.nn.Linear(3, 3).state_dict(), "list": [1, 2], "tensor": {"model_state": torch.ones(2)}}
    if content == "text":
        file.write_text("<html>404</html>")
    else:
        torch.save(wrong[content], file)
    monkeypatch.setenv(networks.FOLDER_VARIABLE, str(file.parent))
    networks._loaded.cache_clear()
    with pytest.raises(UserError, match=r"SLOW_8x8_R50\.pyth: not the weights of this network \(.*; take") as caught:
        extract(manifest, {"visual": "uniform8-k400r50"}, tmp_path / "out")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert files_below(tmp_path / "out") == []
    networks._loaded.cache_clear()
