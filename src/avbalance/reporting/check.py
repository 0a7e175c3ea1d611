"""Declarations of papers checked before anything runs: a wrong key, value or name ends planning with one sentence."""

from __future__ import annotations

import hashlib
from pathlib import Path

from avbalance.errors import Faults, UserError
from avbalance.evaluation.declarations import known_names
from avbalance.plan.entries import training_entries
from avbalance.plan.plan import Plan
from avbalance.reporting.figures import check_figures
from avbalance.reporting.tables import check_tables
from flowkeeper.files import atomic_path, canonical_json

CHECKED = Path(".avbalance/checked")  # digest of the settings found right last, and of the code that reads them


def check_reports(plan: Plan) -> None:
    """Raise UserError, naming file and place, for the first wrong claim, table or figure of a plan's papers."""
    for slug in plan.claims:  # read and checked as they are asked for
        paper = plan.papers[slug]
        known = known_names(paper)
        check_tables(paper, known, f"{paper['folder']}/tables.yaml")
        check_figures(paper, known, f"{paper['folder']}/figures.yaml")


def check_settings(plan: Plan) -> None:
    """Raise Faults, naming paper and run, where a run's method, model, task, data or protocol is told nonsense.

    Reading settings needs the code of the methods, which imports torch and takes seconds: what was found right is
    remembered and not read again until settings or that code change.
    """
    digest = _digest(plan)
    if digest and CHECKED.is_file() and CHECKED.read_text(encoding="utf-8") == digest:
        return
    from avbalance.training.settings import check

    wrong: dict[str, list[str]] = {}
    for row in (row for sheet in plan.rows.values() for row in sheet):
        where = f"paper {row.paper}, run {row.run} on {row.dataset}"
        try:
            check(row.method, row.settings, where)
        except UserError as error:
            for sentence in Faults.of(error):
                wrong.setdefault(sentence.removeprefix(where), []).append(where)
    if wrong:
        raise Faults([f"{runs[0]}{_further(runs)}{told}" for told, runs in wrong.items()])
    with atomic_path(CHECKED) as temporary:
        temporary.write_text(digest, encoding="utf-8")


def _further(runs: list[str]) -> str:
    """What is wrong in the same way with many runs is said once."""
    return f" (and {len(runs) - 1} more runs)" if len(runs) > 1 else ""


def _digest(plan: Plan) -> str:
    """Of all settings of a plan and of the code that reads them; empty when code is named that does not exist."""
    rows = [row for sheet in plan.rows.values() for row in sheet if not row.combine]
    try:
        code = plan.code(*training_entries(row.parts for row in rows))
    except UserError:
        return ""  # reading the settings says which name is wrong, and where
    told = canonical_json([code, *([row.method, row.settings] for row in rows)])
    return hashlib.sha256(told.encode()).hexdigest()
