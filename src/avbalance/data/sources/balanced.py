"""The balanced audiovisual data set of Xia et al. 2023, section 4, as its authors distribute it.

Per clip: an HDF5 file of JPEG frames (or a video file), and a sound file or the distributed spectrogram. The
manifest only names them; reading is the features' business.

The only part of the annotation in a public repository is MM-Debiased.json (GeWu-Lab/Valuate-and-Enhance-Multimodal-
Cooperation): 14,025 clips of ten of the 30 classes, in a layout of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from avbalance.data.annotations import tell_shared_videos
from avbalance.data.media_files import VIDEO_SUFFIXES, files_below, youtube_clip
from avbalance.data.sources.base import FilePath, Listing, MediaSource, Row
from avbalance.data.sources.common import file_columns, missing_columns
from avbalance.errors import UserError
from flowkeeper.files import read_json

_TEN = "MM-Debiased.json"
_PUBLISHED_SIZES = {"train": 28_949, "val": 3_018, "test": 3_884}  # by the project page; the paper says 34,000 in all
_VISUAL_SUFFIXES = (".h5", ".hdf5", *VIDEO_SUFFIXES)
_AUDIO_SUFFIXES = (".wav", ".flac", *VIDEO_SUFFIXES, ".pkl")
_SUBSETS = {"training": "train", "validation": "val", "testing": "test"}


class BalancedOptions(MediaSource):
    """Options of kind balanced; media_root holds the two media folders."""

    LISTS_FROM = "the repository GeWu-Lab/Valuate-and-Enhance-Multimodal-Cooperation (MM-Debiased dataset)"
    MEDIA_FROM = (
        "fetch the data set by hand from the shared folder linked on the page of GeWu-Lab/Balanced-Audiovisual-Dataset"
    )

    annotation: FilePath
    """the distributed JSON file"""
    visual_folder: FilePath = "video"
    """folder of the pictures below media_root"""
    audio_folder: FilePath = "audio"
    """folder of the sound below media_root"""

    def list_files(self) -> Sequence[str]:
        return [self.annotation]

    def list_from(self, path: Path) -> str:
        return super().list_from(path) if path.name == _TEN else self.MEDIA_FROM

    def folders(self) -> Sequence[Path]:
        return [self.folder / self.visual_folder, self.folder / self.audio_folder]

    def listing(self) -> Listing:
        """Clips that lack the sound or the pictures are missing; raises UserError for malformed entries.

        The card's `size_differences` lists the parts of the whole annotation whose size is not the published one, and
        `shared_videos` counts the videos with clips in more than one part, by parts: the clips stay where they are.
        """
        names, clips, whole = _read_annotation(Path(self.annotation))
        visual = _index(self.folder, self.visual_folder, _VISUAL_SUFFIXES)
        audio = _index(self.folder, self.audio_folder, _AUDIO_SUFFIXES)
        rows = []
        for clip, (split, label) in clips.items():
            source = youtube_clip(clip)
            group = source[0] if source else clip
            files = self._files(audio.get(clip), visual.get(clip))
            rows.append({"id": clip, "label": label, "split": split, "group": group, **files})
        sizes = Counter(row["split"] for row in rows)
        differing = [
            f"{split}: {sizes[split]} clips, published {published}"
            for split, published in _PUBLISHED_SIZES.items()
            if whole and sizes[split] != published
        ]
        shared = tell_shared_videos(rows, Path(self.annotation))
        return Listing(rows, names, self.annotation, {"size_differences": differing, "shared_videos": shared})

    def _files(self, audio: str | None, visual: str | None) -> Row:
        if audio is None or visual is None:
            absent = [what for what, path in (("sound", audio), ("pictures", visual)) if path is None]
            return missing_columns(f"no file with the {' and '.join(absent)}")
        return file_columns(audio, visual, [self.folder / path for path in dict.fromkeys((audio, visual))], self)


OPTIONS = BalancedOptions


def _read_annotation(path: Path) -> tuple[list[str], dict[str, tuple[str, str]], bool]:
    """Class names in order; clip id -> (split, label) in the order of the file; whether it is the whole annotation.

    A file without 'labels' and 'database' is laid out as MM-Debiased.json: its clips are its top level, and its classes
    are ordered by code point, as it gives them no order.
    """
    content = read_json(path)
    whole = not isinstance(content, dict) or not content or bool(content.keys() & {"labels", "database"})
    try:
        entries = content["database"] if whole else content
        pairs = {clip: (_SUBSETS.get(entry.get("subset")), entry.get("label")) for clip, entry in entries.items()}
        names = list(content["labels"]) if whole else sorted({str(label) for _, label in pairs.values() if label})
    except (TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: lacks 'labels' or 'database'; fetch the file again.") from error
    clips = {}
    for number, (clip, (split, label)) in enumerate(pairs.items(), start=1):
        if split is None or label not in names:
            raise UserError(
                f"{path}, row {number}: malformed entry {clip!r}: {entries[clip]}; subset must be one of "
                f"{', '.join(_SUBSETS)} and label one of 'labels'."
            )
        clips[clip] = (split, label)
    return names, clips, whole


def _index(media: Path, folder: str, suffixes: Sequence[str]) -> dict[str, str]:
    """Clip id -> path relative to `media`; of several files of a clip the earliest suffix counts."""
    files = sorted(files_below(media / folder, suffixes), key=lambda path: suffixes.index(Path(path).suffix.lower()))
    return {Path(path).stem: (Path(folder) / path).as_posix() for path in reversed(files)}
