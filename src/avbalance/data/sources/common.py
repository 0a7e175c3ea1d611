"""Files of clips: which there are in a folder, how they are named, and what a manifest says of them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from avbalance.data.sources.base import FetchedSource, Row
from flowkeeper.files import sha256_file

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_YOUTUBE_CLIP = re.compile(r"(?P<video>[A-Za-z0-9_-]{11})_(?P<start>\d+)(?:_(?P<end>\d+))?")
_MILLISECONDS = 1_000

ClipIndex = Mapping[tuple[str, int], str]  # (YouTube id, start second) -> where the clip is


def media_checksum(paths: Sequence[Path]) -> str:
    """sha256 of one file; of several, sha256 over the lines `<name> <sha256>` in the given order."""
    if len(paths) == 1:
        return sha256_file(paths[0])
    lines = "".join(f"{path.name} {sha256_file(path)}\n" for path in paths)
    return hashlib.sha256(lines.encode()).hexdigest()


def images_in(folder: Path) -> list[Path]:
    """The pictures in a folder, by name; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES)


def files_below(root: Path, suffixes: Sequence[str]) -> list[str]:
    """Paths relative to `root` of all non-empty files with one of the suffixes, in any subfolder, sorted.

    Empty files are left out: an interrupted download is as good as none.
    """
    found = []
    for folder, _, names in os.walk(root):
        below = os.path.relpath(folder, root)
        for name in names:
            if name.lower().endswith(tuple(suffixes)) and os.path.getsize(os.path.join(folder, name)) > 0:
                found.append(name if below == "." else f"{below}/{name}")
    return sorted(found)


def youtube_clip(stem: str) -> tuple[str, int] | None:
    """(YouTube id, start second) of `<id>_<start>` or `<id>_<start>_<end>`; None for other names.

    Start and end are milliseconds where seconds would make a clip of 1,000 s or more: some downloaders write them so.
    """
    match = _YOUTUBE_CLIP.fullmatch(stem)
    if match is None:
        return None
    start = int(match["start"])
    in_milliseconds = match["end"] is not None and int(match["end"]) - start >= _MILLISECONDS
    return match["video"], start // _MILLISECONDS if in_milliseconds else start


def index_youtube_clips(root: Path) -> dict[tuple[str, int], str]:
    """Map (YouTube id, start second) to the path, relative to `root`, of the clip's video file.

    Of several files of one clip the first by name counts. An absent folder gives an empty index.
    """
    index: dict[tuple[str, int], str] = {}
    for path in files_below(root, VIDEO_SUFFIXES):
        key = youtube_clip(Path(path).stem)
        if key is not None:
            index.setdefault(key, path)
    return index


def videos_by_name(root: Path) -> dict[str, str]:
    """Name without suffix -> path, relative to `root`, of a video file; of several the first one by path counts."""
    return {Path(path).stem: path for path in reversed(files_below(root, VIDEO_SUFFIXES))}


def missing_columns(what: str) -> Row:
    """Manifest columns of a clip without its files."""
    return {"status": "missing", "reason": what}


def file_columns(audio: str, visual: str, files: Sequence[Path], source: FetchedSource) -> Row:
    """Manifest columns of a clip whose `files` are there."""
    return {"audio": audio, "visual": visual, "sha256": media_checksum(files) if source.checksums else None}


def video_columns(path: str | None, source: FetchedSource, wanted: str) -> Row:
    """Manifest columns of a clip whose sound and pictures are one file, or is missing (`path` is None)."""
    if path is None:
        return missing_columns(f"no video file named {wanted}")
    return file_columns(path, path, [source.folder / path], source)


def youtube_columns(video: str, start: int, index: ClipIndex, source: FetchedSource, end: str = "[_<end>]") -> Row:
    """Id, group and files of a clip of a YouTube video, in the `index` of the folder of clips.

    `end`: what may follow the id in a file's name, as people are told.
    """
    clip = f"{video}_{start:06d}"
    files = video_columns(index.get((video, start)), source, f"{clip}{end} (mp4, mkv, webm)")
    return {"id": clip, "group": video, **files}
