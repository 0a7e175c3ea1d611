"""The steps of a plan: what every job is given, by the files that it makes; the same as in workflow/rules."""

from __future__ import annotations

from collections.abc import Iterator

from avbalance.plan.plan import Plan
from avbalance.plan.reports import FIGURE_SUFFIXES
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
        yield from _subset_steps(plan, slug)
        yield from _report_steps(plan, slug)
    for path in plan.overview_files():
        yield Step((path,), plan.overview_spec(), plan.code("avbalance.reporting.overview"))
    yield Step((plan.page_file,), plan.page_spec(), plan.page_code())


def _subset_steps(plan: Plan, slug: str) -> Iterator[Step]:
    for dataset in plan.confidence_datasets(slug):
        files = tuple(plan.confidence_files(slug, dataset))
        yield Step(files, plan.confidence_spec(slug), plan.code("avbalance.analysis.confidence"))
        files = (plan.subsets_file(slug, dataset),)
        yield Step(files, plan.subset_spec(slug, dataset), plan.code("avbalance.analysis.subsets"))


def _report_steps(plan: Plan, slug: str) -> Iterator[Step]:
    folder = plan.paper_folder(slug)

    def files(name: str, *suffixes: str) -> tuple[str, ...]:
        return tuple(f"{folder}/{name}.{suffix}" for suffix in suffixes)

    measure = plan.code("avbalance.evaluation.measure")
    yield Step(files("measurements", "parquet"), plan.measure_spec(slug), measure)
    for table in plan.declared(slug, "tables"):
        code = plan.table_code(slug, table)
        yield Step(files(table, "csv", "md", "tex"), plan.table_spec(slug, table), code)
    for figure in plan.declared(slug, "figures"):
        code = plan.figure_code(slug, figure)
        yield Step(files(figure, *FIGURE_SUFFIXES), plan.figure_spec(slug, figure), code)
    if plan.papers[slug].get("claims"):
        yield Step(files("claims", "json", "md"), plan.claims_spec(slug), plan.claims_code(slug))
    yield Step(files("lost_clips", "csv"), plan.losses_spec(slug), plan.code("avbalance.reporting.facts"))
