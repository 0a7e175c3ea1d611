"""The run sheet: every run of every paper, with its settings resolved, and the cells in which they are trained.

A *run* is one row: (paper, data set, name) with a method, settings and seeds. A *cell* is what one process trains: all
runs and seeds of one (paper, data set, method, model), because importing torch costs more than a small training. Runs
that wait for other runs of the same sheet have cells of their own, one for all that wait for the same ones. Where a
tier says `cells: dataset`, a cell holds all methods of a data set: first the runs that wait for nothing, then those
that wait for these, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from avbalance.errors import UserError
from avbalance.plan.trees import merge, plain


@dataclass(frozen=True)
class Row:
    """One run of the sheet, on one data set, for several seeds."""

    paper: str
    role: str  # the paper's data set that `dataset` is or stands for
    dataset: str
    run: str
    label: str
    method: str
    settings: dict[str, Any]
    seeds: tuple[int, ...]
    needs: dict[str, dict[str, str]] = field(default_factory=dict)  # name -> {run, file}, same seed
    choose: dict[str, Any] | None = None  # {option, candidates: {run: value}}: by validation accuracy, seed 0
    combine: dict[str, str] = field(default_factory=dict)  # name -> run whose predictions this one joins; no training
    artifacts: tuple[str, ...] = ()  # further files that the method writes, for other runs to read
    reports: bool = True  # False: made for its artifacts only, without predictions
    joined: bool = False  # a cell of its data set holds all methods
    robustness: bool = False  # on a further generator seed: enters the robustness table only

    def waits_for(self) -> list[str]:
        """Runs of the same sheet whose files this one reads."""
        candidates = self.choose["candidates"] if self.choose else {}
        return sorted({*(need["run"] for need in self.needs.values()), *candidates})

    def reads(self) -> list[str]:
        """Runs of the same sheet whose files or predictions this one needs."""
        return [*self.waits_for(), *self.combine.values()]

    @property
    def parts(self) -> tuple[str, str, str]:
        """The code that trains it: method, model and task."""
        model, data = (self.settings.get(part, {}) for part in ("model", "data"))
        return self.method, str(model.get("name")), str(data.get("task"))


@dataclass(frozen=True)
class Job:
    """One (run, seed). With the seed "{seed}" its paths are patterns, see `Family`."""

    row: Row
    seed: int | str

    @property
    def folder(self) -> str:
        """The run's folder below results/<name>/runs."""
        return f"{self.row.paper}/{self.row.dataset}/{self.row.run}/seed{self.seed}"

    def inputs(self) -> dict[str, str]:
        """Files of other runs that this job reads: name -> path below results/<name>/runs."""
        base = f"{self.row.paper}/{self.row.dataset}"
        files = {name: f"{base}/{need['run']}/seed{self.seed}/{need['file']}" for name, need in self.row.needs.items()}
        candidates = self.row.choose["candidates"] if self.row.choose else {}
        return files | {f"candidate {run}": f"{base}/{run}/seed0/history.csv" for run in candidates}


@dataclass(frozen=True)
class Cell:
    """What one process trains."""

    name: str
    jobs: tuple[Job, ...]

    @property
    def row(self) -> Row:
        return self.jobs[0].row

    @property
    def id(self) -> str:
        return f"{self.row.paper}/{self.row.dataset}/{self.name}"


@dataclass(frozen=True)
class Family:
    """The cells that one rule makes: a single cell, or cells that differ in nothing but their one seed."""

    name: str
    cells: tuple[Cell, ...]
    by_seed: bool

    @property
    def pattern(self) -> Cell:
        """The cell from which the rule's paths are taken; with the wildcard {seed} where there is one cell a seed."""
        return _seed_cell(self.cells[0].row, SEED) if self.by_seed else self.cells[0]

    @property
    def id(self) -> str:
        return f"{self.cells[0].row.paper}/{self.cells[0].row.dataset}/{self.name}"

    def cell(self, wildcards: Any) -> Cell:
        """The cell that a job of the rule makes, given the job's wildcards."""
        return _seed_cell(self.cells[0].row, int(wildcards.seed)) if self.by_seed else self.cells[0]

    @property
    def seeds(self) -> str:
        """Regular expression of the seeds that the wildcard stands for."""
        return "|".join(str(job.seed) for cell in self.cells for job in cell.jobs)


