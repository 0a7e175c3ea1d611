"""report.html, the page of the evidence, in a plan: its files, and what the command is told."""

from __future__ import annotations

from typing import Any

from avbalance.data.sources import read_source
from avbalance.names import PAGE
from avbalance.plan.cells import SeededRun
from avbalance.plan.reports import Reports, distinct
from flowkeeper.files import canonical_json

GENERATED, OWN, OTHER = "generated", "own", "other"  # where the clips of a data set come from


class Pages(Reports):
    """The page that is made of all reports and of the records of all runs."""

    @property
    def page_file(self) -> str:
        return f"{self.results}/{PAGE}"

    def page_inputs(self) -> dict[str, list[str]]:
        """What the page is made of, by the name of the rule's input."""
        slugs = list(self.papers)
        figures = [(slug, figure) for slug in slugs for figure in self.declared(slug, "figures")]
        return {
            "tables": [
                f"{self.paper_folder(slug)}/{name}.json" for slug in slugs for name in self.declared(slug, "tables")
            ],
            "claims": self.claims_files(),
            "verdicts": [path for slug in slugs for path in self.verdict_files(slug)],
            "figures": [
                f"{self.paper_folder(slug)}/{name}.{kind}" for slug, name in figures for kind in ("svg", "csv")
            ],
            "facts": distinct(path for slug in slugs for path in self.fact_files(slug)),
            "subsets": distinct(path for slug in slugs for path in self.subset_files(slug)),
            "readmes": [path for slug in slugs if (path := self._readme(slug))],
            "runs": [
                path
                for slug in slugs
                for job in self._all_jobs(slug)
                for path in self.run_files(job)
                if path.endswith(("record.json", "history.csv"))
            ],
        }

    def page_spec(self) -> str:
        """What the page command reads."""
        tier = str(self.config["tier"])
        words = [f"tier={tier}", *([f"name={self.name}"] if self.name != tier else [])]
        papers = [self._page_of(slug) for slug in self.papers]
        return canonical_json({"name": self.name, "config": " ".join(words), "runs": self.runs, "papers": papers})

    def _page_of(self, slug: str) -> dict[str, Any]:
        paper = self.papers[slug]
        cuts = [cut for cut in self.config.get("cuts", []) if slug in cut.get("papers", [slug])]
        return {
            "paper": {**self.paper_record(slug), "cuts": cuts},
            "reference": paper["reference"],
            "halves": paper["measures"].get("cross_fitted", {}),
            "folder": self.paper_folder(slug),
            "claims": bool(paper.get("claims")),
            "verdict": next(iter(self.verdict_files(slug)), None),
            "tables": list(self.declared(slug, "tables")),
            "figures": list(self.declared(slug, "figures")),
            "readme": self._readme(slug),
            "origins": {row.dataset: self._origin(slug, row.role, row.dataset) for row in self.rows[slug]},
            "runs": [job.folder for job in self._all_jobs(slug)],
        }

    def _all_jobs(self, slug: str) -> list[SeededRun]:
        rows = sorted(self.rows[slug], key=lambda row: (row.dataset, row.run))
        return [SeededRun(row, seed) for row in rows for seed in row.seeds]

    def _readme(self, slug: str) -> str | None:
        path = self.root / self.papers[slug]["folder"] / "README.md"
        return str(path.relative_to(self.root)) if path.is_file() else None

    def _origin(self, slug: str, role: str, dataset: str) -> str:
        if self._is_generated(dataset):
            return GENERATED
        return OWN if dataset == self.papers[slug]["datasets"][role].get("data", role) else OTHER

    def _is_generated(self, dataset: str) -> bool:
        """Whether clips are generated; those of a built set are if those of the sets are that it is built from."""
        spec = self.datasets[dataset]
        parts = read_source(spec).members()
        return all(map(self._is_generated, parts)) if parts else str(spec["kind"]).startswith("synthetic")
