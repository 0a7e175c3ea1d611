"""Declarations of papers checked before anything runs: a wrong key, value or name ends planning with one sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from avbalance.data.sources import read_source
from avbalance.data.sources.built import BuiltOptions
from avbalance.declared import listed, nearest
from avbalance.errors import Faults, UserError
from avbalance.evaluation.declarations import known_names
from avbalance.evaluation.measure import OF_VIDEOS
from avbalance.evaluation.parsing_predictions import PARSING
from avbalance.plan.cells import SeededRun
from avbalance.plan.entries import training_entries
from avbalance.plan.plan import Plan
from avbalance.plan.reports import DECLARED
from avbalance.plan.sheet import Row
from avbalance.reporting.figures import check_figures
from avbalance.reporting.tables import check_tables
from flowkeeper.files import atomic_path, canonical_json

CHECKED = Path(".avbalance/checked")  # digest of the settings found right last, and of the code that reads them

# Written by training itself, whatever the method; a card lists only what its own method adds.
OF_EVERY_RUN = ("history.csv", "record.json", "predictions.parquet", "model.safetensors")


def check_reports(plan: Plan) -> None:
    """Raise UserError, naming file and place, for the first wrong claim, table or figure of a plan's papers.

    So is a claim on a metric that its run does not have, and whatever reads a file which no run of the plan makes.
    """
    for slug in plan.claims:  # read and checked as they are asked for
        paper = plan.papers[slug]
        known = known_names(paper)
        check_tables(paper, known, f"{paper['folder']}/tables.yaml")
        check_figures(paper, known, f"{paper['folder']}/figures.yaml")
    _check_metrics(plan)
    _check_files(plan)
    _check_cuts(plan)


def _check_cuts(plan: Plan) -> None:
    """A note on a table that there is not would be printed nowhere."""
    papers = sorted(path.parent.name for path in plan.root.glob("workflow/papers/*/paper.yaml"))
    items = {
        slug: ["claims", *(entry["id"] for part in DECLARED for entry in paper.get(part, []))]
        for slug, paper in plan.papers.items()
    }
    for number, cut in enumerate(plan.config.get("cuts", []), start=1):
        where = f"configuration, cuts[{number}]"
        for slug in cut.get("papers") or ():
            if slug not in papers:
                raise UserError(f"{where}.papers: there is no paper {slug!r}{nearest(slug, papers)}.")
        touched = [slug for slug in cut.get("papers") or papers if slug in items]  # others were not asked for
        known = [name for slug in touched for name in items[slug]]
        for name in cut.get("tables") or () if len(touched) == len(cut.get("papers") or papers) else ():
            if name not in known:
                raise UserError(f"{where}.tables: no table or figure {name!r}{nearest(name, known)}.")


def _check_metrics(plan: Plan) -> None:
    """Without this a claim on F-scores of a run that classifies would be "not testable", after all trainings."""
    for slug, declared in plan.claims.items():
        tasks = {(row.role, row.run): row.settings.get("data", {}).get("task") for row in plan.rows[slug]}
        for claim in (*declared.claims, *declared.checks, *declared.illustrations):
            for role, run, metric in (score for block in claim.tests for score in block.scores()):
                parses = tasks.get((role, run)) == PARSING
                if (role, run) in tasks and parses != (metric in OF_VIDEOS):
                    where = f"{plan.papers[slug]['folder']}/claims.yaml, {claim.id}"
                    told = "parses videos" if parses else "does not parse videos"
                    raise UserError(f"{where}: run {run!r} {told} and has no {metric!r} on {role}.")


def _check_files(plan: Plan) -> None:
    jobs = [SeededRun(row, seed) for sheet in plan.rows.values() for row in sheet for seed in row.seeds]
    made = {path for job in jobs for path in plan.run_files(job)}
    reads = [
        (f"paper {job.row.paper}, run {job.row.run} on {job.row.dataset}", f"{plan.runs}/{path}")
        for job in jobs
        for path in job.inputs().values()
    ]
    for slug in plan.papers:
        read = {"claims": plan.report_run_files(slug, "claims")}
        for part in DECLARED:
            read |= {name: plan.item_run_files(slug, part, name) for name in plan.declared(slug, part)}
        where = plan.papers[slug]["folder"]
        reads += [(f"{where}, {item}", path) for item, paths in read.items() for path in paths]
    for where, path in reads:
        if path.startswith(f"{plan.runs}/") and path not in made:
            folder = f"{path.rpartition('/')[0]}/"
            there = [each.removeprefix(folder) for each in sorted(made) if each.startswith(folder)]
            raise UserError(
                f"{where}: reads {path}, which no run of the plan makes; made there: {listed(there) or 'none'}."
            )


def check_settings(plan: Plan) -> None:
    """Raise Faults, naming paper and run, where a run's method, model, task, data or protocol has a wrong setting.

    Reading settings needs the code of the methods, which imports torch and takes seconds: what was found right is
    remembered and not read again until settings or that code change.
    """
    digest = _digest(plan)
    if digest and CHECKED.is_file() and CHECKED.read_text(encoding="utf-8") == digest:
        return
    from avbalance.training.settings import check

    wrong: dict[str, list[str]] = {}
    for where, settings in _estimators(plan):
        check("unimodal", settings, where)
    for row in (row for sheet in plan.rows.values() for row in sheet):
        where = f"paper {row.paper}, run {row.run} on {row.dataset}"
        try:
            check(row.method, row.settings, where)
            _check_artifacts(row, where)
        except UserError as error:
            for sentence in Faults.of(error):
                wrong.setdefault(sentence.removeprefix(where), []).append(where)
    if wrong:
        raise Faults([f"{runs[0]}{_further(runs)}{told}" for told, runs in wrong.items()])
    with atomic_path(CHECKED) as temporary:
        temporary.write_text(digest, encoding="utf-8")


def _estimators(plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and settings of the models that judge the clips of built data sets."""
    for name, spec in plan.datasets.items():
        if isinstance(source := read_source(spec), BuiltOptions):
            recipes = {f"{modality}_recipe": recipe for modality, recipe in source.recipes.model_dump().items()}
            for settings in source.estimators.runs().values():
                yield f"data set {name}, estimators", {**settings, "data": {**settings["data"], **recipes}}


def _check_artifacts(row: Row, where: str) -> None:
    """A name that the method does not write would be missed only after its training."""
    from avbalance.methods.base import load

    known = (*load(row.method).card.artifacts, *OF_EVERY_RUN)
    for name in row.artifacts:
        if name not in known:
            raise UserError(f"{where}, artifacts: {row.method} writes no {name!r}{nearest(name, known)}.")


def _further(runs: list[str]) -> str:
    """What is wrong in the same way with many runs is said once."""
    return f" (and {len(runs) - 1} more runs)" if len(runs) > 1 else ""


def _digest(plan: Plan) -> str:
    """Of all settings of a plan and of the code that reads them; empty when code is named that does not exist."""
    rows = [row for sheet in plan.rows.values() for row in sheet]
    try:
        code = plan.code(*training_entries(row.parts for row in rows if not row.combine))
        told = canonical_json(
            [code, list(_estimators(plan)), *([row.method, row.settings, row.artifacts] for row in rows)]
        )
    except (UserError, ValueError):  # an unknown name, or a number such as .nan that JSON does not have
        return ""  # reading the settings says which name or value is wrong, and where
    return hashlib.sha256(told.encode()).hexdigest()
