"""AVE (Tian et al. 2018): 4,143 records of one event each, joined with the released features or downloaded clips.

A record is a line of Annotations.txt and a row of the feature arrays; its event is heard and seen on the same seconds.
The last class, Background, is the label of seconds without event and never of a record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources.annotated import (
    chosen_root,
    missing_columns,
    refuse_empty_intervals,
    tell_missing,
    tell_oddities,
)
from avbalance.data.sources.common import (
    VIDEO_SUFFIXES,
    card_for,
    files_below,
    media_root_entry,
    read_options,
    refuse_if_nothing_found,
    required,
    video_columns,
)
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.ave import Annotations
    from avbalance.data.manifest import Manifest

DEFAULTS: dict[str, Any] = {
    "lists_dir": required(),
    "features_root": None,
    "media_root": None,
    "labelled": "seconds",
    "allow_missing": False,
    "checksums": False,
}
LABELLED = ("seconds", "clips")
BACKGROUND = "Background"
_ANNOTATIONS = "Annotations.txt"
_ORDERS = ("train_order.h5", "val_order.h5", "test_order.h5")
_FEATURES = {"audio": "audio_feature.h5", "visual": "visual_feature.h5"}
_DATASET = "avadataset"
_KNOWN_EMPTY = ("VWi2ENBuTbw",)  # the one record of the published file whose event has no second
_SOURCE = "the repository YapengTian/AVE-ECCV18"


def preflight(spec: Mapping[str, Any]) -> str | None:
    """Say which list, feature file or folder is missing and where to get it; None when all are there."""
    options = read_options(spec, DEFAULTS)
    if options["labelled"] not in LABELLED:
        raise UserError(f"data set of kind ave: option 'labelled' must be one of {', '.join(LABELLED)}.")
    for name in inputs(spec):
        if not Path(name).is_file():
            return f"{name}: no such file; take it from {_SOURCE} (data)."
    root = chosen_root(options, "ave")
    if options["allow_missing"]:
        return None
    if not Path(options[root]).is_dir():
        what = "features" if root == "features_root" else "clips"
        return (
            f"{options[root]}: no such folder; get the {what} that the page of {_SOURCE} links, or set allow_missing."
        )
    absent = [path for path in _feature_files(options).values() if not path.is_file()]
    return f"{absent[0]}: no such file; get the features that the page of {_SOURCE} links." if absent else None


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that list the clips: the annotations and the three orders."""
    lists = Path(read_options(spec, DEFAULTS)["lists_dir"])
    return [str(lists / name) for name in (_ANNOTATIONS, *_ORDERS)]


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """Join annotations, orders and files; records are listed train, val, test, in the order of their lines.

    Labelled by "clips", a record is one sample of its event's class: no seconds, no Background, and of the records of a
    video in one part the last counts, as in the public loaders of clip classification; `left_out` in the card counts
    the others.

    A record's id is its line's number from 0 and the YouTube id, the group the latter. The card's `oddities` counts
    the odd rows by kind; videos of which records are in two splits are among them, as the published parts are disjoint
    in records only. Raises UserError, naming file, row and fix, on malformed rows, a record in two splits, and an onset
    that is not before its offset in any but the published record.
    """
    from avbalance.data.ave import CLASSES, read_annotations, read_orders, videos_in_two_splits
    from avbalance.data.manifest import make_manifest

    problem = preflight(spec)
    if problem is not None:
        raise UserError(problem)
    options = read_options(spec, DEFAULTS)
    lists, root = Path(options["lists_dir"]), chosen_root(options, "ave")
    annotations = read_annotations(lists / _ANNOTATIONS)
    refuse_empty_intervals(
        odd for odd in annotations.oddities if annotations.ids[odd.row - annotations.first_row] not in _KNOWN_EMPTY
    )
    orders = read_orders(lists, len(annotations.ids))
    files = _file_columns(annotations, options, root)
    by_clip = options["labelled"] == "clips"
    listed = {split: sorted(order.tolist()) for split, order in orders.items()}
    kept = {split: _last_of_each_video(annotations, order) if by_clip else order for split, order in listed.items()}
    rows = [
        {**_label_columns(annotations, record, by_clip), "split": split, **files[record]}
        for split, order in kept.items()
        for record in order
    ]
    refuse_if_nothing_found(rows, Path(options[root]), options["allow_missing"], root)
    tell_missing(rows, Path(options[root]))
    classes = CLASSES[:-1] if by_clip else (*CLASSES[:-1], BACKGROUND)
    card = card_for(name, spec, classes, media_root_entry(options[root], out_dir))
    if by_clip:
        card["left_out"] = {"earlier records of a video": sum(map(len, listed.values())) - len(rows)}
    card["oddities"] = tell_oddities([*annotations.oddities, *videos_in_two_splits(annotations, orders)])
    return make_manifest(rows, card, str(lists / _ANNOTATIONS))


def _last_of_each_video(annotations: Annotations, records: list[int]) -> list[int]:
    return sorted({annotations.ids[record]: record for record in records}.values())


def _label_columns(annotations: Annotations, record: int, by_clip: bool) -> dict[str, Any]:
    import numpy as np

    from avbalance.data.ave import CLASSES

    label = CLASSES[annotations.events[record]]
    seconds = np.flatnonzero(annotations.segments[record] == annotations.events[record])
    events = json.dumps([[label, int(seconds[0]), int(seconds[-1]) + 1]] if len(seconds) else [])
    video = annotations.ids[record]
    columns = {"id": f"{record:04d}_{video}", "group": video, "label": label}
    seen = {} if by_clip else {"labels": json.dumps([label]), "events_audio": events, "events_visual": events}
    return {**columns, **seen}


def _feature_files(options: Mapping[str, Any]) -> dict[str, Path]:
    """Modality -> file of released features; none when clips are used."""
    root = options["features_root"]
    return {modality: Path(root) / name for modality, name in _FEATURES.items()} if root else {}


def _file_columns(annotations: Annotations, options: Mapping[str, Any], root: str) -> list[dict[str, Any]]:
    """Manifest columns of every record's files."""
    folder = Path(options[root])
    if root == "media_root":
        clips = {Path(path).stem: path for path in reversed(files_below(folder, VIDEO_SUFFIXES))}
        wanted = "(mp4, mkv, webm)"
        return [
            video_columns(clips.get(video), folder, options["checksums"], f"{video} {wanted}")
            for video in annotations.ids
        ]
    absent = [path.name for path in _feature_files(options).values() if not path.is_file()]
    if absent:
        return [missing_columns(f"no feature file {' and '.join(absent)} in {folder}") for _ in annotations.ids]
    for path in _feature_files(options).values():
        _check_length(path, annotations)
    return [
        {modality: f"{name}#{record}" for modality, name in _FEATURES.items()} for record in range(len(annotations.ids))
    ]


def _check_length(path: Path, annotations: Annotations) -> None:
    """Raise UserError unless the file has one row per record."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            shape = file[_DATASET].shape
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: no readable dataset {_DATASET} ({error}); take the file again.") from error
    if shape[0] != len(annotations.ids):
        raise UserError(
            f"{path}: holds {shape[0]} rows {shape}, {annotations.path} has {len(annotations.ids)} records; take both "
            f"from {_SOURCE}."
        )
