"""LLP (Tian et al. 2020): its lists and truth joined with the released features, or with clips that were downloaded.

Training videos have weak labels only; validation and test have what is heard and seen in each second as well. Of the
audio truth two versions are about (see `avbalance.data.llp`): the main protocol reads the older one, on which the
published numbers rest, and the repaired one stands beside it in the column events_audio_repaired (decision).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from avbalance.data.sources.annotated import events_text, refuse_empty_intervals, tell_missing, tell_oddities
from avbalance.data.sources.common import (
    VIDEO_SUFFIXES,
    absent_media,
    card_for,
    files_below,
    media_checksum,
    media_root_entry,
    missing_columns,
    read_options,
    ready_options,
    refuse_if_nothing_found,
    video_columns,
)
from avbalance.data.sources.options import FeatureOrMediaOptions, FilePath
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.annotations import ListedPart
    from avbalance.data.llp import Segments
    from avbalance.data.manifest import Manifest

Version = Literal["old", "repaired"]


class LLPOptions(FeatureOrMediaOptions):
    """Options of kind llp; lists_dir holds the three split lists and the truth of the visual track."""

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

    @property
    def required_lists(self) -> list[Path]:
        """All lists but the second version of the audio truth."""
        return [Path(self.lists_dir) / name for name in (*_SPLITS.values(), _VISUAL)] + [
            self.audio_file(self.audio_truth)
        ]


OPTIONS = LLPOptions
_SPLITS = {"train": "AVVP_train.csv", "val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv"}
_VISUAL = "AVVP_eval_visual.csv"
_FEATURES = ("vggish", "res152", "r2plus1d_18")
_ORIGINS = {
    "old": "the repository MCG-NJU/JoMoLD (data)",
    "repaired": "the repository YapengTian/AVVP-ECCV20 (data)",
}
MEDIA_SOURCES = {
    "features_root": "unpack there the archive of features that the page of YapengTian/AVVP-ECCV20 links "
    "(vggish, res152, r2plus1d_18)",
    "media_root": "download the 10 s clips there with the script of YapengTian/AVVP-ECCV20",
}


def preflight(spec: Mapping[str, Any]) -> str | None:
    """Say which list or folder is missing and where to get it; None when all are there."""
    options = read_options(OPTIONS, spec)
    for path in options.required_lists:
        if not path.is_file():
            origin = _ORIGINS["old" if path == options.audio_file("old") else "repaired"]
            return f"{path}: no such file; take {path.name} from {origin}."
    return absent_media(options.folder, MEDIA_SOURCES[options.root], options)


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that list the clips and their truth; the second version of the audio truth only where it is there."""
    options = read_options(OPTIONS, spec)
    return [str(path) for path in (*options.required_lists, options.second_audio) if path is not None]


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """Join lists, truth and files; videos without a file get the status "missing".

    A video's id is its whole file name, its group the YouTube id. The card's `oddities` counts the odd rows of the
    files of the main protocol by kind, `audio_truth` names the versions. Raises UserError, naming file, row and fix,
    for malformed rows, a video in two splits, and an onset that is not before its offset unless the published file has
    it.
    """
    from avbalance.data.annotations import refuse_repeats
    from avbalance.data.llp import CLASSES, audio_version, read_split
    from avbalance.data.manifest import make_manifest

    options = ready_options(OPTIONS, spec, preflight)
    lists, folder = Path(options.lists_dir), options.folder
    splits = {split: read_split(lists / file) for split, file in _SPLITS.items()}
    refuse_repeats(list(splits.values()))
    truth = _read_truth(options, [name for split in ("val", "test") for name in splits[split].names])
    rows = _rows(splits, truth, options)
    refuse_if_nothing_found(rows, folder, options, options.root)
    tell_missing(rows, folder)
    main = [truth["events_audio"], truth["events_visual"]]
    card = card_for(name, spec, CLASSES, media_root_entry(options.folder_as_given, out_dir))
    card["oddities"] = tell_oddities(
        [odd for part in splits.values() for odd in part.oddities] + [odd for part in main for odd in part.oddities]
    )
    second = options.second_audio
    card["audio_truth"] = {
        "main": audio_version(options.audio_file(options.audio_truth)),
        "second": audio_version(second) if second else None,
    }
    return make_manifest(rows, card, str(lists))


def _read_truth(options: LLPOptions, names: Sequence[str]) -> dict[str, Segments]:
    """Manifest column -> truth of the videos `names`."""
    from avbalance.data.llp import read_segments

    visual = read_segments(Path(options.lists_dir) / _VISUAL, names)
    refuse_empty_intervals(visual.oddities)  # the published file has none
    truth = {"events_audio": _read_audio(options.audio_file(options.audio_truth), options.audio_truth, names)}
    truth["events_visual"] = visual
    if options.second_audio is not None:
        truth["events_audio_repaired"] = _read_audio(options.second_audio, "repaired", names)
    return truth


def _read_audio(path: Path, version: Version, names: Sequence[str]) -> Segments:
    """One version of the audio truth; raises UserError when the file is the other published one."""
    from avbalance.data.llp import audio_version, read_segments

    found = audio_version(path)
    published = found.split()[0] in _ORIGINS
    if published and found.split()[0] != version:
        raise UserError(
            f"{path}: is the version {found!r}; set the option audio_{version} to the {version} file of "
            f"{_ORIGINS[version]}, or audio_truth to {found.split()[0]}."
        )
    segments = read_segments(path, names)
    if not published:
        refuse_empty_intervals(segments.oddities)
    return segments


def _rows(splits: Mapping[str, ListedPart], truth: Mapping[str, Segments], options: LLPOptions) -> list[dict[str, Any]]:
    from avbalance.data.llp import CLASSES

    files = _file_columns([name for part in splits.values() for name in part.names], options)
    places = itertools.count()  # of the evaluated videos in the truth
    rows = []
    for split, part in splits.items():
        for name, video, active in zip(part.names, part.ids, part.labels, strict=True):
            labels = [label for label, is_on in zip(CLASSES, active, strict=True) if is_on]
            row: dict[str, Any] = {"id": name, "group": video, "split": split, "label": labels[0]}
            row |= {"labels": json.dumps(labels), **dict.fromkeys(truth), **files[name]}
            if split != "train":
                place = next(places)
                row |= {column: events_text(segments.truth[place], CLASSES) for column, segments in truth.items()}
            rows.append(row)
    return rows


def _file_columns(names: Sequence[str], options: LLPOptions) -> dict[str, dict[str, Any]]:
    """File name of each video -> manifest columns of its files; a clip may be named by the YouTube id alone."""
    from avbalance.data.llp import video_id

    folder = options.folder
    if options.root == "features_root":
        return {name: _feature_columns(video_id(name), folder, options.checksums) for name in names}
    clips = {Path(path).stem: path for path in reversed(files_below(folder, VIDEO_SUFFIXES))}
    return {
        name: video_columns(
            clips.get(name, clips.get(video_id(name))), folder, options, f"{name} or {video_id(name)} (mp4, ...)"
        )
        for name in names
    }


def _feature_columns(video: str, folder: Path, checksums: bool) -> dict[str, Any]:
    """Columns of a video whose features are files; those of the second visual network are found by their place."""
    names = [f"{kind}/{video}.npy" for kind in _FEATURES]
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        return missing_columns(f"no feature file {' and '.join(absent)} in {folder}")
    checksum = media_checksum([folder / name for name in names]) if checksums else None
    return {"audio": names[0], "visual": names[1], "sha256": checksum}
