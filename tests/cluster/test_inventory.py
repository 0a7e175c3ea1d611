"""The table of what is at hand, what is missing and what it costs, on partly filled folders."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from avbalance.cluster.estimate import PlanCosts, lines
from avbalance.cluster.inventory import (
    AtHand,
    asks_for_dry_run,
    at_hand,
    gaps,
    is_fetched,
    table,
    take_inventory,
    told_in_dry_run,
)
from avbalance.data import media_files
from avbalance.data.audioset import NAMES
from avbalance.data.manifest import Manifest
from avbalance.data.sources import audioset
from avbalance.plan.plan import Plan, load_plan

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Two data sets, of which one is there in part and one not at all, and a generated one."""
    monkeypatch.chdir(tmp_path)
    rows = [
        f"-_{number:09d},{number},sound {number % 309},{'test' if number % 5 else 'train'}\n" for number in range(618)
    ]
    media = Path("downloads/vggsound/media")
    media.mkdir(parents=True)
    Path("downloads/vggsound/vggsound.csv").write_text("".join(rows))
    for number in range(7):
        (media / f"-_{number:09d}_{number}.mp4").write_bytes(b"x" * 30_000_000 if number == 0 else b"x")
    roles = {"kinetics-sounds": "kinetics-sounds", "vggsound": "vggsound", "balanced": "synthetic-flat"}
    papers = {"balanced-audiovisual": {"datasets": roles}}
    return load_plan(REPOSITORY, {"tier": "paper", "name": "counted", "papers": papers, "seeds": [0]})


def test_every_data_set_has_a_line(plan: Plan) -> None:
    inventory, costs = take_inventory(plan), PlanCosts(plan)
    shown = {line.split()[0]: line.split()[1:] for line in table(inventory, costs)}
    hours, store = f"{costs.feature_hours('vggsound'):,.0f}", f"{costs.store_gb('vggsound'):,.0f}"
    trained = sum(costs.run_hours(job) for cell in plan.cells for job in cell.jobs if job.row.dataset == "vggsound")
    assert shown["vggsound"] == ["yes", "7", "of", "618", "0.03", hours, store, f"{trained:,.0f}"]
    assert shown["kinetics-sounds"][:5] == ["no", "?", "of", "18,716", "?"]  # as published: no list is there to count
    assert shown["synthetic-flat"] == ["-", "made", "here", "-", "?", "?", "?"]
    assert all(len(line) == 99 for line in table(inventory, costs))
    kinetics, vgg = gaps(inventory)
    assert kinetics.startswith("kinetics-sounds: downloads/kinetics-sounds/lists/my_train.txt: no such file; take ")
    assert vgg.startswith("vggsound: downloads/vggsound/media: 611 of 618 clips are missing, the first -_000000007_")


def test_a_dry_run_notes_what_the_preflight_does_not_say(plan: Plan) -> None:
    told = told_in_dry_run(plan)
    assert [line.split(": ")[:2] for line in told if line.startswith("note: ")] == [["note", "vggsound"]]
    assert told[:5] == list(table(take_inventory(plan), PlanCosts(plan)))
    assert [sentence.split(": ")[0] for sentence in plan.preflight()] == ["kinetics-sounds"]
    assert told_in_dry_run(load_plan(REPOSITORY, {"tier": "smoke"})) == []


def _balanced(**tier: object) -> Plan:
    roles = {"kinetics-sounds": None, "vggsound": None}
    return load_plan(REPOSITORY, {"tier": "paper", "papers": {"balanced-audiovisual": {"datasets": roles}}, **tier})


def test_without_the_authors_list_the_balanced_set_is_built_from_public_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("workflow").symlink_to(REPOSITORY / "workflow")  # the table of categories
    plan = _balanced()
    assert set(plan.datasets) == {"balanced-built", "kinetics-30", "vggsound-30", "vggsound"}
    (sentence,) = plan.chosen
    assert sentence == (
        "balanced-audiovisual, balanced: balanced-built is taken, since balanced lacks "
        "downloads/balanced/annotation.json."
    )
    told = told_in_dry_run(plan)
    assert f"note: {sentence}" in told
    # 60,770 clips of the pool for the models that judge them, once more for each of two scorers, VGG-Sound for one
    clips = 3 * (32_800 + 27_970) + 151_756 + 30_816
    cost = PlanCosts(plan).building("balanced-built")
    assert (cost.clips, cost.estimators) == (clips, 2 * 4 * 5)
    core_s = 0.65 * 2 * 4 * 60_770 * 100 * (4 + 0.33)
    assert cost.gpu_hours == pytest.approx(core_s / 100 / 3600)
    (built,) = [line for line in told if line.startswith("note: balanced-built: building it decodes 364,882 clips")]
    assert built.endswith(f"trains 40 models that judge clips ({cost.gpu_hours:,.0f} GPU-hours at most).")
    assert {sentence.split(": ")[0] for sentence in plan.preflight()} == {"kinetics-30", "vggsound-30", "vggsound"}


