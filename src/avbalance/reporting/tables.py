"""Tables as declared: a long CSV of every number, Markdown that looks like the paper's table, and LaTeX."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from avbalance.analysis.subsets import ANNOTATIONS
from avbalance.errors import UserError
from avbalance.evaluation.context import Elsewhere, context_lines, load_context
from avbalance.evaluation.measure import read_measurements
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import CROSS_FITTED
from avbalance.frames import write_csv, write_text
from avbalance.reporting.cells import (
    NOT_CONVERGED,
    NOT_LEARNED,
    SMALL,
    Cell,
    FromFiles,
    FromSubsets,
    Measured,
    published_numbers,
)
from avbalance.reporting.escape import escape_markdown, escape_tex
from avbalance.reporting.facts import ANNOTATED_NOTE, CROSS_FITTED_NOTE, data_line, notes
from avbalance.reporting.run_cells import FromRuns

ABSENT = "–"
SMALL_MARK = "†"
STATE_MARKS = {NOT_LEARNED: "‡", NOT_CONVERGED: "§"}
CLIPS, SEEDS = "Clips", "Seeds"
ALL = "*"  # in place of the values of an axis: every data set or run of the paper
SEEDS_NOTE = "Cells without ± are of one seed; their distance from a mean of several may be due to the seeds."
COMMON_NOTE = "Every row is of the seeds that all rows have; where a row has more, other tables show it over all."
KNOWN = {
    "requires", "id", "title", "rows", "columns", "select", "source", "decimals", "sizes", "counted", "notes",
    "published_where", "context", "common_seeds", "seed_counts", "made_only",
}  # fmt: skip
GENERATORS = "+generators"
Source = Measured | FromFiles | FromRuns | FromSubsets
COLUMNS = ("published", "ours_mean", "ours_sd", "seeds", "n", "data", "state")  # of the CSV, after the keys


@dataclass(frozen=True)
class Entry:
    """One position on an axis: the coordinates it sets, the name in the CSV, and the label to print."""

    coordinates: dict[str, str]
    name: str
    label: str


@dataclass(frozen=True)
class Axis:
    """One key of a table: its column name in the CSV, its title, its positions."""

    name: str
    title: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Table:
    """A table ready to print: cells[row][column], each row and column a tuple of entries along its axes."""

    id: str
    title: str
    rows: tuple[Axis, ...]
    columns: tuple[Axis, ...]
    row_keys: tuple[tuple[Entry, ...], ...]
    column_keys: tuple[tuple[Entry, ...], ...]
    cells: tuple[tuple[Cell, ...], ...]
    decimals: int | None
    sizes: str
    counted: str
    seed_counts: bool
    data: str
    notes: tuple[str, ...]


def render_tables(
    paper: Paper, declarations: Mapping[str, Any], measurements: str | Path, out_dir: str | Path
) -> list[Path]:
    """Write <id>.csv, .md and .tex of every declared table; returns the paths."""
    measured = Measured(paper, read_measurements(measurements), published_numbers(paper, declarations))
    context = load_context(paper.published, declarations["published"])
    out = Path(out_dir)
    written = []
    for declaration in declarations["tables"]:
        table = build_table(paper, declaration, measured, context)
        for suffix, write in (("csv", _write_long), ("md", _write_markdown), ("tex", _write_tex)):
            path = out / f"{table.id}.{suffix}"
            write(path, table)
            written.append(path)
    return written


def build_table(
    paper: Paper, declaration: Mapping[str, Any], measured: Measured, context: Sequence[Elsewhere] = ()
) -> Table:
    """Look up every cell of a declared table.

    declaration: id, title, rows and columns (lists of axes {key, name, title, values}, a value being a name
    or {value, label, set: further coordinates}; values: "*" are all data sets or runs), select (fixed
    coordinates, also put together from those of the axes: {metric: "{level}_{quantity}"}), source (default:
    measurements; else see FromFiles, FromRuns and FromSubsets), decimals (2; null: as short as possible), sizes (clips
    per "columns", per "rows", or "none"), counted ("Clips", or what else n counts), seed_counts (a column of how many
    seeds a row has), made_only (true: rows without any number of ours are left out; {key: value}: only such rows are
    that have this coordinate), notes (lines to stand below), requires (when the plan asks for it), published_where
    (coordinates that a cell must have for a published number to stand in it), context (metrics of which the notes give
    other papers' numbers), common_seeds (false; true: cells are over the seeds that all runs of the table have on their
    data set, so that rows differ in nothing else). Raises UserError for
    unknown keys.
    """
    unknown = sorted(set(declaration) - KNOWN)
    if unknown:
        known = ", ".join(sorted(KNOWN))
        raise UserError(f"table {declaration.get('id')}: unknown key {unknown[0]!r}; known are {known}.")
    source = declaration.get("source")
    rows = tuple(_axis(paper, axis) for axis in declaration["rows"])
    columns = tuple(_axis(paper, axis) for axis in declaration["columns"])
    row_keys = tuple(itertools.product(*(axis.entries for axis in rows)))
    column_keys = tuple(itertools.product(*(axis.entries for axis in columns)))
    fixed = {str(key): str(value) for key, value in declaration.get("select", {}).items()}
    lookup = _source(paper, source, measured)
    if made_only := declaration.get("made_only", False):
        optional = {} if made_only is True else dict(made_only)
        row_keys = tuple(
            row
            for row in row_keys
            if not optional.items() <= _coordinates(row).items() or _any_made(lookup, fixed, row, column_keys)
        )
    places = [[_place(fixed, row + column) for column in column_keys] for row in row_keys]
    comparable = {str(key): str(value) for key, value in declaration.get("published_where", {}).items()}
    paired = bool(declaration.get("common_seeds", False))
    if paired:
        lookup = _source(paper, source, measured.on_common_seeds(itertools.chain(*places)))
    cells = tuple(tuple(_shown(lookup.cell(place), place, comparable) for place in line) for line in places)
    roles = _roles(fixed, rows + columns)
    generators = any("generator" in place for line in places for place in line)
    counted = str(declaration.get("counted", CLIPS))
    marked = source is None and declaration.get("decimals", 2) is not None
    marks = _marks(paper, itertools.chain(*places), itertools.chain(*cells), counted) if marked else []
    return Table(
        id=str(declaration["id"]), title=str(declaration["title"]), rows=rows, columns=columns,
        row_keys=row_keys, column_keys=column_keys, cells=cells, decimals=declaration.get("decimals", 2),
        sizes=str(declaration.get("sizes", "columns" if source is None else "none")), counted=counted,
        seed_counts=bool(declaration.get("seed_counts", False)), data=data_line(paper, roles, generators),
        notes=(
            *marks,
            *([COMMON_NOTE] if paired else []),
            *declaration.get("notes", ()),
            *context_lines(context, [paper.dataset(role).label for role in roles], declaration.get("context", ())),
            *notes(paper, roles, str(declaration["id"]), generators),
        ),
    )  # fmt: skip


def _any_made(
    lookup: Source, fixed: Mapping[str, str], row: tuple[Entry, ...], columns: Iterable[tuple[Entry, ...]]
) -> bool:
    return any(lookup.cell(_place(fixed, row + column)).ours_mean is not None for column in columns)


def _source(paper: Paper, source: Mapping[str, Any] | None, measured: Measured) -> Source:
    if source is None:
        return measured
    if "subsets" in source:
        return FromSubsets(paper)
    return FromRuns(paper, source) if "runs" in source else FromFiles(paper, source)


def _shown(cell: Cell, place: Mapping[str, str], comparable: Mapping[str, str]) -> Cell:
    """The cell, without its published number where that one belongs elsewhere."""
    fits = all(place.get(key) == value for key, value in comparable.items())
    return cell if fits else replace(cell, published=None)


def _marks(paper: Paper, places: Iterable[Mapping[str, str]], cells: Iterable[Cell], counted: str) -> list[str]:
    """Lines that explain the marks in the cells and what holds for cells of one protocol only."""
    made = [(place, cell) for place, cell in zip(places, cells, strict=True) if cell.ours_mean is not None]
    lines = []
    if any(cell.small for _, cell in made):
        lines.append(f"{SMALL_MARK} fewer than {SMALL} {counted.lower()}.")
    lines += [line for state in STATE_MARKS if (line := _state_line(paper, made, state))]
    if min((cell.seeds for _, cell in made), default=0) == 1 < max(cell.seeds for _, cell in made):
        lines.append(SEEDS_NOTE)
    if any(place.get("protocol") == CROSS_FITTED for place, _ in made):
        lines.append(CROSS_FITTED_NOTE)
    if any(place.get("protocol") == ANNOTATIONS for place, _ in made):
        lines.append(ANNOTATED_NOTE)
    return lines


def _state_line(paper: Paper, made: Iterable[tuple[Mapping[str, str], Cell]], state: str) -> str | None:
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


def _axis(paper: Paper, declaration: Mapping[str, Any]) -> Axis:
    key = str(declaration["key"])
    entries: list[Entry] = []
    values = declaration["values"]
    if values == ALL:
        values = {"dataset": paper.datasets, "run": paper.labels}[key]
    for item in values:
        choice = item if isinstance(item, Mapping) else {"value": item}
        for entry in _entries(paper, key, str(choice["value"]), choice.get("label")):
            more = {str(name): str(value) for name, value in choice.get("set", {}).items()}
            name = ", ".join([entry.name, *more.values()])
            entries.append(replace(entry, coordinates=entry.coordinates | more, name=name))
    return Axis(str(declaration.get("name", key)), str(declaration.get("title", key.capitalize())), tuple(entries))


def _entries(paper: Paper, key: str, value: str, label: str | None) -> list[Entry]:
    if key == "dataset":
        role = value.removesuffix(GENERATORS)
        info = paper.dataset(role)
        own = Entry({key: role}, info.label, label or info.label)
        if role == value:
            return [own]
        others = [Entry({key: role, "generator": name}, name, name) for name in info.generators]
        return [Entry({key: role}, info.label, info.data or info.label), *others]
    if key == "run":
        return [Entry({key: value}, paper.label(value), label or paper.label(value))]
    return [Entry({key: value}, value, label or value)]


def _place(fixed: Mapping[str, str], entries: Sequence[Entry]) -> dict[str, str]:
    own = _coordinates(entries)
    try:
        return {key: value.format(**own) for key, value in fixed.items()} | own
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(f"tables.yaml: select asks for {error}, which no axis has.") from error


def _coordinates(entries: Iterable[Entry]) -> dict[str, str]:
    return {key: value for entry in entries for key, value in entry.coordinates.items()}


def _roles(fixed: Mapping[str, str], axes: Sequence[Axis]) -> list[str]:
    entries = [entry for axis in axes for entry in axis.entries]
    roles = [entry.coordinates["dataset"] for entry in entries if "dataset" in entry.coordinates]
    return list(dict.fromkeys(([fixed["dataset"]] if "dataset" in fixed else []) + roles))


def long_frame(table: Table) -> pd.DataFrame:
    """One row per cell: the row and column keys, then COLUMNS."""
    names = [axis.name for axis in table.columns + table.rows]
    records = []
    for row, line in zip(table.row_keys, table.cells, strict=True):
        for column, cell in zip(table.column_keys, line, strict=True):
            keys = dict(zip(names, [entry.name for entry in column + row], strict=True))
            records.append({**keys, **cell.record})
    return pd.DataFrame(records, columns=[*names, *COLUMNS])


def cell_text(cell: Cell, decimals: int | None = 2) -> str:
    """`ours ± sd (published)`, with what is absent left out.

    A dagger marks fewer than 100 clips, a double dagger a seed that has not learned, a section sign one that has not
    converged.
    """
    if decimals is None:
        return ABSENT if cell.ours_mean is None else f"{cell.ours_mean:.3f}".rstrip("0").rstrip(".")
    text = ABSENT if cell.ours_mean is None else f"{cell.ours_mean:.{decimals}f}"
    if cell.ours_sd is not None:
        text += f" ± {cell.ours_sd:.{decimals}f}"
    text += SMALL_MARK if cell.small else ""
    text += STATE_MARKS.get(cell.state, "")
    return text if cell.published is None else f"{text} ({cell.published:.{decimals}f})"


def size_text(cells: Iterable[Cell]) -> str:
    """Clips behind a row or column of cells: one number, or the smallest and largest where they differ."""
    sizes = sorted({cell.n for cell in cells if cell.n is not None})
    return "-".join(str(n) for n in dict.fromkeys((sizes[0], sizes[-1]))) if sizes else ABSENT


def seeds_text(cells: Iterable[Cell]) -> str:
    """Seeds behind a row of cells: the largest number, which a cell of fewer does not share."""
    return str(max((cell.seeds for cell in cells), default=0))


def _added(table: Table) -> list[tuple[str, Callable[[Iterable[Cell]], str]]]:
    """Titles of the columns that stand after a table's own, and what makes their texts of a row's cells."""
    seeds = [(SEEDS, seeds_text)] if table.seed_counts else []
    return [*seeds, *([(table.counted, size_text)] if table.sizes == "rows" else [])]


def grid_texts(table: Table) -> tuple[list[str], list[list[str]]]:
    """Column heads and rows of text of the printed table, clips per row or per column added as declared."""
    heads = [", ".join(entry.label for entry in key) for key in table.column_keys]
    body = [
        [entry.label for entry in row] + [cell_text(cell, table.decimals) for cell in line]
        for row, line in zip(table.row_keys, table.cells, strict=True)
    ]
    for title, text in _added(table):
        heads.append(title)
        body = [[*texts, text(line)] for texts, line in zip(body, table.cells, strict=True)]
    if table.sizes == "columns":
        blanks = [""] * (len(table.rows) - 1)
        body.append([table.counted, *blanks, *(size_text(column) for column in zip(*table.cells, strict=True))])
    return heads, body


def markdown(table: Table) -> str:
    """The table as GitHub Markdown, the data named on top, the notes below."""
    titles = [axis.title for axis in table.rows]
    heads, body = grid_texts(table)
    lines = [f"# {escape_markdown(table.title)}", "", escape_markdown(table.data), ""]
    lines += [f"Cells: {_legend(table)} {ABSENT}: not made.", ""]
    lines += [
        _markdown_row(titles + heads),
        _markdown_row(["---"] * len(titles) + ["---:"] * len(heads), raw=True),
    ]
    lines += [_markdown_row(row) for row in body]
    lines += ["", *(f"- {escape_markdown(note)}" for note in table.notes)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _legend(table: Table) -> str:
    compared = any(cell.published is not None for line in table.cells for cell in line)
    spread = "ours." if table.decimals is None else "ours, mean ± standard deviation over seeds"
    return spread + (" (published)." if compared else "" if table.decimals is None else ".")


def _markdown_row(texts: Sequence[str], raw: bool = False) -> str:
    return "| " + " | ".join(text if raw else escape_markdown(text) for text in texts) + " |"


def latex(table: Table) -> str:
    """The table as a LaTeX table environment for the booktabs package."""
    width = len(table.rows)
    heads, body = grid_texts(table)
    lines = [
        r"\begin{table}",
        rf"\caption{{{escape_tex(table.title)}. {escape_tex(table.data)}}}",
        rf"\begin{{tabular}}{{{'l' * width}{'r' * len(heads)}}}",
        r"\toprule",
    ]
    for level in range(len(table.columns)):
        titles = [axis.title if level == len(table.columns) - 1 else "" for axis in table.rows]
        added = [title if level == len(table.columns) - 1 else "" for title, _ in _added(table)]
        lines.append(_tex_row([escape_tex(text) for text in titles] + _spans(table, level) + added))
    lines.append(r"\midrule")
    rows = [_tex_row([escape_tex(text) for text in texts]) for texts in body]
    if table.sizes == "columns":
        rows.insert(-1, r"\midrule")
    lines += [*rows, r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\\ {{\footnotesize {escape_tex(note)}}}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _spans(table: Table, level: int) -> list[str]:
    groups = itertools.groupby(table.column_keys, key=lambda key: tuple(entry.name for entry in key[: level + 1]))
    texts = []
    for _, keys in groups:
        members = list(keys)
        label = escape_tex(members[0][level].label)
        texts.append(label if len(members) == 1 else rf"\multicolumn{{{len(members)}}}{{c}}{{{label}}}")
    return texts


def _tex_row(texts: Sequence[str]) -> str:
    return " & ".join(texts) + r" \\"


def _write_long(path: Path, table: Table) -> None:
    write_csv(path, long_frame(table))


def _write_markdown(path: Path, table: Table) -> None:
    write_text(path, markdown(table))


def _write_tex(path: Path, table: Table) -> None:
    write_text(path, latex(table))
