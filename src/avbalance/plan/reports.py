"""Measurements, tables, figures and claims of a plan: their files, and what each command is told."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from avbalance.data.sources import source_text
from avbalance.kinds import module_of
from avbalance.plan.cells import SeededRun
from avbalance.plan.data import recipes_of
from avbalance.plan.sheet import Row
from avbalance.plan.training import TrainingPlan
from flowkeeper.files import canonical_json

if TYPE_CHECKING:
    from avbalance.evaluation.declarations import Declarations

# What is made of a paper -> suffixes of its files.
SUFFIXES = {
    "measurements": ("parquet",),
    "tables": ("md", "csv", "tex", "json"),
    "figures": ("svg", "png", "pdf", "tex", "csv"),
    "claims": ("json", "md"),
    "verdict": ("json", "md"),
    "lost_clips": ("csv",),
}
CODE_OF = {
    "measurements": "evaluation.measure",
    "tables": "reporting.tables",
    "figures": "reporting.figures",
    "claims": "reporting.claims_report",
    "verdict": "diagnosis.report",
    "lost_clips": "reporting.facts",
}
DECLARED = ("tables", "figures")  # parts of which a paper declares several, each with an id
OF_CLAIMS = ("claims", "checks", "illustrations", "statistics", "measures", "confidence")  # what claims rest on


class Reports(TrainingPlan):
    """Everything that is made of finished runs."""

    def reported_jobs(self, slug: str) -> list[SeededRun]:
        rows = sorted(self.rows[slug], key=lambda row: (row.dataset, row.run))
        return [SeededRun(row, seed) for row in rows if row.reports for seed in row.seeds]

    def prediction_files(self, slug: str) -> list[str]:
        return [f"{self.runs}/{job.folder}/predictions.parquet" for job in self.reported_jobs(slug)]

    def record_files(self, slug: str) -> list[str]:
        return [f"{self.runs}/{job.folder}/record.json" for job in self.reported_jobs(slug)]

    def paper_folder(self, slug: str) -> str:
        return f"{self.results}/papers/{slug}"

    def paper_record(self, slug: str) -> dict[str, Any]:
        """What measuring and reporting must know of a paper, see evaluation/paper.py."""
        paper = self.papers[slug]
        jobs = self.reported_jobs(slug)
        return {
            "slug": slug,
            "builds_on": paper.get("builds_on", []),
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
                    **_labelling(job.row),
                }
                for job in jobs
            ],
        }

    def _dataset_record(self, slug: str, role: str) -> dict[str, Any]:
        paper = self.papers[slug]
        declared = paper["datasets"][role]
        label = declared["label"]
        rows = [row for row in self.rows[slug] if row.role == role]
        if not rows:
            return {"label": label, "data": None, "describe": "left out"}
        main = next(row for row in rows if not row.robustness)
        further = dict.fromkeys(row.dataset for row in rows if row.robustness)
        known = self.confidence_datasets(slug)
        stands_for, own = self.datasets[main.dataset].get("stands_for"), declared.get("data", role)
        describe = f"synthetic stand-in for {stands_for}" if stands_for else self.datasets[main.dataset]["describe"]
        if not stands_for and own not in (None, main.dataset):
            describe += f", in the place of {label}"
        return {
            "label": label,
            "data": main.dataset,
            "describe": describe,
            "generators": {name: self._source_files(slug, role, name) for name in further},
            "confidence": self.confidence_folder(slug, main.dataset) if main.dataset in known else None,
            "own": not stands_for and main.dataset == own,
            **({"verdict": self.verdict_files(slug)[0]} if paper.get("verdict") == role else {}),
            **self._source_files(slug, role, main.dataset),
        }

    def _estimator_seeds(self, slug: str, dataset: str) -> dict[str, list[tuple[str, int | str]]]:
        """Definition of the subsets -> run and seed of the models that choose them."""
        estimators = self.estimators(slug, dataset).items()
        return {definition: [(job.row.run, job.seed) for job in jobs.values()] for definition, jobs in estimators}

    def _source_files(self, slug: str, role: str, dataset: str) -> dict[str, Any]:
        """What reports read of one data set: its subsets, and what says which clips were lost."""
        row = next(row for row in self.rows[slug] if (row.role, row.dataset) == (role, dataset))
        return {
            "subsets": self.subsets_file(slug, dataset) if dataset in self.confidence_datasets(slug) else None,
            "manifest": self.manifest(dataset),
            "features": {
                modality: f"{self.store(dataset, modality, recipe)}/index.parquet"
                for modality, recipe in recipes_of(row).items()
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
        """A paper's tables or figures by id: table1, tableS1, figure1, ...

        One that `requires` a role, or "generators", is left out where the plan has none.
        """
        planned = {row.role for row in self.rows[slug]}
        planned |= {"generators"} if any(row.robustness for row in self.rows[slug]) else set()
        entries = self.papers[slug].get(kind, [])
        return {entry["id"]: entry for entry in entries if entry.get("requires") in (None, *planned)}

    def report_parts(self, slug: str) -> dict[str, list[str]]:
        """What is made of a paper's runs, each part by a job of its own, with the files of the part."""
        parts = {}
        for part, suffixes in SUFFIXES.items():
            names = self.declared(slug, part) if part in DECLARED else [part]
            if names and (part not in ("claims", "verdict") or self.papers[slug].get(part)):
                parts[part] = [f"{self.paper_folder(slug)}/{name}.{suffix}" for name in names for suffix in suffixes]
        return parts

    def report_files(self, slug: str) -> list[str]:
        """Everything that is made of a paper's measurements."""
        parts = self.report_parts(slug).items()
        return [path for part, files in parts if part != "measurements" for path in files]

    def verdict_files(self, slug: str) -> list[str]:
        """What is answered about a paper's data set, where anything is asked: verdict.json."""
        return [f"{self.paper_folder(slug)}/verdict.json"] if self.papers[slug].get("verdict") else []

    def overview_files(self) -> list[str]:
        """The page of all claims of all papers, where any paper makes claims."""
        return [f"{self.results}/papers/claims.md"] if self.claims_files() else []

    def claims_files(self) -> list[str]:
        """claims.json of every paper that makes claims, in the order of the configuration."""
        return [f"{self.paper_folder(slug)}/claims.json" for slug in self.papers if self.papers[slug].get("claims")]

    def crate_files(self) -> list[str]:
        """What describes the whole result set to others."""
        return [f"{self.results}/ro-crate-metadata.json", f"{self.results}/codecheck.yml"]

    def described_files(self) -> list[str]:
        """What these describe: everything that is made of the papers."""
        return [*(path for slug in self.papers for path in self.report_files(slug)), *self.overview_files()]

    def all_records(self) -> list[str]:
        return distinct(path for slug in self.papers for path in self.record_files(slug))

    def crate_spec(self) -> str:
        """What the crate command reads."""
        papers = {slug: {key: paper[key] for key in ("title", "reference")} for slug, paper in self.papers.items()}
        titles = {
            f"{slug}/{entry['id']}": entry["title"]
            for slug, paper in self.papers.items()
            for kind in ("tables", "figures")
            for entry in paper.get(kind, [])
        }
        datasets = {name: spec["describe"] for name, spec in self.datasets.items()}
        sources = distinct(source_text(spec["kind"]) for spec in self.datasets.values())
        told = {"name": self.name, "papers": papers, "titles": titles, "datasets": datasets, "sources": sources}
        return canonical_json({**told, "files": self.described_files(), "records": self.all_records()})

    def overview_spec(self) -> str:
        return canonical_json({"name": self.name, "claims": self.claims_files()})

    def report_spec(self, slug: str, part: str) -> str:
        """What the command that makes a part reads: the paper, the tier's cuts, and what is declared of the part."""
        paper, record = self.papers[slug], self.paper_record(slug)
        if part in ("measurements", "lost_clips"):
            declared = {"measures": paper["measures"]} if part == "measurements" else {}
            return canonical_json({"paper": record, "declarations": declared})
        if part in DECLARED:
            declared = {part: list(self.declared(slug, part).values())}
            if part == "tables":  # a number of the subsets is that of the runs which choose them
                for info in record["datasets"].values():
                    if info.get("confidence"):
                        info["estimators"] = self._estimator_seeds(slug, info["data"])
        else:
            declared = {key: paper[key] for key in (OF_CLAIMS if part == "claims" else (part,)) if key in paper}
        record["cuts"] = [cut for cut in self.config.get("cuts", []) if slug in cut.get("papers", [slug])]
        return canonical_json({"paper": record, "declarations": {"published": paper.get("published", []), **declared}})

    def report_code(self, slug: str, part: str) -> str:
        """Digest of the code that makes a part: its own, and that of the kinds which its declarations name."""
        if part == "claims":
            own = self.claims[slug].modules
        elif part in DECLARED:
            slugs = (slug, *self.papers[slug].get("builds_on", []))
            folder = "sources" if part == "tables" else part
            named = {
                name: entry.get("source") if part == "tables" else entry
                for name, entry in self.declared(slug, part).items()
            }
            own = [module_of(slugs, folder, each["kind"], f"{slug}, {name}") for name, each in named.items() if each]
        else:
            own = []
        return self.code(f"avbalance.{CODE_OF[part]}", *sorted(set(own)))

    def report_run_files(self, slug: str, part: str) -> list[str]:
        """Files of runs that a part reads beside measurements and predictions, those of every seed.

        Tables and figures read the verdict as well, which says what is not to be stated.
        """
        if part == "claims":
            declared = self.claims[slug]
            wanted = [needed for block in declared.blocks for needed in block.run_files(declared.estimators)]
            return distinct(path for role, run, file in wanted for path in self._files_of_run(slug, role, run, file))
        files = [path for name in self.declared(slug, part) for path in self.item_run_files(slug, part, name)]
        return distinct([*files, *self.verdict_files(slug)])

    def item_run_files(self, slug: str, part: str, name: str) -> list[str]:
        """Those that one table or figure reads.

        A table's are those that its `source` names, {file, runs: [run], datasets: [role]}, or the subsets; a figure's
        those of `runs`, [{run, file}], on its `dataset` or `datasets`.
        """
        entry = self.declared(slug, part)[name]
        if part == "tables":
            entry = entry.get("source", {})
            runs = [(run, entry["file"]) for run in entry.get("runs", ())]
        else:
            runs = [(need["run"], need["file"]) for need in entry.get("runs", ())]
        if entry.get("kind") == "subsets":
            return self.subset_files(slug)
        roles = entry.get("datasets", [entry.get("dataset")])
        wanted = [(role, run, file) for role in roles for run, file in runs]
        return distinct(path for role, run, file in wanted for path in self._files_of_run(slug, role, run, file))

    def _files_of_run(self, slug: str, role: str | None, run: str, file: str) -> list[str]:
        """A file of every seed of a run on a role's own data set; nothing where the tier leaves the run out."""
        rows = [row for row in self.rows[slug] if (row.role, row.run) == (role, run) and not row.robustness]
        return [f"{self.runs}/{SeededRun(row, seed).folder}/{file}" for row in rows for seed in row.seeds]

    @cached_property
    def claims(self) -> dict[str, Declarations]:
        """The claims of every paper, and what they rest on, checked; raises UserError for a wrong one."""
        from avbalance.evaluation.declarations import check_claims, known_names

        return {
            slug: check_claims(
                paper, (slug, *paper.get("builds_on", [])), self.root / paper["folder"], known_names(paper)
            )
            for slug, paper in self.papers.items()
        }


def _labelling(row: Row) -> dict[str, str]:
    """The further labelling that a run is trained and scored on, where it is not the first one."""
    name = row.settings["data"].get("labelling") if not row.combine else None
    return {"labelling": str(name)} if name else {}


def distinct(paths: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(paths))
