"""Runs with their seeds, and the cells in which they are trained.

A cell is what one process trains, since importing torch costs more than a small training: all runs and seeds of one
(paper, data set, method, model). Runs that wait for other runs have cells of their own, one for all that wait for the
same ones. Where a tier says `cells: dataset`, a cell holds all methods of a data set: first the runs that wait for
nothing, then those that wait for these, and so on. Where runs see several kinds of pictures, such a stage is a cell of
its own for each kind: two cells must not wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from avbalance.names import rule_name
from avbalance.plan.sheet import Row

SEED = "{seed}"  # wildcard of a rule that makes all seeds of a run


@dataclass(frozen=True)
class SeededRun:
    """A run with one of its seeds. With the seed "{seed}" its paths are patterns, see RunCell."""

    row: Row
    seed: int | str

    @property
    def folder(self) -> str:
        """The run's folder below results/<name>/runs."""
        return f"{self._base}/{self.row.run}/seed{self.seed}"

    @property
    def _base(self) -> str:
        return f"{self.row.paper}/{self.row.dataset}"

    def inputs(self) -> dict[str, str]:
        """Files of other runs that this one reads: name -> path below results/<name>/runs."""
        needs = self.row.needs.items()
        files = {name: f"{self._base}/{need['run']}/seed{self.seed}/{need['file']}" for name, need in needs}
        tried: dict[str, int] = self.row.choose["seeds"] if self.row.choose else {}
        return files | {f"candidate {run}": f"{self._base}/{run}/seed{seed}/history.csv" for run, seed in tried.items()}

    def outputs(self) -> list[str]:
        """Files that it leaves, below results/<name>/runs."""
        names = ["record.json"]
        if self.row.reports:
            names = ["predictions.parquet", "record.json"]
            if not self.row.combine:
                names = ["predictions.parquet", "history.csv", "record.json", "model.safetensors"]
        if self.row.settings.get("protocol", {}).get("record_confidence"):
            names.append("confidence.npz")
        return [f"{self.folder}/{name}" for name in [*names, *self.row.artifacts]]


@dataclass(frozen=True)
class RunCell:
    """The runs that one process makes: trains, or joins. A pattern stands for a cell for each seed of its one run."""

    name: str
    jobs: tuple[SeededRun, ...]

    @property
    def row(self) -> Row:
        return self.jobs[0].row

    @property
    def id(self) -> str:
        return f"{self.row.paper}/{self.row.dataset}/{self.name}"

    @property
    def rule(self) -> str:
        """Name of the workflow's rule that makes it."""
        return rule_name("combine" if self.row.combine else "train", self.id.removesuffix(f"-seed{SEED}"))

    def each(self) -> list[RunCell]:
        """The cells that it stands for: itself, unless it is a pattern."""
        return [_seed_cell(self.row, seed) for seed in self.row.seeds] if self.jobs[0].seed == SEED else [self]

    def of(self, wildcards: Any) -> RunCell:
        """The cell that a job makes, given the job's wildcards."""
        return _seed_cell(self.row, int(wildcards.seed)) if self.jobs[0].seed == SEED else self


def _seed_cell(row: Row, seed: int | str) -> RunCell:
    return RunCell(f"{row.run}-seed{seed}", (SeededRun(row, seed),))


def training_rules(rows: Iterable[Row], seeds_per_job: int | str) -> list[RunCell]:
    """What the rules make that train the rows of a paper, by run: the order of a file of declarations must not matter.

    seeds_per_job: "all" (a cell is a method with all its runs and seeds), or a number of seeds of one run. With 1
    a rule makes all seeds of a run, one job each: its cell is a pattern; otherwise every cell has a rule of its own.
    """
    rows = [row for row in rows if not row.combine]
    by_run = {(row.dataset, row.run): row for row in rows}
    trained = sorted(rows, key=lambda row: (_stage(row, by_run), row.run))
    return [_seed_cell(row, SEED) for row in trained] if seeds_per_job == 1 else _grouped(trained, seeds_per_job)


def combinations(rows: Iterable[Row]) -> list[RunCell]:
    """The cells of rows that join predictions of other runs and train nothing: one per data set and method."""
    return _grouped(sorted((row for row in rows if row.combine), key=lambda row: row.run), "all")


def _grouped(rows: list[Row], seeds_per_job: int | str) -> list[RunCell]:
    cells: dict[tuple[str, str], list[SeededRun]] = {}
    for row in rows:
        shared = _cell_name(row, [other for other in rows if other.dataset == row.dataset])
        for position, seed in enumerate(row.seeds):
            name = shared if seeds_per_job == "all" else f"{row.run}-seeds{position // int(seeds_per_job)}"
            cells.setdefault((row.dataset, name), []).append(SeededRun(row, seed))
    return [RunCell(name, tuple(jobs)) for (_, name), jobs in cells.items()]


def _cell_name(row: Row, rows: list[Row]) -> str:
    """Name of a row's cell among the `rows` of its data set: the method, then what tells its cells apart.

    Alike rows share a cell; where a cell holds all methods, those of a stage. Only rows that see the same pictures do.
    """
    if row.joined and not row.combine:
        view = _view(row, rows)
        return (
            f"stage{_stage(row, {(other.dataset, other.run): other for other in rows})}-{view[0]}"
            if view
            else "methods"
        )
    method, model, _ = row.parts
    alike = {other.parts for other in rows if other.method == method}
    words = [method, *([str(model)] if len(alike) > 1 else [])]
    words += _view(row, [other for other in rows if other.method == method])
    if row.waits_for():
        words += ["after", *row.waits_for()]  # a run may bear its method's name
    return "-".join(words)


def _view(row: Row, rows: list[Row]) -> list[str]:
    """What a row sees, where the rows, which share a cell otherwise, see several things."""
    views = {_recipe(other) for other in rows if not other.combine}
    return [str(_recipe(row))] if len(views) > 1 and not row.combine else []


def _recipe(row: Row) -> str | None:
    recipe: str | None = row.settings.get("data", {}).get("visual_recipe")
    return recipe


def _stage(row: Row, by_run: dict[tuple[str, str], Row]) -> int:
    """1 for a run that waits for none, else one more than the latest stage among those that it waits for."""
    return 1 + max((_stage(by_run[row.dataset, name], by_run) for name in row.waits_for()), default=0)
