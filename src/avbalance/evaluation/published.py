"""Published numbers, read from a paper's CSV files and keyed like our measurements; none stands in code.

Numbers that other papers print for methods on the same data come from other networks, schedules and selections. They
are context, never published numbers of this paper: a table names them in its notes and a claim's published verdict may
use them where it says so; no cell holds them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from pydantic import Field, ValidationInfo, model_validator

from avbalance.analysis.subsets import canonical_subset
from avbalance.declared import Declared, Known, listed, nearest, read, refusal
from avbalance.errors import UserError
from avbalance.evaluation.rows import ACCURACY, BOTH

READING_ERROR = 0.03  # of a number that was read off a drawing
SEPARATOR = ", "
MAP = "map"  # in place of a run: the confidence map of a data set
PLACE_NAMES = {"dataset": "label of a data set", "run": "label of a run", "condition": "condition"}
Key = tuple[str, ...]


class PublishedFile(Declared):
    """One file of published numbers. Columns of the file may stand in braces: `run: "{method}, {variant}"`."""

    file: str
    """CSV file in the paper's folder published/"""
    dataset: str = "{dataset}"
    """label of the data set"""
    run: str = "{method}"
    """label of the run; a separator before an empty last column is dropped"""
    subset: str = "{subset}"
    """subset of the clips, for example overall"""
    metric: str = ACCURACY
    """metric of the numbers"""
    condition: str = BOTH
    """condition under which they were measured"""
    value: str = ""
    """column of the numbers, where a row has one number"""
    values: dict[str, str] = Field(default={})
    """in its place, where a row has several: column -> metric; an empty cell is a number that is not printed"""
    names: dict[str, str] = Field(default={})
    """run as the file gives it -> our label of that run"""
    context: str = ""
    """whose numbers they are, where they are another paper's: context, never numbers of this one"""

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> PublishedFile:
        if bool(self.value) == bool(self.values):
            raise refusal(f"{self.file} needs one of value and values")
        # What is another paper's may name other runs; what has braces, a file decides.
        named = [("run", label) for label in self.names.values() if not self.context]
        named += [(key, getattr(self, key)) for key in ("dataset", "run", "condition")]
        for key, name in named:
            known = (info.context or {}).get(PLACE_NAMES[key])
            if known is not None and "{" not in name and name not in (*known, MAP):
                raise refusal(
                    f"there is no {PLACE_NAMES[key]} {name!r}{nearest(name, known)}; there are {listed(known)}"
                )
        return self

    def entries(self, row: Mapping[str, str]) -> list[tuple[Key, float]]:
        """Keys and numbers of one row; raises KeyError or ValueError where it does not fit."""
        told = {key: str(getattr(self, key)).format(**row) for key in KEYS}
        run = told["run"].removesuffix(SEPARATOR)
        told["run"] = self.names.get(run, run)
        if self.value:
            return [(published_key(**told), float(row[self.value]))]
        cells = {metric: row[column] for column, metric in self.values.items()}
        return [(published_key(**{**told, "metric": metric}), float(text)) for metric, text in cells.items() if text]


KEYS = ("dataset", "run", "subset", "metric", "condition")
Given = Sequence[Mapping[str, Any] | PublishedFile]


def published_files(given: Given, where: str = "tables.yaml", known: Known | None = None) -> list[PublishedFile]:
    """Typed declarations of a paper's `published`; raises UserError, with the file `where`, for a wrong one."""
    return [
        each if isinstance(each, PublishedFile) else read(PublishedFile, each, f"{where}, published[{place}]", known)
        for place, each in enumerate(given, start=1)
    ]


def load_published(folder: str | Path, given: Given) -> dict[Key, float]:
    """(dataset, run, subset, metric) -> published value, all in the paper's own names; see `published_key`.

    Where two files give one cell the earlier file counts. Other papers' numbers are left out. Raises UserError when
    two files differ by more than the reading error of a drawing.
    """
    return _load(folder, [each for each in published_files(given) if not each.context])


class Elsewhere(NamedTuple):
    """One number of another paper: data set and run in this paper's names, metric, value in percent, whose it is."""

    dataset: str
    run: str
    metric: str
    value: float
    source: str


def load_context(folder: str | Path, given: Given) -> list[Elsewhere]:
    """All numbers of the files that say `context: <whose they are>`, in their order; raises as `load_published`."""
    return [
        Elsewhere(key[0], key[1], key[3], value, declared.context)
        for declared in published_files(given)
        if declared.context
        for key, value in _load(folder, [declared]).items()
    ]


def context_lines(numbers: Sequence[Elsewhere], datasets: Sequence[str], metrics: Sequence[str]) -> list[str]:
    """A line per source, data set and metric, for the notes of a table."""
    told: dict[tuple[str, ...], list[str]] = {}
    for each in numbers:
        told.setdefault((each.source, each.dataset, each.metric), []).append(f"{each.run} {each.value:.2f}")
    sources = dict.fromkeys(each.source for each in numbers)
    return [
        f"Context, from another paper ({source}), not numbers of this one: {dataset}, "
        f"{metric.replace('_', ' ')} (%): {'; '.join(told[source, dataset, metric])}."
        for source, dataset, metric in itertools.product(sources, datasets, metrics)
        if (source, dataset, metric) in told
    ]


def _load(folder: str | Path, files: Iterable[PublishedFile]) -> dict[Key, float]:
    values: dict[Key, float] = {}
    for declared in files:
        path = Path(folder) / declared.file
        for number, key, value in _numbers(path, declared):
            # A table and a drawing may give the same number: the drawing's was read off by hand.
            if abs(values.setdefault(key, value) - value) > READING_ERROR:
                raise UserError(f"{path}, line {number}: {value} for {key}, but an earlier file says {values[key]}.")
    return values


def published_key(dataset: str, run: str, subset: str, metric: str, condition: str = BOTH) -> Key:
    """Key of a published number; a condition in which a modality is missing is a fifth item."""
    key = (dataset, run, canonical_subset(subset), metric)
    return key if condition == BOTH else (*key, condition)


def _numbers(path: Path, declared: PublishedFile) -> Iterator[tuple[int, Key, float]]:
    """Line, key and value of every number in a file."""
    try:
        # As text: an empty cell is a number that is not printed, and must not become a NaN that looks like one.
        frame = pd.read_csv(path, dtype=str, comment="#", keep_default_na=False)
    except FileNotFoundError as error:
        known = sorted(other.name for other in path.parent.glob("*.csv"))
        raise UserError(
            f"{path}: no such file{nearest(path.name, known)}, which tables.yaml names; the folder has {listed(known)}."
        ) from error
    except ValueError as error:
        raise UserError(f"{path}: not a readable table of published numbers ({error}).") from error
    for number, row in enumerate(frame.to_dict("records"), start=2):
        try:
            yield from ((number, *entry) for entry in declared.entries({str(k): str(v) for k, v in row.items()}))
        except KeyError as error:
            column, columns = str(error.args[0]), list(frame.columns)
            raise UserError(
                f"{path}: has no column {column!r}{nearest(column, columns)}, which tables.yaml names; there are "
                f"{listed(columns)}."
            ) from error
        except ValueError as error:
            raise UserError(f"{path}, line {number}: does not fit its declaration in tables.yaml ({error}).") from error
