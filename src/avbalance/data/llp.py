"""LLP, "Look, Listen and Parse" (Tian et al. 2020): its lists of videos and the truth of its test and validation parts.

The files are those of YapengTian/AVVP-ECCV20, folder data. Of AVVP_eval_audio.csv a second, older version is about; see
`AUDIO_VERSIONS`. A video's id is the first 11 characters of its file name, whose rest is the start and end second; ids
may hold "-" and "_".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avbalance.data.annotations import ListedPart, ListLine, Oddity, read_columns, refuse_repeats
from avbalance.errors import UserError
from flowkeeper.files import sha256_file

CLASSES = (
    "Speech",
    "Car",
    "Cheering",
    "Dog",
    "Cat",
    "Frying_(food)",
    "Basketball_bounce",
    "Fire_alarm",
    "Chainsaw",
    "Cello",
    "Banjo",
    "Singing",
    "Chicken_rooster",
    "Violin_fiddle",
    "Vacuum_cleaner",
    "Baby_laughter",
    "Accordion",
    "Lawn_mower",
    "Motorcycle",
    "Helicopter",
    "Acoustic_guitar",
    "Telephone_bell_ringing",
    "Baby_cry_infant_cry",
    "Blender",
    "Clapping",
)  # the order of the class indices in all public code
SEGMENTS = 10  # of one second
# The older audio file has the broken file names of 3 rows, all of test videos, which the current one repairs. JoMoLD,
# MA, MM-Pyramid and CVCMS ship it, so their published numbers, and very likely those of Fu, Gao and Xu, rest on it.
AUDIO_VERSIONS = {
    "d5435664668bec6e7eafb39059d2f424ed2682f6b55395262fc3cb691b7d0778": "repaired (YapengTian/AVVP-ECCV20)",
    "249122f65501d8d611c0027a48643798fe622bedee60f7e6224b5a8e3c02f886": "old (MCG-NJU/JoMoLD)",
}

_SOURCE = "the repository YapengTian/AVVP-ECCV20 (data)"
_VIDEO = re.compile(r"[A-Za-z0-9_-]{11}(_\d+(\.\d+)?){2}")  # five training videos start at a fraction of a second
_INDEX = {name: index for index, name in enumerate(CLASSES)}


@dataclass(frozen=True)
class Segments:
    """What is heard, or seen, when: `truth (N, 25, 10)` bool, and the rows of the file that are odd."""

    truth: NDArray[np.bool_]
    oddities: tuple[Oddity, ...]


def video_id(name: str) -> str:
    """The YouTube id in a file name."""
    return name[:11]


def read_split(path: str | Path) -> ListedPart:
    """Read AVVP_train.csv, AVVP_val_pd.csv or AVVP_test_pd.csv: file names, ids, and weak labels (N, 25) bool.

    A label that a row repeats counts once and is an oddity. Raises UserError, naming file, row and fix, for a missing
    column, a malformed file name, an unknown class name and a video that stands twice.
    """
    path = Path(path)
    names, labels, oddities = [], [], []
    for line in read_columns(path, ("filename", "event_labels"), "\t", _SOURCE):
        name, joined = line.cells
        if not _VIDEO.fullmatch(name):
            raise line.error(f"{name!r} is not <YouTube id>_<start>_<end>; correct it.")
        indices = [_class_index(label, line) for label in joined.split(",")]
        if len(set(indices)) < len(indices):
            oddities.append(line.odd("repeated label", f"{name}: {joined} repeats a label; it counts once"))
        names.append(name)
        labels.append(np.zeros(len(CLASSES), dtype=bool))
        labels[-1][indices] = True
    ids = tuple(map(video_id, names))
    part = ListedPart(path, ids, np.array(labels), first_row=2, names=tuple(names), oddities=tuple(oddities))
    refuse_repeats([part])
    return part


def read_segments(path: str | Path, names: Sequence[str]) -> Segments:
    """Read AVVP_eval_audio.csv (either version) or AVVP_eval_visual.csv as the truth of the videos `names` (N).

    `names` are whole file names, best those of both evaluated parts, since a row of a video that is not among them is
    an oddity. A row sets its class on [onset, offset). Decision, as the public evaluations do: a row belongs to a video
    when its whole file name agrees, not its id alone, and it sets nothing otherwise; nor does a row whose onset is not
    before its offset. Both, and exact duplicates, are oddities. Raises UserError for a missing column, an unknown class
    name and a second outside 0..10.
    """
    path = Path(path)
    place = {name: index for index, name in enumerate(names)}
    if len(place) < len(names):
        raise UserError(f"{path}: read for {len(names)} videos of which only {len(place)} differ; name each one once.")
    truth = np.zeros((len(names), len(CLASSES), SEGMENTS), dtype=bool)
    oddities: list[Oddity] = []
    first: dict[tuple[str, ...], int] = {}
    ids = {video_id(name): name for name in names}
    for line in read_columns(path, ("filename", "onset", "offset", "event_labels"), "\t", _SOURCE):
        name, _, _, label = line.cells
        onset, offset = line.second(1, "onset", SEGMENTS), line.second(2, "offset", SEGMENTS)
        index = _class_index(label, line)
        if name in place:
            truth[place[name], index, onset:offset] = True
        else:
            near = f", though {ids[video_id(name)]} has its id" if video_id(name) in ids else ""
            oddities.append(line.odd("unknown video", f"{name}: no video has this name{near}; ignored"))
        event = f"{name}: {label} from {onset} to {offset}"
        if onset >= offset:
            oddities.append(line.odd("empty interval", f"{event} is empty; sets nothing"))
        if first.setdefault(line.cells, line.number) != line.number:
            oddities.append(line.odd("duplicate", f"{event} stands in row {first[line.cells]}; sets nothing new"))
    return Segments(truth, tuple(oddities))


def audio_version(path: str | Path) -> str:
    """Which version of the audio truth a file is, by its bytes: to be named beside every number that rests on it."""
    digest = sha256_file(path)
    return AUDIO_VERSIONS.get(digest, f"unpublished (sha256 {digest[:12]})")


def _class_index(label: str, line: ListLine) -> int:
    if label not in _INDEX:
        raise line.error(f"unknown class {label!r}; write one of the 25, such as {CLASSES[0]!r}.")
    return _INDEX[label]
