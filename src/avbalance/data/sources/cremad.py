"""CREMA-D (Cao et al. 2014) by the lists of OGM-GE: 6,698 training and 744 test clips of acted emotions.

The reference code leaves clips without sound or pictures out in silence; here they are counted as missing. The corpus
has the sound of each clip three times: as .wav, which the papers use, as .mp3, and in the .flv with the pictures. Clips
are split at random: all 91 actors occur in both parts. Fu, Gao and Xu call the 744 clips "validation"; there is no
third part.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avbalance.data.annotations import ListedPart, read_lines, refuse_repeats
from avbalance.data.media_files import images_in
from avbalance.data.sources.base import FilePath, Listing, MediaSource, Row
from avbalance.data.sources.common import file_columns, missing_columns

CLASSES = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")  # in the order of stat.csv
_SOURCE = "the repository GeWu-Lab/OGM-GE_CVPR2022 (data/CREMAD)"
_CLIP = re.compile(r"\d{4}_[A-Z]{3}_(?P<emotion>[A-Z]{3})_(LO|MD|HI|XX)")
_SPLITS = {"train": "train.csv", "test": "test.csv"}
_SOUND_SUFFIXES = (".wav", ".mp3", ".flv")


class CREMADOptions(MediaSource):
    """Options of kind cremad; media_root holds the folders of sound and pictures."""

    LISTS_FROM = _SOURCE
    MEDIA_FROM = "take AudioWAV and VideoFlash from the repository CheyneyComputerScience/CREMA-D (git lfs pull)"

    lists_dir: FilePath
    """folder of train.csv and test.csv"""
    audio_folder: FilePath = "AudioWAV"
    """folder of the sound below media_root"""
    video_folder: FilePath = "VideoFlash"
    """folder of the videos below media_root"""
    frames_folder: FilePath = "Image-01-FPS"
    """folder of one folder of frames per clip below media_root"""

    def list_files(self) -> Sequence[Path]:
        return [Path(self.lists_dir) / name for name in _SPLITS.values()]

    def folders(self) -> Sequence[Path]:
        return [self.folder / self.audio_folder]

    def listing(self) -> Listing:
        """The group of a clip is its actor, who is in both parts; raises UserError also for a clip in two splits."""
        splits = {split: read_split(path) for split, path in zip(_SPLITS, self.list_files(), strict=True)}
        refuse_repeats(list(splits.values()))
        rows = [
            {"id": clip, "label": CLASSES[label], "split": split, "group": actor(clip), **self._files(clip)}
            for split, part in splits.items()
            for clip, label in zip(part.ids, part.labels, strict=True)
        ]
        return Listing(rows, CLASSES, self.lists_dir)

    def _files(self, clip: str) -> Row:
        """Sound: <audio_folder>/<clip>.wav, .mp3 or .flv; pictures: <frames_folder>/<clip>/, one a second, or .flv."""
        named, media = f"{self.audio_folder}/{clip}", self.folder
        sound = next((named + suffix for suffix in _SOUND_SUFFIXES if (media / (named + suffix)).is_file()), None)
        video, frames = f"{self.video_folder}/{clip}.flv", f"{self.frames_folder}/{clip}"
        images = images_in(media / frames)
        pictures = [media / video] if not images and (media / video).is_file() else images
        absent = [] if sound else [f"{named} ({', '.join(suffix[1:] for suffix in _SOUND_SUFFIXES)})"]
        absent += [] if pictures else [f"{frames}/ or {video}"]
        if sound is None or absent:
            return missing_columns(f"no file {' and no '.join(absent)}")
        return file_columns(sound, frames if images else video, [media / sound, *pictures], self)


OPTIONS = CREMADOptions


def read_split(path: str | Path) -> ListedPart:
    """Read train.csv or test.csv: `<clip>,<emotion>` per line, no header; a label is the index of the played emotion.

    Raises UserError, naming file, row and fix, for a malformed clip name, an unknown emotion or one other than in the
    clip's name, and a clip that stands twice.
    """
    path = Path(path)
    ids, labels = [], []
    for line in read_lines(path, ",", _SOURCE):
        clip = _CLIP.fullmatch(line.cells[0]) if len(line.cells) == 2 else None
        if clip is None:
            raise line.error(
                f"{','.join(line.cells)!r} is not <actor>_<sentence>_<emotion>_<level>,<emotion>; take the file again "
                f"from {_SOURCE}."
            )
        name, emotion = line.cells
        if emotion not in CLASSES:
            raise line.error(f"unknown emotion {emotion!r}; write one of {', '.join(CLASSES)}.")
        if emotion != clip["emotion"]:
            raise line.error(f"{emotion!r} is not the emotion in {name!r}; correct one of them.")
        ids.append(name)
        labels.append(CLASSES.index(emotion))
    part = ListedPart(path, tuple(ids), np.array(labels, dtype=np.int64), first_row=1)
    refuse_repeats([part])
    return part


def actor(clip: str) -> str:
    """The actor's number in a clip's name."""
    return clip[:4]
