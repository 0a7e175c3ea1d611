"""What a paper may declare of a table: its axes, the coordinates of its cells, what stands beside them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from avbalance.declared import Count, Declared, Known, Metric, Once, check_name, nearest, read, refusal
from avbalance.errors import UserError
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.reporting.cells import CellValue, MeasuredCells
from avbalance.reporting.coordinates import GENERATORS, Requires, Word
from avbalance.reporting.kinds import read_kind

Lookup = Callable[[Mapping[str, str]], CellValue]  # the cell at some coordinates
ALL = "*"  # in place of the values of an axis: every data set or run of the paper
WITH_GENERATORS = f"+{GENERATORS}"  # behind a data set: a row more for each of them
NAMED = {"dataset": "data set", "run": "run"}  # axis -> the kind of name that stands along it


class TableSource(Declared):
    """Where the numbers of a table come from, if not from the measurements; a kind adds its own fields."""

    kind: str
    """which kind of source: a file in sources/ of the paper, of those that it extends, or of the package"""

    def names(self) -> dict[str, Sequence[str]]:
        """The coordinates of a cell beside its data set, with the names that each may have."""
        raise NotImplementedError

    def numbers(self, paper: Paper, info: DatasetInfo) -> Mapping[tuple[str, ...], CellValue]:
        """The cells of a data set by these coordinates, in their order."""
        raise NotImplementedError

    def lookup(self, paper: Paper, measured: MeasuredCells) -> Lookup:
        """What gives the cell at a place, an empty one where there is no number; some kinds read measurements."""
        numbers = {info.role: self.numbers(paper, info) for info in paper.datasets.values() if info.data}

        def cell(place: Mapping[str, str]) -> CellValue:
            role = place["dataset"]
            own = numbers.get(role, {}).get(tuple(place[name] for name in self.names()))
            return own or CellValue(data=paper.dataset(role).data or "")

        return cell


class AxisValue(Declared):
    """One position on an axis of a table; its value alone may stand for it."""

    value: Word
    """where it stands along the axis; a data set may end in +generators, for a row of each further generator seed"""
    label: str | None = None
    """what is printed; default: the paper's name of a data set or run, else the value"""
    set: dict[str, Word] = Field(default={})
    """further coordinates of the position"""

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, given: Any) -> Any:
        return given if isinstance(given, Mapping) else {"value": given}


@dataclass(frozen=True)
class AxisEntry:
    """A position on an axis: the coordinates it sets, the name in the CSV, and the label to print."""

    coordinates: dict[str, str]
    name: str
    label: str


class TableAxis(Declared):
    """What changes from row to row, or from column to column."""

    key: str
    """coordinate that changes: dataset, run, subset, metric, ..., or a word that `select` puts into one"""
    name: str = ""
    """column of the CSV file; default: the key"""
    title: str = ""
    """heading above the labels of rows; default: the key"""
    values: Once[AxisValue]
    """its positions in order, or "*" for all data sets or runs of the paper"""

    @field_validator("values", mode="before")
    @classmethod
    def _all(cls, given: Any) -> Any:
        return [ALL] if given == ALL else given

    @model_validator(mode="after")
    def _check_names(self, info: ValidationInfo) -> TableAxis:
        for each in self.values:
            if each.value == ALL and self.key not in NAMED:
                raise refusal(f"values: {ALL!r} stands for all data sets or runs, not for all of {self.key!r}")
            if self.key in NAMED and each.value != ALL:
                check_name(NAMED[self.key], each.value.removesuffix(WITH_GENERATORS), info.context)
        return self

    def entries(self, paper: Paper) -> Iterator[AxisEntry]:
        """Its positions, as the paper names them."""
        for each in self.values:
            everything = paper.datasets if self.key == "dataset" else paper.labels
            for value in everything if each.value == ALL else [each.value]:
                for entry in self._entries(paper, value, each.label):
                    name = ", ".join([entry.name, *each.set.values()])
                    yield replace(entry, coordinates=entry.coordinates | each.set, name=name)

    def _entries(self, paper: Paper, value: str, label: str | None) -> list[AxisEntry]:
        own = {self.key: value}
        if self.key == "run":
            return [AxisEntry(own, paper.label(value), label or paper.label(value))]
        if self.key != "dataset":
            return [AxisEntry(own, value, label or value)]
        own = {self.key: value.removesuffix(WITH_GENERATORS)}
        info = paper.dataset(own[self.key])
        if not value.endswith(WITH_GENERATORS):
            return [AxisEntry(own, info.label, label or info.label)]
        others = [AxisEntry({**own, "generator": name}, name, name) for name in info.generators]
        return [AxisEntry(own, info.label, info.data or info.label), *others]


