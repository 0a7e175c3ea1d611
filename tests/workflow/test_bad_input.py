"""Bad input of LLP, CREMA-D and AVE: one sentence with file, row and fix before any training starts, and no file.

A clip that cannot be read costs itself: it is counted and named. A modality that is absent altogether ends the work.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from avbalance.cli import main
from avbalance.data.build import build_dataset
from avbalance.errors import UserError
from avbalance.evaluation.measure import measure
from avbalance.evaluation.paper import DatasetInfo
from avbalance.features.extract import extract
from avbalance.plan.plan import load_plan
from avbalance.reporting.facts import lost_clips, write_lost_clips
from avbalance.training.cell import CellOptions, train_cell
from flowkeeper.files import read_json

REPOSITORY = Path(__file__).parents[2]
sys.path[:0] = [str(REPOSITORY / "tests"), str(REPOSITORY / "tests" / "training")]
SLUG = "avvp-gradient-modulation"
PARTS = {"train": 6, "val": 2, "test": 2}
LISTS = {"train": "AVVP_train.csv", "val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv"}
RECIPES = {"audio": "seconds10-vggish", "visual": "seconds10-res152-r2plus1d"}


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


def cremad(folder: Path) -> dict[str, Any]:
    """Two clips of each list, with sound and a picture."""
    (folder / "lists").mkdir(parents=True)
    for split, clips in {"train": ("1001_DFA_ANG_XX", "1002_IEO_NEU_LO"), "test": ("1003_TAI_HAP_XX",)}.items():
        (folder / "lists" / f"{split}.csv").write_text("".join(f"{clip},{clip[9:12]}\r\n" for clip in clips))
    options = {"lists_dir": str(folder / "lists"), "media_root": str(folder / "media"), "allow_missing": True}
    return {"kind": "cremad", "stands_for": None, "describe": "toy", "options": options}


def ave(folder: Path) -> dict[str, Any]:
    """Four records with features."""
    for name in ("lists", "feats"):
        (folder / name).mkdir(parents=True)
    lines = [f"Bark&-_aaaaaaaa{number}&good&2&5" for number in range(4)]
    (folder / "lists" / "Annotations.txt").write_text("\n".join(lines) + "\n")
    for split, order in {"train": [3, 0], "val": [2], "test": [1]}.items():
        with h5py.File(folder / "lists" / f"{split}_order.h5", "w") as file:
            file["order"] = np.array(order)
    for name, shape in (("audio", (4, 10, 128)), ("visual", (4, 10, 7, 7, 512))):
        with h5py.File(folder / "feats" / f"{name}_feature.h5", "w") as file:
            file.create_dataset("avadataset", shape, np.float32)
    options = {"lists_dir": str(folder / "lists"), "features_root": str(folder / "feats")}
    return {"kind": "ave", "stands_for": None, "describe": "toy", "options": options}


MAKERS: dict[str, Callable[[Path], dict[str, Any]]] = {"llp": llp, "cremad": cremad, "ave": ave}


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("kind", "file", "old", "new", "said"),
    [
        ("llp", "lists/AVVP_train.csv", "Dog", "Dogs", r"AVVP_train\.csv, row 3: unknown class 'Dogs'; write one of"),
        ("llp", "lists/AVVP_eval_visual.csv", "Speech", "speech", r"visual\.csv, row 2: unknown class 'speech'; write"),
        ("llp", "lists/AVVP_test_pd.csv", video("test", 0), video("train", 4), r"test_pd\.csv, row 2: .*; remove one"),
        (
            "llp",
            "lists/AVVP_eval_visual.csv",
            "2\t7",
            "7\t2",
            r"visual\.csv, row 2: the onset is not before.*; correct",
        ),
        (
            "llp",
            "lists/old/AVVP_eval_audio.csv",
            "2\t7",
            "7\t7",
            r"audio\.csv, row 2: the onset is not before.*correct",
        ),
        ("llp", "lists/AVVP_eval_visual.csv", "2\t7", "2\t11", r"row 2: offset '11' is not a whole second in 0\.\.10;"),
        ("cremad", "lists/train.csv", ",ANG", ",MAD", r"train\.csv, row 1: unknown emotion 'MAD'; write one of"),
        ("cremad", "lists/test.csv", "1003_TAI_HAP_XX,HAP", "1001_DFA_ANG_XX,ANG", r"test\.csv, row 1: .*; remove one"),
        ("ave", "lists/Annotations.txt", "Bark", "Barking", r"Annotations\.txt, row 1: unknown class 'Barking'; write"),
        (
            "ave",
            "lists/Annotations.txt",
            "2&5",
            "5&2",
            r"Annotations\.txt, row 1: the onset is not before.*; correct",
        ),
    ],
)
def test_a_bad_row_ends_the_first_step(
    kind: str,
    file: str,
    old: str,
    new: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = MAKERS[kind](tmp_path / "downloads")
    replace(tmp_path / "downloads" / file, old, new)
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"name": kind, "spec": spec})))
    assert main(["dataset", "--out", "data/manifest.parquet"]) == 2
    (sentence,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert re.search(said, sentence), sentence
    assert str(tmp_path / "downloads" / file) in sentence
    assert not Path("data/manifest.parquet").exists()


def test_a_record_of_ave_in_two_parts_is_refused(tmp_path: Path) -> None:
    spec = ave(tmp_path)
    with h5py.File(tmp_path / "lists" / "test_order.h5", "w") as file:
        file["order"] = np.array([1, 0])
    with pytest.raises(
        UserError, match=r"test_order\.h5, entry 2: record 0 is .*train_order\.h5, entry 2 already; take"
    ):
        build_dataset("ave", spec, tmp_path / "manifest.parquet")


def stores(folder: Path, spec: dict[str, Any]) -> dict[str, Path]:
    """Build the manifest and read the features."""
    build_dataset("llp", spec, folder / "manifest.parquet")
    return extract(folder / "manifest.parquet", RECIPES, folder / "features")


def train(folder: Path, made: dict[str, Path]) -> dict[str, Any]:
    """One epoch of HAN with the settings of the paper tier but for its size; returns the record."""
    from tiny_cell import tiny_job

    rows = load_plan(REPOSITORY, {"tier": "paper", "papers": {SLUG: {}}}).rows[SLUG]
    settings = next(row.settings for row in rows if row.run == "han")
    settings = {**settings, "model": {"name": "han", "width": 8}}
    settings["protocol"] = {**settings["protocol"], "epochs": 1, "batch_size": 4}
    job = tiny_job("han", settings)
    where = (folder / "manifest.parquet", made["audio"], made["visual"], folder / "out", folder / "cache")
    train_cell(CellOptions([job], "code", *where, device="cpu"))
    record: dict[str, Any] = read_json(folder / "out" / job["folder"] / "record.json")
    return record


def paper_on(folder: Path, made: dict[str, Path]) -> Any:
    """What reports know of the data set."""
    index = {modality: str(path / "index.parquet") for modality, path in made.items()}
    manifest = str(folder / "manifest.parquet")
    return DatasetInfo(role="llp", label="LLP", data="llp", describe="toy", manifest=manifest, features=index)


def test_one_missing_and_one_misshapen_file_cost_their_videos_which_are_named(tmp_path: Path) -> None:
    spec = llp(tmp_path)
    absent, misshapen = video("train", 1), video("test", 0)
    (tmp_path / "feats" / "r2plus1d_18" / f"{absent[:11]}.npy").unlink()
    np.save(tmp_path / "feats" / "res152" / f"{misshapen[:11]}.npy", np.zeros((10, 2048), np.float32))
    made = stores(tmp_path, spec)
    record = train(tmp_path, made)
    assert record["data"]["clips"] == {"train": 5, "val": 2, "test": 1}
    assert sum(record["data"]["losses"].values()) == 2
    info = paper_on(tmp_path, made)
    lost = {row.id: row for row in lost_clips(info).itertuples()}
    assert set(lost) == {absent, misshapen}
    assert lost[absent].status == "missing" and f"r2plus1d_18/{absent[:11]}.npy" in lost[absent].reason
    assert lost[misshapen].status == "corrupt" and lost[misshapen].modality == "visual"
    assert (
        f"res152/{misshapen[:11]}.npy: holds float32 (10, 2048), float32 (80, 2048) is wanted" in lost[misshapen].reason
    )


def test_lost_clips_are_written_for_the_report(tmp_path: Path) -> None:
    from types import SimpleNamespace

    spec = llp(tmp_path)
    (tmp_path / "feats" / "vggish" / f"{video('val', 0)[:11]}.npy").unlink()
    info = paper_on(tmp_path, stores(tmp_path, spec))
    paper: Any = SimpleNamespace(all_datasets=lambda: [info])
    write_lost_clips(paper, tmp_path / "lost_clips.csv")
    head, line = (tmp_path / "lost_clips.csv").read_text().splitlines()
    assert head == "dataset,id,split,modality,status,reason"
    assert line.startswith(f"llp,{video('val', 0)},val,manifest,missing,no feature file vggish/")


@pytest.mark.parametrize("network", ["vggish", "res152", "r2plus1d_18"])
def test_a_modality_without_any_file_is_refused_when_the_data_set_is_read(tmp_path: Path, network: str) -> None:
    spec = llp(tmp_path)
    for path in (tmp_path / "feats" / network).iterdir():
        path.unlink()
    with pytest.raises(
        UserError,
        match=rf"feats: holds none of the 10 clips \(no feature file {network}/.*; set the option features_root to",
    ):
        stores(tmp_path, spec)
    assert not (tmp_path / "manifest.parquet").exists()


@pytest.mark.parametrize(("network", "modality"), [("vggish", "audio"), ("res152", "visual")])
def test_a_modality_of_misshapen_files_is_refused_before_training(tmp_path: Path, network: str, modality: str) -> None:
    spec = llp(tmp_path)
    for path in (tmp_path / "feats" / network).iterdir():
        np.save(path, np.zeros((3, 3), np.float32))
    made = stores(tmp_path, spec)
    with pytest.raises(UserError, match="no clip has all modalities; the losses stand in") as caught:
        train(tmp_path, made)
    said = str(caught.value)
    name = video("train", 0)
    first = f"{name} (corrupt: {tmp_path / 'feats' / network / name[:11]}.npy: holds float32 (3, 3)"
    assert f"{made[modality]}/card.json" in said and first in said and "\n" not in said
    assert f"delete {made[modality]} to have it made again" in said
    assert not (tmp_path / "out").exists()


def test_a_part_without_any_readable_video_is_refused_before_training(tmp_path: Path) -> None:
    spec = llp(tmp_path)
    for number in range(PARTS["train"]):
        np.save(tmp_path / "feats" / "vggish" / f"{video('train', number)[:11]}.npy", np.zeros((3, 3), np.float32))
    made = stores(tmp_path, spec)
    with pytest.raises(UserError, match="the train part has no usable clip"):
        train(tmp_path, made)
    assert not list((tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("content", ["no rows", "no bytes"])
def test_an_empty_prediction_file_is_named_when_it_is_measured(tmp_path: Path, content: str) -> None:
    from parsing_files import made_up_paper

    paper = made_up_paper(tmp_path, {"jomold": (6,)})
    (path,) = (Path(str(run.predictions)) for run in paper.runs if run.run == "jomold")
    if content == "no rows":
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    else:
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"holds no predictions|not a readable table") as caught:
        measure(paper, {}, tmp_path / "measurements.parquet")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "measurements.parquet").exists()
