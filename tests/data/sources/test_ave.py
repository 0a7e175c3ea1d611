"""AVE: annotations and orders, made up and real, joined with features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from real_data import real

from avbalance.data import sources
from avbalance.data.sources.ave import BACKGROUND, CLASSES, read_annotations, read_orders, videos_in_two_splits
from avbalance.errors import UserError
from flowkeeper.files import sha256_file

A, B, C = "-_aaaaaaaaa", "bbbbbb_bbbb", "cccccccccc-"
HEADER = "Category&VideoID&Quality&StartTime&EndTime\n"
LINES = f"Church bell&{A}&good&0&10\nMale speech, man speaking&{B}&good&3&9\nFrying (food)&{C}&good&0&0\n"


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _orders(folder: Path, **orders: list[int]) -> Path:
    for split, order in orders.items():
        with h5py.File(folder / f"{split}_order.h5", "w") as file:
            file["order"] = np.array(order)
    return folder


@pytest.mark.parametrize("header", ["", HEADER])
def test_segments_are_of_the_event_or_background(tmp_path: Path, header: str) -> None:
    read = read_annotations(_write(tmp_path / "Annotations.txt", header + LINES))
    assert BACKGROUND == 28 and len(CLASSES) == 29 and read.ids == (A, B, C)
    assert read.events.tolist() == [0, 1, 10]
    assert read.segments.tolist() == [[0] * 10, [28] * 3 + [1] * 6 + [28], [28] * 10]
    row = 4 if header else 3
    assert [(odd.row, odd.kind) for odd in read.oddities] == [(row, "empty interval")] and read.first_row == row - 2


def test_an_exact_duplicate_is_odd_and_another_event_of_the_video_is_not(tmp_path: Path) -> None:
    text = f"Bark&{A}&good&0&3\nTruck&{A}&good&0&3\nBark&{A}&good&0&3\n"
    oddities = read_annotations(_write(tmp_path / "a.txt", text)).oddities
    assert [(odd.row, odd.kind) for odd in oddities] == [(3, "duplicate")] and "row 1" in oddities[0].what


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"bark&{A}&good&0&3", "unknown class 'bark'; write one of the 28"),
        (f"background&{A}&good&0&3", "unknown class 'background'"),
        (f"Bark&{A}&good&0", "is not <category>&<YouTube id>"),
        ("Bark&short&good&0&3", "is not <category>&<YouTube id>"),
        (f"Bark&{A}&good&0&11", r"offset '11' is not a whole second in 0\.\.10"),
    ],
)
def test_a_bad_record_is_named(tmp_path: Path, row: str, message: str) -> None:
    path = _write(tmp_path / "a.txt", f"{HEADER}{LINES}{row}\n")
    with pytest.raises(UserError, match=rf"a\.txt, row 5: .*{message}"):
        read_annotations(path)


def test_a_header_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.txt, row 2: no record follows"):
        read_annotations(_write(tmp_path / "a.txt", HEADER))


def test_orders_cover_every_record_once(tmp_path: Path) -> None:
    orders = read_orders(_orders(tmp_path, train=[3, 0], val=[2], test=[1]), 4)
    assert {split: order.tolist() for split, order in orders.items()} == {"train": [3, 0], "val": [2], "test": [1]}
    with pytest.raises(UserError, match="name 4 of 5 records"):
        read_orders(tmp_path, 5)
    with pytest.raises(UserError, match=r"train_order\.h5, entry 1: no record 3 among 3"):
        read_orders(tmp_path, 3)
    _orders(tmp_path, test=[2])
    with pytest.raises(UserError, match=r"test_order\.h5, entry 1: record 2 is .*val_order\.h5, entry 1 already"):
        read_orders(tmp_path, 4)
    (tmp_path / "val_order.h5").write_bytes(b"no HDF5")
    with pytest.raises(UserError, match=r"val_order\.h5: no readable dataset order .* take it from .*AVE-ECCV18"):
        read_orders(tmp_path, 4)


def test_a_video_with_records_in_two_parts_is_named(tmp_path: Path) -> None:
    text = f"{HEADER}Bark&{A}&good&0&3\nTruck&{A}&good&3&5\nBark&{B}&good&0&3\nTruck&{A}&good&6&9\nBark&{C}&good&0&3\n"
    read = read_annotations(_write(tmp_path / "a.txt", text))
    orders = read_orders(_orders(tmp_path, train=[0, 1], val=[2], test=[3, 4]), 5)
    oddities = videos_in_two_splits(read, orders)
    assert [(odd.row, odd.kind) for odd in oddities] == [(5, "video in two splits")]
    assert A in oddities[0].what and "test" in oddities[0].what and "train" in oddities[0].what


# Joined with features

IDS = ("-_aaaaaaaaa", "bbbbbb_bbbb", "cccccccccc-", "bbbbbb_bbbb")
EVENTS = ("Bark&{}&good&2&5", "Truck&{}&good&0&10", "Church bell&{}&good&9&10", "Bark&{}&good&0&1")


def _ave(root: Path, **options: Any) -> dict[str, Any]:
    where: dict[str, Any] = {"lists_dir": str(root / "lists")}
    if "media_root" not in options:
        where["features_root"] = str(root / "feats")
    return {"kind": "ave", "describe": "toy", "options": {**where, **options}}


def _ave_files(root: Path, lines: tuple[str, ...] = EVENTS, rows: int = 4, **orders: list[int]) -> None:
    for name in ("lists", "feats"):
        (root / name).mkdir()
    text = "".join(line.format(video) + "\n" for line, video in zip(lines, IDS, strict=True))
    (root / "lists" / "Annotations.txt").write_text(text)
    for split, order in {"train": [3, 0], "val": [2], "test": [1], **orders}.items():
        with h5py.File(root / "lists" / f"{split}_order.h5", "w") as file:
            file["order"] = np.array(order)
    for name, shape in (("audio", (rows, 10, 128)), ("visual", (rows, 10, 7, 7, 512))):
        with h5py.File(root / "feats" / f"{name}_feature.h5", "w") as file:
            file.create_dataset("avadataset", shape, np.float32)


def test_ave_records_are_rows_of_the_feature_files(tmp_path: Path) -> None:
    _ave_files(tmp_path)
    manifest = sources.build("ave", _ave(tmp_path), tmp_path / "out")
    rows = list(manifest.frame.itertuples())
    assert [row.id for row in rows] == ["0000_-_aaaaaaaaa", "0003_bbbbbb_bbbb", "0002_cccccccccc-", "0001_bbbbbb_bbbb"]
    assert [row.split for row in rows] == ["train", "train", "val", "test"]
    assert (rows[1].audio, rows[1].visual) == ("audio_feature.h5#3", "visual_feature.h5#3")
    assert (rows[0].label, json.loads(rows[0].labels)) == ("Bark", ["Bark"])
    assert json.loads(rows[0].events_audio) == json.loads(rows[0].events_visual) == [["Bark", 2, 5]]
    assert len(manifest.classes) == 29 and manifest.classes[-1] == "Background"
    assert manifest.card["oddities"] == {"video in two splits": 1}


def test_ave_as_clips_has_one_label_a_video_and_no_background(tmp_path: Path) -> None:
    _ave_files(tmp_path, train=[0, 1, 3], test=[])
    manifest = sources.build("ave-clips", _ave(tmp_path, labelled="clips"), tmp_path / "out")
    assert manifest.frame["id"].tolist() == ["0000_-_aaaaaaaaa", "0003_bbbbbb_bbbb", "0002_cccccccccc-"]  # not record 1
    assert manifest.card["left_out"] == {"earlier records of a video": 1}
    assert len(manifest.classes) == 28 and "Background" not in manifest.classes
    assert not {"labels", "events_audio", "events_visual"} & set(manifest.frame)
    with pytest.raises(UserError, match="labelled: is 'videos'; use 'seconds' or 'clips'"):
        sources.read_source(_ave(tmp_path, labelled="videos")).missing()


def test_ave_files_that_are_absent_or_of_another_length_are_named(tmp_path: Path) -> None:
    assert "Annotations.txt: no such file" in str(sources.read_source(_ave(tmp_path)).missing())
    _ave_files(tmp_path, rows=3)
    with pytest.raises(UserError, match=r"audio_feature\.h5: holds 3 rows \(3, 10, 128\), .* has 4 records"):
        sources.build("ave", _ave(tmp_path), tmp_path / "out")
    (tmp_path / "feats" / "visual_feature.h5").unlink()
    assert "visual_feature.h5: no such file" in str(sources.read_source(_ave(tmp_path)).missing())
    frame = sources.build("ave", _ave(tmp_path, allow_missing=True), tmp_path / "out").frame
    assert (frame["status"] == "missing").all() and "no feature file visual_feature.h5" in frame["reason"].iloc[0]


def _noisy_files(root: Path, labels: np.ndarray, rows: int) -> None:
    with h5py.File(root / "lists" / "labels_noisy.h5", "w") as file:
        file["avadataset"] = labels
    for name, shape in (("audio", (rows, 10, 128)), ("visual", (rows, 10, 7, 7, 512))):
        with h5py.File(root / "feats" / f"{name}_feature_noisy.h5", "w") as file:
            file.create_dataset("avadataset", shape, np.float32)


def test_the_noisy_part_of_ave_is_training_without_event(tmp_path: Path) -> None:
    _ave_files(tmp_path)
    background = np.eye(29)[[28, 28]]
    noisy = sources.read_source(_ave(tmp_path, noisy=True))
    assert "labels_noisy.h5: no such file" in str(noisy.missing())
    _noisy_files(tmp_path, background, 2)
    last = sources.build("ave", _ave(tmp_path, noisy=True), tmp_path / "out").frame.iloc[-1]
    assert (last["id"], last["split"], last["label"]) == ("noisy_0001", "train", "Background")
    assert (last["audio"], last["visual"]) == ("audio_feature_noisy.h5#1", "visual_feature_noisy.h5#1")
    assert last["events_audio"] == last["events_visual"] == "[]"
    _noisy_files(tmp_path, background, 3)
    with pytest.raises(UserError, match=r"audio_feature_noisy\.h5: holds 3 rows .*labels_noisy\.h5 has 2 records"):
        sources.build("ave", _ave(tmp_path, noisy=True), tmp_path / "out")
    _noisy_files(tmp_path, np.eye(29)[[28, 3]], 2)
    with pytest.raises(UserError, match=r"labels_noisy\.h5: .* other labels than background"):
        sources.build("ave", _ave(tmp_path, noisy=True), tmp_path / "out")
    (tmp_path / "feats" / "visual_feature_noisy.h5").unlink()
    assert "visual_feature_noisy.h5: no such file; get the features" in str(noisy.missing())
    with pytest.raises(UserError, match="options: noisy needs features_root"):
        sources.read_source(_ave(tmp_path, noisy=True, labelled="clips")).missing()


def test_an_ave_event_without_a_second_is_refused(tmp_path: Path) -> None:
    _ave_files(tmp_path, ("Bark&{}&good&5&2", *EVENTS[1:]))
    with pytest.raises(UserError, match=r"Annotations\.txt, row 1: the onset is not before the offset \(-_a"):
        sources.build("ave", _ave(tmp_path), tmp_path / "out")


def test_the_known_record_without_a_second_of_event_stays(tmp_path: Path) -> None:
    _ave_files(tmp_path, ("Bark&{}&good&0&0", *EVENTS[1:]))
    text = (tmp_path / "lists" / "Annotations.txt").read_text()
    (tmp_path / "lists" / "Annotations.txt").write_text(text.replace(IDS[0], "VWi2ENBuTbw"))
    manifest = sources.build("ave", _ave(tmp_path), tmp_path / "out")
    assert manifest.card["oddities"] == {"empty interval": 1, "video in two splits": 1}
    assert manifest.frame["events_audio"].iloc[0] == "[]" and manifest.frame["label"].iloc[0] == "Bark"


# The real files

COUNTS = [188, 176, 171, 184, 188, 175, 178, 187, 172, 163, 182, 138, 102, 99, 186, 176, 160, 183, 100, 83, 69, 160]
COUNTS += [60, 64, 180, 109, 154, 156]


def test_the_real_annotations() -> None:
    path = real("ave", "Annotations.txt")
    folder = path.parent
    assert sha256_file(path) == "0d24a9ec5cd4ceb779ebd83d74e83ec8e55c5e468cede3f320fb57346c9dd321"
    read = read_annotations(path)
    assert list(dict.fromkeys(CLASSES[event] for event in read.events)) == list(CLASSES[:BACKGROUND])
    assert np.bincount(read.events).tolist() == COUNTS and len(read.ids) == sum(COUNTS) == 4143
    assert len(set(read.ids)) == 4097 and (read.segments != BACKGROUND).all(axis=1).sum() == 2750
    assert [(odd.row, odd.kind) for odd in read.oddities] == [(27, "empty interval")]
    orders = read_orders(folder, 4143)
    assert {split: len(order) for split, order in orders.items()} == {"train": 3339, "val": 402, "test": 402}
    assert (read.segments[orders["test"]] == BACKGROUND).sum() == 715  # 17.8 % of 4,020
    assert len(videos_in_two_splits(read, orders)) == 18