SEED = "{seed}"


def _seed_cell(row: Row, seed: int | str) -> Cell:
    return Cell(f"{row.run}-seed{seed}", (Job(row, seed),))


def rows_of_paper(config: dict[str, Any], paper: dict[str, Any]) -> list[Row]:
    """All rows of one paper under one configuration.

    `config["papers"][slug]` maps the paper's data sets to real ones and may override settings for all runs
    (`settings`), those on one data set (`roles`: settings, seeds) or single runs (`runs`: skip, only, seeds, settings,
    choose). Raises UserError for names that the paper lacks.
    """
    slug = paper["slug"]
    chosen = config["papers"][slug]
    _check_names(chosen.get("datasets", {}), paper["datasets"], f"papers.{slug}.datasets")
    _check_names(chosen.get("roles", {}), paper["datasets"], f"papers.{slug}.roles")
    _check_names(chosen.get("runs", {}), paper["runs"], f"papers.{slug}.runs")
    rows = []
    for role, dataset in chosen.get("datasets", {}).items():
        if dataset is None:  # a tier built on another one leaves this role out
            continue
        for run in paper["runs"]:
            row = _row(config, paper, chosen, role, dataset, run)
            if row is not None:
                rows.append(row)
    return _with_enough_seeds(rows + list(_robustness_rows(chosen, rows)), config.get("least_seeds", 1))


def _with_enough_seeds(rows: list[Row], least: int) -> list[Row]:
    """The rows of at least `least` seeds, and those whose files these read, directly or not."""
    kept = {(row.dataset, row.run) for row in rows if len(row.seeds) >= least}
    read = kept
    while read:
        wanted = [(row, name) for row in rows if (row.dataset, row.run) in read for name in row.reads()]
        read = {(row.dataset, name) for row, name in wanted} - kept
        kept |= read
    return [row for row in rows if (row.dataset, row.run) in kept]


def _row(
    config: dict[str, Any], paper: dict[str, Any], chosen: dict[str, Any], role: str, dataset: str, run: str
) -> Row | None:
    declared = dict(paper["runs"][run])
    declared = merge(declared, declared.get("roles", {}).get(role, {}))
    tier = chosen.get("runs", {}).get(run, {})
    tier = merge(tier, tier.get("roles", {}).get(role, {}))
    allowed = tier.get("only", declared.get("only"))
    made = paper["datasets"][role].get("runs", [run])
    if tier.get("skip") or run not in made or (allowed is not None and role not in allowed):
        return None
    settings: dict[str, Any] = {}
    shared = chosen.get("roles", {}).get(role, {})
    for layer in (paper, paper["datasets"][role], declared, chosen, shared, tier):
        settings = merge(settings, layer.get("settings", {}))
    return Row(
        paper=paper["slug"],
        role=role,
        dataset=dataset,
        run=run,
        label=declared["label"],
        method=declared["method"],
        settings=plain(settings),
        seeds=tuple(tier.get("seeds", declared.get("seeds", shared.get("seeds", config["seeds"])))),
        needs=declared.get("needs", {}),
        choose=plain(tier["choose"] if "choose" in tier else declared.get("choose")),
        combine=declared.get("combine", {}),
        artifacts=tuple(declared.get("artifacts", ())),
        reports=declared.get("reports", True),
        joined=chosen.get("cells", "method") == "dataset",
    )