def test_the_authors_list_comes_before_a_set_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("downloads/balanced").mkdir(parents=True)
    Path("downloads/balanced/annotation.json").write_text("{}")
    plan = _balanced()
    assert set(plan.datasets) == {"balanced"} and plan.chosen == []


def test_the_estimate_says_what_is_missing_and_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = load_plan(REPOSITORY, {"tier": "paper"})
    said = lines(plan)
    fetched = [name for name in plan.datasets if name != "balanced-built"]
    missing = said[said.index("Missing:") + 1 :][: len(fetched)]
    assert [line.split(": ")[0].strip() for line in missing] == fetched
    assert all("no such file; " in line for line in missing)
    rows = {line.split()[0]: line for line in said if line.split() and line.split()[0] in fetched}
    assert all("  no  " in line and "? of" in line for line in rows.values()) and len(rows) == 10


@pytest.mark.parametrize(
    ("typed", "dry"),
    [
        ("-n", True),
        ("-np --config tier=paper", True),
        ("--dry-run", True),
        ("--dryrun", True),
        ("--config tier=paper name=-n.x", False),
        ("--cores 2", False),
        ("-p", False),
        ("--notemp", False),
    ],
)
def test_a_dry_run_is_told_from_its_command_line(typed: str, dry: bool) -> None:
    assert asks_for_dry_run(typed.split()) == dry


# What is at hand of one data set

A, B, C = "-_aaaaaaaaa", "bbbbbb_bbbb", "cccccccccc-"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; nothing may be hashed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(media_files, "sha256_file", lambda path: pytest.fail(f"{path} was hashed"))
    return tmp_path


def put(*files: str, size: int = 10) -> None:
    for name in files:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x" * size)


def counted(kind: str, **options: Any) -> AtHand:
    """With checksums asked for: counting leaves them out."""
    return at_hand("toy", {"kind": kind, "describe": "toy", "options": {"checksums": True, **options}})


def vgg() -> AtHand:
    return counted("vggsound", list="vggsound.csv", media_root="media", classes=2)


@pytest.mark.usefixtures("place")
def test_a_folder_that_fills(caplog: pytest.LogCaptureFixture) -> None:
    where = "media: no such folder; download the 10 s clips from YouTube"
    assert vgg() == AtHand(
        False,
        missing="vggsound.csv: no such file; take it from the repository hche11/VGGSound (folder data).",
    )
    Path("vggsound.csv").write_text(f"{A},1,dog,train\n{B},30,cat,train\n{C},5,cat,test\n")
    there = vgg()
    assert (there.lists, there.listed, there.present, there.size) == (True, 3, 0, 0) and there.missing.startswith(where)
    put(f"media/a/{A}_000001.mp4", f"media/{C}_5_15.webm", "media/other.mp4")
    with caplog.at_level(logging.INFO):
        assert vgg() == AtHand(
            True,
            listed=3,
            present=2,
            size=20,
            missing=f"media: 1 of 3 clips are missing, the first {B}_000030 (no video file named {B}_000030 (mp4, mkv, "
            "webm)); download the 10 s clips from YouTube by id and start second into it.",
        )
    assert caplog.messages == []
    put(f"media/{B}_30.mp4")
    assert vgg() == AtHand(True, 3, 3, 30, "")


@pytest.mark.usefixtures("place")
def test_a_wrong_list_is_told_and_nothing_is_counted() -> None:
    Path("vggsound.csv").write_text(f"{A},one,dog,train\n")
    there = vgg()
    assert there.lists and there.listed == 0 and there.missing.startswith("vggsound.csv, row 1: ")


@pytest.mark.usefixtures("place")
def test_pictures_in_folders_and_videos_are_weighed() -> None:
    for name, clips in (("train", "1001_DFA_ANG_XX,ANG\n1001_DFA_SAD_XX,SAD\n"), ("test", "1002_DFA_HAP_XX,HAP\n")):
        put(f"lists/{name}.csv")
        Path(f"lists/{name}.csv").write_text(clips)
    put(*(f"media/Image-01-FPS/1001_DFA_ANG_XX/{number:05d}.jpg" for number in (0, 30, 60)), size=7)
    put(
        "media/AudioWAV/1001_DFA_ANG_XX.wav",
        "media/AudioWAV/1001_DFA_SAD_XX.wav",
        "media/VideoFlash/1002_DFA_HAP_XX.flv",
    )
    there = counted("cremad", lists_dir="lists", media_root="media")
    assert (there.listed, there.present, there.size) == (3, 1, 3 * 7 + 10)
    assert "2 of 3 clips are missing, the first 1001_DFA_SAD_XX" in there.missing and "git lfs pull" in there.missing


