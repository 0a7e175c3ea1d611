"""VGG-Sound: the official list joined with whatever clips the user could download (Chen et al. 2020).

Test clips may have what people heard and saw in them, by VGGSounder (Zverev et al. 2025). Its file vggsounder.csv has a
row for each clip and class that somebody found in it: `modality` is A (heard), V (seen) or AV (both). A clip may have
several rows; clips with background music stand in a second file, vggsounder+background-music.csv, which has the same
columns and holds all rows of the first. Decisions: only the clip's own class counts, since the label is what models are
scored on, and clips whose annotators named other classes only have it in neither modality; the columns
background_music, static_image and voice_over are not read, since they speak of the whole clip, and what a still picture
or a voice does to the clip's own class is in `modality` already.
"""

from __future__ import annotations

import csv
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from avbalance.data.annotations import read_columns
from avbalance.data.categories import labels_of_categories
from avbalance.data.media_files import youtube_clip
from avbalance.data.sources.base import FilePath, Listing, MediaSource, Row
from avbalance.data.sources.common import index_youtube_clips, youtube_columns
from avbalance.errors import UserError

log = logging.getLogger(__name__)

ALL_CLASSES = 309
MODALITIES = {"A": (True, False), "V": (False, True), "AV": (True, True)}  # heard and seen
_PERCEIVED_FROM = "the repository Bizilizi/VGGSounder (vggsounder/data)"
_CLIP = re.compile(r"[A-Za-z0-9_-]{11}_\d{6}")
KINDS = {(1.0, 0.0): "heard", (0.0, 1.0): "seen", (1.0, 1.0): "both", (0.0, 0.0): "neither"}  # as the card counts


class VGGSoundOptions(MediaSource):
    """Options of kind vggsound."""

    LISTS_FROM = "the repository hche11/VGGSound (folder data)"
    MEDIA_FROM = "download the 10 s clips from YouTube by id and start second into it"

    list: FilePath
    """the official vggsound.csv"""
    modality_labels: FilePath | None = None
    """vggsounder.csv, what people heard and saw in test clips; used where it is there"""
    classes: Annotated[int, Field(ge=2)] = ALL_CLASSES
    """number of class names that the list must hold"""
    categories: FilePath | None = None
    """table of categories: only clips of its labels; null: all"""

    def list_files(self) -> Sequence[str]:
        return [self.list]

    def inputs(self) -> Sequence[str]:
        further = (self._perceived(), self.categories)
        return [self.list, *(str(path) for path in further if path is not None)]

    def listing(self) -> Listing:
        """Classes are ordered by code point and spelt as in the list, mistakes included.

        This is also the order of the network that their authors published. With modality_labels the card counts test
        clips by KINDS and those that nobody annotated. Raises UserError for malformed rows and when the number of
        classes is not the expected one.
        """
        index = index_youtube_clips(self.folder)
        rows: Sequence[Row] = [
            {"label": label, "split": split, **youtube_columns(video, start, index, self, end="")}
            for video, start, label, split in _read_list(Path(self.list))
        ]
        classes = sorted({row["label"] for row in rows})
        if len(classes) != self.classes:
            raise UserError(
                f"{self.list}: {len(classes)} class names where {self.classes} are expected; "
                "fetch the whole list again or set the option classes."
            )
        if self.categories:
            classes = labels_of_categories(self.categories, "audio", classes)
            rows = [row for row in rows if row["label"] in set(classes)]
        card: dict[str, Any] = {}
        perceived = self._perceived()
        if perceived is not None:
            card["modality_labels"] = _annotate(rows, perceived, classes)
        elif self.modality_labels:
            log.warning("%s: no such file; without it there are no annotated subsets.", self.modality_labels)
        return Listing(rows, classes, self.list, card)

    def _perceived(self) -> Path | None:
        """The file of what people perceived, where one is named and there."""
        path = Path(self.modality_labels) if self.modality_labels else None
        return path if path is not None and path.is_file() else None


OPTIONS = VGGSoundOptions


def _annotate(rows: Sequence[dict[str, Any]], path: Path, classes: Sequence[str]) -> dict[str, int]:
    """Give every row the columns ANNOTATED, null but for annotated test clips; returns how many are of which kind.

    Names of classes are checked where the list is whole: a list of fewer classes cannot tell which names are wrong.
    """
    from avbalance.data.manifest import ANNOTATED

    perceived = read_modalities(path, set(classes) if len(classes) == ALL_CLASSES else None)
    counts: Counter[str] = Counter(dict.fromkeys([*KINDS.values(), "not annotated", "not of a test clip"], 0))
    for row in rows:
        row |= dict.fromkeys(ANNOTATED)
        if row["split"] != "test":
            continue
        annotation = perceived.pop(row["id"], None)
        if annotation is None:
            counts["not annotated"] += 1
            continue
        heard, seen = (float(value) for value in annotation.get(row["label"], (False, False)))
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


def read_modalities(
    path: str | Path, classes: Collection[str] | None = None
) -> dict[str, dict[str, tuple[bool, bool]]]:
    """Clip (`<YouTube id>_<start, 6 digits>`) -> class -> whether it is heard and whether it is seen.

    classes: names that a row may have; None where they are not all known. Raises UserError, naming file, row and fix,
    for a missing column, a malformed clip, another modality, an unknown class, and a clip and class that stand twice
    with different modalities. A row that repeats another one sets nothing new.
    """
    path = Path(path)
    perceived: dict[str, dict[str, tuple[bool, bool]]] = defaultdict(dict)
    first: dict[tuple[str, str], int] = {}
    for line in read_columns(path, ("video_id", "label", "modality"), ",", _PERCEIVED_FROM, csv.QUOTE_MINIMAL):
        clip, label, modality = line.cells
        if not _CLIP.fullmatch(clip):
            raise line.error(f"{clip!r} is not <YouTube id>_<start, 6 digits>; correct it.")
        if modality not in MODALITIES:
            raise line.error(f"modality {modality!r} is unknown; write A, V or AV.")
        if classes is not None and label not in classes:
            raise line.error(
                f"class {label!r} is not in the list of VGG-Sound; spell it as the list does, byte for byte, or take "
                "the file again."
            )
        if perceived[clip].setdefault(label, MODALITIES[modality]) != MODALITIES[modality]:
            earlier = first[clip, label]
            raise line.error(
                f"{clip} has {label!r} as {modality}, but another modality in row {earlier}; remove the wrong row."
            )
        first.setdefault((clip, label), line.number)
    return dict(perceived)
