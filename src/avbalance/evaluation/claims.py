"""Verdicts on a paper's claims and on the checks of the data, from its declared comparisons.

A comparison holds when its effect has the right sign and a paired bootstrap over test samples (correctness
averaged over seeds) gives an interval that excludes 0; it is weak when only the sign is right; else it
fails. A claim is reproduced when all its comparisons hold, reproduced where testable when all hold that
could be made, direction only when some are weak, not reproduced when one fails, and not testable here when
none could be made. Kinds of comparison that are paired by seed have a rule of their own, see
seed_comparisons.py. Illustrations are assessed alike and have no verdict: they are about single videos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.evaluation.comparisons import (
    EXPANSIONS,
    FAILS,
    HOLDS,
    SPECIAL,
    TINY,
    UNTESTABLE,
    WEAK,
    Outcome,
    outcomes,
    uses_subsets,
)
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET
from avbalance.evaluation.seed_clips import by_seed_clips, clip_segments
from avbalance.evaluation.seed_comparisons import SeedOutcome, against_context, by_seed
from avbalance.evaluation.seed_findings import by_seed_classes, by_seed_finding
from avbalance.evaluation.seed_histories import by_seed_history
from avbalance.evaluation.seed_mixtures import by_seed_mixture
from avbalance.evaluation.seed_weaker import by_seed_weaker

PROTOCOLS = ("estimated", "cross-fitted", "planted")
REPRODUCED, PARTLY, DIRECTION, NOT_REPRODUCED, NOT_TESTABLE = (
    "reproduced",
    "reproduced where testable",
    "direction only",
    "not reproduced",
    "not testable here",
)
ILLUSTRATION = "illustration"
BORROWED = " (against numbers of other papers)"
SEED_KINDS = {
    "by_seed": by_seed,
    "by_seed_finding": by_seed_finding,
    "by_seed_classes": by_seed_classes,
    "by_seed_history": by_seed_history,
    "by_seed_mixture": by_seed_mixture,
    "by_seed_weaker": by_seed_weaker,
    "context": against_context,
    "by_seed_clips": by_seed_clips,
    "clip_segments": clip_segments,
}
KNOWN = {"id", "text", "source", "reading", "tests", "protocols"}


def assess(paper: Paper, declarations: Mapping[str, Any], measurements: str | Path | None = None) -> dict[str, Any]:
    """Every claim and check with verdicts and evidence, as plain JSON.

    Keys: paper, title, data (label, name, describe), statistics, checks and claims. Each claim has id,
    text, source, reading, published (verdict of the paper's own numbers) and results: protocol -> verdict,
    counts, outcomes. measurements: the paper's measurements.parquet, which comparisons by seed need. Where
    there are such, by_seed says whether "all" or "some" comparisons are; where any are declared,
    illustrations has the same form as claims.
    """
    evidence = Evidence(paper, declarations, measurements)
    report = {
        "paper": paper.slug,
        "title": paper.title,
        "data": [
            {
                "label": info.label,
                "name": info.data,
                "describe": info.describe if info.data else "not made in this tier",
            }
            for info in paper.datasets.values()
        ],
        "statistics": {name: getattr(evidence, name) for name in ("draws", "level", "seed", "min_n")},
        "checks": [_assess_one(evidence, entry) for entry in declarations["checks"]],
        "claims": [_assess_one(evidence, entry) for entry in declarations["claims"]],
    }
    shown = [_assess_one(evidence, entry) for entry in declarations.get("illustrations", ())]
    if shown:
        report["illustrations"] = [_without_verdict(entry) for entry in shown]
    entries = [entry for key in ("claims", "checks", "illustrations") for entry in declarations.get(key, ())]
    paired = [block.get("kind") in SEED_KINDS for entry in entries for block in entry["tests"]]
    return report | ({"by_seed": "all" if all(paired) else "some"} if any(paired) else {})


def _without_verdict(entry: dict[str, Any]) -> dict[str, Any]:
    """An illustration: numbers, seed by seed, that are no test of anything."""
    for result in entry["results"].values():
        result["verdict"] = ILLUSTRATION
        for outcome in result["outcomes"]:
            if outcome["verdict"] != UNTESTABLE:
                outcome["verdict"] = ILLUSTRATION
    return entry


def _needs_subsets(block: Mapping[str, Any]) -> bool:
    return block.get("kind") not in SEED_KINDS and uses_subsets(block)


def _outcomes(evidence: Evidence, block: Mapping[str, Any], protocol: str) -> list[Outcome]:
    """The outcomes of one block; raises UserError for unknown kinds and missing keys."""
    kind = str(block.get("kind"))
    if kind in (*EXPANSIONS, *SPECIAL):
        return outcomes(evidence, block, protocol)
    if kind not in SEED_KINDS:
        known = ", ".join([*EXPANSIONS, *SPECIAL, *SEED_KINDS])
        raise UserError(f"claims.yaml: unknown kind {kind!r}; known are {known}.")
    try:
        return SEED_KINDS[kind](evidence, block)
    except KeyError as error:
        raise UserError(f"claims.yaml: a block of kind {kind} lacks {error}.") from error


def _assess_one(evidence: Evidence, entry: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(entry) - KNOWN)
    if unknown or not entry.get("tests"):
        what = f"unknown key {unknown[0]!r}" if unknown else "no tests"
        raise UserError(f"claims.yaml: {entry['id']} has {what}; known keys are {', '.join(sorted(KNOWN))}.")
    blocks = entry["tests"]
    protocols = entry.get("protocols") or (PROTOCOLS if any(map(_needs_subsets, blocks)) else (NO_SUBSET,))
    results = {}
    for protocol in protocols:
        found = [outcome for block in blocks for outcome in _outcomes(evidence, block, protocol)]
        results[protocol] = {**summary(found), "outcomes": [as_json(outcome) for outcome in found]}
    return {
        "id": entry["id"],
        "text": entry["text"],
        "source": entry.get("source", ""),
        "reading": entry.get("reading", ""),
        "published": published_verdict(found),
        "results": results,
    }


def combine(verdicts: Sequence[str]) -> str:
    """The verdict on a claim from those on its comparisons."""
    tested = [verdict for verdict in verdicts if verdict != UNTESTABLE]
    if not tested:
        return NOT_TESTABLE
    if FAILS in tested:
        return NOT_REPRODUCED
    if WEAK in tested:
        return DIRECTION
    return REPRODUCED if len(tested) == len(verdicts) else PARTLY


def summary(found: Sequence[Outcome]) -> dict[str, Any]:
    """Verdict, counts, how many comparisons could have shown the published effect, why others did not run."""
    verdicts = [outcome.verdict for outcome in found]
    powered = [
        outcome.detectable is not None and outcome.paper is not None and outcome.detectable <= abs(outcome.paper)
        for outcome in found
    ]
    return {
        "verdict": combine(verdicts),
        "comparisons": len(found),
        **{name: verdicts.count(verdict) for name, verdict in _COUNTED.items()},
        "powered": sum(powered),
        "reasons": list(dict.fromkeys(outcome.reason for outcome in found if outcome.reason)),
    }


_COUNTED = {"holds": HOLDS, "weak": WEAK, "fails": FAILS, "untestable": UNTESTABLE}


def published_verdict(found: Sequence[Outcome]) -> dict[str, Any]:
    """Whether the paper's own numbers satisfy its claim (yes, no, no numbers), and their range of effects.

    Where any effect rests on another paper's number, the verdict says so.
    """
    pairs = [(outcome.paper, outcome.tie_agrees) for outcome in found if outcome.paper is not None]
    effects = [effect for effect, _ in pairs]
    agrees = all(effect > TINY or (tie_agrees and effect >= -TINY) for effect, tie_agrees in pairs)
    verdict = "no numbers" if not effects else "yes" if agrees else "no"
    if any(isinstance(outcome, SeedOutcome) and outcome.context and outcome.paper is not None for outcome in found):
        verdict += BORROWED
    return {
        "verdict": verdict,
        "comparisons": len(effects),
        "smallest": _rounded(min(effects)) if effects else None,
        "largest": _rounded(max(effects)) if effects else None,
    }


def as_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome with numbers rounded to six decimals: the file must not depend on the order of sums."""
    record = dict(vars(outcome))
    record["seeds"] = [_rounded(effect) for effect in outcome.seeds]
    return {key: _rounded(value) if isinstance(value, float) else value for key, value in record.items()}


def _rounded(value: float) -> float:
    return round(float(value), 6) + 0.0
