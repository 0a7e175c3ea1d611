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
from avbalance.analysis.subsets import ANNOTATIONS
from avbalance.errors import UserError
from avbalance.evaluation.declarations import PROTOCOLS, Claim, check_claims
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import Block
from avbalance.evaluation.outcomes import CLAIMED, CONTRARY, INCONCLUSIVE, UNTESTABLE, Outcome, Trial, combined, judged
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET

ILLUSTRATION = "illustration"
COUNTED = {"claimed": CLAIMED, "contrary": CONTRARY, "inconclusive": INCONCLUSIVE, "untestable": UNTESTABLE}


def assess(paper: Paper, declarations: Mapping[str, Any], measurements: str | Path | None = None) -> dict[str, Any]:
    """Every claim and check with verdicts and evidence, as plain JSON.

    Keys: paper, title, data (label, name, describe, own), statistics, checks, claims and illustrations. Each claim has
    id, text, source, reading, own (whether it is about the paper's own data only), published (signs of the paper's own
    numbers) and results: protocol -> verdict, counts, outcomes. measurements: the paper's measurements.parquet, which
    says what runs did not learn or not converge. Raises UserError for declarations that are wrong.
    """
    declared = check_claims(declarations, paper.folders, f"workflow/papers/{paper.slug}")
    evidence = Evidence(paper, declared, measurements)
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
        "statistics": dict(declared.statistics),
        "checks": [_assess_one(evidence, claim) for claim in declared.checks],
        "claims": [_assess_one(evidence, claim) for claim in declared.claims],
        "illustrations": [_without_verdict(_assess_one(evidence, claim)) for claim in declared.illustrations],
    }


def _without_verdict(entry: dict[str, Any]) -> dict[str, Any]:
    """An illustration: numbers, seed by seed, that are no test of anything."""
    for result in entry["results"].values():
        result["verdict"] = ILLUSTRATION
        for outcome in result["outcomes"]:
            if outcome["effect"] is not None:
                outcome["verdict"] = ILLUSTRATION
    return entry


def _trials(evidence: Evidence, claim: Claim, protocol: str) -> list[Trial]:
    """The comparisons of a claim, not yet judged; a headline that stands among the others too counts once."""
    trials = []
    for block in claim.tests:
        own = block.trials(evidence, protocol)
        if block.headline and len(own) != 1:
            kind = getattr(block, "kind", "")
            raise UserError(f"claims.yaml: {claim.id}: a headline is one comparison, {kind} has {len(own)}.")
        trials += [replace(each, outcome=replace(each.outcome, headline=block.headline)) for each in own]
    # By its text: a headline that a block of several comparisons holds too would otherwise be tested twice.
    heads = {each.outcome.text for each in trials if each.outcome.headline}
    return [each for each in trials if each.outcome.headline or each.outcome.text not in heads]


def _assess_one(evidence: Evidence, claim: Claim) -> dict[str, Any]:
    protocols: Sequence[str] = claim.protocols or [NO_SUBSET]
    if not claim.protocols and any(block.uses_subsets for block in claim.tests):
        # Few data have annotated subsets: elsewhere a line of "not testable" under every claim would say nothing.
        protocols = [name for name in PROTOCOLS if name != ANNOTATIONS or evidence.annotated]
    results, outcomes = {}, list[Outcome]()
    for protocol in protocols:
        outcomes = judged(_trials(evidence, claim, protocol), evidence.statistics.level)
        results[protocol] = {**summary(outcomes), "outcomes": [as_json(outcome) for outcome in outcomes]}
    return {
        **claim.model_dump(include={"id", "text", "source", "reading"}),
        "own": _on_own_data(evidence.paper, claim.tests),
        "published": published_signs(outcomes),
        "results": results,
    }


def _on_own_data(paper: Paper, blocks: Sequence[Block]) -> bool:
    """Whether all data sets that some blocks name, as far as the tier has them, are the paper's own."""
    infos = [paper.dataset(role) for block in blocks for role in block.roles]
    made = [info for info in infos if info.data is not None]
    return bool(made) and all(info.own for info in made)


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Verdict, counts beside the headline, how many could have shown the published effect, why others did not run."""
    verdicts = [outcome.verdict for outcome in outcomes if not outcome.headline]
    powered = [
        outcome.detectable is not None
        and outcome.published is not None
        and outcome.detectable <= abs(outcome.published)
        for outcome in outcomes
    ]
    return {
        "verdict": combined(outcomes),
        "comparisons": len(outcomes),
        **{name: verdicts.count(verdict) for name, verdict in COUNTED.items()},
        "powered": sum(powered),
        "reasons": list(dict.fromkeys(outcome.reason for outcome in outcomes if outcome.reason)),
    }


def published_signs(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """How many of the effects in the paper's own numbers have the right sign, and their range.

    They are single numbers without a spread, so that they decide nothing. borrowed: some rest on other papers' numbers.
    """
    known = [(outcome.published, outcome) for outcome in outcomes if outcome.published is not None]
    effects = [effect for effect, _ in known]
    return {
        "comparisons": len(known),
        "right": sum(effect > TINY or (effect >= -TINY and outcome.tie_agrees) for effect, outcome in known),
        "smallest": _rounded(min(effects)) if effects else None,
        "largest": _rounded(max(effects)) if effects else None,
        "borrowed": any(outcome.context for _, outcome in known),
    }


def as_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome with numbers rounded to six decimals: the file must not depend on the order of sums."""
    record = dict(vars(outcome))
    record["seeds"] = [_rounded(effect) for effect in outcome.seeds]
    return {key: _rounded(value) if isinstance(value, float) else value for key, value in record.items()}


def _rounded(value: float) -> float:
    # + 0.0 makes a zero of a minus zero, which would be another byte in the file.
    return round(float(value), 6) + 0.0
