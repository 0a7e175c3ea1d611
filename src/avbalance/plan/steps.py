"""The steps of a plan: what every job is given, by the files that it makes; the same as in workflow/rules."""

from __future__ import annotations

from collections.abc import Iterator

from avbalance.plan.plan import Plan
from flowkeeper.interface import Step


def steps(plan: Plan) -> Iterator[Step]:
    """Every step of the plan, in the order of the data flow."""
    for dataset in plan.datasets:
        yield Step((plan.manifest(dataset),), plan.dataset_spec(dataset), plan.source_code(dataset))
    for job in plan.feature_jobs:
        yield Step(tuple(plan.feature_files(job)), plan.feature_spec(job), plan.code("avbalance.features.extract"))
    for cell in plan.cells:
        yield Step(tuple(plan.cell_files(cell)), plan.cell_spec(cell), plan.training_code(cell))
    for cell in plan.combinations:
        yield Step(tuple(plan.cell_files(cell)), plan.combination_spec(cell), plan.combination_code(cell))
    for slug in plan.papers:
        for dataset in plan.confidence_datasets(slug):
            files = tuple(plan.confidence_files(slug, dataset))
            yield Step(files, plan.confidence_spec(slug), plan.code("avbalance.analysis.confidence"))
            files = (plan.subsets_file(slug, dataset),)
            yield Step(files, plan.subset_spec(slug, dataset), plan.code("avbalance.analysis.subsets"))
        for item, paths in plan.report_items(slug).items():
            yield Step(tuple(paths), plan.report_spec(slug, item), plan.report_code(slug, item))
    for path in plan.overview_files():
        yield Step((path,), plan.overview_spec(), plan.code("avbalance.reporting.overview"))
