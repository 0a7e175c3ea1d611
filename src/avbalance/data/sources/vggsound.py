"""VGG-Sound: the official list joined with whatever clips the user could download (Chen et al. 2020)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources.common import (
    card_for,
    index_youtube_clips,
    media_root_entry,
    read_options,
    refuse_if_nothing_found,
    required,
    video_columns,
    youtube_clip,
)
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest

DEFAULTS: dict[str, Any] = {
    "list": required(),
    "media_root": required(),
    "classes": 309,
    "allow_missing": False,
    "checksums": False,
}
MEDIA_SOURCES = {"media_root": "download the 10 s clips from YouTube by id and start second into it"}


def preflight(spec: Mapping[str, Any]) -> str | None:
    """Say that the list or the clips are missing and where to get them; None when both are there."""
    options = read_options(spec, DEFAULTS)
    path, media = Path(options["list"]), Path(options["media_root"])
    if not path.is_file():
        return f"{path}: no such file; take vggsound.csv from the repository hche11/VGGSound (folder data)."
    if not options["allow_missing"] and not media.is_dir():
        return (
            f"{media}: no such folder; {MEDIA_SOURCES['media_root']}, or set the option allow_missing to plan "
            "without them."
        )
    return None


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that list the clips: vggsound.csv."""
    return [str(read_options(spec, DEFAULTS)["list"])]


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """Join list and media; clips without a file get the status "missing".

    Classes are ordered by code point and spelt as in the list, mistakes included. Raises UserError, naming
    file, row and fix, on malformed rows and when the number of classes is not the expected one.

    Deviation: the authors' loader numbers classes by first appearance; the order matters only to foreign
    checkpoints.
    """
    from avbalance.data.manifest import make_manifest

    problem = preflight(spec)
    if problem is not None:
        raise UserError(problem)
    options = read_options(spec, DEFAULTS)
    path, media = Path(options["list"]), Path(options["media_root"])
    index = index_youtube_clips(media)
    rows = []
    for video, start, label, split in _read_list(path):
        clip_id = f"{video}_{start:06d}"
        found = video_columns(index.get((video, start)), media, options["checksums"], f"{clip_id} (mp4, mkv, webm)")
        rows.append({"id": clip_id, "label": label, "split": split, "group": video, **found})
    classes = sorted({row["label"] for row in rows})
    if len(classes) != options["classes"]:
        raise UserError(
            f"{path}: {len(classes)} class names where {options['classes']} are expected; "
            "fetch the whole list again or set the option classes."
        )
    refuse_if_nothing_found(rows, media, options["allow_missing"])
    card = card_for(name, spec, classes, media_root_entry(options["media_root"], out_dir))
    return make_manifest(rows, card, str(path))


def _read_list(path: Path) -> Iterator[tuple[str, int, str, str]]:
    """Rows (YouTube id, start second, class name, split) of the list."""
    with open(path, encoding="utf-8", newline="") as handle:
        for number, cells in enumerate(csv.reader(handle), start=1):
            key = youtube_clip(f"{cells[0]}_{cells[1]}") if len(cells) == 4 else None
            if key is None or not cells[2] or cells[3] not in ("train", "test"):
                raise UserError(
                    f"{path}, row {number}: {','.join(cells)!r} is not <YouTube id>,<start second>,<class>,"
                    "<train or test>; put names with a comma in quotes or fetch the file again."
                )
            yield *key, cells[2], cells[3]
