"""claims.md over all papers: every claim with the published verdict, ours, and the comparison that decided it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.evaluation.claims import DIRECTION, NOT_REPRODUCED, NOT_TESTABLE, PARTLY, PROTOCOLS, REPRODUCED
from avbalance.evaluation.comparisons import FAILS, HOLDS, TINY, UNTESTABLE, WEAK
from avbalance.files import read_json
from avbalance.frames import write_text
from avbalance.reporting.claims_report import environment, number_text, verdict_text

VERDICTS = (REPRODUCED, PARTLY, DIRECTION, NOT_REPRODUCED, NOT_TESTABLE)


def render_overview(name: str, claims: Sequence[str | Path], out: str | Path) -> None:
    """Write the page of all claims, from the claims.json of each paper; raises UserError for a file without claims."""
    reports = [_report(Path(path)) for path in claims]
    page = (
        environment()
        .get_template("overview.md.j2")
        .render(
            name=name,
            verdicts=VERDICTS,
            papers=[_paper(report) for report in reports],
            claims=[_claim(report, entry) for report in reports for entry in report["claims"]],
        )
    )
    write_text(out, page.rstrip("\n") + "\n")


def _report(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = read_json(path)
    if not {"paper", "title", "data", "claims"} <= set(report):
        raise UserError(f"{path}: holds no claims of a paper; delete it to have it made again.")
    return report


def _paper(report: Mapping[str, Any]) -> dict[str, Any]:
    verdicts = [_first(_ordered(entry))["verdict"] for entry in report["claims"]]
    return {
        "slug": report["paper"],
        "title": report["title"],
        "data": report["data"],
        "total": len(verdicts),
        "counts": {verdict: verdicts.count(verdict) for verdict in VERDICTS},
    }


def _claim(report: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, str]:
    results = _ordered(entry)
    named = len(results) > 1
    ours = [f"{name}: {verdict_text(result)}" if named else verdict_text(result) for name, result in results.items()]
    return {
        "paper": report["paper"],
        "id": entry["id"],
        "text": entry["text"],
        "published": entry["published"]["verdict"],
        "ours": "; ".join(ours),
        "evidence": evidence(_first(results)),
    }


def _ordered(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Results by definition of the subsets, the paper's own first; the file has them by name."""
    results: dict[str, Any] = entry["results"]
    own = [name for name in PROTOCOLS if name in results]
    return {name: results[name] for name in (*own, *(name for name in results if name not in own))}


def _first(results: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(iter(results.values()))
    return found


def evidence(result: Mapping[str, Any]) -> str:
    """The comparison of the deciding kind that agrees least with the claim, or why there is none.

    Effects are compared in widths of their own intervals, since units differ; comparisons without an interval come
    after those that have one, by their effect.
    """
    for kind in (FAILS, WEAK, HOLDS):
        found = [outcome for outcome in result["outcomes"] if outcome["verdict"] == kind]
        if found:
            return _sentence(min(found, key=_agreement))
    reasons = [outcome["reason"] for outcome in result["outcomes"] if outcome["verdict"] == UNTESTABLE]
    return reasons[0] if reasons else ""


def _agreement(outcome: Mapping[str, Any]) -> tuple[bool, float]:
    """Comparisons with an interval first; the smaller, the less the comparison agrees with its claim."""
    effect = float(outcome["effect"])
    if outcome["low"] is None or outcome["high"] - outcome["low"] <= TINY:
        return True, effect
    return False, effect / float(outcome["high"] - outcome["low"])


def _sentence(outcome: Mapping[str, Any]) -> str:
    unit = outcome["unit"]
    text = f"{outcome['text']}: {number_text(outcome['effect'], unit)}"
    if outcome["low"] is not None:
        text += f" ({number_text(outcome['low'], unit)} to {number_text(outcome['high'], unit)})"
    seeds = f", {len(outcome['seeds'])} seeds" if len(outcome["seeds"]) > 1 else ", one seed"
    return f"{text} {unit}{seeds}" + (f", n {outcome['n']}" if outcome["n"] is not None else "")
