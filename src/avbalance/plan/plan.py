"""The whole plan of one configuration: what the workflow's rules ask for by name.

Each part stands on the one before it: core, stores, trainings, subsets, reports, and here all files together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avbalance.plan.config import load_config, load_paper
from avbalance.plan.reports import Reports
from avbalance.plan.sheet import rows_of_paper


class Plan(Reports):
    """All steps of a configuration."""

    def artifacts(self) -> list[str]:
        """Every file that `snakemake` without a target makes, manifests first."""
        found = [self.manifest(dataset) for dataset in self.datasets]
        found += [path for job in self.feature_jobs for path in self.feature_files(job)]
        found += [path for cell in (*self.cells, *self.combinations) for path in self.cell_files(cell)]
        for slug in self.papers:
            for dataset in self._reported_confidences(slug):
                found += self.confidence_files(slug, dataset)
            found += self.subset_files(slug)
            if self.prediction_files(slug):
                found.append(f"{self.paper_folder(slug)}/measurements.parquet")
            found += self.report_files(slug)
        return found + self.overview_files()

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


def load_plan(root: Path, overrides: dict[str, Any]) -> Plan:
    """Read configuration and declarations; raises UserError for anything that does not fit together."""
    config = load_config(root, overrides)
    papers = {slug: load_paper(root, slug) for slug in config["papers"]}
    rows = {slug: rows_of_paper(config, paper) for slug, paper in papers.items()}
    return Plan(root=root, config=config, papers=papers, rows=rows)
