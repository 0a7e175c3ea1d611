"""Tables as declared: what is wrong with a declaration, and the cells that are looked up for it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from string import Formatter
from typing import Any

from avbalance.analysis.subsets import ANNOTATIONS, canonical_subset
from avbalance.declared import Known, listed, nearest
from avbalance.errors import UserError
from avbalance.evaluation.measure import read_measurements
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.evaluation.published import Elsewhere, context_lines, load_context
from avbalance.evaluation.rows import CROSS_FITTED
from avbalance.reporting.cells import SMALL, CellValue, MeasuredCells, published_numbers
from avbalance.reporting.coordinates import SELECT, coordinates_of
from avbalance.reporting.declared_tables import DeclaredTable, combined, keys_of, read_table
from avbalance.reporting.facts import ANNOTATED_NOTE, CROSS_FITTED_NOTE, data_line, notes
from avbalance.reporting.kinds import entries, folders_of
from avbalance.reporting.table_data import table_data
from avbalance.reporting.table_text import SMALL_MARK, STATE_MARKS, BuiltTable, write_table
from avbalance.table_files import write_text

SEEDS_NOTE = "Cells without ± are of one seed; their distance from a mean of several may be due to the seeds."
COMMON_NOTE = "Every row is of the seeds that all rows have; where a row has more, other tables show it over all."


def check_tables(declared: Mapping[str, Any], known: Known, where: str) -> None:
    """Raise UserError where a table of a paper is declared wrongly; needs no results.

    declared: all that the paper declares (slug, tables, measures); known: its data sets and runs, as kinds
    "data set" and "run"; where: the file that has the tables. Every coordinate of every cell is checked as well, those
    that `select` puts together included.
    """
    names = coordinates_of(declared["measures"], known)
    infos = {role: DatasetInfo(role, role, None, "") for role in known["data set"]}
    paper = Paper("", "", "", infos, {run: run for run in known["run"]}, ())
    for given, place in entries(declared, "tables", where):
        table = read_table(given, folders_of(declared), place, {**known, **names})
        own = {"dataset": names["dataset"], **table.source.names()} if table.source else names
        _check_cells(table, paper, place, own)


def _check_cells(table: DeclaredTable, paper: Paper, where: str, names: Known) -> None:
    used = {name for text in table.select.values() for _, name, _, _ in Formatter().parse(text) if name}
    rows, columns = (list(keys_of(axes, paper)) for axes in (table.rows, table.columns))
    optional = () if table.source else SELECT
    for row, column in itertools.product(rows, columns):
        cell = f"{where}, cell ({', '.join(entry.name for entry in row + column)})"
        place = table.place(row + column, where)
        _check_place({key: value for key, value in place.items() if key in names or key not in used}, names, cell)
        if missing := [key for key in names if key not in place and key not in optional]:
            raise UserError(f"{cell}: nothing says its {missing[0]}; add it to an axis or to select.")
    _check_place(table.published_where, names, f"{where}, published_where")
    coordinates = [combined(row) for row in rows]
    told = {key: {each.get(key, "") for each in coordinates} for key in dict.fromkeys(itertools.chain(*coordinates))}
    _check_place(table.rows_only_made, told, f"{where}, made_only")


def _check_place(place: Mapping[str, str], names: Known, where: str) -> None:
    for key, value in place.items():
        if key not in names:
            raise UserError(f"{where}: there is no coordinate {key!r}{nearest(key, names)}; there are {listed(names)}.")
        known = names[key]
        if (canonical_subset(value) if key == "subset" else value) not in known:
            raise UserError(f"{where}: there is no {key} {value!r}{nearest(value, known)}; there are {listed(known)}.")


def build_table(
    paper: Paper, declared: DeclaredTable, measured: MeasuredCells, context: Sequence[Elsewhere] = ()
) -> BuiltTable:
    """Look up every cell of a declared table; context: other papers' numbers."""
    row_keys, column_keys = (tuple(keys_of(axes, paper)) for axes in (declared.rows, declared.columns))
    lookup = declared.source.lookup(paper, measured) if declared.source else measured.cell
    lines = [(row, [declared.place(row + column, declared.id) for column in column_keys]) for row in row_keys]
    if declared.made_only:
        some = declared.rows_only_made.items()
        lines = [
            (row, places)
            for row, places in lines
            if not some <= combined(row).items() or any(lookup(place).made for place in places)
        ]
    row_keys, places = tuple(row for row, _ in lines), [line for _, line in lines]
    every = list(itertools.chain(*places))
    if declared.common_seeds and declared.source is None:
        lookup = measured.on_common_seeds(every).cell
    cells = tuple(tuple(_shown(lookup(place), place, declared) for place in line) for line in places)
    marked = declared.source is None and declared.decimals is not None
    roles, generators = _roles(declared, paper), any("generator" in place for place in every)
    below = [
        *(_marks(paper, every, itertools.chain(*cells), declared.counted) if marked else []),
        *([COMMON_NOTE] if declared.common_seeds else []),
        *declared.notes,
        *context_lines(context, [paper.dataset(role).label for role in roles], declared.context),
        *notes(paper, roles, declared.id, generators),
    ]
    return BuiltTable(
        declared, row_keys, column_keys, cells, data_line(paper, roles, generators), tuple(below), paper.slug
    )