@pytest.mark.usefixtures("place")
def test_arrays_of_all_clips_are_weighed_once() -> None:
    Path("lists").mkdir()
    Path("lists/Annotations.txt").write_text(f"Bark&{A}&good&2&5\nTruck&{B}&good&0&10\nBark&{C}&good&0&1\n")
    for split, order in {"train": [0], "val": [1], "test": [2]}.items():
        with h5py.File(f"lists/{split}_order.h5", "w") as file:
            file["order"] = np.array(order)
    Path("feats").mkdir()
    for name, shape in (("audio", (3, 10, 128)), ("visual", (3, 10, 7, 7, 512))):
        with h5py.File(f"feats/{name}_feature.h5", "w") as file:
            file.create_dataset("avadataset", shape, np.float32)
    total = sum(path.stat().st_size for path in Path("feats").iterdir())
    assert counted("ave", lists_dir="lists", features_root="feats") == AtHand(True, 3, 3, total, "")
    put(f"media/{B}.mp4")
    there = counted("ave", lists_dir="lists", media_root="media")
    assert (there.listed, there.present, there.size) == (3, 1, 10)
    assert there.missing.endswith("; get the clips that the page of the repository YapengTian/AVE-ECCV18 links.")


@pytest.mark.usefixtures("place")
def test_sound_and_pictures_apart_are_both_needed() -> None:
    clips = {A: {"subset": "training", "label": "x"}, B: {"subset": "testing", "label": "x"}}
    Path("annotation.json").write_text(json.dumps({"labels": ["x"], "database": clips}))
    put(f"video/{A}.h5", f"video/{B}.h5", f"audio/{B}.pkl")
    there = counted("balanced", annotation="annotation.json", media_root=".")
    assert (there.listed, there.present, there.size) == (2, 1, 20) and "no file with the sound" in there.missing


@pytest.mark.usefixtures("place")
def test_lists_that_leave_missing_clips_out_count_them_all_the_same() -> None:
    Path("lists").mkdir()
    names = [f"{number:_>11}" for number in range(24)]
    labels = ("/t/dd00128", "/t/dd00129")
    rows = [f'{name}, 30.000, 40.000, "{labels[number % 2]}"\n' for number, name in enumerate(names)]
    for place, name in enumerate(audioset.AudioSetOptions.model_fields["lists"].default):
        Path("lists", name).write_text("".join(rows[place::3]))
    shown = "".join(f'{place},{label},"{name}"\n' for place, (label, name) in enumerate(NAMES.items()))
    Path("lists", "class_labels_indices.csv").write_text("index,mid,display_name\n" + shown)
    put(*(f"media/{name}_30.mp4" for name in names[:12]))
    there = counted("audioset", lists_dir="lists", media_root="media")
    assert (there.listed, there.present, there.size) == (24, 12, 120)
    assert there.missing.startswith("media: 12 of 24 clips are missing; cut the clips out of the YouTube videos")


@pytest.mark.usefixtures("place")
def test_records_of_sound_alone_are_weighed_by_their_files(monkeypatch: pytest.MonkeyPatch) -> None:
    put("bal_train/00.tfrecord", "bal_train/01.tfrecord")
    paths = ["bal_train/00.tfrecord#0", "bal_train/00.tfrecord#1310", "bal_train/01.tfrecord#0"]
    frame = pd.DataFrame({"id": list("abc"), "audio": paths, "visual": None, "status": "ok", "reason": ""})
    made = Manifest(frame, {"media_root": ".", "left_out": {"missing": 2}})
    monkeypatch.setattr(audioset.AudioSetOptions, "FEATURES_FROM", "unpack the archive")
    monkeypatch.setattr(audioset.AudioSetOptions, "list_files", lambda self: [])
    monkeypatch.setattr(audioset.AudioSetOptions, "build", lambda self, name, spec, out: made)
    there = counted("audioset", lists_dir="lists", features_root=".", lists=["balanced_train_segments.csv"])
    assert (there.listed, there.present, there.size) == (5, 3, 20)
    assert there.missing == ".: 2 of 5 clips are missing; unpack the archive."


def test_only_what_is_fetched_is_counted() -> None:
    fetched = ("kinetics-sounds", "vggsound", "balanced", "cremad", "ave", "audioset")
    assert all(is_fetched({"kind": kind}) for kind in fetched)
    assert not is_fetched({"kind": "synthetic"}) and not is_fetched({"kind": "folder"})
