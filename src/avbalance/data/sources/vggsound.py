"""VGG-Sound: the official list joined with whatever clips the user could download (Chen et al. 2020).

Test clips may have what people heard and saw in them, by VGGSounder (Zverev et al. 2025; see
`avbalance.data.vggsounder`). Decision: only the clip's own class counts, since the label is what models are scored on.
Clips whose annotators named other classes only have it in neither modality.
"""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest

log = logging.getLogger(__name__)

ALL_CLASSES = 309


class VGGSoundOptions(MediaOptions):
    """Options of kind vggsound."""

    list: FilePath
    """the official vggsound.csv"""
    modality_labels: FilePath | None = None
    """vggsounder.csv, what people heard and saw in test clips; used where it is there"""
    classes: Annotated[int, Field(ge=2)] = ALL_CLASSES
    """number of class names that the list must hold"""
    categories: FilePath | None = None
    """table of categories: only clips of its labels; null: all"""


OPTIONS = VGGSoundOptions
MEDIA_SOURCES = {"media_root": "download the 10 s clips from YouTube by id and start second into it"}
KINDS = {(1.0, 0.0): "heard", (0.0, 1.0): "seen", (1.0, 1.0): "both", (0.0, 0.0): "neither"}  # as the card counts


def preflight(spec: Mapping[str, Any]) -> str | None:
    """Say that the list or the clips are missing and where to get them; None when both are there."""
    options = read_options(OPTIONS, spec)
    return absent_list([options.list], "the repository hche11/VGGSound (folder data)") or absent_media(
        Path(options.media_root), MEDIA_SOURCES["media_root"], options
    )


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that list the clips: vggsound.csv, what people perceived where that is there, and a table of categories."""
    options = read_options(OPTIONS, spec)
    labels = _modality_labels(options)
    return [options.list, *([str(labels)] if labels else []), *([options.categories] if options.categories else [])]


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """Join list, media and, where its file is there, what people perceived; clips without a file are "missing".

    Classes are ordered by code point and spelt as in the list, mistakes included. Raises UserError, naming
    file, row and fix, on malformed rows and when the number of classes is not the expected one. With the option
    categories only clips of its table's labels are listed; with modality_labels the card counts test clips by KINDS and
    those that nobody annotated.

    Deviation: the authors' loader numbers classes by first appearance; the order matters only to foreign
    checkpoints.
    """
    from avbalance.data.categories import labels_of_categories
    from avbalance.data.manifest import make_manifest

    options = ready_options(OPTIONS, spec, preflight)
    path, media = Path(options.list), Path(options.media_root)
    index = index_youtube_clips(media)
    rows = [
        {"label": label, "split": split, **youtube_columns(video, start, index, options, end="")}
        for video, start, label, split in _read_list(path)
    ]
    classes = sorted({row["label"] for row in rows})
    if len(classes) != options.classes:
        raise UserError(
            f"{path}: {len(classes)} class names where {options.classes} are expected; "
            "fetch the whole list again or set the option classes."
        )
    if options.categories:
        classes = labels_of_categories(options.categories, "audio", classes)
        rows = [row for row in rows if row["label"] in set(classes)]
    refuse_if_nothing_found(rows, media, options)
    card = card_for(name, spec, classes, media_root_entry(options.media_root, out_dir))
    labels = _modality_labels(options)
    if labels is not None:
        card["modality_labels"] = _annotate(rows, labels, classes)
    elif options.modality_labels:
        log.warning("%s: no such file; without it there are no annotated subsets.", options.modality_labels)
    return make_manifest(rows, card, str(path))


def _modality_labels(options: VGGSoundOptions) -> Path | None:
    """The file of what people perceived, where one is named and there."""
    path = Path(options.modality_labels) if options.modality_labels else None
    return path if path is not None and path.is_file() else None


def _annotate(rows: Sequence[dict[str, Any]], path: Path, classes: Sequence[str]) -> dict[str, int]:
    """Give every row the columns ANNOTATED, null but for annotated test clips; returns how many are of which kind.

    Names of classes are checked where the list is whole: a list of fewer classes cannot tell which names are wrong.
    """
    from avbalance.data.manifest import ANNOTATED
    from avbalance.data.vggsounder import read_modalities

    perceived = read_modalities(path, set(classes) if len(classes) == ALL_CLASSES else None)
    counts: Counter[str] = Counter(dict.fromkeys([*KINDS.values(), "not annotated", "not of a test clip"], 0))
    for row in rows:
        row |= dict.fromkeys(ANNOTATED)
        if row["split"] != "test":
            continue
        found = perceived.pop(row["id"], None)
        if found is None:
            counts["not annotated"] += 1
            continue
        heard, seen = (float(value) for value in found.get(row["label"], (False, False)))
        row |= dict(zip(ANNOTATED, (heard, seen), strict=True))
        counts[KINDS[heard, seen]] += 1
    counts["not of a test clip"] = len(perceived)
    if perceived:
        log.warning("%s: %d of its clips are no test clips of the list and left out.", path, len(perceived))
    return dict(counts)


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
