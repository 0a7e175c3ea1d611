"""claims.json and claims.md: a summary table first, then the evidence of each claim."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from avbalance.evaluation.claims import ILLUSTRATION, NOT_TESTABLE, PROTOCOLS, assess
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET
from avbalance.files import write_json
from avbalance.frames import write_text
from avbalance.reporting.cells import SMALL
from avbalance.reporting.escape import escape_markdown
from avbalance.reporting.facts import CROSS_FITTED_NOTE, cut_lines

TEMPLATES = Path(__file__).parent / "templates"


def render_claims(
    paper: Paper, declarations: Mapping[str, Any], out_dir: str | Path, measurements: str | Path | None = None
) -> list[Path]:
    """Assess all claims and checks and write claims.json and claims.md; returns the paths written."""
    report = {**assess(paper, declarations, measurements), "cuts": cut_lines(paper, "claims")}
    out = Path(out_dir)
    write_json(out / "claims.json", report)
    write_text(out / "claims.md", claims_markdown(report))
    return [out / "claims.json", out / "claims.md"]


def claims_markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown; all text from declarations and file names is escaped."""
    page = (
        environment()
        .get_template("claims.md.j2")
        .render(**report, protocols=PROTOCOLS, no_subset=NO_SUBSET, small=SMALL, cross_fitted_note=CROSS_FITTED_NOTE)
    )
    return page.rstrip("\n") + "\n"


def environment() -> jinja2.Environment:
    """Where templates are rendered; they escape all text by the filter `md`."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    found.filters.update(md=escape_markdown, verdict=verdict_text, number=number_text)
    return found


def verdict_text(result: Mapping[str, Any] | None) -> str:
    """A verdict with the counts of comparisons that hold, are weak, fail, and could not be made."""
    if result is None:
        return ""
    if result["verdict"] in (NOT_TESTABLE, ILLUSTRATION):
        return str(result["verdict"])
    counts = f"{result['holds']} hold, {result['weak']} weak, {result['fails']} fail"
    return f"{result['verdict']} ({counts}{_untestable(result)})"


def _untestable(result: Mapping[str, Any]) -> str:
    return f", {result['untestable']} not testable" if result["untestable"] else ""


def number_text(value: float | None, unit: str = "points") -> str:
    """A signed number with two decimals, three for bits and correlations; nothing for None."""
    return "" if value is None else f"{value:+.{2 if unit == 'points' else 3}f}"
