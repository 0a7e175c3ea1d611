"""A table as data, <id>.json: the texts that the page shows of it, and what stands behind every cell."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from avbalance.reporting.cells import CellValue, MeasuredCells
from avbalance.reporting.coordinates import COORDINATES
from avbalance.reporting.table_text import ABSENT, SMALL_MARK, STATE_MARKS, BuiltTable, seeds_text, size_text


def table_data(table: BuiltTable, measured: MeasuredCells) -> dict[str, Any]:
    """What the page shows of a table, and `behind`: rows of what stands behind each cell, see `_behind`."""
    declared = table.declared
    places = [[declared.place(row + column, declared.id) for column in table.column_keys] for row in table.row_keys]
    if declared.common_seeds and declared.source is None:
        measured = measured.on_common_seeds(itertools.chain(*places))
    behind = [
        [_behind(None if declared.source else measured, *each) for each in zip(*line, strict=True)]
        for line in zip(places, table.cells, strict=True)
    ]
    return {**_shown(table), "behind": behind}


def _behind(measured: MeasuredCells | None, place: Mapping[str, str], cell: CellValue) -> dict[str, Any] | None:
    """Place of a number, clips, and its values as [seed, value]; None where there is no number of ours.

    A number that is not of the measurements has its coordinates as they are declared, and in the place of values the
    runs that its source names: [run, seed, value or None]; None where the source names none.
    """
    if cell.ours_mean is None:
        return None
    if measured is None:
        runs = None if cell.behind is None else [[each.run, each.seed, _rounded(each.value)] for each in cell.behind]
        return {"place": {**place, "dataset": cell.data}, "n": cell.n, "runs": runs}
    values = [[seed, _rounded(value)] for seed, value in sorted(measured.by_seed(place).items())]
    return {"place": dict(zip(COORDINATES, measured.key(place), strict=True)), "n": cell.n, "values": values}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _shown(table: BuiltTable) -> dict[str, Any]:
    declared = table.declared
    measured = declared.source is None
    sized = declared.counted_along == "rows"
    further = [*(["Seeds"] if measured else []), *([declared.counted] if sized else [])]
    rows = [
        {
            "labels": [entry.label for entry in key],
            "cells": [_cell(cell, declared.decimals) for cell in line],
            "further": [*([_seeds(line)] if measured else []), *([size_text(line)] if sized else [])],
        }
        for key, line in zip(table.row_keys, table.cells, strict=True)
    ]
    number, _, rest = declared.title.partition(". ")
    return {
        "id": declared.id,
        "number": number if rest else "",
        "title": rest or declared.title,
        "data": table.data,
        "titles": [axis.title or axis.key.capitalize() for axis in declared.rows],
        "heads": _heads(table),
        "further": further,
        "rows": rows,
        "sizes": [size_text(column) for column in zip(*table.cells, strict=True)]
        if declared.counted_along == "columns"
        else None,
        "counted": declared.counted,
        "compared": any(cell.published is not None for line in table.cells for cell in line),
        "measured": measured,
        "notes": table.notes,
    }


def _seeds(line: Sequence[CellValue]) -> str:
    """Seeds of a row's cells: one number, or from the fewest to the most."""
    fewest = min((cell.seeds for cell in line if cell.seeds), default=0)
    most = seeds_text(line)
    if not fewest:
        return ABSENT
    return most if str(fewest) == most else f"{fewest}–{most}"


def _heads(table: BuiltTable) -> list[list[tuple[str, int]]]:
    """Levels of column heads: texts, and how many columns each one spans."""
    return [
        [
            (members[0][level].label, len(members))
            for _, group in itertools.groupby(table.column_keys, key=lambda key: [e.name for e in key[: level + 1]])
            for members in [list(group)]
        ]
        for level in range(len(table.declared.columns))
    ]


def _cell(cell: CellValue, decimals: int | None) -> dict[str, str]:
    """Mean, spread, marks and published number, as text."""
    if cell.text:
        return {"mean": cell.text, "spread": "", "marks": "", "published": ""}
    if decimals is None:
        text = ABSENT if cell.ours_mean is None else f"{cell.ours_mean:.3f}".rstrip("0").rstrip(".")
        return {"mean": text, "spread": "", "marks": "", "published": ""}
    return {
        "mean": ABSENT if cell.ours_mean is None else f"{cell.ours_mean:.{decimals}f}",
        "spread": "" if cell.ours_sd is None else f"{cell.ours_sd:.{decimals}f}",
        "marks": SMALL_MARK * cell.small + STATE_MARKS.get(cell.state, ""),
        "published": "" if cell.published is None else f"{cell.published:.{decimals}f}",
    }
