"""What a plan trains: cells with their files, settings, code and order, and the subsets that unimodal runs decide."""

from __future__ import annotations

from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from avbalance.data.sources import read_source
from avbalance.errors import UserError
from avbalance.plan.cells import RunCell, SeededRun, combinations, training_rules
from avbalance.plan.data import MODALITIES, DataPlan, recipes_of
from avbalance.plan.entries import combining_entries, training_entries
from avbalance.plan.trees import plain
from flowkeeper.files import canonical_json


class TrainingPlan(DataPlan):
    """What is trained and joined, in which jobs."""

    @cached_property
    def training_rules(self) -> list[RunCell]:
        """What the rules that train make; a pattern where a rule makes all seeds of a run."""
        return [rule for rows in self.rows.values() for rule in training_rules(rows, self.config["seeds_per_job"])]

    @cached_property
    def cells(self) -> list[RunCell]:
        """What is trained."""
        return [cell for rule in self.training_rules for cell in rule.each()]

    @cached_property
    def combinations(self) -> list[RunCell]:
        """What is joined of finished runs."""
        return [cell for rows in self.rows.values() for cell in combinations(rows)]

    @cached_property
    def _makers(self) -> dict[str, set[str]]:
        """Id of a cell -> ids of the cells that it waits for; each comes after those that it waits for."""
        place = {(*_place(job), job.row.run): cell.id for cell in self.cells for job in cell.jobs}
        makers = {
            cell.id: {place[(*_place(job), name)] for job in cell.jobs for name in job.row.waits_for()} - {cell.id}
            for cell in self.cells
        }
        return {cell: makers[cell] for cell in TopologicalSorter(makers).static_order()}

    @cached_property
    def waiting(self) -> dict[str, int]:
        """Id of a cell -> number of jobs in it and in all cells that wait for it, directly or not.

        What much depends on, or what takes long by itself, is to be started first.
        """
        followers = {cell: {cell} for cell in self._makers}
        for cell in reversed(self._makers):
            for maker in self._makers[cell]:
                followers[maker] |= followers[cell]
        jobs = {cell.id: len(cell.jobs) for cell in self.cells}
        return {cell: sum(jobs[follower] for follower in own) for cell, own in followers.items()}

    @cached_property
    def stages(self) -> dict[str, int]:
        """Id of a cell -> how many cells must be done one after the other before it."""
        stages: dict[str, int] = {}
        for cell, makers in self._makers.items():
            stages[cell] = 1 + max((stages[maker] for maker in makers), default=-1)
        return stages

    def group(self, rule: RunCell) -> str:
        """Group of a rule's jobs: on a cluster those may share a submission that wait for equally many others."""
        return f"train{max(self.stages[cell.id] for cell in rule.each())}"

    def priority(self, rule: RunCell) -> int:
        """Priority of a rule's jobs, see `waiting`."""
        return max(self.waiting[cell.id] for cell in rule.each())

    def data_priority(self, dataset: str) -> int:
        """Priority of a data set's own jobs: above all training, the most used first, by itself or in a built one."""
        jobs = [cell.row.dataset for cell in self.cells for _ in cell.jobs]
        built = [name for name, spec in self.datasets.items() if dataset in read_source(spec).members()]
        return len(jobs) + sum(map(jobs.count, (dataset, *built)))

    def training_code(self, cell: RunCell) -> str:
        """Digest of the code that trains a cell: the loop, its methods, models and tasks."""
        return self.code(*training_entries(job.row.parts for job in cell.jobs))

    def run_files(self, job: SeededRun) -> list[str]:
        return [f"{self.runs}/{path}" for path in job.outputs()]

    def cell_files(self, cell: RunCell) -> list[str]:
        return [path for job in cell.jobs for path in self.run_files(job)]

    def cell_store_files(self, cell: RunCell) -> dict[str, list[str]]:
        """Files of the stores that a cell reads, by modality; raises UserError when its runs disagree on recipes."""
        for modality in MODALITIES:
            recipes = {str(job.row.settings["data"][f"{modality}_recipe"]) for job in cell.jobs}
            if len(recipes) > 1:
                raise UserError(f"{cell.id}: its runs use several {modality} recipes ({', '.join(sorted(recipes))}).")
        stores = recipes_of(cell.row).items()
        return {modality: self.store_files(cell.row.dataset, modality, recipe) for modality, recipe in stores}

    def cell_inputs(self, cell: RunCell) -> list[str]:
        """Files of other cells' runs that a cell reads."""
        own = set(self.cell_files(cell))
        paths = dict.fromkeys(f"{self.runs}/{path}" for job in cell.jobs for path in job.inputs().values())
        return [path for path in paths if path not in own]

    def cell_spec(self, cell: RunCell) -> str:
        """What the train command reads: every job with its settings, as canonical JSON.

        In a cell of several methods each job has a digest of its own code: an edit of one retrains only its runs.
        """
        several = len({job.row.parts for job in cell.jobs}) > 1
        own = [{"code": self.code(*training_entries([job.row.parts]))} if several else {} for job in cell.jobs]
        return canonical_json([_record(job) | code for job, code in zip(cell.jobs, own, strict=True)])

    def combined_files(self, job: SeededRun) -> dict[str, str]:
        """Predictions that a combination joins, by the name under which its method knows them."""
        base = f"{self.runs}/{job.row.paper}/{job.row.dataset}"
        return {name: f"{base}/{run}/seed{job.seed}/predictions.parquet" for name, run in job.row.combine.items()}

    def combination_inputs(self, cell: RunCell) -> list[str]:
        """Predictions that a cell of combinations joins, and the records beside them."""
        predictions = dict.fromkeys(path for job in cell.jobs for path in self.combined_files(job).values())
        return [*predictions, *(str(Path(path).with_name("record.json")) for path in predictions)]

    def combination_spec(self, cell: RunCell) -> str:
        """What the combine command reads."""
        names = ("run", "seed", "method", "folder")
        jobs = [{name: _record(job)[name] for name in names} for job in cell.jobs]
        files = [self.combined_files(job) for job in cell.jobs]
        return canonical_json([{**job, "predictions": paths} for job, paths in zip(jobs, files, strict=True)])

    def combination_code(self, cell: RunCell) -> str:
        return self.code(*combining_entries(cell.row.method))

    # Subsets: the discrepancy of a clip is decided by two unimodal runs.

    def confidence_datasets(self, slug: str) -> list[str]:
        """Data sets of a paper on which the discrepancy is estimated: those that have both unimodal runs."""
        wanted = self.papers[slug].get("confidence")
        runs: dict[str, set[str]] = {}
        for row in self.rows[slug]:
            runs.setdefault(row.dataset, set()).add(row.run)
        return [name for name, own in runs.items() if wanted and {wanted[m] for m in MODALITIES} <= own]

    def confidence_folder(self, slug: str, dataset: str) -> str:
        return f"{self.results}/confidence/{slug}/{dataset}"

    def confidence_files(self, slug: str, dataset: str) -> list[str]:
        names = ("confidence.parquet", "histogram.npz", "sensitivity.csv", "flatness.csv", "stopping.json")
        return [f"{self.confidence_folder(slug, dataset)}/{name}" for name in names]

    def confidence_inputs(self, slug: str, dataset: str) -> dict[str, str]:
        """confidence.npz of the first seed's unimodal runs: they define the subsets for all seeds of all methods."""
        return {modality: self._estimate(job) for modality, job in self.estimators(slug, dataset)["estimated"].items()}

    def confidence_spec(self, slug: str) -> str:
        return canonical_json(self._stop_rule(slug))

    def subsets_file(self, slug: str, dataset: str) -> str:
        return f"{self.results}/subsets/{slug}/{dataset}.parquet"

    def subset_files(self, slug: str) -> list[str]:
        return [self.subsets_file(slug, dataset) for dataset in self.confidence_datasets(slug)]

    def estimators(self, slug: str, dataset: str) -> dict[str, dict[str, SeededRun]]:
        """Definition of the subsets -> modality -> the run by which it is estimated."""
        wanted = self.papers[slug]["confidence"]
        rows = {row.run: row for row in self.rows[slug] if row.dataset == dataset}

        def of(runs: dict[str, str], position: int) -> dict[str, SeededRun]:
            return {name: SeededRun(row := rows[runs[name]], row.seeds[position]) for name in MODALITIES}

        estimators = {"estimated": of(wanted, 0)}
        for half, runs in wanted.get("halves", {}).items():
            if set(runs.values()) <= set(rows):
                estimators[f"cross-fitted-{half}"] = of(runs, 0)
        for position, seed in enumerate(rows[wanted["audio"]].seeds):
            estimators[f"seed-matched-{seed}"] = of(wanted, position)
        return estimators

    def subset_pairs(self, slug: str, dataset: str) -> dict[str, list[str]]:
        """Definition -> the two confidence.npz that decide it (see analysis/subsets.py)."""
        estimators = self.estimators(slug, dataset)
        return {definition: [self._estimate(job) for job in jobs.values()] for definition, jobs in estimators.items()}

    def subset_inputs(self, slug: str, dataset: str) -> list[str]:
        return list(dict.fromkeys(path for pair in self.subset_pairs(slug, dataset).values() for path in pair))

    def subset_spec(self, slug: str, dataset: str) -> str:
        return canonical_json({"pairs": self.subset_pairs(slug, dataset), "rule": self._stop_rule(slug)})

    def _stop_rule(self, slug: str) -> dict[str, Any]:
        """The early stop of the estimators, see analysis/confidence.py."""
        rule: dict[str, Any] = plain(self.papers[slug]["confidence"]["rule"])
        return rule

    def _estimate(self, job: SeededRun) -> str:
        return f"{self.runs}/{job.folder}/confidence.npz"


def _place(job: SeededRun) -> tuple[str, str]:
    return job.row.paper, job.row.dataset


def _record(job: SeededRun) -> dict[str, Any]:
    return {
        "run": job.row.run,
        "seed": job.seed,
        "method": job.row.method,
        "settings": job.row.settings,
        "folder": job.folder,
        "inputs": job.inputs(),
        "choose": job.row.choose,
        "outputs": job.outputs(),
    }