class DeclaredTable(Declared):
    """A table."""

    id: Annotated[str, Field(pattern="^table[A-Z]?[0-9]+$")]
    """name of its files: table1, tableS1, ..."""
    title: str
    """heading"""
    rows: list[TableAxis]
    """what changes from row to row; of several axes, the last one changes fastest"""
    columns: list[TableAxis]
    """what changes from column to column"""
    select: dict[str, Word] = Field(default={})
    """coordinates of all cells; {level} stands for the value of the axis `level`"""
    source: TableSource | None = None
    """where the numbers come from; default: the measurements"""
    decimals: Count | None = 2
    """digits behind the point; null: as few as needed"""
    sizes: Literal["columns", "rows", "none"] | None = None
    """how many clips each column, or each row, rests on; default: columns, with a source none"""
    counted: str = "Clips"
    """what these sizes count"""
    seed_counts: bool = False
    """whether a column says how many seeds a row has"""
    common_seeds: bool = False
    """whether cells are over the seeds that all runs of the table have on their data set, so that no row has others"""
    made_only: bool | dict[str, Word] = False
    """true: rows without any number of ours are left out; {coordinate: value}: only those rows are that have it"""
    notes: list[str] = Field(default=[])
    """lines below the table"""
    published: bool = True
    """whether published numbers stand beside ours"""
    published_where: dict[str, Word] = Field(default={})
    """coordinates that a cell must have for a published number to stand in it"""
    context: list[Metric] = Field(default=[])
    """metrics of which the notes give other papers' numbers"""
    requires: Requires = None
    """data set, or "generators", without which a tier leaves the table out"""

    def place(self, entries: Iterable[AxisEntry], where: str) -> dict[str, str]:
        """The coordinates of the cell at some positions; raises UserError where `select` asks for what is none."""
        own = combined(entries)
        try:
            # Axes come last: what changes from cell to cell wins over what is said of all cells.
            return {key: value.format(**own) for key, value in self.select.items()} | own
        except (KeyError, IndexError, ValueError) as error:
            name = str(error).strip("'")
            raise UserError(f"{where}, select: asks for {name!r}, which no axis has{nearest(name, own)}.") from error

    @property
    def rows_only_made(self) -> dict[str, str]:
        """The coordinates of `made_only`; none where it is of all rows."""
        return self.made_only if isinstance(self.made_only, dict) else {}

    @property
    def counted_along(self) -> str:
        """`sizes`, its default included."""
        return self.sizes or ("columns" if self.source is None else "none")


def read_table(
    given: Mapping[str, Any], folders: Sequence[str], where: str, known: Known | None = None
) -> DeclaredTable:
    """The table that `given` declares; raises UserError naming what is wrong with it.

    folders: slugs of the papers whose kinds of sources may be named; where: the file, and which table of it.
    """
    if given.get("source") is not None:
        given = {**given, "source": read_kind("sources", folders, given["source"], f"{where}, source", known)}
    return read(DeclaredTable, given, where, known)


def keys_of(axes: Iterable[TableAxis], paper: Paper) -> Iterator[tuple[AxisEntry, ...]]:
    """All rows, or all columns: what they have along each axis."""
    return itertools.product(*(axis.entries(paper) for axis in axes))


def combined(entries: Iterable[AxisEntry]) -> dict[str, str]:
    """The coordinates that some positions set together."""
    return {key: value for entry in entries for key, value in entry.coordinates.items()}
