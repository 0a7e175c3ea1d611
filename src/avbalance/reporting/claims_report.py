"""claims.json and claims.md: a summary table first, then the evidence of each claim.

The words *reproduced* and *not reproduced* are kept for claims about the paper's own data.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from avbalance.analysis.subsets import ANNOTATIONS
from avbalance.evaluation.claims import COUNTED, ILLUSTRATION, assess
from avbalance.evaluation.declarations import PROTOCOLS
from avbalance.evaluation.outcomes import CLAIMED, CONTRARY, INCONCLUSIVE, UNTESTABLE
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET
from avbalance.reporting.cells import SMALL
from avbalance.reporting.escape import escape_markdown
from avbalance.reporting.facts import CROSS_FITTED_NOTE, cut_lines
from avbalance.table_files import write_text
from flowkeeper.files import write_json

WORDS = {  # on the paper's own data and on others -> verdict on a claim -> its words
    own: {CLAIMED: claimed, CONTRARY: contrary, INCONCLUSIVE: INCONCLUSIVE, UNTESTABLE: UNTESTABLE}
    for own, claimed, contrary in (
        (True, "reproduced", "not reproduced"),
        (False, "holds on these data", "contrary on these data"),
    )
}


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
    used = {name for entry in [*report["claims"], *report["checks"]] for name in entry["results"]}
    protocols = [name for name in PROTOCOLS if name in used or name != ANNOTATIONS] if used & {*PROTOCOLS} else []
    return render_page(
        "claims.md.j2",
        **report,
        protocols=protocols,
        annotations=ANNOTATIONS,
        no_subset=NO_SUBSET,
        small=SMALL,
        cross_fitted_note=CROSS_FITTED_NOTE,
    )


def render_page(template: str, **values: Any) -> str:
    """A page of templates/, which escape all text by the filter `md`."""
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    pages.filters.update(md=escape_markdown, verdict=verdict_text, number=number_text, signs=signs_text)
    return pages.get_template(template).render(**values).rstrip("\n") + "\n"


def verdict_text(result: Mapping[str, Any] | None, own: bool) -> str:
    """A verdict, the headline comparison where there is one, and how the (other) comparisons came out."""
    if result is None:
        return ""
    if result["verdict"] == ILLUSTRATION:
        return ILLUSTRATION
    words = WORDS[own][result["verdict"]]
    if result["verdict"] == CLAIMED and any(outcome["verdict"] == UNTESTABLE for outcome in result["outcomes"]):
        words += " where testable"
    heads = [outcome for outcome in result["outcomes"] if outcome["headline"]]
    counts = [f"{result[name]} {word}" for name, word in COUNTED.items() if result[name]]
    if len(result["outcomes"]) == 1 or all(outcome["verdict"] == UNTESTABLE for outcome in result["outcomes"]):
        return words
    parts = [f"headline {head['verdict'] if head['low'] is None else interval_text(head)}; others: " for head in heads]
    return f"{words} ({''.join(parts)}{', '.join(counts)})"


def interval_text(outcome: Mapping[str, Any]) -> str:
    """Effect, interval and unit of an outcome that has them."""
    effect, low, high = (number_text(outcome[name], outcome["unit"]) for name in ("effect", "low", "high"))
    return f"{effect} ({low} to {high}) {outcome['unit']}"


def signs_text(published: Mapping[str, Any]) -> str:
    """What the paper's own numbers say of its claim."""
    if not published["comparisons"]:
        return "no numbers"
    borrowed = " (against numbers of other papers)" if published["borrowed"] else ""
    return f"right sign in {published['right']} of {published['comparisons']}{borrowed}"


def number_text(value: float | None, unit: str = "points") -> str:
    """A signed number with two decimals, three for bits and correlations; nothing for None."""
    return "" if value is None else f"{value:+.{2 if unit == 'points' else 3}f}"
