"""A table of clips as people have it: any delimiter and encoding, columns of any name, recognised and told."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from avbalance.errors import UserError

SUFFIXES = (".csv", ".tsv", ".txt")
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
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
_ZERO_WIDTH = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))


def read_table(path: Path) -> tuple[pd.DataFrame, str]:
    """Cells as text, row by row, and a sentence that says how the file was read; raises UserError for what is no table.

    A first line `sep=;`, as spreadsheets write it, names the delimiter.
    """
    text, encoding = _decoded(path)
    lines = text.splitlines(keepends=True)
    delimiter = None
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].strip()) == len("sep=;"):
        delimiter, lines = lines[0].strip()[-1], lines[1:]
    if not lines:
        raise UserError(f"{path}: is empty; list your clips in it, one row each, under a line with column names.")
    delimiter = delimiter or _likeliest(lines)
    try:
        rows = list(csv.reader(io.StringIO("".join(lines)), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise UserError(f"{path}: not a readable table ({error}); look for a quote that is not closed.") from error
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    header = [cell.strip() for cell in rows[0]]
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise UserError(f"{path}, row 1: two columns are named {twice[0]!r}; give each a name of its own.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise UserError(
                f"{path}, row {number}: has {len(row)} cells, the first row {len(header)}; put cells that hold "
                f"{DELIMITERS.get(delimiter, delimiter)} in quotes."
            )
    cells = [[cell.strip() for cell in row] for row in rows[1:]]
    if not cells:
        raise UserError(f"{path}: has column names and no clip; list one clip in each row.")
    told = f"{path.name}: {len(cells)} rows, {len(header)} columns, separated by {DELIMITERS.get(delimiter, delimiter)}"
    return pd.DataFrame(cells, columns=header, dtype=object), told + ("" if encoding == "UTF-8" else f", in {encoding}")


def _decoded(path: Path) -> tuple[str, str]:
    content = path.read_bytes()
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return content.decode(encoding), "UTF-16"
    if b"\0" in content:
        raise UserError(f"{path}: not a table of text; save it as CSV.")
    try:
        return content.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), "Windows-1252"


def _likeliest(lines: Sequence[str]) -> str:
    """The delimiter that cuts the first line into most cells, as many as the lines after it have."""

    def cells(delimiter: str) -> int:
        widths = {len(row) for row in csv.reader(lines[:50], delimiter=delimiter) if row}
        return widths.pop() if len(widths) == 1 else 1

    first_line = max(DELIMITERS, key=lambda delimiter: lines[0].count(delimiter))
    best = max(DELIMITERS, key=cells)
    return best if cells(best) > 1 else first_line


def guess(columns: Sequence[str], ours: str) -> str | None:
    """The column that people mean by our name: by its name, blind to case, spaces and hyphens; None without one."""
    plain = {_plain(name): name for name in columns}
    return next((plain[name] for name in NAMES[ours] if name in plain), None)


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def split_of(word: str) -> str | None:
    """train, val or test for a word that people use for it; None for another."""
    return next((ours for ours, words in SPLITS.items() if word.strip().lower() in words), None)


def tidy(label: str) -> str:
    """A label without what cannot be seen: composed characters, no zero-width ones, single spaces."""
    return " ".join(unicodedata.normalize("NFC", label).translate(_ZERO_WIDTH).split())


def merged_labels(labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Labels with one spelling for what differs in case alone or in what cannot be seen, and a sentence for each."""
    tidied = [tidy(label) for label in labels]
    counts = Counter(tidied)
    spelling: dict[str, str] = {}
    for label, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        spelling.setdefault(label.casefold(), label)
    merged = [spelling[label.casefold()] for label in tidied]
    groups: dict[str, set[str]] = {}
    for raw, name in zip(labels, merged, strict=True):
        groups.setdefault(name, set()).add(raw)
    told = [
        f"labels {', '.join(map(repr, sorted(raws)))} are taken as one class, {name!r}"
        for name, raws in sorted(groups.items())
        if len(raws) > 1
    ]
    return merged, told
