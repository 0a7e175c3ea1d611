"""What a manifest says of a clip: where its files are, or that there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from avbalance.data.media_files import VIDEO_SUFFIXES, files_below, media_checksum, youtube_clip
from avbalance.data.sources.base import FetchedSource, Row

ClipIndex = Mapping[tuple[str, int], str]  # (YouTube id, start second) -> where the clip is


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
