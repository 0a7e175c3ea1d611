"""claims.md over all papers: every claim, signs of published numbers, our verdict, the comparison that decided it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avbalance.analysis.statistics import TINY
from avbalance.errors import UserError
from avbalance.evaluation.declarations import PROTOCOLS
from avbalance.evaluation.outcomes import CLAIMED, CONTRARY, INCONCLUSIVE
from avbalance.files import read_json
from avbalance.frames import write_text
from avbalance.reporting.claims_report import WORDS, environment, interval_text, signs_text, verdict_text


def render_overview(name: str, claims: Sequence[str | Path], out: str | Path) -> None:
    """Write the page of all claims, from the claims.json of each paper; raises UserError for a file without claims."""
    reports = [_report(Path(path)) for path in claims]
    papers = [_paper(report) for report in reports]
    words = list(dict.fromkeys(word for own in (True, False) for word in WORDS[own].values()))
    page = (
        environment()
        .get_template("overview.md.j2")
        .render(
            name=name,
            words=[word for word in words if any(paper["counts"][word] for paper in papers)],
            papers=papers,
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
    verdicts = [WORDS[entry["own"]][_first(_ordered(entry))["verdict"]] for entry in report["claims"]]
    return {
        "slug": report["paper"],
        "title": report["title"],
        "data": report["data"],
        "total": len(verdicts),
        "counts": Counter(verdicts),
    }


def _claim(report: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, str]:
    results = _ordered(entry)
    named = len(results) > 1
    ours = [f"{name}: " * named + verdict_text(result, entry["own"]) for name, result in results.items()]
    return {
        "paper": report["paper"],
        "id": entry["id"],
        "text": entry["text"],
        "published": signs_text(entry["published"]),
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
    """The headline, or the comparison of the deciding kind that agrees least with the claim, or why there is none.

    Effects are compared in widths of their own intervals, since units differ.
    """
    found = [outcome for outcome in result["outcomes"] if outcome["low"] is not None]
    for verdict in (CONTRARY, INCONCLUSIVE, CLAIMED):
        deciding = [outcome for outcome in found if outcome["verdict"] == verdict]
        heads = [outcome for outcome in (deciding if verdict == CONTRARY else found) if outcome["headline"]]
        if deciding:
            return _sentence((heads or [min(deciding, key=_agreement)])[0])
    reasons = [outcome["reason"] for outcome in result["outcomes"] if outcome["reason"]]
    return reasons[0] if reasons else ""


def _agreement(outcome: Mapping[str, Any]) -> float:
    """The smaller, the less a comparison agrees with its claim."""
    return float(outcome["effect"] / max(outcome["high"] - outcome["low"], TINY))


def _sentence(outcome: Mapping[str, Any]) -> str:
    seeds = f", {len(outcome['seeds'])} seeds" if outcome["seeds"] else ""
    n = f", n {outcome['n']}" if outcome["n"] is not None else ""
    return f"{outcome['text']}: {interval_text(outcome)}{seeds}{n}"
