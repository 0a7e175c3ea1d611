"""Files of clips: which there are in a folder, how they are named, and which are none."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from flowkeeper.files import sha256_file

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_YOUTUBE_CLIP = re.compile(r"(?P<video>[A-Za-z0-9_-]{11})_(?P<start>\d+)(?:_(?P<end>\d+))?")
_MILLISECONDS = 1_000


def media_checksum(paths: Sequence[Path]) -> str:
    """sha256 of one file; of several, sha256 over the lines `<name> <sha256>` in the given order."""
    if len(paths) == 1:
        return sha256_file(paths[0])
    lines = "".join(f"{path.name} {sha256_file(path)}\n" for path in paths)
    return hashlib.sha256(lines.encode()).hexdigest()


def unreadable(path: Path) -> str:
    """Why a file cannot hold media at all, told from its size and first bytes; empty text when it may."""
    if not path.is_file():
        return "there is no such file"
    with path.open("rb") as handle:
        head = handle.read(64)
    if not head:
        return "the file is empty"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer stands in place of the file; fetch the real one with git lfs pull"
    return ""


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
