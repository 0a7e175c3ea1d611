"""AVE's annotations and orders, made up and real."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from avbalance.data.ave import BACKGROUND, CLASSES, read_annotations, read_orders, videos_in_two_splits
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
    with pytest.raises(UserError, match=r"val_order\.h5: no readable order .* take it from .*AVE-ECCV18"):
        read_orders(tmp_path, 4)


def test_a_video_with_records_in_two_parts_is_named(tmp_path: Path) -> None:
    text = f"{HEADER}Bark&{A}&good&0&3\nTruck&{A}&good&3&5\nBark&{B}&good&0&3\nTruck&{A}&good&6&9\nBark&{C}&good&0&3\n"
    read = read_annotations(_write(tmp_path / "a.txt", text))
    orders = read_orders(_orders(tmp_path, train=[0, 1], val=[2], test=[3, 4]), 5)
    oddities = videos_in_two_splits(read, orders)
    assert [(odd.row, odd.kind) for odd in oddities] == [(5, "video in two splits")]
    assert A in oddities[0].what and "test" in oddities[0].what and "train" in oddities[0].what


COUNTS = [188, 176, 171, 184, 188, 175, 178, 187, 172, 163, 182, 138, 102, 99, 186, 176, 160, 183, 100, 83, 69, 160]
COUNTS += [60, 64, 180, 109, 154, 156]


def test_the_real_annotations() -> None:
    real = os.environ.get("AVBALANCE_REAL_DATA")
    if real is None:
        pytest.skip("AVBALANCE_REAL_DATA is not set: the folder that holds ave/ is unknown")
    folder = Path(real) / "ave"
    if not (folder / "Annotations.txt").is_file():
        pytest.skip(f"{folder}: does not hold Annotations.txt and the orders of YapengTian/AVE-ECCV18 (data)")
    path = folder / "Annotations.txt"
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
