"""AVE (Tian et al. 2018): 4,143 records of one event each, joined with the released features or downloaded clips.

A record is a line of Annotations.txt and a row of the feature arrays; its event is heard and seen on the same seconds.
The last class, Background, is the label of seconds without event and never of a record; it is the label of the videos
of the released noisy part, which the authors' weakly supervised training adds, and which have no event.

Decision: the labels of seconds are built from Annotations.txt; the files of labels that other repositories distribute
are not needed. A YouTube id is no key: 45 ids have several records.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from avbalance.data import PARTS, SEGMENTS
from avbalance.data.annotations import ListLine, Oddity, read_lines, refuse_empty_intervals, tell_oddities
from avbalance.data.sources.base import FeatureOrMediaSource, Listing, Row
from avbalance.data.sources.common import missing_columns, video_columns, videos_by_name
from avbalance.declared import refusal
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

_INDEX = {name: index for index, name in enumerate(CLASSES[:BACKGROUND])}
_NO_EVENT = "Background"  # name of the last class in manifests
_ANNOTATIONS = "Annotations.txt"
_ORDERS = {split: f"{split}_order.h5" for split in PARTS}
_FEATURES = {"audio": "audio_feature.h5", "visual": "visual_feature.h5"}
_NOISY_FEATURES = {"audio": "audio_feature_noisy.h5", "visual": "visual_feature_noisy.h5"}
_NOISY_LABELS = "labels_noisy.h5"
_KNOWN_EMPTY = ("VWi2ENBuTbw",)  # the one record of the published file whose event has no second
_SOURCE = "the repository YapengTian/AVE-ECCV18"
_LISTS = f"{_SOURCE} (data)"


class AVEOptions(FeatureOrMediaSource):
    """Options of kind ave; lists_dir holds Annotations.txt and the three orders, features_root the two .h5 files."""

    LISTS_FROM = _LISTS
    FEATURES_FROM = f"get the features that the page of {_SOURCE} links"
    MEDIA_FROM = f"get the clips that the page of {_SOURCE} links"

    labelled: Literal["seconds", "clips"] = "seconds"
    """every second, or clips: one label each, without background"""
    noisy: bool = False
    """add the released noisy part, 178 videos without event, to the training part"""

    @model_validator(mode="after")
    def _noisy_seconds(self) -> Self:
        if self.noisy and (self.labelled != "seconds" or not self.features_root):
            raise refusal("noisy needs features_root and labelled: seconds; set it to false")
        return self

    def list_files(self) -> Sequence[Path]:
        names = (_ANNOTATIONS, *_ORDERS.values(), *([_NOISY_LABELS] if self.noisy else []))
        return [Path(self.lists_dir) / name for name in names]

    def missing(self) -> str | None:
        told = super().missing()
        if told or self.allow_missing or self.root == "media_root":
            return told
        names = [*_FEATURES.values(), *(_NOISY_FEATURES.values() if self.noisy else [])]
        absent = [self.folder / name for name in names if not (self.folder / name).is_file()]
        return f"{absent[0]}: no such file; {self.media_from()}." if absent else None

    def listing(self) -> Listing:
        """Records are listed train, val, test, in the order of their lines.

        Labelled by "clips", a record is one sample of its event's class: no seconds, no Background, and of the records
        of a video in one part the last counts, as in the public loaders of clip classification; `left_out` in the card
        counts the others. With `noisy` the videos of the noisy part follow in the training part, named noisy_<row of
        its arrays>.

        A record's id is its line's number from 0 and the YouTube id, the group the latter. The card's `oddities` counts
        the odd rows by kind; videos of which records are in two splits are among them, as the published parts are
        disjoint in records only. Raises UserError for malformed rows, a record in two splits, and an onset that is not
        before its offset in any but the published record.
        """
        lists, by_clip = Path(self.lists_dir), self.labelled == "clips"
        annotations = read_annotations(lists / _ANNOTATIONS)
        refuse_empty_intervals(
            odd for odd in annotations.oddities if annotations.ids[odd.row - annotations.first_row] not in _KNOWN_EMPTY
        )
        orders = read_orders(lists, len(annotations.ids))
        files = self._files(annotations)
        rows = []
        for split, order in orders.items():
            records = sorted(order.tolist())
            if by_clip:  # the last of each video
                records = sorted({annotations.ids[record]: record for record in records}.values())
            rows += [{**_labels(annotations, each, by_clip), "split": split, **files[each]} for each in records]
        card: dict[str, Any] = {}
        if by_clip:
            card["left_out"] = {"earlier records of a video": len(annotations.ids) - len(rows)}
        if self.noisy:
            rows += _noisy_rows(lists / _NOISY_LABELS, self.folder)
        card["oddities"] = tell_oddities([*annotations.oddities, *videos_in_two_splits(annotations, orders)])
        classes = CLASSES[:-1] if by_clip else (*CLASSES[:-1], _NO_EVENT)
        return Listing(rows, classes, str(lists / _ANNOTATIONS), card)

    def _files(self, annotations: Annotations) -> list[Row]:
        """Manifest columns of every record's files."""
        if self.root == "features_root":
            return _feature_columns(self.folder, _FEATURES, len(annotations.ids), str(annotations.path))
        clips = videos_by_name(self.folder)
        return [video_columns(clips.get(video), self, f"{video} (mp4, mkv, webm)") for video in annotations.ids]


