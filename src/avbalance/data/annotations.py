"""What the readers of published annotation files share: rows by line, refusals that name them, and named oddities.

A row's number is its line in the file, counted from 1, header included: what an editor shows. An oddity is a row of
the published files that is wrong or without effect; it is named, never mended, so that whoever reads a result can see
what the truth behind it was made of.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from avbalance.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Quoting = Literal[0, 3]  # csv.QUOTE_MINIMAL, csv.QUOTE_NONE


@dataclass(frozen=True)
class Oddity:
    """One odd row: `kind` is a short constant to count by, `what` the sentence for people."""

    file: str
    row: int
    kind: str
    what: str


class Listed(Protocol):
    """A split's list of clips; `ids[0]` stands in row `first_row` of `path`."""

    @property
    def path(self) -> Path: ...

    @property
    def ids(self) -> tuple[str, ...]: ...

    @property
    def first_row(self) -> int: ...


def oddity_table(oddities: Iterable[Oddity]) -> pd.DataFrame:
    """The oddities as a table with the columns file, row, kind, what: to be printed and stored by the caller."""
    import pandas as pd

    return pd.DataFrame([asdict(oddity) for oddity in oddities], columns=list(Oddity.__dataclass_fields__))


def read_rows(path: Path, delimiter: str, source: str, quoting: Quoting = csv.QUOTE_NONE) -> list[list[str]]:
    """The cells of every line of a UTF-8 file, a byte-order mark and the kind of line end ignored.

    `source` says where the file comes from, `quoting` how it quotes cells: not at all unless said otherwise. Raises
    UserError when it is absent, empty or not text.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            rows = list(csv.reader(handle, delimiter=delimiter, quoting=quoting))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; take it from {source}.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not readable as text ({error}); take it again from {source}.") from error
    if not rows:
        raise UserError(f"{path}, row 1: the file is empty; take it again from {source}.")
    return rows


def read_columns(
    path: Path, columns: Sequence[str], delimiter: str, source: str, quoting: Quoting = csv.QUOTE_NONE
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield (row number, cells of `columns`) of a file with a header line; the header may name further columns.

    Raises UserError for a column that is missing, a row of another width, and a file without rows.
    """
    header, *rows = read_rows(path, delimiter, source, quoting)
    lacking = [column for column in columns if column not in header]
    if lacking:
        found = ", ".join(header)
        raise UserError(f"{path}, row 1: no column {lacking[0]!r} among {found}; take the file again from {source}.")
    if not rows:
        raise UserError(f"{path}, row 2: no row follows the header; take it again from {source}.")
    places = [header.index(column) for column in columns]
    for row, cells in enumerate(rows, start=2):
        if len(cells) != len(header):
            raise UserError(
                f"{path}, row {row}: {len(cells)} cells under a header of {len(header)}; take it again from {source}."
            )
        yield row, tuple(cells[place] for place in places)


def second(text: str, path: Path, row: int, name: str, last: int) -> int:
    """A whole second in 0..`last`; raises UserError for anything else."""
    if not (text.isascii() and text.isdigit() and int(text) <= last):
        raise UserError(f"{path}, row {row}: {name} {text!r} is not a whole second in 0..{last}; correct it.")
    return int(text)


def refuse_repeats(splits: Sequence[Listed]) -> None:
    """Raise UserError when a clip stands twice, be it in one split or in two."""
    seen: dict[str, str] = {}
    for split in splits:
        for row, clip in enumerate(split.ids, start=split.first_row):
            if clip in seen:
                raise UserError(
                    f"{split.path}, row {row}: {clip!r} stands in {seen[clip]} already; remove one of the two."
                )
            seen[clip] = f"{split.path}, row {row},"
