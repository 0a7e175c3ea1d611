"""The whole plan of one configuration: what the workflow's rules ask for by name.

Each part stands on the one before it: data.py, training.py, reports.py, page.py, and here all files together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from avbalance.checkout import BASE, require_checkout
from avbalance.data.sources import read_source
from avbalance.errors import UserError
from avbalance.plan.config import PaperFiles, load_config, load_dataset, load_paper, load_yaml
from avbalance.plan.page import Pages
from avbalance.plan.sheet import rows_of_paper
from avbalance.plan.trees import merge
from flowkeeper.interface import Step


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
        return [*files, *self.overview_files(), self.page_file, *self.crate_files()]

    def steps(self) -> Iterator[Step]:
        """Every step of the plan, in the order of the data flow."""
        for dataset in self.datasets:
            yield Step((self.manifest(dataset),), self.dataset_spec(dataset), self.source_code(dataset))
        for job in self.feature_jobs:
            yield Step(tuple(self.feature_files(job)), self.feature_spec(job), self.code("avbalance.features.extract"))
        for cell in self.cells:
            yield Step(tuple(self.cell_files(cell)), self.cell_spec(cell), self.training_code(cell))
        for cell in self.combinations:
            yield Step(tuple(self.cell_files(cell)), self.combination_spec(cell), self.combination_code(cell))
        for slug in self.papers:
            for dataset in self.confidence_datasets(slug):
                files = tuple(self.confidence_files(slug, dataset))
                yield Step(files, self.confidence_spec(slug), self.code("avbalance.analysis.confidence"))
                files = (self.subsets_file(slug, dataset),)
                yield Step(files, self.subset_spec(slug, dataset), self.code("avbalance.analysis.subsets"))
            for part, paths in self.report_parts(slug).items():
                yield Step(tuple(paths), self.report_spec(slug, part), self.report_code(slug, part))
        for path in self.overview_files():
            yield Step((path,), self.overview_spec(), self.code("avbalance.reporting.overview"))
        yield Step((self.page_file,), self.page_spec(), self.code("avbalance.reporting.page"))
        yield Step(tuple(self.crate_files()), self.crate_spec(), self.code("avbalance.reporting.crate"))

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
    files = PaperFiles(root, _further(overrides))
    config = load_config(root, overrides, files)
    chosen = _choose_datasets(root, config)
    papers = {slug: load_paper(root, slug, files) for slug in config["papers"]}
    rows = {slug: rows_of_paper(config, paper) for slug, paper in papers.items()}
    return Plan(root=root, config=config, papers=papers, rows=rows, chosen=chosen)


def _further(overrides: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Paper -> runs that the configuration adds; what is no mapping is told when the configuration is checked."""
    papers = overrides.get("papers")
    named = papers.items() if isinstance(papers, dict) else ()
    further = {slug: own.get("further") for slug, own in named if isinstance(own, dict)}
    return {slug: runs for slug, runs in further.items() if isinstance(runs, dict)}


def load_plan_for(root: Path, configfiles: Sequence[str], pairs: Sequence[str]) -> Plan:
    """The plan that `snakemake --configfile ... --config ...` makes in the repository `root`.

    Raises UserError for a file that cannot be read, a pair that is not key=value, and a wrong configuration.
    """
    from snakemake.cli import parse_config

    require_checkout(root)
    try:
        given = parse_config(list(pairs))  # what looks like a number is one
    except ValueError as error:
        raise UserError(f"--config {' '.join(pairs)}: give key=value pairs ({error}).") from error
    files = [load_yaml(root / name) for name in (BASE, *configfiles)]
    return load_plan(root, reduce(merge, [*files, given]))


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
    return next((path for path in read_source(spec).inputs() if not Path(path).is_file()), None)
