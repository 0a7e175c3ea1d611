"""AVE, audio-visual event localisation (Tian et al. 2018, YapengTian/AVE-ECCV18): segment labels and the three parts.

Decision: segment labels are built from Annotations.txt, whose line i describes row i of the released feature arrays;
the files of labels that other repositories distribute are not needed. A YouTube id is no key: 45 ids have several
records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avbalance.data.annotations import ListLine, Oddity, read_lines
from avbalance.errors import UserError

CLASSES = (
    "Church bell",
    "Male speech, man speaking",
    "Bark",
    "Fixed-wing aircraft, airplane",
    "Race car, auto racing",
    "Female speech, woman speaking",
    "Helicopter",
    "Violin, fiddle",
    "Flute",
    "Ukulele",
    "Frying (food)",
    "Truck",
    "Shofar",
    "Motorcycle",
    "Acoustic guitar",
    "Train horn",
    "Clock",
    "Banjo",
    "Goat",
    "Baby cry, infant cry",
    "Bus",
    "Chainsaw",
    "Cat",
    "Horse",
    "Toilet flush",
    "Rodents, rats, mice",
    "Accordion",
    "Mandolin",
    "background",
)  # order of the file, as the localisation code has it; the imbalance papers sort by name
BACKGROUND = CLASSES.index("background")
SEGMENTS = 10  # of one second
SPLITS = ("train", "val", "test")

_SOURCE = "the repository YapengTian/AVE-ECCV18 (data)"
_INDEX = {name: index for index, name in enumerate(CLASSES[:BACKGROUND])}


@dataclass(frozen=True)
class Annotations:
    """N records: YouTube ids, class index of the event (N,), that of every segment (N, 10), and the odd rows.

    Record i stands in row `first_row + i` of `path`.
    """

    path: Path
    ids: tuple[str, ...]
    events: NDArray[np.int64]
    segments: NDArray[np.int64]
    oddities: tuple[Oddity, ...]
    first_row: int


def read_annotations(path: str | Path) -> Annotations:
    """Read Annotations.txt: `<category>&<YouTube id>&<quality>&<onset>&<offset>` per line, with or without a header.

    Segments are of the category on [onset, offset), background elsewhere; an empty interval leaves background and is an
    oddity, as is an exact duplicate. Raises UserError, naming file, row and fix, for other malformed rows.
    """
    path = Path(path)
    lines = read_lines(path, "&", _SOURCE)
    first_row = 2 if lines[0].cells[0] == "Category" else 1
    records = lines[first_row - 1 :]
    if not records:
        raise UserError(f"{path}, row {first_row}: no record follows the header; take the file again from {_SOURCE}.")
    ids, events, oddities = [], [], []
    first: dict[tuple[str, ...], int] = {}
    segments = np.full((len(records), SEGMENTS), BACKGROUND, dtype=np.int64)
    for record, line in enumerate(records):
        category, onset, offset = _record(line)
        segments[record, onset:offset] = _INDEX[category]
        ids.append(line.cells[1])
        events.append(_INDEX[category])
        event = f"{line.cells[1]}: {category} from {onset} to {offset}"
        if onset >= offset:
            oddities.append(line.odd("empty interval", f"{event} is empty; all segments are background"))
        if first.setdefault(line.cells, line.number) != line.number:
            oddities.append(line.odd("duplicate", f"{event} stands in row {first[line.cells]} already"))
    return Annotations(path, tuple(ids), np.array(events, dtype=np.int64), segments, tuple(oddities), first_row)


def _record(line: ListLine) -> tuple[str, int, int]:
    """Category, onset and offset of one line."""
    if len(line.cells) != 5 or len(line.cells[1]) != 11:
        raise line.error(
            f"{'&'.join(line.cells)!r} is not <category>&<YouTube id>&<quality>&<onset>&<offset>; take the file again "
            f"from {_SOURCE}."
        )
    category = line.cells[0]
    if category not in _INDEX:
        raise line.error(f"unknown class {category!r}; write one of the 28, such as {CLASSES[0]!r}.")
    return category, line.second(3, "onset", SEGMENTS), line.second(4, "offset", SEGMENTS)


def read_orders(folder: str | Path, records: int) -> dict[str, NDArray[np.int64]]:
    """Part -> record indices (n,), from train_order.h5, val_order.h5 and test_order.h5 in `folder`.

    Raises UserError unless the three together name each of the `records` records once.
    """
    files = {split: Path(folder) / f"{split}_order.h5" for split in SPLITS}
    orders = {split: _read_order(file) for split, file in files.items()}
    taken: dict[int, str] = {}
    for split, order in orders.items():
        for entry, record in enumerate(order.tolist(), start=1):
            where = f"{files[split]}, entry {entry}"
            if not 0 <= record < records:
                raise UserError(f"{where}: no record {record} among {records} (from 0); take it again from {_SOURCE}.")
            if record in taken:
                raise UserError(f"{where}: record {record} is {taken[record]} already; take it again from {_SOURCE}.")
            taken[record] = where
    if len(taken) < records:
        raise UserError(f"{folder}: the orders name {len(taken)} of {records} records; take them from {_SOURCE}.")
    return orders


def _read_order(path: Path) -> NDArray[np.int64]:
    import h5py

    try:
        with h5py.File(path) as file:
            return np.asarray(file["order"], dtype=np.int64).reshape(-1)
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: no readable order ({error}); take it from {_SOURCE}.") from error


def videos_in_two_splits(annotations: Annotations, orders: Mapping[str, NDArray[np.int64]]) -> tuple[Oddity, ...]:
    """Records of val and test whose video, by YouTube id, an earlier part has a record of as well.

    The published parts are disjoint in records, not in videos.
    """
    first: dict[str, str] = {}
    oddities = []
    for split in SPLITS:
        for record in sorted(orders[split].tolist()):
            video = annotations.ids[record]
            other = first.setdefault(video, split)
            if other != split:
                row = annotations.first_row + record
                what = f"{video}: this record is in {split}, another one of the same video in {other}"
                oddities.append(Oddity(str(annotations.path), row, "video in two splits", what))
    return tuple(oddities)
