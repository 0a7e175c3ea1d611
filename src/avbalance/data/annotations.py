"""What the readers of published annotation files share: rows that name themselves in errors, oddities told and counted.

A row's number is its line in the file, counted from 1, header included: what an editor shows. An oddity is a row of
the published files that is wrong or without effect; it is named, never mended, so that whoever reads a result can see
what the truth behind it was made of.
"""

from __future__ import annotations

import csv
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from avbalance.data import PARTS
from avbalance.errors import UserError

log = logging.getLogger(__name__)

Quoting = Literal[0, 3]  # csv.QUOTE_MINIMAL, csv.QUOTE_NONE
_SHOWN = 20  # rows that a warning names


@dataclass(frozen=True)
class Oddity:
    """One odd row: `kind` is a short constant to count by, `what` the sentence for people."""

    file: str
    row: int
    kind: str
    what: str


@dataclass(frozen=True)
class ListLine:
    """A line of a file: its number and its cells."""

    path: Path
    number: int
    cells: tuple[str, ...]

    def error(self, sentence: str) -> UserError:
        """The error to raise when something is wrong with the line."""
        return UserError(f"{self.path}, row {self.number}: {sentence}")

    def odd(self, kind: str, what: str) -> Oddity:
        """An oddity in this line."""
        return Oddity(str(self.path), self.number, kind, what)

    def second(self, cell: int, name: str, last: int) -> int:
        """A whole second in 0..`last` that stands in a cell; raises UserError for anything else."""
        text = self.cells[cell]
        if not (text.isascii() and text.isdigit() and int(text) <= last):
            raise self.error(f"{name} {text!r} is not a whole second in 0..{last}; correct it.")
        return int(text)


@dataclass(frozen=True)
class ListedPart:
    """The list of the N clips of one part: ids, names of their files (where others), and labels (N, ...).

    Clip i stands in row `first_row + i` of `path`.
    """

    path: Path
    ids: tuple[str, ...]
    labels: NDArray[Any]
    first_row: int
    names: tuple[str, ...] = ()
    oddities: tuple[Oddity, ...] = ()


def text_lines(path: Path, source: str) -> Iterator[str]:
    """The lines of a UTF-8 file, one after another, a byte-order mark and the kind of line end ignored.

    `source` says where the file comes from. Raises UserError when it is absent or not text.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            yield from handle
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; take it from {source}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as text ({error}); take it again from {source}.") from error


def read_lines(path: Path, delimiter: str, source: str, quoting: Quoting = csv.QUOTE_NONE) -> list[ListLine]:
    """Every line of a file, cut into cells; quoting: how it quotes them, not at all unless said otherwise.

    Raises UserError when the file is absent, empty or not text.
    """
    try:
        rows = list(csv.reader(text_lines(path, source), delimiter=delimiter, quoting=quoting))
    except csv.Error as error:
        raise UserError(f"{path}: not readable as text ({error}); take it again from {source}.") from error
    if not rows:
        raise UserError(f"{path}, row 1: the file is empty; take it again from {source}.")
    return [ListLine(path, number, tuple(cells)) for number, cells in enumerate(rows, start=1)]


def read_columns(
    path: Path, columns: Sequence[str], delimiter: str, source: str, quoting: Quoting = csv.QUOTE_NONE
) -> Iterator[ListLine]:
    """The lines of a file below its header line, of each the cells of `columns`; the header may name further columns.

    Raises UserError for a column that is missing, a row of another width, and a file without rows.
    """
    header, *lines = read_lines(path, delimiter, source, quoting)
    for column in columns:
        if column not in header.cells:
            among = ", ".join(header.cells)
            raise header.error(f"no column {column!r} among {among}; take the file again from {source}.")
    if not lines:
        raise UserError(f"{path}, row 2: no row follows the header; take it again from {source}.")
    places = [header.cells.index(column) for column in columns]
    for line in lines:
        width, wanted = len(line.cells), len(header.cells)
        if width != wanted:
            raise line.error(f"{width} cells under a header of {wanted}; take it again from {source}.")
        yield ListLine(path, line.number, tuple(line.cells[place] for place in places))


def refuse_repeats(parts: Sequence[ListedPart]) -> None:
    """Raise UserError when a clip stands twice, be it in one part or in two."""
    seen: dict[str, str] = {}
    for part in parts:
        for row, clip in enumerate(part.ids, start=part.first_row):
            if clip in seen:
                raise UserError(
                    f"{part.path}, row {row}: {clip!r} stands in {seen[clip]} already; remove one of the two."
                )
            seen[clip] = f"{part.path}, row {row},"


def tell_oddities(oddities: Iterable[Oddity], treated: str = "left as they are") -> dict[str, int]:
    """Log a warning per file and kind with the rows and how they are `treated`; returns kind -> number, by name."""
    by_kind: dict[tuple[str, str], list[Oddity]] = defaultdict(list)
    for odd in oddities:
        by_kind[odd.file, odd.kind].append(odd)
    counts: Counter[str] = Counter()
    for (file, kind), group in by_kind.items():
        counts[kind] += len(group)
        rows = ", ".join(str(odd.row) for odd in group[:_SHOWN]) + (", ..." if len(group) > _SHOWN else "")
        first = group[0].what
        log.warning("%s: %s in %d rows (%s), %s; first: %s", file, kind, len(group), rows, treated, first)
    return dict(sorted(counts.items()))


def tell_shared_videos(rows: Sequence[Mapping[str, Any]], list_path: Path) -> dict[str, int]:
    """Log a warning when videos, by `group`, have clips in more than one part; returns parts -> number of such videos.

    Clips of one video are alike: what a test clip shares with the training part makes it easier than it seems.
    """
    parts: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        parts[row["group"]].add(row["split"])
    shared = {
        video: " and ".join(s for s in PARTS if s in own_parts)
        for video, own_parts in parts.items()
        if len(own_parts) > 1
    }
    counts = dict(sorted(Counter(shared.values()).items()))
    if shared:
        told = ", ".join(f"{pair} {number}" for pair, number in counts.items())
        log.warning(
            "%s: %d of %d videos have clips in more than one part (%s), left as they are; first: %s",
            list_path,
            len(shared),
            len(parts),
            told,
            next(iter(shared)),
        )
    return counts


def refuse_empty_intervals(oddities: Iterable[Oddity]) -> None:
    """Raise UserError for an onset that is not before its offset: the published files have a few, others must not."""
    for odd in oddities:
        if odd.kind == "empty interval":
            raise UserError(
                f"{odd.file}, row {odd.row}: the onset is not before the offset ({odd.what}), in a row that the "
                "published file does not have; correct it or take the published file."
            )


def events_text(active: NDArray[np.bool_], classes: Sequence[str]) -> str:
    """JSON [[class name, onset, offset], ...] of the runs of active seconds in (C, S), by class, then onset."""
    # A zero at both ends: a run that fills the clip has a beginning and an end too.
    edges = np.diff(np.pad(active.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, ends = (np.argwhere(edges == sign) for sign in (1, -1))
    return json.dumps([[classes[c], int(on), int(off)] for (c, on), (_, off) in zip(starts, ends, strict=True)])
