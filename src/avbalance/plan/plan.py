"""The whole plan of one configuration: what the workflow's rules ask for by name.

Each part stands on the one before it: data.py, training.py, reports.py, page.py, and here all files together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avbalance.plan.config import PaperFiles, load_config, load_dataset, load_paper
from avbalance.plan.entries import source_module
from avbalance.plan.page import Pages
from avbalance.plan.sheet import rows_of_paper


class Plan(Pages):
    """All steps of a configuration."""

    def artifacts(self) -> list[str]:
        """Every file that `snakemake` without a target makes, manifests first."""
        files = [self.manifest(dataset) for dataset in self.datasets]
        files += [path for job in self.feature_jobs for path in self.feature_files(job)]
        files += [path for cell in (*self.cells, *self.combinations) for path in self.cell_files(cell)]
        for slug in self.papers:
            for dataset in self._reported_confidences(slug):
                files += self.confidence_files(slug, dataset)
            files += self.subset_files(slug)
            if self.prediction_files(slug):
                files.append(f"{self.paper_folder(slug)}/measurements.parquet")
            files += self.report_files(slug)
        return [*files, *self.overview_files(), self.page_file]

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
    files = PaperFiles(root)
    config = load_config(root, overrides, files)
    chosen = _choose_datasets(root, config)
    papers = {slug: load_paper(root, slug, files) for slug in config["papers"]}
    rows = {slug: rows_of_paper(config, paper) for slug, paper in papers.items()}
    return Plan(root=root, config=config, papers=papers, rows=rows, chosen=chosen)


def _choose_datasets(root: Path, config: dict[str, Any]) -> list[str]:
    """Put one data set in the place of several that a role has; says for each such role which one and why.

    The first one whose lists are there, or that is built already; else the last.
    """
    said = []
    for slug, paper in config["papers"].items():
        for role, names in paper.get("datasets", {}).items():
            if not isinstance(names, list):
                continue
            absent = {name: _absent_list(root, config, name) for name in names}
            taken = next((name for name in names if absent[name] is None), names[-1])
            paper["datasets"][role] = taken
            passed = [f"{name} lacks {absent[name]}" for name in names[: names.index(taken)]]
            if passed:
                said.append(f"{slug}, {role}: {taken} is taken, since {' and '.join(passed)}.")
    return said


def _absent_list(root: Path, config: dict[str, Any], name: str) -> str | None:
    """The first list of a data set that is not there; None when all are, or the data set is built."""
    if Path(f"data/{name}/manifest.parquet").exists():
        return None
    spec = load_dataset(root, config, name)
    return next((path for path in source_module(spec["kind"]).inputs(spec) if not Path(path).is_file()), None)
