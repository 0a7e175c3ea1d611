"""CREMA-D (Cao et al. 2014) by the lists of OGM-GE: 6,698 training and 744 test clips of acted emotions.

The reference code leaves clips without sound or pictures out in silence; here they are counted as missing. The corpus
has the sound of each clip three times: as .wav, which the papers use, as .mp3, and in the .flv with the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources.annotated import tell_missing
from avbalance.data.sources.common import (
    IMAGE_SUFFIXES,
    absent_list,
    absent_media,
    card_for,
    media_checksum,
    media_root_entry,
    missing_columns,
    read_options,
    ready_options,
    refuse_if_nothing_found,
)
from avbalance.data.sources.options import FilePath, MediaOptions

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest


class CREMADOptions(MediaOptions):
    """Options of kind cremad; media_root holds the folders of sound and pictures."""

    lists_dir: FilePath
    """folder of train.csv and test.csv"""
    audio_folder: FilePath = "AudioWAV"
    """folder of the sound below media_root"""
    video_folder: FilePath = "VideoFlash"
    """folder of the videos below media_root"""
    frames_folder: FilePath = "Image-01-FPS"
    """folder of one folder of frames per clip below media_root"""


OPTIONS = CREMADOptions
MEDIA_SOURCES = {
    "media_root": "take AudioWAV and VideoFlash from the repository CheyneyComputerScience/CREMA-D (git lfs pull)"
}
_SPLITS = {"train": "train.csv", "test": "test.csv"}
_SOUND_SUFFIXES = (".wav", ".mp3", ".flv")


def preflight(spec: Mapping[str, Any]) -> str | None:
    """Say which list or folder is missing and where to get it; None when all are there."""
    options = read_options(OPTIONS, spec)
    sound = Path(options.media_root) / options.audio_folder
    return absent_list(inputs(spec), "the repository GeWu-Lab/OGM-GE_CVPR2022 (data/CREMAD)") or absent_media(
        sound, MEDIA_SOURCES["media_root"], options
    )


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that list the clips: train.csv and test.csv."""
    lists = Path(read_options(OPTIONS, spec).lists_dir)
    return [str(lists / name) for name in _SPLITS.values()]


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """Join lists and media; clips that lack the sound or the pictures get the status "missing".

    A clip's sound is <audio_folder>/<clip>.wav, or .mp3, or the sound of .flv; its pictures are the folder
    <frames_folder>/<clip>/ of images, one per second, where there is one, else <video_folder>/<clip>.flv. The group is
    the actor, who is in both parts. Raises UserError, naming file, row and fix, on malformed rows and a clip in two
    splits.
    """
    from avbalance.data.annotations import refuse_repeats
    from avbalance.data.cremad import CLASSES, actor, read_split
    from avbalance.data.manifest import make_manifest

    options = ready_options(OPTIONS, spec, preflight)
    lists, media = Path(options.lists_dir), Path(options.media_root)
    splits = {split: read_split(lists / file) for split, file in _SPLITS.items()}
    refuse_repeats(list(splits.values()))
    rows = [
        {
            "id": clip,
            "label": CLASSES[label],
            "split": split,
            "group": actor(clip),
            **_media_columns(clip, media, options),
        }
        for split, part in splits.items()
        for clip, label in zip(part.ids, part.labels, strict=True)
    ]
    refuse_if_nothing_found(rows, media, options)
    tell_missing(rows, media)
    card = card_for(name, spec, CLASSES, media_root_entry(options.media_root, out_dir))
    return make_manifest(rows, card, str(lists))


def _media_columns(clip: str, media: Path, options: CREMADOptions) -> dict[str, Any]:
    named = f"{options.audio_folder}/{clip}"
    sound = next((named + suffix for suffix in _SOUND_SUFFIXES if (media / (named + suffix)).is_file()), None)
    video, frames = f"{options.video_folder}/{clip}.flv", f"{options.frames_folder}/{clip}"
    images = _images(media / frames)
    pictures = [media / video] if not images and (media / video).is_file() else images
    absent = [] if sound else [f"{named} ({', '.join(suffix[1:] for suffix in _SOUND_SUFFIXES)})"]
    absent += [] if pictures else [f"{frames}/ or {video}"]
    if sound is None or absent:
        return missing_columns(f"no file {' and no '.join(absent)}")
    checksum = media_checksum([media / sound, *pictures]) if options.checksums else None
    return {"audio": sound, "visual": frames if images else video, "sha256": checksum}


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES)
