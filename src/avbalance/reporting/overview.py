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
from avbalance.reporting.claims_report import WORDS, interval_text, render_page, verdict_text
from avbalance.table_files import write_text
from flowkeeper.files import read_json


def render_overview(name: str, claims: Sequence[str | Path], out: str | Path) -> None:
    """Write the page of all claims, from the claims.json of each paper; raises UserError for a file without claims."""
    reports = [_report(Path(path)) for path in claims]
    words = dict.fromkeys(word for own in (True, False) for word in WORDS[own].values())
    counted = [word for word in words if any(report["counts"][word] for report in reports)]
    write_text(out, render_page("overview.md.j2", name=name, words=counted, papers=reports))


def _report(path: Path) -> dict[str, Any]:
    """The claims of a paper as its table shows them, and how many have which verdict."""
    report: dict[str, Any] = read_json(path)
    if not {"paper", "title", "data", "claims"} <= set(report):
        raise UserError(f"{path}: holds no claims of a paper; delete it to have it made again.")
    for entry in report["claims"]:
        results, several = _ordered(entry), len(entry["results"]) > 1
        first = next(iter(results.values()))
        ours = [f"{name}: " * several + verdict_text(result, entry["own"]) for name, result in results.items()]
        entry |= {"ours": "; ".join(ours), "evidence": evidence(first), "word": WORDS[entry["own"]][first["verdict"]]}
    return {**report, "counts": Counter(entry["word"] for entry in report["claims"])}


def _ordered(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Results by definition of the subsets, the paper's own first; the file has them by name."""
    results: dict[str, Any] = entry["results"]
    own = [name for name in PROTOCOLS if name in results]
    return {name: results[name] for name in (*own, *(name for name in results if name not in own))}


def evidence(result: Mapping[str, Any]) -> str:
    """The comparison that decides, in words, or why there is none."""
    decisive = deciding(result)
    if decisive is not None:
        return _sentence(decisive)
    return next((outcome["reason"] for outcome in result["outcomes"] if outcome["reason"]), "")


def deciding(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The headline, or the comparison of the deciding kind that agrees least with the claim; None if none was tested.

    Effects are compared in widths of their own intervals, since units differ.
    """
    tested = [outcome for outcome in result["outcomes"] if outcome["low"] is not None]
    for verdict in (CONTRARY, INCONCLUSIVE, CLAIMED):
        of_verdict = [outcome for outcome in tested if outcome["verdict"] == verdict]
        heads = [outcome for outcome in (of_verdict if verdict == CONTRARY else tested) if outcome["headline"]]
        if of_verdict:
            best: Mapping[str, Any] = (heads or [min(of_verdict, key=_agreement)])[0]
            return best
    return None


def _agreement(outcome: Mapping[str, Any]) -> float:
    """The smaller, the less a comparison agrees with its claim."""
    return float(outcome["effect"] / max(outcome["high"] - outcome["low"], TINY))


def _sentence(outcome: Mapping[str, Any]) -> str:
    seeds = f", {len(outcome['seeds'])} seeds" if outcome["seeds"] else ""
    n = f", n {outcome['n']}" if outcome["n"] is not None else ""
    return f"{outcome['text']}: {interval_text(outcome)}{seeds}{n}"