def _robustness_rows(chosen: dict[str, Any], rows: list[Row]) -> Iterator[Row]:
    """Rows of `robustness: {datasets: {role: [...]}, runs: [...], seeds: [...]}`: runs on more generator seeds."""
    wanted: dict[str, Any] = chosen.get("robustness") or {}
    for role, datasets in wanted.get("datasets", {}).items():
        for dataset in datasets:
            for row in rows:
                if row.role == role and row.run in wanted["runs"]:
                    yield Row(
                        **{
                            **row.__dict__,
                            "dataset": dataset,
                            "seeds": tuple(wanted["seeds"]),
                            "robustness": True,
                        }
                    )


def _check_names(given: dict[str, Any], known: dict[str, Any], where: str) -> None:
    for name in given:
        if name not in known:
            raise UserError(f"configuration, {where}: no {name!r} in the paper; it has {', '.join(known)}.")


def families(rows: list[Row], seeds_per_job: int | str) -> list[Family]:
    """Group the training rows of one paper into cells, and these by rule.

    seeds_per_job: "all" (a cell is a method with all its runs and seeds), or a number of seeds of one run. With 1
    a rule makes all seeds of a run, one job each; otherwise every cell has a rule of its own.
    """
    trained = _sorted([row for row in rows if not row.combine])
    if seeds_per_job == 1:
        cells = [tuple(_seed_cell(row, seed) for seed in row.seeds) for row in trained]
        return [Family(row.run, own, by_seed=True) for row, own in zip(trained, cells, strict=True) if own]
    return [Family(cell.name, (cell,), by_seed=False) for cell in _grouped(trained, seeds_per_job)]


def combinations(rows: list[Row]) -> list[Cell]:
    """The cells of rows that join predictions of other runs and train nothing: one per data set and method."""
    return _grouped(_sorted([row for row in rows if row.combine]), "all")


def _sorted(rows: list[Row]) -> list[Row]:
    """Rows by run: the order of a declaration file must not matter."""
    return sorted(rows, key=lambda row: row.run)


def _grouped(rows: list[Row], seeds_per_job: int | str) -> list[Cell]:
    found: dict[tuple[str, str], list[Job]] = {}
    names = _cell_names(rows)
    for row in rows:
        for position, seed in enumerate(row.seeds):
            if seeds_per_job == "all":
                name = names[row.dataset, row.run]
            else:
                name = f"{row.run}-seeds{position // int(seeds_per_job)}"
            found.setdefault((row.dataset, name), []).append(Job(row, seed))
    return [Cell(name, tuple(jobs)) for (_, name), jobs in found.items()]


def _cell_names(rows: list[Row]) -> dict[tuple[str, str], str]:
    """(data set, run) -> name of its cell: the method, then what tells its runs apart; alike rows share a cell.

    Joined rows share the cell of their stage.
    """
    names = {}
    by_run = {(row.dataset, row.run): row for row in rows}
    for row in rows:
        if row.joined and not row.combine:
            names[row.dataset, row.run] = f"stage{_stage(row, by_run)}"
            continue
        method, model, _ = row.parts
        alike = {other.parts for other in rows if (other.dataset, other.method) == (row.dataset, method)}
        words = [method, *([model] if len(alike) > 1 else [])]
        if row.waits_for():
            words += ["after", *row.waits_for()]  # a run may bear its method's name
        names[row.dataset, row.run] = "-".join(words)
    return names


def _stage(row: Row, by_run: dict[tuple[str, str], Row]) -> int:
    """1 for a run that waits for none, else one more than the latest stage among those that it waits for."""
    waited = [by_run[row.dataset, name] for name in row.waits_for()]
    return 1 + max((_stage(other, by_run) for other in waited), default=0)


def outputs(job: Job) -> list[str]:
    """Files that a finished job leaves, below results/<name>/runs."""
    if not job.row.reports:
        names = ["record.json"]
    elif job.row.combine:
        names = ["predictions.parquet", "record.json"]
    else:
        names = ["predictions.parquet", "history.csv", "record.json", "model.safetensors"]
    if job.row.settings.get("protocol", {}).get("record_confidence"):
        names.append("confidence.npz")
    return [f"{job.folder}/{name}" for name in [*names, *job.row.artifacts]]
