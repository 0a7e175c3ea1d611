"""Kinetics-400 (Kay et al. 2017): its published lists joined with whatever clips the user could download."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from avbalance.data.categories import labels_of_categories
from avbalance.data.media_files import youtube_clip
from avbalance.data.sources.base import FilePath, Listing, MediaSource, Row
from avbalance.data.sources.common import index_youtube_clips, youtube_columns
from avbalance.declared import nearest
from avbalance.errors import UserError

_COLUMNS = ("label", "youtube_id", "time_start", "split")  # the lists have time_end and is_cc besides
_SPLITS = {"train": "train", "val": "val", "validate": "val", "test": "test"}


class KineticsOptions(MediaSource):
    """Options of kind kinetics."""

    LISTS_FROM = (
        "Kinetics-400 (train.csv, val.csv, test.csv), which the repository cvdfoundation/kinetics-dataset links to"
    )
    MEDIA_FROM = (
        "download the clips of these labels with the scripts of the CVD Foundation (repository "
        "cvdfoundation/kinetics-dataset) into it"
    )

    lists: Annotated[list[FilePath], Field(min_length=1)]
    """published lists: columns label, youtube_id, time_start, split"""
    categories: FilePath | None = None
    """table of categories: only clips of its labels; null: all"""

    def list_files(self) -> Sequence[str]:
        return self.lists

    def inputs(self) -> Sequence[str]:
        return [*self.lists, *([self.categories] if self.categories else [])]

    def listing(self) -> Listing:
        """Raises UserError for malformed rows, unknown labels and a clip that stands twice."""
        known = kinetics_labels()
        wanted = labels_of_categories(self.categories, "visual", known) if self.categories else known
        index = index_youtube_clips(self.folder)
        rows: dict[str, Row] = {}
        for path in map(Path, self.lists):
            for where, (video, start), label, split in _read_list(path):
                if label not in known:
                    raise UserError(
                        f"{where}: {label!r} is no class of Kinetics-400{nearest(label, known)}; fetch the list again."
                    )
                row = youtube_columns(video, start, index, self)
                if row["id"] in rows:
                    raise UserError(f"{where}: {row['id']} is a clip that an earlier row names; remove one.")
                rows[row["id"]] = {"label": label, "split": split, **row}
        listed = [row for row in rows.values() if row["label"] in set(wanted)]
        return Listing(listed, wanted, ", ".join(self.lists))


OPTIONS = KineticsOptions


def kinetics_labels() -> list[str]:
    """The 400 classes in the order that networks of Kinetics-400 share; torchvision knows them."""
    from torchvision.models.video import R2Plus1D_18_Weights

    return list(R2Plus1D_18_Weights.KINETICS400_V1.meta["categories"])


def _read_list(path: Path) -> Iterator[tuple[str, tuple[str, int], str, str]]:
    """Where a row stands, (YouTube id, start second), label and part of each row; the first row has the columns."""
    with open(path, encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        lacking = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if lacking:
            raise UserError(
                f"{path}: has no column {lacking[0]!r}; a list of Kinetics-400 has {', '.join(_COLUMNS)}. Take the one "
                "that tells the labels."
            )
        for number, row in enumerate(reader, start=2):
            where, start = f"{path}, row {number}", str(row["time_start"])
            key = youtube_clip(f"{row['youtube_id']}_{start}") if start.isdigit() else None
            split = _SPLITS.get(str(row["split"]))
            if key is None or split is None:
                raise UserError(
                    f"{where}: {','.join(map(str, row.values()))!r} has no YouTube id, start second and part; "
                    "fetch the list again."
                )
            yield where, key, str(row["label"]), split
