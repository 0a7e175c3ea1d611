"""Bad input: one sentence with file, row and fix before any training starts, and nothing is left half-written.

Tests beside the code know more of the sentences; here a whole step ends, and what it leaves is looked at. A clip that
cannot be read costs itself: it is counted and named.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from tiny_cell import TinyData, tiny_job, tiny_settings
from tiny_vectors import SIZES, make_vector_data, vector_job, vector_manifest, vector_settings
from tiny_vectors import write_vectors as store_of_vectors

from avbalance.cli import main
from avbalance.data.build import build_dataset
from avbalance.data.manifest import make_manifest, write_manifest
from avbalance.errors import UserError
from avbalance.evaluation.paper import DatasetInfo
from avbalance.features.extract import extract
from avbalance.features.recipes import get_visual_recipe
from avbalance.plan.plan import load_plan
from avbalance.reporting.facts import lost_clips
from avbalance.training.cell import CellOptions, train_cell
from flowkeeper.files import read_json

REPOSITORY = Path(__file__).parents[2]
SLUG = "avvp-gradient-modulation"
PARTS = {"train": 6, "val": 2, "test": 2}
LISTS = {"train": "AVVP_train.csv", "val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv"}
RECIPES = {"audio": "seconds10-vggish", "visual": "seconds10-res152-r2plus1d"}
Step = Callable[[dict[str, Any]], tuple[int, str, list[str]]]


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Step:
    """`avbalance dataset` on a specification: exit status, its error, and the files it left."""
    monkeypatch.chdir(tmp_path)

    def run(spec: dict[str, Any]) -> tuple[int, str, list[str]]:
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"name": "toy", "spec": spec})))
        status = main(["dataset", "--out", "data/manifest.parquet"])
        said = capsys.readouterr().err
        assert "Traceback" not in said
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        return status, errors[0] if errors else said, files_below(tmp_path / "data")

    return run


def files_below(folder: Path) -> list[str]:
    """All files, locks aside, which are there to stay."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def video(split: str, number: int) -> str:
    return f"{split:_<9}-{number}_0_10"


def llp(folder: Path) -> dict[str, Any]:
    """Ten videos in the published layout, of both classes Speech and Dog."""
    (folder / "lists" / "old").mkdir(parents=True)
    for split, count in PARTS.items():
        lines = [f"{video(split, number)}\tSpeech{',Dog' if number % 2 else ''}" for number in range(count)]
        (folder / "lists" / LISTS[split]).write_text("filename\tevent_labels\n" + "\n".join(lines) + "\n")
    evaluated = [video(split, number) for split in ("val", "test") for number in range(2)]
    for name in ("AVVP_eval_audio.csv", "AVVP_eval_visual.csv", "old/AVVP_eval_audio.csv"):
        lines = [f"{name_of}\t2\t7\tSpeech" for name_of in evaluated]
        (folder / "lists" / name).write_text("filename\tonset\toffset\tevent_labels\n" + "\n".join(lines) + "\n")
    generator = np.random.default_rng(0)
    for network, shape in (("vggish", (10, 128)), ("res152", (80, 2048)), ("r2plus1d_18", (10, 512))):
        (folder / "feats" / network).mkdir(parents=True)
        for split, count in PARTS.items():
            for number in range(count):
                values = generator.normal(size=shape).astype(np.float32)
                np.save(folder / "feats" / network / f"{video(split, number)[:11]}.npy", values)
    options = {"lists_dir": str(folder / "lists"), "features_root": str(folder / "feats")}
    return {"kind": "llp", "stands_for": None, "describe": "toy", "options": options}


def test_a_bad_row_ends_the_first_step_and_leaves_nothing(tmp_path: Path, step: Step) -> None:
    spec = llp(tmp_path / "downloads")
    path = tmp_path / "downloads" / "lists" / "AVVP_test_pd.csv"
    path.write_text(path.read_text().replace(video("test", 0), video("train", 4), 1))
    status, error, left = step(spec)
    assert (status, left) == (2, []) and re.search(r"test_pd\.csv, row 2: .*; remove one", error) and str(path) in error


