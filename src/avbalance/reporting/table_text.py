"""A table as text: a long CSV of every number, Markdown that looks like the paper's table, and LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from avbalance.reporting.cells import NOT_CONVERGED, NOT_LEARNED, CellValue
from avbalance.reporting.declared_tables import AxisEntry, DeclaredTable
from avbalance.reporting.escape import escape_markdown, markdown_table
from avbalance.reporting.table_tex import TexColumn, latex_table
from avbalance.table_files import write_csv, write_text

ABSENT = "–"
SMALL_MARK = "†"
STATE_MARKS = {NOT_LEARNED: "‡", NOT_CONVERGED: "§"}
COLUMNS = ("published", "ours_mean", "ours_sd", "seeds", "n", "data", "state")  # of the CSV, after the keys


@dataclass(frozen=True)
class BuiltTable:
    """A table ready to print: cells[row][column], each row and column a tuple of entries along its axes."""

    declared: DeclaredTable
    row_keys: tuple[tuple[AxisEntry, ...], ...]
    column_keys: tuple[tuple[AxisEntry, ...], ...]
    cells: tuple[tuple[CellValue, ...], ...]
    data: str
    notes: tuple[str, ...]
    paper: str


def write_table(table: BuiltTable, folder: Path) -> list[Path]:
    """Write <id>.csv, .md and .tex; returns the paths."""
    paths = [folder / f"{table.declared.id}.{suffix}" for suffix in ("csv", "md", "tex")]
    write_csv(paths[0], long_frame(table))
    write_text(paths[1], markdown(table))
    write_text(paths[2], latex(table))
    return paths


def long_frame(table: BuiltTable) -> pd.DataFrame:
    """One row per cell: the row and column keys, then COLUMNS."""
    names = [axis.name or axis.key for axis in (*table.declared.columns, *table.declared.rows)]
    records = [
        {**dict(zip(names, [entry.name for entry in column + row], strict=True)), **cell.record}
        for row, line in zip(table.row_keys, table.cells, strict=True)
        for column, cell in zip(table.column_keys, line, strict=True)
    ]
    # A column that is empty in most tables would only widen every CSV.
    told = ["text"] if any("text" in record for record in records) else []
    return pd.DataFrame(records, columns=[*names, *COLUMNS, *told])


def cell_text(cell: CellValue, decimals: int | None = 2) -> str:
    """`ours ± sd (published)`, with what is absent left out.

    A dagger marks fewer than 100 clips, a double dagger a seed that has not learned, a section sign one that has not
    converged.
    """
    if cell.text:
        return cell.text
    if decimals is None:
        return ABSENT if cell.ours_mean is None else f"{cell.ours_mean:.3f}".rstrip("0").rstrip(".")
    text = ABSENT if cell.ours_mean is None else f"{cell.ours_mean:.{decimals}f}"
    if cell.ours_sd is not None:
        text += f" ± {cell.ours_sd:.{decimals}f}"
    text += SMALL_MARK if cell.small else ""
    text += STATE_MARKS.get(cell.state, "")
    return text if cell.published is None else f"{text} ({cell.published:.{decimals}f})"


def size_text(cells: Iterable[CellValue]) -> str:
    """Clips behind a row or column of cells: one number, or the smallest and largest where they differ."""
    sizes = sorted({cell.n for cell in cells if cell.n is not None})
    return "-".join(str(n) for n in dict.fromkeys((sizes[0], sizes[-1]))) if sizes else ABSENT


def seeds_text(cells: Iterable[CellValue]) -> str:
    """Seeds behind a row of cells: the largest number, which a cell of fewer does not share."""
    return str(max((cell.seeds for cell in cells), default=0))


def _further(table: DeclaredTable) -> dict[str, Callable[[Iterable[CellValue]], str]]:
    """Columns that stand after a table's own: their titles, and what makes their texts of a row's cells."""
    further: dict[str, Callable[[Iterable[CellValue]], str]] = {"Seeds": seeds_text} if table.seed_counts else {}
    return further | ({table.counted: size_text} if table.counted_along == "rows" else {})


def grid_texts(table: BuiltTable) -> tuple[list[str], list[list[str]]]:
    """Column heads and rows of text of the printed table, clips per row or per column added as declared."""
    declared, further = table.declared, _further(table.declared)
    heads = [*(", ".join(entry.label for entry in key) for key in table.column_keys), *further]
    body = [
        [
            *(entry.label for entry in row),
            *(cell_text(cell, declared.decimals) for cell in line),
            *(text(line) for text in further.values()),
        ]
        for row, line in zip(table.row_keys, table.cells, strict=True)
    ]
    if declared.counted_along == "columns":
        blanks = [""] * (len(declared.rows) - 1)
        body.append([declared.counted, *blanks, *(size_text(column) for column in zip(*table.cells, strict=True))])
    return heads, body


def _titles(table: DeclaredTable) -> list[str]:
    """Headings above the labels of rows."""
    return [axis.title or axis.key.capitalize() for axis in table.rows]


def markdown(table: BuiltTable) -> str:
    """The table as GitHub Markdown, the data named on top, the notes below."""
    declared, titles, (heads, body) = table.declared, _titles(table.declared), grid_texts(table)
    lines = [f"# {escape_markdown(declared.title)}", "", escape_markdown(table.data), ""]
    lines += [_legend(table), ""]
    lines += [*markdown_table([*titles, *heads], body, len(titles)), ""]
    lines += [f"- {escape_markdown(note)}" for note in table.notes]
    return "\n".join(lines).rstrip("\n") + "\n"


def _legend(table: BuiltTable) -> str:
    """What stands in a cell."""
    compared = any(cell.published is not None for line in table.cells for cell in line)
    legend = "ours." if table.declared.decimals is None else "ours, mean ± standard deviation over seeds"
    legend += " (published)." if compared else "" if table.declared.decimals is None else "."
    return f"Cells: {legend} {ABSENT}: not made."


def latex(table: BuiltTable) -> str:
    """The table for LaTeX, see table_tex.py."""
    declared, (heads, body) = table.declared, grid_texts(table)
    levels, further = len(declared.columns), list(_further(declared))
    above = ("",) * (levels - 1)
    titles = [(*above, title) for title in _titles(declared)]
    named = [tuple(entry.label for entry in key) for key in table.column_keys]
    texts = list(zip(*body, strict=True)) or [()] * (len(titles) + len(heads))
    columns = [
        TexColumn.of(head, cells, place < len(titles))
        for place, (head, cells) in enumerate(
            zip((*titles, *named, *((*above, title) for title in further)), texts, strict=True)
        )
    ]
    counted = declared.counted_along == "columns"
    name = f"{table.paper}-{declared.id}"
    return latex_table(name, declared.title, [table.data, _legend(table)], columns, table.notes, counted)
