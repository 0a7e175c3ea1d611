"""Measurements, tables, figures and claims of a plan: their files, and what each command is told."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from avbalance.plan.cells import SeededRun
from avbalance.plan.data import recipes_of
from avbalance.plan.sheet import Row
from avbalance.plan.training import TrainingPlan
from avbalance.reporting.kinds import module_name
from flowkeeper.files import canonical_json

FIGURE_SUFFIXES = ("svg", "png", "pdf", "tex", "csv")

if TYPE_CHECKING:
    from avbalance.evaluation.declarations import Declarations


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
        declared = self.papers[slug]["datasets"][role]
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
            **self._source_files(slug, role, main.dataset),
        }

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

    def caption(self, slug: str, kind: str, item: str) -> str:
        """What `snakemake --report` says of a table or figure, in reStructuredText: its title, and the paper's data."""
        records = [self._dataset_record(slug, role) for role in self.papers[slug]["datasets"]]
        data = "; ".join(f"{each['label']}: {each['describe']} ({each['data']})" for each in records if each["data"])
        told = f"{self.declared(slug, kind)[item]['title']}. Data of this paper: {data}."
        return re.sub(r"([*`|_\\])", r"\\\1", told)

    def report_files(self, slug: str) -> list[str]:
        """Everything that is made of a paper."""
        folder = self.paper_folder(slug)
        tables = [
            f"{folder}/{name}.{suffix}" for name in self.declared(slug, "tables") for suffix in ("csv", "md", "tex")
        ]
        figures = [f"{folder}/{name}.{suffix}" for name in self.declared(slug, "figures") for suffix in FIGURE_SUFFIXES]
        claims = [f"{folder}/claims.{suffix}" for suffix in ("json", "md")] if self.papers[slug].get("claims") else []
        return [*tables, *figures, *claims, f"{folder}/lost_clips.csv"]

    def overview_files(self) -> list[str]:
        """The page of all claims of all papers, where any paper makes claims."""
        return [f"{self.results}/papers/claims.md"] if self.claims_files() else []

    def claims_files(self) -> list[str]:
        """claims.json of every paper that makes claims, in the order of the configuration."""
        return [f"{self.paper_folder(slug)}/claims.json" for slug in self.papers if self.papers[slug].get("claims")]

    def overview_spec(self) -> str:
        return canonical_json({"name": self.name, "claims": self.claims_files()})

    def measure_spec(self, slug: str) -> str:
        return self._report_spec(slug, None, {"measures": self.papers[slug]["measures"]})

    def table_spec(self, slug: str, table: str) -> str:
        return self._report_spec(slug, table, {"tables": [self.declared(slug, "tables")[table]]})

    def figure_spec(self, slug: str, figure: str) -> str:
        return self._report_spec(slug, figure, {"figures": [self.declared(slug, "figures")[figure]]})

    def figure_code(self, slug: str, figure: str) -> str:
        kind = self.declared(slug, "figures")[figure]["kind"]
        return self.code("avbalance.reporting.figures", self._kind_module(slug, "figures", figure, kind))

    def table_code(self, slug: str, table: str) -> str:
        source = self.declared(slug, "tables")[table].get("source")
        own = [self._kind_module(slug, "sources", table, source["kind"])] if source else []
        return self.code("avbalance.reporting.tables", *own)

    def _kind_module(self, slug: str, part: str, item: str, kind: str) -> str:
        return module_name((slug, *self.papers[slug].get("builds_on", [])), part, kind, f"{slug}, {item}")

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

    def claims_code(self, slug: str) -> str:
        return self.code("avbalance.reporting.claims_report", *self.claims[slug].modules)

    def claims_spec(self, slug: str) -> str:
        keys = ("claims", "checks", "illustrations", "statistics", "measures", "confidence")
        declared = {key: self.papers[slug][key] for key in keys if key in self.papers[slug]}
        return self._report_spec(slug, "claims", declared)

    def table_run_files(self, slug: str, table: str) -> list[str]:
        """What a table's source names: every seed's {file, runs: [run], datasets: [role]}, or the subsets files."""
        source = self.declared(slug, "tables")[table].get("source", {})
        if source.get("kind") == "subsets":
            return self.subset_files(slug)
        wanted = [(run, source["file"]) for run in source.get("runs", ())]
        return self._files_on(slug, source.get("datasets", ()), wanted)

    def figure_run_files(self, slug: str, figure: str) -> list[str]:
        """Files of runs that a figure declares: runs: [{run, file}] on its `dataset` or `datasets`, every seed."""
        declared = self.declared(slug, "figures")[figure]
        wanted = [(need["run"], need["file"]) for need in declared.get("runs", ())]
        return self._files_on(slug, declared.get("datasets", [declared.get("dataset")]), wanted)

    def claims_run_files(self, slug: str) -> list[str]:
        """Files of runs that claims are about, beside predictions."""
        declared = self.claims[slug]
        return self._distinct(
            path
            for block in declared.blocks
            for role, run, file in block.run_files(declared.estimators)
            for path in self._files_of_runs(slug, role, [(run, file)])
        )

    def _files_on(self, slug: str, roles: Iterable[str | None], wanted: list[tuple[str, str]]) -> list[str]:
        return self._distinct(path for role in roles for path in self._files_of_runs(slug, role, wanted))

    @staticmethod
    def _distinct(paths: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(paths))

    def _files_of_runs(self, slug: str, role: str | None, wanted: list[tuple[str, str]]) -> list[str]:
        """A file of every seed of some runs on a role's own data set; nothing for runs that the tier leaves out."""
        rows = {row.run: row for row in self.rows[slug] if row.role == role and not row.robustness}
        return [
            f"{self.runs}/{SeededRun(rows[run], seed).folder}/{name}"
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


def _labelling(row: Row) -> dict[str, str]:
    """The further labelling that a run is trained and scored on, where it is not the first one."""
    name = row.settings["data"].get("labelling") if not row.combine else None
    return {"labelling": str(name)} if name else {}
