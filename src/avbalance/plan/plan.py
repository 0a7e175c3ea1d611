"""The whole plan of one configuration: what the workflow's rules ask for by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.files import canonical_json
from avbalance.plan.config import load_config, load_dataset, load_paper, plain
from avbalance.plan.digest import DIGEST_CACHE, code_digest
from avbalance.plan.sheet import Cell, Family, Job, Row, combinations, families, outputs, rows_of_paper
from avbalance.training import DEFAULT_TASK

STORE_FILES = ("index.parquet", "card.json")  # the array beside them is known by the card and can be made again
BULK_FILES = ("features.npy", "array.json")  # array.json: see features/store.py
TRAINING = "avbalance.training.cell"


@dataclass(frozen=True)
class Plan:
    """Configuration, declarations and run sheet; paths are relative to the working directory."""

    root: Path  # the repository: where config/ and workflow/ lie
    config: dict[str, Any]
    papers: dict[str, dict[str, Any]]
    rows: dict[str, list[Row]]

    @property
    def name(self) -> str:
        return str(self.config["name"])

    @property
    def results(self) -> str:
        return f"results/{self.name}"

    @property
    def runs(self) -> str:
        return f"{self.results}/runs"

    @cached_property
    def datasets(self) -> dict[str, dict[str, Any]]:
        """Specification of every data set that some run uses."""
        names = dict.fromkeys(row.dataset for rows in self.rows.values() for row in rows)
        return {name: load_dataset(self.root, self.config, name) for name in names}

    @cached_property
    def recipes(self) -> dict[str, dict[str, list[str]]]:
        """Feature recipes per data set: {"audio": [...], "visual": [...]}, in order of first use."""
        found: dict[str, dict[str, list[str]]] = {name: {"audio": [], "visual": []} for name in self.datasets}
        for rows in self.rows.values():
            for row in rows:
                for modality, recipes in found[row.dataset].items():
                    recipe = row.settings["data"][f"{modality}_recipe"]
                    if recipe not in recipes:
                        recipes.append(recipe)
        return found

    @cached_property
    def families(self) -> list[Family]:
        """The training rules: each makes one cell or one cell per seed."""
        return [family for rows in self.rows.values() for family in families(rows, self.config["seeds_per_job"])]

    @cached_property
    def cells(self) -> list[Cell]:
        return [cell for family in self.families for cell in family.cells]

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

    def priority(self, family: Family) -> int:
        """Priority of the training jobs of a family, see `waiting`."""
        return max(self.waiting[cell.id] for cell in family.cells)

    def data_priority(self, dataset: str) -> int:
        """Priority of a data set's own jobs: above all training, the most used data set first."""
        jobs = [cell.row.dataset for cell in self.cells for _ in cell.jobs]
        return len(jobs) + jobs.count(dataset)

    @cached_property
    def combinations(self) -> list[Cell]:
        return [cell for rows in self.rows.values() for cell in combinations(rows)]

    def code(self, *entries: str) -> str:
        """Digest of the code behind a step, see plan/digest.py."""
        if entries not in self.codes:
            self.codes[entries] = code_digest(*entries, cache_file=DIGEST_CACHE)
        return self.codes[entries]

    @cached_property
    def codes(self) -> dict[tuple[str, ...], str]:
        """Entry modules -> digest, for every digest that was asked for so far."""
        return {}

    def training_code(self, cell: Cell) -> str:
        """Digest of the code that trains a cell: the loop, its method and its models."""
        settings = [job.row.settings for job in cell.jobs]
        models = {each["model"]["name"] for each in settings}
        return self.code(*training_entries(cell.row.method, models, {each["data"].get("task") for each in settings}))

    def manifest(self, dataset: str) -> str:
        return f"data/{dataset}/manifest.parquet"

    def store(self, dataset: str, modality: str, recipe: str) -> str:
        return f"{self.results}/features/{dataset}/{modality}-{recipe}"

    def store_files(self, dataset: str, modality: str, recipe: str) -> list[str]:
        return [f"{self.store(dataset, modality, recipe)}/{name}" for name in STORE_FILES]

    def artifacts(self) -> list[str]:
        """Every file that `snakemake` without a target makes, manifests first."""
        found = [self.manifest(dataset) for dataset in self.datasets]
        found += [path for dataset in self.datasets for path in self.all_store_files(dataset)]
        found += [path for cell in (*self.cells, *self.combinations) for path in self.cell_files(cell)]
        for slug in self.papers:
            for dataset in self._reported_confidences(slug):
                found += self.confidence_files(slug, dataset)
            found += self.subset_files(slug)
            if self.prediction_files(slug):
                found.append(f"{self.paper_folder(slug)}/measurements.parquet")
            found += self.report_files(slug)
        return found

    def unasked(self) -> list[str]:
        """Files that are made only if somebody asks for them by name: confidences that no report reads."""
        return [
            path
            for slug in self.papers
            for dataset in self.confidence_datasets(slug)
            if dataset not in self._reported_confidences(slug)
            for path in self.confidence_files(slug, dataset)
        ]

    def _reported_confidences(self, slug: str) -> list[str]:
        records = [self._dataset_record(slug, role) for role in self.papers[slug]["datasets"]]
        return [record["data"] for record in records if record.get("confidence")]

    def bulk(self) -> list[str]:
        """Files that may lie beside the artifacts and can be made again from them: the arrays of the feature stores."""
        return [
            f"{self.store(dataset, modality, recipe)}/{name}"
            for dataset, recipes in self.recipes.items()
            for modality, names in recipes.items()
            for recipe in names
            for name in BULK_FILES
        ]

    def all_store_files(self, dataset: str) -> list[str]:
        recipes = self.recipes[dataset]
        return [
            path
            for modality, names in recipes.items()
            for name in names
            for path in self.store_files(dataset, modality, name)
        ]

    def run_files(self, job: Job) -> list[str]:
        return [f"{self.runs}/{path}" for path in outputs(job)]

    def cell_store_files(self, cell: Cell) -> dict[str, list[str]]:
        """Files of the audio and the visual store of a cell; raises UserError when its runs disagree on recipes."""
        files = {}
        for modality in ("audio", "visual"):
            recipes = {job.row.settings["data"][f"{modality}_recipe"] for job in cell.jobs}
            if len(recipes) > 1:
                raise UserError(f"{cell.id}: its runs use several {modality} recipes ({', '.join(sorted(recipes))}).")
            files[modality] = self.store_files(cell.row.dataset, modality, recipes.pop())
        return files

    def cell_files(self, cell: Cell) -> list[str]:
        return [path for job in cell.jobs for path in self.run_files(job)]

    def cell_inputs(self, cell: Cell) -> list[str]:
        """Files of other cells' runs that a cell reads."""
        own = set(self.cell_files(cell))
        paths = dict.fromkeys(f"{self.runs}/{path}" for job in cell.jobs for path in job.inputs().values())
        return [path for path in paths if path not in own]

    def recipe_spec(self, dataset: str) -> str:
        """What the features command reads; raises UserError when a data set is asked for in two ways."""
        chosen = {}
        for modality, recipes in self.recipes[dataset].items():
            if len(recipes) > 1:
                raise UserError(
                    f"{dataset}: several {modality} recipes are asked for ({', '.join(recipes)}); choose one."
                )
            chosen[modality] = recipes[0]
        return canonical_json(chosen)

    def combined_files(self, job: Job) -> dict[str, str]:
        """Predictions that a combination joins, by the name under which its method knows them."""
        base = f"{self.runs}/{job.row.paper}/{job.row.dataset}"
        return {name: f"{base}/{run}/seed{job.seed}/predictions.parquet" for name, run in job.row.combine.items()}

    def combination_inputs(self, cell: Cell) -> list[str]:
        return list(dict.fromkeys(path for job in cell.jobs for path in self.combined_files(job).values()))

    def combination_spec(self, cell: Cell) -> str:
        names = ("run", "seed", "method", "folder")
        records = [(_job_record(job), self.combined_files(job)) for job in cell.jobs]
        return canonical_json(
            [{**{name: record[name] for name in names}, "predictions": files} for record, files in records]
        )

    def combination_code(self, cell: Cell) -> str:
        return self.code(*combining_entries(cell.row.method))

    def cell_spec(self, cell: Cell) -> str:
        """What the train command reads: every job with its settings, as canonical JSON."""
        return canonical_json([_job_record(job) for job in cell.jobs])

    def confidence_datasets(self, slug: str) -> list[str]:
        """Data sets of a paper on which the discrepancy is estimated: those that have both unimodal runs."""
        wanted = self.papers[slug].get("confidence")
        found = []
        for dataset in dict.fromkeys(row.dataset for row in self.rows[slug]):
            runs = {row.run for row in self.rows[slug] if row.dataset == dataset}
            if wanted and {wanted["audio"], wanted["visual"]} <= runs:
                found.append(dataset)
        return found

    def confidence_folder(self, slug: str, dataset: str) -> str:
        return f"{self.results}/confidence/{slug}/{dataset}"

    def confidence_files(self, slug: str, dataset: str) -> list[str]:
        names = ("confidence.parquet", "histogram.npz", "sensitivity.csv", "stopping.json")
        return [f"{self.confidence_folder(slug, dataset)}/{name}" for name in names]

    def subsets_file(self, slug: str, dataset: str) -> str:
        return f"{self.results}/subsets/{slug}/{dataset}.parquet"

    def confidence_inputs(self, slug: str, dataset: str) -> dict[str, str]:
        """confidence.npz of the first seed's unimodal runs: they define the subsets for all seeds of all methods."""
        wanted = self.papers[slug]["confidence"]
        return {modality: self._npz(slug, dataset, wanted[modality], 0) for modality in ("audio", "visual")}

    def subset_pairs(self, slug: str, dataset: str) -> dict[str, list[str]]:
        """Definition -> the two confidence.npz that decide it (see analysis/subsets.py)."""
        wanted = self.papers[slug]["confidence"]
        rows = {row.run: row for row in self.rows[slug] if row.dataset == dataset}
        pairs = {"estimated": list(self.confidence_inputs(slug, dataset).values())}
        for half, runs in wanted.get("halves", {}).items():
            if set(runs.values()) <= set(rows):
                pairs[f"cross-fitted-{half}"] = [self._npz(slug, dataset, runs[m], 0) for m in ("audio", "visual")]
        for position, seed in enumerate(rows[wanted["audio"]].seeds):
            pairs[f"seed-matched-{seed}"] = [self._npz(slug, dataset, wanted[m], position) for m in ("audio", "visual")]
        return pairs

    def subset_inputs(self, slug: str, dataset: str) -> list[str]:
        return list(dict.fromkeys(path for pair in self.subset_pairs(slug, dataset).values() for path in pair))

    def subset_spec(self, slug: str, dataset: str) -> str:
        return canonical_json({"pairs": self.subset_pairs(slug, dataset), "rule": self._stop_rule(slug)})

    def confidence_spec(self, slug: str) -> str:
        return canonical_json(self._stop_rule(slug))

    def _stop_rule(self, slug: str) -> dict[str, Any]:
        """The early stop of the estimators, see analysis/confidence.py."""
        rule: dict[str, Any] = plain(self.papers[slug]["confidence"]["rule"])
        return rule

    def _npz(self, slug: str, dataset: str, run: str, position: int) -> str:
        row = next(row for row in self.rows[slug] if row.dataset == dataset and row.run == run)
        return f"{self.runs}/{slug}/{dataset}/{run}/seed{row.seeds[position]}/confidence.npz"

    def reported_jobs(self, slug: str) -> list[Job]:
        rows = sorted(self.rows[slug], key=lambda row: (row.dataset, row.run))
        return [Job(row, seed) for row in rows if row.reports for seed in row.seeds]

    def prediction_files(self, slug: str) -> list[str]:
        return [f"{self.runs}/{job.folder}/predictions.parquet" for job in self.reported_jobs(slug)]

    def subset_files(self, slug: str) -> list[str]:
        return [self.subsets_file(slug, dataset) for dataset in self.confidence_datasets(slug)]

    def paper_folder(self, slug: str) -> str:
        return f"{self.results}/papers/{slug}"

    def paper_record(self, slug: str) -> dict[str, Any]:
        """What measuring and reporting must know of a paper, see evaluation/paper.py."""
        paper = self.papers[slug]
        jobs = self.reported_jobs(slug)
        return {
            "slug": slug,
            "title": paper["title"],
            "published": f"{paper['folder']}/published",
            "datasets": {role: self._dataset_record(slug, role) for role in paper["datasets"]},
            "labels": {run: declared["label"] for run, declared in paper["runs"].items()},
            "runs": [
                {
                    "run": job.row.run,
                    "label": job.row.label,
                    "dataset": job.row.dataset,
                    "seed": job.seed,
                    "predictions": f"{self.runs}/{job.folder}/predictions.parquet",
                }
                for job in jobs
            ],
        }

    def _dataset_record(self, slug: str, role: str) -> dict[str, Any]:
        label = self.papers[slug]["datasets"][role]["label"]
        rows = [row for row in self.rows[slug] if row.role == role]
        if not rows:
            return {"label": label, "data": None, "describe": "left out"}
        main = next(row for row in rows if not row.robustness)
        further = dict.fromkeys(row.dataset for row in rows if row.robustness)
        known = self.confidence_datasets(slug)
        stands_for = self.datasets[main.dataset].get("stands_for")
        return {
            "label": label,
            "data": main.dataset,
            "describe": f"synthetic stand-in for {stands_for}"
            if stands_for
            else self.datasets[main.dataset]["describe"],
            "generators": {name: self._source_files(slug, name) for name in further},
            "confidence": self.confidence_folder(slug, main.dataset) if main.dataset in known else None,
            **self._source_files(slug, main.dataset),
        }

    def _source_files(self, slug: str, dataset: str) -> dict[str, Any]:
        """What reports read of one data set: its subsets, and what says which clips were lost."""
        return {
            "subsets": self.subsets_file(slug, dataset) if dataset in self.confidence_datasets(slug) else None,
            "manifest": self.manifest(dataset),
            "features": {
                modality: f"{self.store(dataset, modality, recipes[0])}/index.parquet"
                for modality, recipes in self.recipes[dataset].items()
            },
        }

    def fact_files(self, slug: str) -> list[str]:
        """Files behind the lines under a table: manifests, feature indexes, confidences."""
        files = []
        for role in self.papers[slug]["datasets"]:
            record = self._dataset_record(slug, role)
            if record["data"]:
                for source in (record, *record["generators"].values()):
                    files += [source["manifest"], *source["features"].values()]
                files += self.confidence_files(slug, record["data"]) if record["confidence"] else []
        return files

    def published_files(self, slug: str) -> list[str]:
        folder = self.root / self.papers[slug]["folder"] / "published"
        return [str(path.relative_to(self.root)) for path in sorted(folder.glob("*.csv"))]

    def declared(self, slug: str, kind: str) -> dict[str, dict[str, Any]]:
        """A paper's tables or figures by id: table1, tableS1, figure1, ..."""
        generators = any(row.robustness for row in self.rows[slug])
        entries = self.papers[slug].get(kind, [])
        return {entry["id"]: entry for entry in entries if generators or entry.get("requires") != "generators"}

    def report_files(self, slug: str) -> list[str]:
        """Everything that is made of a paper."""
        folder = self.paper_folder(slug)
        tables = [
            f"{folder}/{name}.{suffix}" for name in self.declared(slug, "tables") for suffix in ("csv", "md", "tex")
        ]
        figures = [
            f"{folder}/{name}.{suffix}" for name in self.declared(slug, "figures") for suffix in ("png", "pdf", "csv")
        ]
        claims = [f"{folder}/claims.{suffix}" for suffix in ("json", "md")] if self.papers[slug].get("claims") else []
        return [*tables, *figures, *claims, f"{folder}/lost_clips.csv"]

    def measure_spec(self, slug: str) -> str:
        return self._report_spec(slug, None, {"measures": self.papers[slug]["measures"]})

    def table_spec(self, slug: str, table: str) -> str:
        return self._report_spec(slug, table, {"tables": [self.declared(slug, "tables")[table]]})

    def figure_spec(self, slug: str, figure: str) -> str:
        return self._report_spec(slug, figure, {"figures": [self.declared(slug, "figures")[figure]]})

    def figure_code(self, slug: str, figure: str) -> str:
        kind = self.declared(slug, "figures")[figure]["kind"]
        return self.code("avbalance.reporting.figures", f"avbalance.reporting.figures.{_module(kind)}")

    def claims_spec(self, slug: str) -> str:
        keys = ("claims", "checks", "illustrations", "statistics", "measures")
        declared = {key: self.papers[slug][key] for key in keys if key in self.papers[slug]}
        return self._report_spec(slug, "claims", declared)

    def figure_run_files(self, slug: str, figure: str) -> list[str]:
        """Files of runs that a figure declares: runs: [{run, file}] on its data set (`dataset`), every seed."""
        declared = self.declared(slug, "figures")[figure]
        wanted = [(need["run"], need["file"]) for need in declared.get("runs", ())]
        return self._files_of_runs(slug, declared.get("dataset"), wanted)

    def claims_run_files(self, slug: str) -> list[str]:
        """Histories of runs that claims are about, see evaluation/seed_histories.py."""
        keys = ("claims", "checks", "illustrations")
        blocks = [block for key in keys for entry in self.papers[slug].get(key, ()) for block in entry["tests"]]
        found = [
            path
            for block in blocks
            if block.get("kind") == "by_seed_history"
            for path in self._files_of_runs(
                slug, block["dataset"], [(block[side], "history.csv") for side in ("before", "after")]
            )
        ]
        return list(dict.fromkeys(found))

    def _files_of_runs(self, slug: str, role: str | None, wanted: list[tuple[str, str]]) -> list[str]:
        """A file of every seed of some runs on a role's own data set; nothing for runs that the tier leaves out."""
        rows = {row.run: row for row in self.rows[slug] if row.role == role and not row.robustness}
        return [
            f"{self.runs}/{Job(rows[run], seed).folder}/{name}"
            for run, name in wanted
            if run in rows
            for seed in rows[run].seeds
        ]

    def losses_spec(self, slug: str) -> str:
        return self._report_spec(slug, None, {})

    def _report_spec(self, slug: str, item: str | None, declarations: dict[str, Any]) -> str:
        """What a reporting command reads: the paper with the cuts that touch `item`, and its own declarations only."""
        paper = self.paper_record(slug)
        if item is not None:
            cuts = [cut for cut in self.config.get("cuts", []) if slug in cut.get("papers", [slug])]
            paper["cuts"] = [cut for cut in cuts if item in cut.get("tables", [item])]
            declarations = {"published": self.papers[slug].get("published", []), **declarations}
        return canonical_json({"paper": paper, "declarations": declarations})

    def preflight(self) -> list[str]:
        """One sentence per real data set that cannot be read yet; nothing for data sets that are already built."""
        sentences = []
        for name, spec in self.datasets.items():
            if not Path(self.manifest(name)).exists():
                sentence = source_module(spec["kind"]).preflight(spec)
                if sentence:
                    sentences.append(f"{name}: {sentence}")
        return sentences

    def source_entries(self, dataset: str) -> tuple[str, ...]:
        """Modules behind a manifest: the step, the source of its kind, and the schema that its settings pass."""
        source = f"avbalance.data.sources.{_module(self.datasets[dataset]['kind'])}"
        return "avbalance.data.build", source, "avbalance.schemas"

    def source_code(self, dataset: str) -> str:
        return self.code(*self.source_entries(dataset))

    def source_inputs(self, dataset: str) -> list[str]:
        """Annotation files of a data set.

        Without a manifest those that exist now: a missing one is the preflight's matter. A manifest that came from
        elsewhere needs none of them: an input that nobody has makes Snakemake take the manifest as it is.
        """
        spec = self.datasets[dataset]
        files: list[str] = source_module(spec["kind"]).inputs(spec)
        return [path for path in files if Path(self.manifest(dataset)).exists() or Path(path).is_file()]

    def dataset_spec(self, dataset: str) -> str:
        return canonical_json({"name": dataset, "spec": self.datasets[dataset]})


