"""Verdicts on a paper's claims and on the checks of the data, from their comparisons; the rule is in outcomes.py.

A claim with many comparisons declares one block with `headline: true`, a single comparison that is judged alone and
shown first; where it stands among the others too, it counts once. Illustrations are assessed alike and have no verdict:
they are about single videos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from avbalance.analysis.statistics import TINY
from avbalance.analysis.subsets import ANNOTATIONS, OVERALL
from avbalance.errors import UserError
from avbalance.evaluation.comparisons import LINEAR, against_context, evaluate
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.map_comparisons import MAPS
from avbalance.evaluation.outcomes import (
    CLAIMED,
    CONTRARY,
    INCONCLUSIVE,
    UNTESTABLE,
    Outcome,
    Trial,
    combined,
    judged,
)
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET
from avbalance.evaluation.seed_clips import by_seed_clips, clip_segments
from avbalance.evaluation.seed_findings import by_seed_classes, by_seed_finding
from avbalance.evaluation.seed_histories import by_seed_history
from avbalance.evaluation.seed_mixtures import by_seed_mixture
from avbalance.evaluation.seed_weaker import by_seed_weaker

PROTOCOLS = ("estimated", "cross-fitted", "planted", ANNOTATIONS)  # the last only where a data set has it
ILLUSTRATION = "illustration"
OTHERS = {
    **MAPS,
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
COUNTED = {"claimed": CLAIMED, "contrary": CONTRARY, "inconclusive": INCONCLUSIVE, "untestable": UNTESTABLE}


def assess(paper: Paper, declarations: Mapping[str, Any], measurements: str | Path | None = None) -> dict[str, Any]:
    """Every claim and check with verdicts and evidence, as plain JSON.

    Keys: paper, title, data (label, name, describe, own), statistics, checks, claims and illustrations. Each claim has
    id, text, source, reading, own (whether it is about the paper's own data only), published (signs of the paper's own
    numbers) and results: protocol -> verdict, counts, outcomes. measurements: the paper's measurements.parquet, which
    says what runs did not learn or not converge.
    """
    evidence = Evidence(paper, declarations, measurements)
    return {
        "paper": paper.slug,
        "title": paper.title,
        "data": [
            {
                "label": info.label,
                "name": info.data,
                "describe": info.describe if info.data else "not made in this tier",
                "own": info.own,
            }
            for info in paper.datasets.values()
        ],
        "statistics": {name: getattr(evidence, name) for name in ("draws", "level", "seed", "min_n")},
        "checks": [_assess_one(evidence, entry) for entry in declarations["checks"]],
        "claims": [_assess_one(evidence, entry) for entry in declarations["claims"]],
        "illustrations": [
            _without_verdict(_assess_one(evidence, entry)) for entry in declarations.get("illustrations", ())
        ],
    }


def _without_verdict(entry: dict[str, Any]) -> dict[str, Any]:
    """An illustration: numbers, seed by seed, that are no test of anything."""
    for result in entry["results"].values():
        result["verdict"] = ILLUSTRATION
        for outcome in result["outcomes"]:
            if outcome["effect"] is not None:
                outcome["verdict"] = ILLUSTRATION
    return entry


def uses_subsets(block: Mapping[str, Any]) -> bool:
    """False when a block is about all clips only, so that all protocols give the same answer."""
    kind = block.get("kind")
    if kind in ("difference", "any_of"):
        return set(block.get("subsets", ())) != {OVERALL}
    return kind in MAPS or kind in ("between_subsets", "growth", "never_both")


def comparisons(evidence: Evidence, block: Mapping[str, Any], protocol: str) -> list[Trial]:
    """The comparisons of one block, not yet judged; raises UserError for unknown kinds and missing keys."""
    kind = str(block.get("kind"))
    if kind not in {**LINEAR, **OTHERS}:
        raise UserError(f"claims.yaml: unknown kind {kind!r}; known are {', '.join([*LINEAR, *OTHERS])}.")
    try:
        if kind in LINEAR:
            found = [evaluate(evidence, comparison) for comparison in LINEAR[kind](evidence, block, protocol)]
        else:
            found = OTHERS[kind](evidence, block, protocol)
    except KeyError as error:
        raise UserError(f"claims.yaml: a block of kind {kind} lacks {error}.") from error
    if not block.get("headline"):
        return found
    if len(found) != 1:
        raise UserError(f"claims.yaml: a headline is one comparison, but a block of kind {kind} has {len(found)}.")
    return [replace(each, outcome=replace(each.outcome, headline=True)) for each in found]


def _assess_one(evidence: Evidence, entry: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(entry) - KNOWN)
    if unknown or not entry.get("tests"):
        what = f"unknown key {unknown[0]!r}" if unknown else "no tests"
        raise UserError(f"claims.yaml: {entry['id']} has {what}; known keys are {', '.join(sorted(KNOWN))}.")
    blocks = entry["tests"]
    if sum(bool(block.get("headline")) for block in blocks) > 1:
        raise UserError(f"claims.yaml: {entry['id']} has two headlines; a claim has one at most.")
    subsets = [name for name in PROTOCOLS if name != ANNOTATIONS or evidence.annotated]
    protocols = entry.get("protocols") or (subsets if any(map(uses_subsets, blocks)) else (NO_SUBSET,))
    results = {}
    for protocol in protocols:
        all_found = [each for block in blocks for each in comparisons(evidence, block, protocol)]
        heads = {each.outcome.text for each in all_found if each.outcome.headline}
        once = [each for each in all_found if each.outcome.headline or each.outcome.text not in heads]
        found = judged(once, evidence.level)
        results[protocol] = {**summary(found), "outcomes": [as_json(outcome) for outcome in found]}
    return {
        "id": entry["id"],
        "text": entry["text"],
        "source": entry.get("source", ""),
        "reading": entry.get("reading", ""),
        "own": _on_own_data(evidence.paper, blocks),
        "published": published_signs(found),
        "results": results,
    }


def _on_own_data(paper: Paper, blocks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all data sets that some blocks name, as far as the tier has them, are the paper's own."""
    named = [block.get(key, []) for block in blocks for key in ("dataset", "datasets", "larger", "smaller")]
    roles = {role for each in named for role in ([each] if isinstance(each, str) else each)}
    made = [paper.dataset(role) for role in roles if paper.dataset(role).data is not None]
    return bool(made) and all(info.own for info in made)


