"""Kinetics-Sounds: the public split lists joined with whatever clips of Kinetics (Kay et al. 2017) the user has.

The lists are those of the OGM-GE code (my_train.txt, my_test.txt) and of its authors' later code
(KS_train_val.json, which adds the class names and the validation part): 31 classes, against 34 in
Arandjelovic and Zisserman 2017.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from avbalance.data.media_files import youtube_clip
from avbalance.data.sources.base import FilePath, Listing, MediaSource
from avbalance.data.sources.common import index_youtube_clips, youtube_columns
from avbalance.declared import Once
from avbalance.errors import UserError
from flowkeeper.files import read_json

_TEXT_LISTS = {"train": "my_train.txt", "test": "my_test.txt"}
_DATABASE = "KS_train_val.json"
_SUBSETS = {"training": "train", "validation": "val", "testing": "test"}


class KineticsSoundsOptions(MediaSource):
    """Options of kind kinetics-sounds."""

    LISTS_FROM = (
        "the repository GeWu-Lab/OGM-GE_CVPR2022 (data/KineticSound: my_train.txt, my_test.txt) or "
        "GeWu-Lab/BML_TPAMI2024 (code/dataset: KS_train_val.json)"
    )
    MEDIA_FROM = (
        "download the clips of Kinetics-400 with the scripts of the CVD Foundation (repository "
        "cvdfoundation/kinetics-dataset) into it"
    )

    lists_dir: FilePath
    """folder of my_train.txt, my_test.txt and KS_train_val.json"""
    classes: Literal[31] | Annotated[Once[str], Field(min_length=2)] = 31
    """31 for all, or the names of those to use"""

    def list_files(self) -> Sequence[Path]:
        return [Path(self.lists_dir) / name for name in (*_TEXT_LISTS.values(), _DATABASE)]

    def listing(self) -> Listing:
        """The ids of the lists differ in form between the parts; here every clip is `<YouTube id>_<start, 6 digits>`.

        Raises UserError for malformed rows, and where the two text lists do not say what the database says.
        """
        lists = Path(self.lists_dir)
        names, database = _read_database(lists / _DATABASE)
        for split, file_name in _TEXT_LISTS.items():
            _check_text_list(lists / file_name, split, names, database)
        wanted = _wanted_classes(self.classes, names)
        index = index_youtube_clips(self.folder)
        rows = [
            {"label": label, "split": split, **youtube_columns(*clip, index, self)}
            for clip, (split, label) in database.items()
            if label in wanted
        ]
        return Listing(rows, wanted, str(lists / _DATABASE))


OPTIONS = KineticsSoundsOptions


def _read_database(path: Path) -> tuple[list[str], dict[tuple[str, int], tuple[str, str]]]:
    """Class names in order, and (YouTube id, start) -> (split, label) in the order train, val, test."""
    content = read_json(path)
    try:
        names, entries = list(content["labels"]), content["database"].items()
    except (TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: lacks 'labels' or 'database'; fetch the file again.") from error
    clips: dict[tuple[str, int], tuple[str, str]] = {}
    for number, (clip_id, entry) in enumerate(entries, start=1):
        key, split, label = youtube_clip(clip_id), _SUBSETS.get(entry.get("subset")), entry.get("label")
        if key is None or split is None or label not in names:
            raise UserError(f"{path}, row {number}: malformed entry {clip_id!r}: {entry}; fetch the file again.")
        if key in clips:
            raise UserError(f"{path}, row {number}: {clip_id!r} is a clip that an earlier row names; remove one.")
        clips[key] = (split, label)
    order = list(_SUBSETS.values())
    return names, dict(sorted(clips.items(), key=lambda item: order.index(item[1][0])))


def _check_text_list(
    path: Path, split: str, names: list[str], database: Mapping[tuple[str, int], tuple[str, str]]
) -> None:
    """Raise UserError unless every row reads id, length, class index, and says what the database says."""
    seen: Counter[tuple[str, int]] = Counter()
    with open(path, encoding="utf-8", newline="") as handle:
        for number, cells in enumerate(csv.reader(handle), start=1):
            key = youtube_clip(cells[0]) if len(cells) == 3 else None
            if key is None or not cells[2].isdigit() or int(cells[2]) >= len(names):
                raise UserError(
                    f"{path}, row {number}: {','.join(cells)!r} is not <clip id>,<seconds>,<class index>; "
                    "fetch the file again."
                )
            if database.get(key) != (split, names[int(cells[2])]):
                raise UserError(
                    f"{path}, row {number}: {cells[0]!r} is not {names[int(cells[2])]!r} in the "
                    f"{split} part of {_DATABASE}; fetch both lists again."
                )
            seen[key] += 1
    listed = sum(part == split for part, _ in database.values())
    if len(seen) != listed or max(seen.values(), default=0) > 1:
        raise UserError(
            f"{path}, row {sum(seen.values())} (the last): {len(seen)} different clips "
            f"where {_DATABASE} has {listed}; "
            "fetch the file again."
        )


def _wanted_classes(option: int | list[str], names: list[str]) -> list[str]:
    if isinstance(option, int):
        if option != len(names):
            raise UserError(
                f"option classes: {option} asked for, but {_DATABASE} has {len(names)}; "
                f"write {len(names)} or list the class names."
            )
        return names
    unknown = [name for name in option if name not in names]
    if unknown:
        raise UserError(f"option classes: {unknown[0]!r} is not in {_DATABASE}; use its names, e.g. {names[0]!r}.")
    return [name for name in names if name in option]
