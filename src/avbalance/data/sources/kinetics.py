"""Kinetics-400 (Kay et al. 2017): its published lists joined with whatever clips the user could download."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from avbalance.data.sources.common import (
    absent_list,
    absent_media,
    card_for,
    index_youtube_clips,
    media_root_entry,
    read_options,
    ready_options,
    refuse_if_nothing_found,
    youtube_clip,
    youtube_columns,
)
from avbalance.data.sources.options import FilePath, MediaOptions
from avbalance.declared import nearest
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest


class KineticsOptions(MediaOptions):
    """Options of kind kinetics."""

    lists: Annotated[list[FilePath], Field(min_length=1)]
    """published lists: columns label, youtube_id, time_start, split"""
    categories: FilePath | None = None
    """table of categories: only clips of its labels; null: all"""


OPTIONS = KineticsOptions
MEDIA_SOURCES = {
    "media_root": "download the clips of these labels with the scripts of the CVD Foundation (repository "
    "cvdfoundation/kinetics-dataset) into it"
}
_COLUMNS = ("label", "youtube_id", "time_start", "split")  # the lists have time_end and is_cc besides
_SPLITS = {"train": "train", "val": "val", "validate": "val", "test": "test"}


def preflight(spec: Mapping[str, Any]) -> str | None:
    """Say which list or folder is missing and where to get it; None when all are there."""
    options = read_options(OPTIONS, spec)
    origin = "Kinetics-400 (train.csv, val.csv, test.csv), which the repository cvdfoundation/kinetics-dataset links to"
    return absent_list(inputs(spec), origin) or absent_media(
        Path(options.media_root), MEDIA_SOURCES["media_root"], options
    )


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that list the clips, and the table of categories where one is named."""
    options = read_options(OPTIONS, spec)
    return [*options.lists, *([options.categories] if options.categories else [])]


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """Join lists and media; clips without a file get the status "missing".

    A clip is `<YouTube id>_<start, 6 digits>`. With the option categories only clips of its table's labels are listed.
    Raises UserError, naming file, row and fix, on malformed rows, unknown labels and a clip that stands twice.
    """
    from avbalance.data.categories import labels_of_categories
    from avbalance.data.manifest import make_manifest

    options, known = ready_options(OPTIONS, spec, preflight), kinetics_labels()
    wanted = labels_of_categories(options.categories, "visual", known) if options.categories else known
    media = Path(options.media_root)
    index = index_youtube_clips(media)
    rows: dict[str, dict[str, Any]] = {}
    for path in map(Path, options.lists):
        for where, (video, start), label, split in _read_list(path):
            if label not in known:
                raise UserError(
                    f"{where}: {label!r} is no class of Kinetics-400{nearest(label, known)}; fetch the list again."
                )
            row = youtube_columns(video, start, index, options)
            if row["id"] in rows:
                raise UserError(f"{where}: {row['id']} is a clip that an earlier row names; remove one.")
            rows[row["id"]] = {"label": label, "split": split, **row}
    listed = [row for row in rows.values() if row["label"] in set(wanted)]
    refuse_if_nothing_found(listed, media, options)
    card = card_for(name, spec, wanted, media_root_entry(options.media_root, out_dir))
    return make_manifest(listed, card, ", ".join(options.lists))


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
