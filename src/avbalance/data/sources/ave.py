"""AVE (Tian et al. 2018): 4,143 records of one event each, joined with the released features or downloaded clips.

A record is a line of Annotations.txt and a row of the feature arrays; its event is heard and seen on the same seconds.
The last class, Background, is the label of seconds without event and never of a record; it is the label of the videos
of the released noisy part, which the authors' weakly supervised training adds, and which have no event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import model_validator

from avbalance.data.sources.annotated import refuse_empty_intervals, tell_oddities
from avbalance.data.sources.base import FeatureOrMediaSource, Listing, Row
from avbalance.data.sources.common import missing_columns, video_columns, videos_by_name
from avbalance.declared import refusal
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.ave import Annotations

BACKGROUND = "Background"
_ANNOTATIONS = "Annotations.txt"
_ORDERS = ("train_order.h5", "val_order.h5", "test_order.h5")
_FEATURES = {"audio": "audio_feature.h5", "visual": "visual_feature.h5"}
_NOISY_FEATURES = {"audio": "audio_feature_noisy.h5", "visual": "visual_feature_noisy.h5"}
_NOISY_LABELS = "labels_noisy.h5"
_DATASET = "avadataset"
_KNOWN_EMPTY = ("VWi2ENBuTbw",)  # the one record of the published file whose event has no second
_SOURCE = "the repository YapengTian/AVE-ECCV18"


class AVEOptions(FeatureOrMediaSource):
    """Options of kind ave; lists_dir holds Annotations.txt and the three orders, features_root the two .h5 files."""

    LISTS_FROM = f"{_SOURCE} (data)"
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
        names = (_ANNOTATIONS, *_ORDERS, *([_NOISY_LABELS] if self.noisy else []))
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
        from avbalance.data.ave import CLASSES, read_annotations, read_orders, videos_in_two_splits

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
        classes = CLASSES[:-1] if by_clip else (*CLASSES[:-1], BACKGROUND)
        return Listing(rows, classes, str(lists / _ANNOTATIONS), card)

    def _files(self, annotations: Annotations) -> list[Row]:
        """Manifest columns of every record's files."""
        if self.root == "features_root":
            return _feature_columns(self.folder, _FEATURES, len(annotations.ids), str(annotations.path))
        clips = videos_by_name(self.folder)
        return [video_columns(clips.get(video), self, f"{video} (mp4, mkv, webm)") for video in annotations.ids]


OPTIONS = AVEOptions


def _labels(annotations: Annotations, record: int, by_clip: bool) -> Row:
    import numpy as np

    from avbalance.data.ave import CLASSES

    label, video = CLASSES[annotations.events[record]], annotations.ids[record]
    columns = {"id": f"{record:04d}_{video}", "group": video, "label": label}
    if by_clip:
        return columns
    seconds = np.flatnonzero(annotations.segments[record] == annotations.events[record])
    events = json.dumps([[label, int(seconds[0]), int(seconds[-1]) + 1]] if len(seconds) else [])
    return {**columns, "labels": json.dumps([label]), "events_audio": events, "events_visual": events}


def _noisy_rows(labels_path: Path, features: Path) -> list[Row]:
    """A training row for each video of the noisy part; raises UserError unless all its labels are the background."""
    import numpy as np

    from avbalance.data.ave import CLASSES

    labels = _read_array(labels_path, lambda data: np.asarray(data))
    wanted = np.eye(len(CLASSES))[CLASSES.index("background")]
    if labels.ndim != 2 or labels.shape[1:] != wanted.shape or not (labels == wanted).all():
        raise UserError(
            f"{labels_path}: holds {labels.shape} with other labels than background; take it again from {_SOURCE}."
        )
    names = [f"noisy_{row:04d}" for row in range(len(labels))]
    none = {"label": BACKGROUND, "labels": json.dumps([BACKGROUND]), "events_audio": "[]", "events_visual": "[]"}
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


def _read_array(path: Path, read: Callable[[Any], Any]) -> Any:
    """What `read` makes of the array of a released file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return read(file[_DATASET])
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: no readable dataset {_DATASET} ({error}); take the file again.") from error
