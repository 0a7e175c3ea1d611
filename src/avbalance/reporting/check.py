"""Declarations of papers checked before anything runs: a wrong key, value or name ends planning with one sentence."""

from __future__ import annotations

from avbalance.evaluation.declarations import known_names
from avbalance.plan.plan import Plan
from avbalance.reporting.figures import check_figures
from avbalance.reporting.tables import check_tables


def check_reports(plan: Plan) -> None:
    """Raise UserError, naming file and place, for the first wrong claim, table or figure of a plan's papers."""
    for slug in plan.claims:  # read and checked as they are asked for
        paper = plan.papers[slug]
        known = known_names(paper)
        check_tables(paper, known, f"{paper['folder']}/tables.yaml")
        check_figures(paper, known, f"{paper['folder']}/figures.yaml")