def train(folder: Path, made: dict[str, Path]) -> dict[str, Any]:
    """One epoch of HAN with the settings of the paper tier but for its size; returns the record."""
    rows = load_plan(REPOSITORY, {"tier": "paper", "papers": {SLUG: {}}}).rows[SLUG]
    settings = next(row.settings for row in rows if row.run == "han")
    settings = {**settings, "model": {"name": "han", "width": 8}}
    settings["protocol"] = {**settings["protocol"], "epochs": 1, "batch_size": 4}
    job = tiny_job("han", settings)
    where = (folder / "manifest.parquet", made["audio"], made["visual"], folder / "out", folder / "cache")
    train_cell(CellOptions([job], "code", *where, device="cpu"))
    record: dict[str, Any] = read_json(folder / "out" / job["folder"] / "record.json")
    return record


def test_one_missing_and_one_misshapen_file_cost_their_videos_which_are_named(tmp_path: Path) -> None:
    spec = llp(tmp_path)
    absent, misshapen = video("train", 1), video("test", 0)
    (tmp_path / "feats" / "r2plus1d_18" / f"{absent[:11]}.npy").unlink()
    np.save(tmp_path / "feats" / "res152" / f"{misshapen[:11]}.npy", np.zeros((10, 2048), np.float32))
    build_dataset("llp", spec, tmp_path / "manifest.parquet")
    made = extract(tmp_path / "manifest.parquet", RECIPES, tmp_path / "features")
    record = train(tmp_path, made)
    assert record["data"]["clips"] == {"train": 5, "val": 2, "test": 1}
    assert sum(record["data"]["losses"].values()) == 2
    index = {modality: str(path / "index.parquet") for modality, path in made.items()}
    manifest = str(tmp_path / "manifest.parquet")
    info = DatasetInfo(role="llp", label="LLP", data="llp", describe="toy", manifest=manifest, features=index)
    lost = {row.id: row for row in lost_clips(info).itertuples()}
    assert set(lost) == {absent, misshapen}
    assert lost[absent].status == "missing" and f"r2plus1d_18/{absent[:11]}.npy" in lost[absent].reason
    assert lost[misshapen].status == "corrupt" and lost[misshapen].modality == "visual"
    assert (
        f"res152/{misshapen[:11]}.npy: holds float32 (10, 2048), float32 (80, 2048) is wanted" in lost[misshapen].reason
    )


def refused(folder: Path, data: TinyData, job: dict[str, Any], said: str) -> None:
    """Training the job ends in one sentence, with no file in results and no run or draft in the cache."""
    own = folder / job["run"]
    kept = files_below(folder / "out")
    with pytest.raises(UserError, match=said) as caught:
        train_cell(CellOptions([job], "x", data.manifest, data.audio, data.visual, folder / "out", own, "cpu"))
    assert "\n" not in str(caught.value)
    assert files_below(folder / "out") == kept
    assert files_below(own / "runs") == [] and not list((own / "runs").glob("*"))


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


def test_a_store_of_another_recipe_than_the_declared_one_is_refused(tmp_path: Path) -> None:
    """Also where shapes agree, as those of uniform8-imagenetr50 and uniform8-randomr50 do."""
    data = make_vector_data(tmp_path / "data")
    job = vector_job("teacher", "unimodal", vector_settings("visual-teacher", data={"visual_recipe": "uniform8-x"}))
    refused(tmp_path, data, job, r"data/visual: a store of recipe uniform8-small16, and run teacher is declared with")
    ids = vector_manifest(SIZES).frame["id"].tolist()
    wide = store_of_vectors(tmp_path / "wide", get_visual_recipe("uniform8-small64"), np.zeros((len(ids), 64)), ids)
    job = vector_job("teacher", "unimodal", vector_settings("visual-teacher"))
    refused(tmp_path, replace(data, visual=wide), job, r"wide: a store of recipe uniform8-small64, .*small16; give it")


def test_frames_are_no_input_of_a_network_of_vectors(tmp_path: Path) -> None:
    declared = {name: vector_settings()["data"][name] for name in ("audio_recipe", "visual_recipe")}
    heads = {"model": {"unimodal_heads": True}, "method": {"warm_up_epochs": 1}}
    job = tiny_job("head-losses", tiny_settings(**heads, data=declared))
    said = "the network takes frames per clip, and the visual store has vectors; set data.visual_recipe to a recipe"
    refused(tmp_path, make_vector_data(tmp_path / "vectors"), job, said)
