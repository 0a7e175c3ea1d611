"""The balanced audiovisual data set of Xia et al. 2023, section 4, as its authors distribute it.

Per clip: an HDF5 file of JPEG frames (or a video file), and a sound file or the distributed spectrogram. The
manifest only names them; reading is the features' business.

The only part of the annotation in a public repository is MM-Debiased.json (GeWu-Lab/Valuate-and-Enhance-Multimodal-
Cooperation): 14,025 clips of ten of the 30 classes, in a layout of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources.annotated import tell_shared_videos
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
    youtube_clip,
)
from avbalance.data.sources.options import ClipOptions, FilePath
from avbalance.errors import UserError
from flowkeeper.files import read_json

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest


class BalancedOptions(ClipOptions):
    """Options of kind balanced."""

    annotation: FilePath
    """the distributed JSON file"""
    media_root: FilePath
    """folder that holds the two media folders"""
    visual_folder: FilePath = "video"
    """folder of the pictures below media_root"""
    audio_folder: FilePath = "audio"
    """folder of the sound below media_root"""


OPTIONS = BalancedOptions
_PAGE = "the page of GeWu-Lab/Balanced-Audiovisual-Dataset"
_TEN = "MM-Debiased.json"
_TEN_SOURCE = "take it from the repository GeWu-Lab/Valuate-and-Enhance-Multimodal-Cooperation (MM-Debiased dataset)"
MEDIA_SOURCES = {"media_root": f"fetch the data set by hand from the shared folder linked on {_PAGE}"}
PUBLISHED_SIZES = {
    "train": 28_949,
    "val": 3_018,
    "test": 3_884,
}  # by the project page; the paper says 34,000 in all
VISUAL_SUFFIXES = (".h5", ".hdf5", *VIDEO_SUFFIXES)
AUDIO_SUFFIXES = (".wav", ".flac", *VIDEO_SUFFIXES, ".pkl")
_SUBSETS = {"training": "train", "validation": "val", "testing": "test"}


def preflight(spec: Mapping[str, Any]) -> str | None:
    """Say that the annotation or the media are missing and where to get them; None when all are there."""
    options = read_options(OPTIONS, spec)
    annotation, media = Path(options.annotation), Path(options.media_root)
    source = MEDIA_SOURCES["media_root"]
    if not annotation.is_file():
        return f"{annotation}: no such file; {_TEN_SOURCE if annotation.name == _TEN else source}."
    told = (absent_media(media / name, source, options) for name in (options.visual_folder, options.audio_folder))
    return next(filter(None, told), None)


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that list the clips: the annotation."""
    return [read_options(OPTIONS, spec).annotation]


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """Join annotation and media; clips that lack the sound or the pictures get the status "missing".

    The card's `size_differences` lists the parts of the whole annotation whose size is not the published one, and
    `shared_videos` counts the videos with clips in more than one part, by parts: the clips stay where they are. Raises
    UserError, naming file, row and fix, on malformed entries.
    """
    from avbalance.data.manifest import make_manifest

    options = ready_options(OPTIONS, spec, preflight)
    annotation, media = Path(options.annotation), Path(options.media_root)
    names, clips, whole = _read_annotation(annotation)
    visual = _index(media, options.visual_folder, VISUAL_SUFFIXES)
    audio = _index(media, options.audio_folder, AUDIO_SUFFIXES)
    rows = []
    for clip_id, (split, label) in clips.items():
        source = youtube_clip(clip_id)
        group = source[0] if source else clip_id
        files = _media_columns(audio.get(clip_id), visual.get(clip_id), media, options.checksums)
        rows.append({"id": clip_id, "label": label, "split": split, "group": group, **files})
    refuse_if_nothing_found(rows, media, options)
    card = card_for(name, spec, names, media_root_entry(options.media_root, out_dir))
    card["size_differences"] = _size_differences(Counter(row["split"] for row in rows)) if whole else []
    card["shared_videos"] = tell_shared_videos(rows, annotation)
    return make_manifest(rows, card, str(annotation))


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
    found = sorted(files_below(media / folder, suffixes), key=lambda path: suffixes.index(Path(path).suffix.lower()))
    index: dict[str, str] = {}
    for path in found:
        index.setdefault(Path(path).stem, (Path(folder) / path).as_posix())
    return index


def _media_columns(audio: str | None, visual: str | None, media: Path, checksums: bool) -> dict[str, Any]:
    absent = [what for what, path in (("sound", audio), ("pictures", visual)) if path is None]
    if audio is None or visual is None:
        return missing_columns(f"no file with the {' and '.join(absent)}")
    files = [media / path for path in dict.fromkeys((audio, visual))]
    return {"audio": audio, "visual": visual, "sha256": media_checksum(files) if checksums else None}


def _size_differences(sizes: Mapping[str, int]) -> list[str]:
    return [
        f"{split}: {sizes.get(split, 0)} clips, published {published}"
        for split, published in PUBLISHED_SIZES.items()
        if sizes.get(split, 0) != published
    ]
