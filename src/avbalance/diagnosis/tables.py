"""What people call the columns and parts of a table of clips."""

from __future__ import annotations

from collections.abc import Sequence

SUFFIXES = (".csv", ".tsv", ".txt")
NAMES = {  # our column: the names that people give it, the likeliest first
    "id": ("id", "clip", "clip_id", "clipid", "sample", "name", "key", "uid"),
    "label": ("label", "class", "category", "target", "word", "emotion", "action", "event", "y", "labels"),
    "split": ("split", "set", "part", "partition", "subset", "fold", "usage"),
    "group": ("group", "speaker", "speaker_id", "talker", "actor", "subject", "person", "source", "session", "user"),
    "video": ("video", "video_path", "videopath", "movie"),
    "audio": ("audio", "audio_path", "sound", "wav", "speech"),
    "image": ("image", "image_path", "picture", "photo", "img"),
    "frames": ("frames", "frame_folder", "frames_dir", "pictures"),
}
FILE = ("file", "filename", "file_name", "path", "filepath", "media", "clip", "name", "id")  # any kind of medium
SPLITS = {
    "train": ("train", "training", "trn", "tr"),
    "val": ("val", "valid", "validation", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation", "tst"),
}


def guess(columns: Sequence[str], ours: str) -> str | None:
    """The column that people mean by our name: by its name, blind to case, spaces and hyphens; None without one."""
    plain = {_plain(name): name for name in reversed(columns)}
    return next((plain[name] for name in NAMES[ours] if name in plain), None)


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def split_of(word: str) -> str | None:
    """train, val or test for a word that people use for it; None for another."""
    return next((ours for ours, words in SPLITS.items() if word.strip().lower() in words), None)