def _shown(cell: CellValue, place: Mapping[str, str], declared: DeclaredTable) -> CellValue:
    """The cell, without its published number where that one belongs elsewhere."""
    fits = declared.published and declared.published_where.items() <= place.items()
    return cell if fits else replace(cell, published=None)


def _roles(declared: DeclaredTable, paper: Paper) -> list[str]:
    """The data sets of a table, the one of all cells first."""
    own = [entry.coordinates for axis in (*declared.rows, *declared.columns) for entry in axis.entries(paper)]
    return list(dict.fromkeys(each["dataset"] for each in (declared.select, *own) if "dataset" in each))


def _marks(paper: Paper, places: Iterable[Mapping[str, str]], cells: Iterable[CellValue], counted: str) -> list[str]:
    """Lines that explain the marks in the cells and what holds for cells of one protocol only."""
    made = [(place, cell) for place, cell in zip(places, cells, strict=True) if cell.ours_mean is not None]
    lines = []
    if any(cell.small for _, cell in made):
        lines.append(f"{SMALL_MARK} fewer than {SMALL} {counted.lower()}.")
    lines += [line for state in STATE_MARKS if (line := _state_line(paper, made, state))]
    if min((cell.seeds for _, cell in made), default=0) == 1 < max(cell.seeds for _, cell in made):
        lines.append(SEEDS_NOTE)
    protocols = {place.get("protocol") for place, _ in made}
    told = {CROSS_FITTED: CROSS_FITTED_NOTE, ANNOTATIONS: ANNOTATED_NOTE}
    return lines + [line for protocol, line in told.items() if protocol in protocols]


def _state_line(paper: Paper, made: Iterable[tuple[Mapping[str, str], CellValue]], state: str) -> str | None:
    """The line that explains a state's mark and names the runs and seeds behind it; None where no cell has it."""
    named: dict[str, dict[str, str]] = {}  # data set -> run -> what to print
    for place, cell in made:
        if cell.state == state:
            seeds = ", ".join(str(seed) for seed in cell.culprits)
            runs = named.setdefault(place.get("generator") or paper.dataset(place["dataset"]).label, {})
            runs[place["run"]] = f"{paper.label(place['run'])} ({seeds})"
    if not named:
        return None
    told = "; ".join(f"{data}: {', '.join(runs.values())}" for data, runs in named.items())
    return f"{STATE_MARKS[state]} a seed that has {state} is part of the mean (seeds in brackets). {told}."


def render_tables(
    paper: Paper, declarations: Mapping[str, Any], measurements: str | Path, out_dir: str | Path
) -> list[Path]:
    """Write <id>.csv, .md, .tex and .json of every declared table; returns the paths."""
    measured = MeasuredCells(paper, read_measurements(measurements), published_numbers(paper, declarations))
    context = load_context(paper.published, declarations.get("published", ()))
    written: list[Path] = []
    for given, where in entries(declarations, "tables", paper.slug):
        table = build_table(paper, read_table(given, paper.folders, where), measured, context)
        written += write_table(table, Path(out_dir))
        written.append(Path(out_dir) / f"{table.declared.id}.json")
        write_text(written[-1], json.dumps(table_data(table, measured), ensure_ascii=False, allow_nan=False) + "\n")
    return written