def summary(found: Sequence[Outcome]) -> dict[str, Any]:
    """Verdict, counts beside the headline, how many could have shown the published effect, why others did not run."""
    verdicts = [outcome.verdict for outcome in found if not outcome.headline]
    powered = [
        outcome.detectable is not None
        and outcome.published is not None
        and outcome.detectable <= abs(outcome.published)
        for outcome in found
    ]
    return {
        "verdict": combined(found),
        "comparisons": len(found),
        **{name: verdicts.count(verdict) for name, verdict in COUNTED.items()},
        "powered": sum(powered),
        "reasons": list(dict.fromkeys(outcome.reason for outcome in found if outcome.reason)),
    }


def published_signs(found: Sequence[Outcome]) -> dict[str, Any]:
    """How many of the effects in the paper's own numbers have the right sign, and their range.

    They are single numbers without a spread, so that they decide nothing. borrowed: some rest on other papers' numbers.
    """
    known = [outcome for outcome in found if outcome.published is not None]
    effects = [outcome.published or 0.0 for outcome in known]
    right = [
        effect > TINY or (effect >= -TINY and each.tie_agrees) for effect, each in zip(effects, known, strict=True)
    ]
    return {
        "comparisons": len(effects),
        "right": sum(right),
        "smallest": _rounded(min(effects)) if effects else None,
        "largest": _rounded(max(effects)) if effects else None,
        "borrowed": any(outcome.context for outcome in known),
    }


def as_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome with numbers rounded to six decimals: the file must not depend on the order of sums."""
    record = dict(vars(outcome))
    record["seeds"] = [_rounded(effect) for effect in outcome.seeds]
    return {key: _rounded(value) if isinstance(value, float) else value for key, value in record.items()}


def _rounded(value: float) -> float:
    return round(float(value), 6) + 0.0
