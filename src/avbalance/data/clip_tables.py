"""A table of clips as people have it: any delimiter and encoding, paths in any manner, labels that look alike."""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avbalance.errors import UserError

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_ZERO_WIDTH = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))
_LONGEST_NAME, _LONGEST_PATH = 255, 4000  # bytes that file systems take
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True)
class Table:
    """Cells as text, without spaces around them.

    rows: number of the row -> its cells, one for each name; the line of names is row 1, as a spreadsheet counts.
    told: how the file was read, in one sentence; wrong: rows that have too many or too few cells, and what to do.
    """

    names: list[str]
    rows: dict[int, list[str]]
    told: str
    wrong: list[tuple[int, str]] = field(default_factory=list)


def read_table(path: Path) -> Table:
    """Read a file of comma-separated values or the like; raises UserError for what is no table.

    A first line `sep=;`, as spreadsheets write and hide it, names the delimiter and is no row.
    """
    text, encoding = _decoded(path)
    first, _, rest = text.partition("\n")
    delimiter = None
    if first.lower().startswith("sep=") and len(first.rstrip("\r")) == len("sep=;"):
        delimiter, text = first[len("sep=")], rest
    delimiter = delimiter or _likeliest(text)
    separated = DELIMITERS.get(delimiter, repr(delimiter))
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise UserError(f"{path}: not a readable table ({error}); look for a quote that is not closed.") from error
    filled = {number: [cell.strip() for cell in row] for number, row in enumerate(records, start=1) if any(row)}
    filled = {number: cells for number, cells in filled.items() if any(cells)}
    if not filled:
        raise UserError(f"{path}: is empty; list your clips in it, one row each, under a line with column names.")
    header = next(iter(filled))
    names = filled[header]
    blank = {place for place, name in enumerate(names) if not name} - {
        place for cells in filled.values() for place, cell in enumerate(cells) if cell
    }  # as spreadsheets export columns that were used once
    filled = {
        number: [cell for place, cell in enumerate(cells) if place not in blank] for number, cells in filled.items()
    }
    names = filled.pop(header)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        what = f"two columns are named {twice[0]!r}" if twice[0] else "two columns have no name"
        raise UserError(f"{path}, row {header}: {what}; give each a name of its own.")
    if not filled:
        raise UserError(f"{path}: has no rows; list at least one clip under the column names.")
    wrong = [
        (number, f"has {len(cells)} cells, the first row {len(names)}; put cells that hold {separated} in quotes.")
        for number, cells in filled.items()
        if len(cells) != len(names)
    ]
    told = f"{path.name}: {len(filled)} rows, {len(names)} columns, separated by {separated}"
    told += "" if encoding == "UTF-8" else f", in {encoding}"
    rows = {number: cells for number, cells in filled.items() if len(cells) == len(names)}
    return Table(names, rows, told, wrong)


def _decoded(path: Path) -> tuple[str, str]:
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace"), "UTF-16"
    if b"\0" in content:
        raise UserError(f"{path}: not a table of text; save it as CSV.")
    try:
        return content.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), "Windows-1252"


def _likeliest(text: str) -> str:
    """The delimiter that cuts the first line into most cells, as many as the lines after it have."""
    lines = text.splitlines()[:50]

    def cells(delimiter: str) -> int:
        widths = {len(row) for row in csv.reader(lines, delimiter=delimiter) if row}
        return widths.pop() if len(widths) == 1 else 1

    best = max(DELIMITERS, key=cells)
    return best if cells(best) > 1 else max(DELIMITERS, key=lambda delimiter: "".join(lines[:1]).count(delimiter))


def inside(root: Path, cell: str) -> str:
    """A path as people give it -> one relative to the folder `root`; files need not exist.

    Backslashes are read as slashes unless a file has them in its name; absolute paths are taken where they lie below
    the folder. Raises UserError, without the place, for a path that leads out by itself (links may) or is too long.
    """
    parts = [len(os.fsencode(part)) for part in re.split(r"[\\/]", cell)]
    if max(parts) > _LONGEST_NAME or sum(parts) > _LONGEST_PATH:
        raise UserError(f"{cell[:40]!r}... is a name of {len(cell)} characters; give the path of a file.")
    slashed = "\\" in cell and not os.path.lexists(root / cell)
    text = os.path.normpath(cell.replace("\\", "/") if slashed else cell)
    for folder in (root.absolute(), root.resolve()):
        if Path(text).is_relative_to(folder):
            return str(Path(text).relative_to(folder))
    if Path(text).is_absolute() or ".." in Path(text).parts or _DRIVE.match(cell):
        raise UserError(f"{cell[:120]!r} leads out of {root}; use a path inside the folder.")
    if text.isascii() or os.path.lexists(root / text):
        return text
    composed_or_not = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]  # macOS writes names decomposed
    return next((path for path in composed_or_not if os.path.lexists(root / path)), text)


def tidy(label: str) -> str:
    """A label without what cannot be seen: composed characters, no zero-width ones, single spaces."""
    return " ".join(unicodedata.normalize("NFC", label).translate(_ZERO_WIDTH).split())


def merged_labels(labels: Sequence[str], known: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """Labels with one spelling for what differs in case alone or in what cannot be seen, and a sentence for each.

    known: spellings that are kept as they are, also where they differ in case alone.
    """
    kept = list(known)
    tidied = [label if label in kept else tidy(label) for label in labels]
    counts = Counter(tidied)
    spelling = {tidy(label).casefold(): label for label in reversed(kept)}
    for label, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        spelling.setdefault(label.casefold(), label)
    merged = [label if label in kept else spelling[label.casefold()] for label in tidied]
    groups: dict[str, set[str]] = {}
    for raw, name in zip(labels, merged, strict=True):
        groups.setdefault(name, set()).add(raw)
    alike = {name: raws for name, raws in sorted(groups.items()) if len(raws) > 1}
    return merged, [f"labels {_shown(raws)} are taken as one class, {name!r}" for name, raws in alike.items()]


def _shown(raws: set[str]) -> str:
    """Spellings in a sentence; by the numbers of their characters where readers could not tell them apart."""
    unlike = len({tidy(raw) for raw in raws}) == len(raws)
    return ", ".join(map(repr if unlike else ascii, sorted(raws)))
