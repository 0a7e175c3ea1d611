"""LLP (Tian et al. 2020): its lists and truth joined with the released features, or with clips that were downloaded.

Training videos have weak labels only; validation and test have what is heard and seen in each second as well. Of the
audio truth two versions are about (see AUDIO_VERSIONS): the main protocol reads the older one, on which the published
numbers rest, and the repaired one stands beside it in the column events_audio_repaired (decision). The files are those
of YapengTian/AVVP-ECCV20, folder data. A video's id is the first 11 characters of its file name, whose rest is the
start and end second; ids may hold "-" and "_".
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from avbalance.data import SEGMENTS
from avbalance.data.annotations import (
    ListedPart,
    ListLine,
    Oddity,
    events_text,
    read_columns,
    refuse_empty_intervals,
    refuse_repeats,
    tell_oddities,
)
from avbalance.data.sources.base import FeatureOrMediaSource, FilePath, Listing, Row
from avbalance.data.sources.common import file_columns, missing_columns, video_columns, videos_by_name
from avbalance.errors import UserError
from flowkeeper.files import sha256_file

Version = Literal["old", "repaired"]
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
# The older audio file has the broken file names of 3 rows, all of test videos, which the current one repairs. JoMoLD,
# MA, MM-Pyramid and CVCMS ship it, so their published numbers, and very likely those of Fu, Gao and Xu, rest on it.
AUDIO_VERSIONS = {
    "d5435664668bec6e7eafb39059d2f424ed2682f6b55395262fc3cb691b7d0778": "repaired (YapengTian/AVVP-ECCV20)",
    "249122f65501d8d611c0027a48643798fe622bedee60f7e6224b5a8e3c02f886": "old (MCG-NJU/JoMoLD)",
}

_SOURCE = "the repository YapengTian/AVVP-ECCV20 (data)"
_VIDEO = re.compile(r"[A-Za-z0-9_-]{11}(_\d+(\.\d+)?){2}")  # five training videos start at a fraction of a second
_INDEX = {name: index for index, name in enumerate(CLASSES)}
_SPLITS = {"train": "AVVP_train.csv", "val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv"}
_VISUAL = "AVVP_eval_visual.csv"
_FEATURES = ("vggish", "res152", "r2plus1d_18")
_OLD_FROM = "the repository MCG-NJU/JoMoLD (data)"


class LLPOptions(FeatureOrMediaSource):
    """Options of kind llp; lists_dir holds the three split lists and the truth of the visual track."""

    LISTS_FROM = _SOURCE
    FEATURES_FROM = (
        "unpack there the archive of features that the page of YapengTian/AVVP-ECCV20 links "
        "(vggish, res152, r2plus1d_18)"
    )
    MEDIA_FROM = "download the 10 s clips there with the script of YapengTian/AVVP-ECCV20"

    audio_truth: Version = "old"
    """version of the audio truth of the main protocol"""
    audio_old: FilePath = "old/AVVP_eval_audio.csv"
    """the older audio truth below lists_dir"""
    audio_repaired: FilePath = "AVVP_eval_audio.csv"
    """the present audio truth below lists_dir"""

    def audio_file(self, version: Version) -> Path:
        """The file of one version of the audio truth."""
        return Path(self.lists_dir) / (self.audio_old if version == "old" else self.audio_repaired)

    @property
    def second_audio(self) -> Path | None:
        """The repaired audio truth, where the main one is the old one and the file is there."""
        path = self.audio_file("repaired")
        return path if self.audio_truth == "old" and path.is_file() else None

    def list_files(self) -> Sequence[Path]:
        """All lists but the second version of the audio truth."""
        lists = Path(self.lists_dir)
        return [*(lists / name for name in (*_SPLITS.values(), _VISUAL)), self.audio_file(self.audio_truth)]

    def list_from(self, path: Path) -> str:
        return f"take {path.name} from {_OLD_FROM if path == self.audio_file('old') else self.LISTS_FROM}"

    def inputs(self) -> Sequence[str]:
        second = self.second_audio
        return [*super().inputs(), *([str(second)] if second else [])]

    def listing(self) -> Listing:
        """A video's id is its whole file name, its group the YouTube id.

        The card's `oddities` counts the odd rows of the files of the main protocol by kind, `audio_truth` names the
        versions. Raises UserError for malformed rows, a video in two splits, and an onset that is not before its offset
        unless the published file has it.
        """
        lists, second = Path(self.lists_dir), self.second_audio
        splits = {split: read_split(lists / file) for split, file in _SPLITS.items()}
        refuse_repeats(list(splits.values()))
        truth = self._truth([name for split in ("val", "test") for name in splits[split].names])
        odd = [each for part in splits.values() for each in part.oddities]
        odd += [each for column in ("events_audio", "events_visual") for each in truth[column].oddities]
        versions = {
            "main": audio_version(self.audio_file(self.audio_truth)),
            "second": audio_version(second) if second else None,
        }
        card = {"oddities": tell_oddities(odd), "audio_truth": versions}
        return Listing(_rows(splits, truth, self._files()), CLASSES, self.lists_dir, card)

    def _truth(self, names: Sequence[str]) -> dict[str, Segments]:
        """Manifest column -> truth of the videos `names`."""
        visual = read_segments(Path(self.lists_dir) / _VISUAL, names)
        refuse_empty_intervals(visual.oddities)  # the published file has none
        truth = {"events_audio": self._audio(self.audio_truth, names), "events_visual": visual}
        if self.second_audio is not None:
            truth["events_audio_repaired"] = self._audio("repaired", names)
        return truth

    def _audio(self, version: Version, names: Sequence[str]) -> Segments:
        """One version of the audio truth; raises UserError when the file is the other published one."""
        path = self.audio_file(version)
        stated = audio_version(path)
        published = stated.split()[0] in ("old", "repaired")
        if published and stated.split()[0] != version:
            raise UserError(
                f"{path}: is the version {stated!r}; set the option audio_{version} to the {version} file of "
                f"{_OLD_FROM if version == 'old' else self.LISTS_FROM}, or audio_truth to {stated.split()[0]}."
            )
        segments = read_segments(path, names)
        if not published:
            refuse_empty_intervals(segments.oddities)
        return segments

    def _files(self) -> Callable[[str, str], Row]:
        """Of a file name and a YouTube id the manifest columns of the files; clips may be named by the id alone."""
        if self.root == "features_root":
            return lambda name, video: self._features(video)
        clips = videos_by_name(self.folder)
        return lambda name, video: video_columns(
            clips.get(name, clips.get(video)), self, f"{name} or {video} (mp4, ...)"
        )

    def _features(self, video: str) -> Row:
        """Columns of a video whose features are files; those of the second visual network are found by their place."""
        names = [f"{kind}/{video}.npy" for kind in _FEATURES]
        absent = [name for name in names if not (self.folder / name).is_file()]
        if absent:
            return missing_columns(f"no feature file {' and '.join(absent)} in {self.folder}")
        return file_columns(names[0], names[1], [self.folder / name for name in names], self)


OPTIONS = LLPOptions


def _rows(
    splits: Mapping[str, ListedPart], truth: Mapping[str, Segments], files: Callable[[str, str], Row]
) -> list[Row]:
    places = itertools.count()  # of the evaluated videos in the truth
    rows = []
    for split, part in splits.items():
        for name, video, active in zip(part.names, part.ids, part.labels, strict=True):
            labels = [label for label, is_on in zip(CLASSES, active, strict=True) if is_on]
            row: dict[str, Any] = {"id": name, "group": video, "split": split, "label": labels[0]}
            row |= {"labels": json.dumps(labels), **dict.fromkeys(truth), **files(name, video)}
            if split != "train":
                place = next(places)
                row |= {column: events_text(segments.truth[place], CLASSES) for column, segments in truth.items()}
            rows.append(row)
    return rows


@dataclass(frozen=True)
class Segments:
    """What is heard, or seen, when: `truth (N, 25, 10)` bool, and the rows of the file that are odd."""

    truth: NDArray[np.bool_]
    oddities: tuple[Oddity, ...]


def video_id(name: str) -> str:
    """The YouTube id in a file name."""
    # By length: ids may hold "_" and "-", so that no separator says where they end.
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
        # Assigned, not added: one published row repeats a label.
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
