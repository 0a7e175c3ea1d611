"""Training cells and combinations of a plan: their files, settings, code and order."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.files import canonical_json
from avbalance.plan.entries import combining_entries, members, training_entries
from avbalance.plan.sheet import Cell, Family, Job, combinations, families, outputs
from avbalance.plan.stores import MODALITIES, Stores, recipes_of


class Trainings(Stores):
    """What is trained and joined, in which jobs."""

    @cached_property
    def families(self) -> list[Family]:
        """The training rules: each makes one cell or one cell per seed."""
        return [family for rows in self.rows.values() for family in families(rows, self.config["seeds_per_job"])]

    @cached_property
    def cells(self) -> list[Cell]:
        return [cell for family in self.families for cell in family.cells]

    @cached_property
    def combinations(self) -> list[Cell]:
        return [cell for rows in self.rows.values() for cell in combinations(rows)]

    @cached_property
    def waiting(self) -> dict[str, int]:
        """Id of a cell -> number of jobs in it and in all cells that wait for it, directly or not.

        What much depends on, or what takes long by itself, is to be started first.
        """
        made_by = {(job.row.paper, job.row.dataset, job.row.run): cell for cell in self.cells for job in cell.jobs}
        followers: dict[str, set[str]] = {cell.id: {cell.id} for cell in self.cells}
        for cell in reversed(_in_order(self.cells, made_by)):
            for maker in _makers(cell, made_by):
                followers[maker.id] |= followers[cell.id]
        jobs = {cell.id: len(cell.jobs) for cell in self.cells}
        return {cell: sum(jobs[follower] for follower in found) for cell, found in followers.items()}

    @cached_property
    def stages(self) -> dict[str, int]:
        """Id of a cell -> how many cells must be done one after the other before it."""
        made_by = {(job.row.paper, job.row.dataset, job.row.run): cell for cell in self.cells for job in cell.jobs}
        found: dict[str, int] = {}
        for cell in _in_order(self.cells, made_by):
            found[cell.id] = 1 + max((found[maker.id] for maker in _makers(cell, made_by)), default=-1)
        return found

    def group(self, family: Family) -> str:
        """Group of a family's jobs: on a cluster those may share a submission that wait for equally many others."""
        return f"train{max(self.stages[cell.id] for cell in family.cells)}"

    def priority(self, family: Family) -> int:
        """Priority of the training jobs of a family, see `waiting`."""
        return max(self.waiting[cell.id] for cell in family.cells)

    def data_priority(self, dataset: str) -> int:
        """Priority of a data set's own jobs: above all training, the most used first, by itself or in a built one."""
        jobs = [cell.row.dataset for cell in self.cells for _ in cell.jobs]
        built = [name for name, spec in self.datasets.items() if dataset in members(spec)]
        return len(jobs) + sum(map(jobs.count, (dataset, *built)))

    def training_code(self, cell: Cell) -> str:
        """Digest of the code that trains a cell: the loop, its method and its models."""
        settings = [job.row.settings for job in cell.jobs]
        models = {each["model"]["name"] for each in settings}
        methods = {job.row.method for job in cell.jobs}
        return self.code(*training_entries(methods, models, {each["data"].get("task") for each in settings}))

    def cell_store_files(self, cell: Cell) -> dict[str, list[str]]:
        """Files of the stores that a cell reads, by modality; raises UserError when its runs disagree on recipes."""
        for modality in MODALITIES:
            recipes = {str(job.row.settings["data"][f"{modality}_recipe"]) for job in cell.jobs}
            if len(recipes) > 1:
                raise UserError(f"{cell.id}: its runs use several {modality} recipes ({', '.join(sorted(recipes))}).")
        found = recipes_of(cell.row).items()
        return {modality: self.store_files(cell.row.dataset, modality, recipe) for modality, recipe in found}

    def cell_files(self, cell: Cell) -> list[str]:
        return [path for job in cell.jobs for path in self.run_files(job)]

    def cell_inputs(self, cell: Cell) -> list[str]:
        """Files of other cells' runs that a cell reads."""
        own = set(self.cell_files(cell))
        paths = dict.fromkeys(f"{self.runs}/{path}" for job in cell.jobs for path in job.inputs().values())
        return [path for path in paths if path not in own]

    def cell_spec(self, cell: Cell) -> str:
        """What the train command reads: every job with its settings, as canonical JSON."""
        return canonical_json([{**_job_record(job), **self._own_code(cell, job)} for job in cell.jobs])

    def _own_code(self, cell: Cell, job: Job) -> dict[str, str]:
        """In a cell of several methods each job has a digest of its own: an edit of one retrains only its runs."""
        if len({other.row.parts for other in cell.jobs}) == 1:
            return {}
        data, model = job.row.settings["data"], job.row.settings["model"]["name"]
        return {"code": self.code(*training_entries([job.row.method], [model], [data.get("task")]))}

    def combined_files(self, job: Job) -> dict[str, str]:
        """Predictions that a combination joins, by the name under which its method knows them."""
        base = f"{self.runs}/{job.row.paper}/{job.row.dataset}"
        return {name: f"{base}/{run}/seed{job.seed}/predictions.parquet" for name, run in job.row.combine.items()}

    def combination_inputs(self, cell: Cell) -> list[str]:
        """Predictions that a cell of combinations joins, and the records beside them."""
        predictions = dict.fromkeys(path for job in cell.jobs for path in self.combined_files(job).values())
        return [*predictions, *(str(Path(path).with_name("record.json")) for path in predictions)]

    def combination_spec(self, cell: Cell) -> str:
        names = ("run", "seed", "method", "folder")
        records = [(_job_record(job), self.combined_files(job)) for job in cell.jobs]
        return canonical_json(
            [{**{name: record[name] for name in names}, "predictions": files} for record, files in records]
        )

    def combination_code(self, cell: Cell) -> str:
        return self.code(*combining_entries(cell.row.method))


def _makers(cell: Cell, made_by: dict[tuple[str, str, str], Cell]) -> list[Cell]:
    """The cells that a cell waits for."""
    row = cell.row
    names = {name for job in cell.jobs for name in job.row.waits_for()}
    found = {made_by[row.paper, row.dataset, name].id: made_by[row.paper, row.dataset, name] for name in sorted(names)}
    return list(found.values())


def _in_order(cells: list[Cell], made_by: dict[tuple[str, str, str], Cell]) -> list[Cell]:
    """The cells so that each comes after those that it waits for."""
    order: dict[str, Cell] = {}

    def place(cell: Cell) -> None:
        if cell.id not in order:
            for maker in _makers(cell, made_by):
                place(maker)
            order[cell.id] = cell

    for cell in cells:
        place(cell)
    return list(order.values())


def _job_record(job: Job) -> dict[str, Any]:
    return {
        "run": job.row.run,
        "seed": job.seed,
        "method": job.row.method,
        "settings": job.row.settings,
        "folder": job.folder,
        "inputs": job.inputs(),
        "choose": job.row.choose,
        "outputs": outputs(job),
    }