OPTIONS = AVEOptions


def _labels(annotations: Annotations, record: int, by_clip: bool) -> Row:
    label, video = CLASSES[annotations.events[record]], annotations.ids[record]
    columns = {"id": f"{record:04d}_{video}", "group": video, "label": label}
    if by_clip:
        return columns
    seconds = np.flatnonzero(annotations.segments[record] == annotations.events[record])
    events = json.dumps([[label, int(seconds[0]), int(seconds[-1]) + 1]] if len(seconds) else [])
    return {**columns, "labels": json.dumps([label]), "events_audio": events, "events_visual": events}


def _noisy_rows(labels_path: Path, features: Path) -> list[Row]:
    """A training row for each video of the noisy part; raises UserError unless all its labels are the background."""
    labels = _read_array(labels_path, np.asarray)
    wanted = np.eye(len(CLASSES))[BACKGROUND]
    if labels.ndim != 2 or labels.shape[1:] != wanted.shape or not (labels == wanted).all():
        raise UserError(
            f"{labels_path}: holds {labels.shape} with other labels than background; take it again from {_SOURCE}."
        )
    names = [f"noisy_{row:04d}" for row in range(len(labels))]
    none = {"label": _NO_EVENT, "labels": json.dumps([_NO_EVENT]), "events_audio": "[]", "events_visual": "[]"}
    files = _feature_columns(features, _NOISY_FEATURES, len(names), str(labels_path))
    return [
        {"id": name, "group": name, "split": "train", **none, **columns}
        for name, columns in zip(names, files, strict=True)
    ]


def _feature_columns(folder: Path, names: Mapping[str, str], records: int, listed_in: str) -> list[Row]:
    """Manifest columns of `records` rows of released features; raises UserError for a file with another number."""
    absent = [name for name in names.values() if not (folder / name).is_file()]
    if absent:
        return [missing_columns(f"no feature file {' and '.join(absent)} in {folder}") for _ in range(records)]
    for name in names.values():
        shape = _read_array(folder / name, lambda data: data.shape)
        if shape[0] != records:
            raise UserError(
                f"{folder / name}: holds {shape[0]} rows {shape}, {listed_in} has {records} records; take both "
                f"from {_SOURCE}."
            )
    return [{modality: f"{name}#{record}" for modality, name in names.items()} for record in range(records)]


def _read_array(path: Path, read: Callable[[Any], Any], name: str = "avadataset") -> Any:
    """What `read` makes of the array of a published file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return read(file[name])
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: no readable dataset {name} ({error}); take it from {_SOURCE}.") from error


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
        raise UserError(f"{path}, row {first_row}: no record follows the header; take the file again from {_LISTS}.")
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
            f"from {_LISTS}."
        )
    category = line.cells[0]
    if category not in _INDEX:
        raise line.error(f"unknown class {category!r}; write one of the 28, such as {CLASSES[0]!r}.")
    return category, line.second(3, "onset", SEGMENTS), line.second(4, "offset", SEGMENTS)


def read_orders(folder: str | Path, records: int) -> dict[str, NDArray[np.int64]]:
    """Part -> record indices (n,), from train_order.h5, val_order.h5 and test_order.h5 in `folder`.

    Raises UserError unless the three together name each of the `records` records once.
    """
    files = {split: Path(folder) / name for split, name in _ORDERS.items()}
    orders = {
        split: np.asarray(_read_array(file, np.asarray, "order"), dtype=np.int64).reshape(-1)
        for split, file in files.items()
    }
    taken: dict[int, str] = {}
    for split, order in orders.items():
        for entry, record in enumerate(order.tolist(), start=1):
            where = f"{files[split]}, entry {entry}"
            if not 0 <= record < records:
                raise UserError(f"{where}: no record {record} among {records} (from 0); take it again from {_LISTS}.")
            if record in taken:
                raise UserError(f"{where}: record {record} is {taken[record]} already; take it again from {_LISTS}.")
            taken[record] = where
    if len(taken) < records:
        raise UserError(f"{folder}: the orders name {len(taken)} of {records} records; take them from {_LISTS}.")
    return orders


def videos_in_two_splits(annotations: Annotations, orders: Mapping[str, NDArray[np.int64]]) -> tuple[Oddity, ...]:
    """Records of val and test whose video, by YouTube id, an earlier part has a record of as well.

    The published parts are disjoint in records, not in videos.
    """
    first: dict[str, str] = {}
    oddities = []
    for split in PARTS:
        for record in sorted(orders[split].tolist()):
            video = annotations.ids[record]
            other = first.setdefault(video, split)
            if other != split:
                row = annotations.first_row + record
                what = f"{video}: this record is in {split}, another one of the same video in {other}"
                oddities.append(Oddity(str(annotations.path), row, "video in two splits", what))
    return tuple(oddities)
