"""What all sources share: checked options, checksums, and the index of a folder of clips."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from avbalance.data.sources.options import ClipOptions, MediaOptions
from avbalance.declared import Declared, read
from avbalance.errors import UserError
from flowkeeper.files import sha256_file

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm")

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_YOUTUBE_CLIP = re.compile(r"(?P<video>[A-Za-z0-9_-]{11})_(?P<start>\d+)(?:_(?P<end>\d+))?")
_MILLISECONDS = 1_000


_Kind = TypeVar("_Kind", bound=Declared)


def read_options(kind: type[_Kind], spec: Mapping[str, Any]) -> _Kind:
    """The options of a data set specification; raises UserError for what does not exist, and for wrong values."""
    return read(kind, spec.get("options") or {}, f"data set of kind {spec['kind']}, options")


def ready_options(
    kind: type[_Kind], spec: Mapping[str, Any], preflight: Callable[[Mapping[str, Any]], str | None]
) -> _Kind:
    """The options, as of `read_options`; raises UserError also where `preflight` says that something is absent."""
    problem = preflight(spec)
    if problem is not None:
        raise UserError(problem)
    return read_options(kind, spec)


def plain_options(options: Declared, spec: Mapping[str, Any]) -> dict[str, Any]:
    """All options by name: what is given as it is given, and the defaults of the rest."""
    return {**options.model_dump(mode="json"), **dict(spec.get("options") or {})}


def absent_list(paths: Iterable[str | Path], origin: str) -> str | None:
    """Say which list is not there, and that it is to be taken from `origin`; None when all are there."""
    absent = next((path for path in paths if not Path(path).is_file()), None)
    return None if absent is None else f"{absent}: no such file; take it from {origin}."


def absent_media(folder: Path, origin: str, options: ClipOptions) -> str | None:
    """Say that the folder of the clips is not there, and how to get it; None when it is, or may be absent."""
    if options.allow_missing or folder.is_dir():
        return None
    return f"{folder}: no such folder; {origin}, or set the option allow_missing to plan without."


def card_for(name: str, spec: Mapping[str, Any], classes: Iterable[str], media_root: str) -> dict[str, Any]:
    """The card of a manifest, all but its digest."""
    return {
        "dataset": name,
        "kind": spec["kind"],
        "stands_for": spec.get("stands_for"),
        "describe": spec["describe"],
        "classes": list(classes),
        "media_root": media_root,
        "options": dict(spec.get("options") or {}),
    }


def media_root_entry(root: str | os.PathLike[str], out_dir: Path) -> str:
    """How a card names the media folder: as given when absolute, else relative to the manifest's folder.

    A relative name keeps a project that is moved or cloned as a whole in working order.
    """
    if os.path.isabs(root):
        return str(root)
    return os.path.relpath(os.path.abspath(root), os.path.abspath(out_dir))


def media_checksum(paths: Sequence[Path]) -> str:
    """sha256 of one file; of several, sha256 over the lines `<name> <sha256>` in the given order."""
    if len(paths) == 1:
        return sha256_file(paths[0])
    lines = "".join(f"{path.name} {sha256_file(path)}\n" for path in paths)
    return hashlib.sha256(lines.encode()).hexdigest()


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


def missing_columns(what: str) -> dict[str, Any]:
    """Manifest columns of a clip without its files."""
    return {"status": "missing", "reason": what}


def video_columns(path: str | None, root: Path, options: ClipOptions, wanted: str) -> dict[str, Any]:
    """Manifest columns of a clip whose sound and pictures are one file, or is missing (`path` is None)."""
    if path is None:
        return missing_columns(f"no video file named {wanted}")
    checksum = media_checksum([root / path]) if options.checksums else None
    return {"audio": path, "visual": path, "sha256": checksum}


def youtube_columns(
    video: str, start: int, index: Mapping[tuple[str, int], str], options: MediaOptions, end: str = "[_<end>]"
) -> dict[str, Any]:
    """Id, group and files of a clip of a YouTube video, in the `index` of the folder of clips.

    `end`: what may follow the id in a file's name, as people are told.
    """
    clip, root = f"{video}_{start:06d}", Path(options.media_root)
    files = video_columns(index.get((video, start)), root, options, f"{clip}{end} (mp4, mkv, webm)")
    return {"id": clip, "group": video, **files}


def refuse_if_nothing_found(
    rows: Sequence[Mapping[str, Any]], media: Path, options: ClipOptions, option: str = "media_root"
) -> None:
    """Raise UserError when not one clip has its media, which is a wrong folder, the one of `option`, not dead links."""
    if not options.allow_missing and rows and all(row.get("status") == "missing" for row in rows):
        raise UserError(
            f"{media}: holds none of the {len(rows)} clips ({rows[0]['reason']}); "
            f"set the option {option} to the folder that holds them all, or allow_missing to plan without them."
        )