def training_entries(method: str, models: Iterable[str], tasks: Iterable[str | None]) -> list[str]:
    """Modules behind the training of a cell: the loop, its method, its models and its tasks (None: the default one)."""
    further = [f"avbalance.models.{_module(name)}" for name in models]
    further += [f"avbalance.training.tasks.{_module(name or DEFAULT_TASK)}" for name in tasks]
    return [TRAINING, f"avbalance.methods.{_module(method)}", *sorted(set(further))]


def combining_entries(method: str) -> list[str]:
    """Modules behind a combination of runs."""
    return ["avbalance.evaluation.combine", f"avbalance.methods.{_module(method)}"]


def source_module(kind: str) -> Any:
    """The module of a kind of data set; raises UserError when there is none."""
    name = f"avbalance.data.sources.{_module(kind)}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UserError(
            f"config/datasets: no data set kind {kind!r}; kinds are modules of avbalance.data.sources."
        ) from error


def load_plan(root: Path, overrides: dict[str, Any]) -> Plan:
    """Read configuration and declarations; raises UserError for anything that does not fit together."""
    config = load_config(root, overrides)
    papers = {slug: load_paper(root, slug) for slug in config["papers"]}
    rows = {slug: rows_of_paper(config, paper) for slug, paper in papers.items()}
    return Plan(root=root, config=config, papers=papers, rows=rows)


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


def _module(name: str) -> str:
    return name.replace("-", "_")


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
