"""Files of clips: which there are in a folder, how they are named, and which are none."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from flowkeeper.files import sha256_file

# Usual suffixes of what FFmpeg reads, the best kept first. A file that a table names is read whatever its suffix.
VIDEO_SUFFIXES = (
    *(".mp4", ".mkv", ".webm", ".mov", ".m4v", ".avi", ".mpg", ".mpeg", ".flv", ".f4v", ".ogv", ".3gp", ".3g2"),
    *(".ts", ".mts", ".m2ts", ".wmv", ".asf", ".vob", ".mxf", ".dv", ".nut", ".mjpeg", ".mjpg", ".y4m", ".gif"),
)
SOUND_SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".aifc", ".au", ".caf"),
    *(".wma", ".mka", ".mp2", ".ac3", ".amr", ".ape", ".wv", ".tta", ".w64", ".sph"),
)
# What Pillow reads by itself. A .gif of several pictures is a video.
IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".apng", ".avif", ".avifs", ".blp", ".bw"),
    *(".cur", ".dcx", ".dds", ".dib", ".fit", ".fits", ".ftc", ".ftu", ".gbr", ".icb", ".icns", ".ico", ".im"),
    *(".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpf", ".jpx", ".msp", ".pbm", ".pcd", ".pcx", ".pfm"),
    *(".pgm", ".pnm", ".ppm", ".psd", ".pxr", ".qoi", ".ras", ".rgb", ".rgba", ".sgi", ".tga", ".vda", ".vst"),
    *(".xbm", ".xpm"),
)
_IMAGES_READ = f"pictures: {' '.join(IMAGE_SUFFIXES)}"
_READ = f"videos: {' '.join(VIDEO_SUFFIXES)}; sound: {' '.join(SOUND_SUFFIXES)}; {_IMAGES_READ}"
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")
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
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF and b"avif" not in head:  # FFmpeg would give one tile of it
        return f"a picture in the HEIF format of phones, which is not read; save it as .jpg ({_READ})"
    return ""


def not_read(path: Path) -> str:
    """For a file that could not be opened: the suffixes that are read, when its own is none; else empty text."""
    suffix = path.suffix.lower()
    if suffix in (*VIDEO_SUFFIXES, *SOUND_SUFFIXES, *IMAGE_SUFFIXES):
        return ""
    return f"; {suffix or 'a name without suffix'} is none of those that are read ({_READ})"


def images_in(folder: Path) -> list[Path]:
    """The pictures in a folder, 2.png before 10.png; none where there is no folder.

    Names that begin with a dot are left out: macOS writes ._1.png beside 1.png.
    """
    if not folder.is_dir():
        return []
    images = [entry for entry in folder.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES and not _hidden(entry.name)]
    return sorted(images, key=lambda entry: _natural(entry.name))


def no_images(folder: Path) -> str:
    """Why `images_in` finds none in a folder that has files, naming the suffixes that are read; else empty text."""
    if not folder.is_dir() or images_in(folder):
        return ""
    others = sorted({entry.suffix.lower() or "no suffix" for entry in folder.iterdir() if not _hidden(entry.name)})
    if not others:
        return ""
    return f"the folder has no picture with a suffix that is read: there are {', '.join(others)} ({_IMAGES_READ})"


def _hidden(name: str) -> bool:
    return name.startswith(".")


def _natural(name: str) -> tuple[list[tuple[str, int]], str]:
    """Sorts names so that numbers in them count by their value; equal ones by their spelling."""
    parts = re.split(r"([0-9]+)", name)
    return [(text, int(number)) for text, number in zip(parts[::2], [*parts[1::2], "-1"], strict=True)], name


def files_below(root: Path, suffixes: Sequence[str]) -> list[str]:
    """Paths relative to `root` of all non-empty files with one of the suffixes, in any subfolder, sorted.

    Empty files are left out, as an interrupted download is as good as none, and names that begin with a dot.
    """
    paths = []
    for folder, _, names in os.walk(root):
        below = os.path.relpath(folder, root)
        for name in names:
            if _hidden(name):
                continue
            if name.lower().endswith(tuple(suffixes)) and os.path.getsize(os.path.join(folder, name)) > 0:
                paths.append(name if below == "." else f"{below}/{name}")
    return sorted(paths)


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
