"""Kinds of comparison that are weighted sums of scores; each says what it expects to be positive.

Evaluated alike on our runs, paired by seed, and on the published numbers. Kinds, with the keys of their declaration:

- difference: datasets, subsets, left, right: accuracy, left - right on the subset
- between_subsets: datasets, runs, higher, lower: one run on two subsets
- growth: datasets, left, right, subsets [from, to]: (left - right) at `to` minus the same at `from`
- any_of: datasets, subsets, left, right: one of the left runs minus right
- never_both: datasets, runs, sides [{subset, rival}, ...]: the rival minus the run, on one of the sides
- by_seed: dataset, metrics, over (each: one comparison per metric, the default; mean: of their mean), and what is
  compared: left and right (lists of runs, every pair), chain (list of runs, each against the next) or pieces
  ([{coefficient, run, condition}, ...], a weighted sum that must be positive). Also text (in place of the made one),
  checkpoint (selected), protocol (none), split (test), condition (both; of every piece that names none), at_least (0:
  by how much the left side must exceed the right one, negative where it may fall short; effects are what exceeds it),
  tie_agrees (false: whether an effect of 0 in the paper's numbers has the right sign), context (false: the published
  effect may rest on what other papers print, where this one prints nothing)
- context: dataset, metric, run, at_least: this paper's number against the best of other papers' methods that are not
  trained here; nothing of ours is compared

any_of and never_both have k alternatives, of which one suffices: each is judged at a k-th of the level (Bonferroni),
and what is reported is the alternative that decides. The published effect is that of the paper's best alternative.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from avbalance.analysis.conditions import PROBES, find
from avbalance.analysis.parsing_scores import METRICS
from avbalance.analysis.statistics import Floats
from avbalance.analysis.subsets import OVERALL
from avbalance.errors import UserError
from avbalance.evaluation.clip_scores import USUAL, Place
from avbalance.evaluation.context import context_value
from avbalance.evaluation.evidence import Evidence, Measured, NotTestable
from avbalance.evaluation.measure_parsing import MEANS
from avbalance.evaluation.outcomes import SHOWN, Outcome, Trial, best, trial_of
from avbalance.evaluation.rows import ACCURACY, BOTH, MAJORITY, NO_EVENT, NO_SUBSET, REPAIRED, is_majority
from avbalance.evaluation.scores import CROSS_FITTED, HALVES, scorer

REFERENCES = {MAJORITY: "the most frequent class", NO_EVENT: "no event at all"}  # rows of no run

Block = Mapping[str, Any]


@dataclass(frozen=True)
class Piece:
    """coefficient * score of a run on a subset under a condition; "" for that of the block."""

    coefficient: float
    run: str
    subset: str = OVERALL
    condition: str = ""


@dataclass(frozen=True)
class Comparison:
    """Alternatives (weighted sums of pieces) on one data set, of which one must exceed `least`.

    names: of the alternatives, where there are several; metrics: the score is their mean; place: where all is measured;
    tie_agrees and context: see by_seed.
    """

    text: str
    role: str
    alternatives: tuple[tuple[Piece, ...], ...]
    names: tuple[str, ...] = ()
    metrics: tuple[str, ...] = (ACCURACY,)
    place: Place = USUAL
    least: float = 0.0
    tie_agrees: bool = False
    context: bool = False


def is_reference(run: str) -> bool:
    """Whether the name is that of a row of no run; the most frequent class has one for each labelling."""
    return run in REFERENCES or is_majority(run)


def evaluate(evidence: Evidence, comparison: Comparison) -> Trial:
    """A comparison's effect and estimate, or why it is not testable."""
    printed = [_published(evidence, comparison, pieces) for pieces in comparison.alternatives]
    known = [value for value, _ in printed if value is not None]
    bare = Outcome(
        comparison.text,
        published=max(known) - comparison.least if len(known) == len(printed) else None,
        tie_agrees=comparison.tie_agrees,
        context=any(borrowed for _, borrowed in printed),
    )
    try:
        found = [_alternative(evidence, comparison, pieces, bare) for pieces in comparison.alternatives]
    except NotTestable as error:
        return Trial(replace(bare, reason=str(error)))
    if not comparison.names:
        return found[0]
    failed = [each for each in found if each.estimate is None]
    if failed:
        return failed[0]
    chosen = best(found)
    text = f"{comparison.text}{SHOWN}{comparison.names[chosen]}"
    return replace(found[chosen], outcome=replace(found[chosen].outcome, text=text), looks=len(found))


def _alternative(evidence: Evidence, comparison: Comparison, pieces: Sequence[Piece], bare: Outcome) -> Trial:
    """The weighted sum under each seed that all runs have."""
    role, label = comparison.role, evidence.info(comparison.role).label
    offset: Floats = np.array([-comparison.least])
    series = []
    for piece in pieces:
        place = comparison.place._replace(subset=piece.subset, condition=piece.condition or comparison.place.condition)
        if is_reference(piece.run):
            offset = (
                offset
                + piece.coefficient
                * _mean([{0: evidence.guessed(role, piece.run, metric, place)} for metric in comparison.metrics])[
                    0
                ].values
            )
        else:
            found = _mean([evidence.measured(role, piece.run, metric, place) for metric in comparison.metrics])
            series.append((piece, found))
    common = set.intersection(*(set(found) for _, found in series))
    effects = {
        seed: offset + np.sum([piece.coefficient * found[seed].values for piece, found in series], axis=0)
        for seed in common
    }
    if len(series) == len(pieces):  # against what looks at nothing, the comparison asks itself whether a run learned
        evidence.refuse_unfit(role, _trainings(evidence, comparison, pieces), common)
    sizes = [(found[seed].n, piece.subset) for piece, found in series for seed in common]
    n, subset = min(sizes, default=(0, OVERALL))
    where = f"of {label}" if subset == OVERALL else f"of {label} in {subset}"
    return trial_of(bare, effects, n, evidence.min_n, where)


def _trainings(evidence: Evidence, comparison: Comparison, pieces: Sequence[Piece]) -> list[str]:
    """The runs that are scored in place of those of the pieces, see `scorer`, and those that chose the subsets."""
    definitions = sorted(HALVES) if comparison.place.protocol == CROSS_FITTED else [NO_SUBSET]
    found = [scorer(piece.run, name, evidence.measures) for piece in pieces for name in definitions]
    on_subsets = any(piece.subset != OVERALL for piece in pieces)
    return [*found, *(evidence.estimators(comparison.place.protocol) if on_subsets else ())]


def _mean(found: Sequence[Mapping[int, Measured]]) -> dict[int, Measured]:
    """Mean over metrics of each seed that all have, and the smallest n."""
    return {
        seed: Measured(np.mean([each[seed].values for each in found], axis=0), min(each[seed].n for each in found))
        for seed in set.intersection(*map(set, found))
    }


def _published(evidence: Evidence, comparison: Comparison, pieces: Sequence[Piece]) -> tuple[float | None, bool]:
    """The weighted sum in printed numbers, and whether any of them is another paper's."""
    if any(is_reference(piece.run) for piece in pieces) or comparison.place.protocol == REPAIRED:
        return None, False
    total, borrowed = 0.0, False
    for piece in pieces:
        condition = piece.condition or comparison.place.condition
        values = [
            evidence.published_value(comparison.role, piece.run, piece.subset, metric, condition)
            for metric in comparison.metrics
        ]
        if None in values and comparison.context:
            names = evidence.paper.dataset(comparison.role).label, evidence.paper.label(piece.run)
            values = [context_value(evidence.context, *names, metric) for metric in comparison.metrics]
            borrowed = True
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None, False
        total += piece.coefficient * float(np.mean(known))
    return total, borrowed


# Kinds: block and protocol -> comparisons


def difference(evidence: Evidence, block: Block, protocol: str) -> list[Comparison]:
    """Every left run against every right one, on every subset of every data set."""
    paper = evidence.paper
    return [
        Comparison(
            f"{paper.dataset(role).label}, {subset}: {paper.label(left)} > {paper.label(right)}",
            role,
            ((Piece(1, left, subset), Piece(-1, right, subset)),),
            place=Place(protocol=protocol),
        )
        for role, subset, left, right in itertools.product(
            block["datasets"], block["subsets"], block["left"], block["right"]
        )
        if left != right
    ]


def between_subsets(evidence: Evidence, block: Block, protocol: str) -> list[Comparison]:
    """Every run on the one subset against the same on the other."""
    paper, higher, lower = evidence.paper, block["higher"], block["lower"]
    return [
        Comparison(
            f"{paper.dataset(role).label}, {paper.label(run)}: {higher} > {lower}",
            role,
            ((Piece(1, run, higher), Piece(-1, run, lower)),),
            place=Place(protocol=protocol),
        )
        for role, run in itertools.product(block["datasets"], block["runs"])
    ]


def growth(evidence: Evidence, block: Block, protocol: str) -> list[Comparison]:
    """The lead of every left run over every right one, from one subset to the other."""
    paper, (first, last) = evidence.paper, block["subsets"]
    return [
        Comparison(
            f"{paper.dataset(role).label}: {paper.label(left)} minus {paper.label(right)} grows from {first} to {last}",
            role,
            ((Piece(1, left, last), Piece(-1, right, last), Piece(-1, left, first), Piece(1, right, first)),),
            place=Place(protocol=protocol),
        )
        for role, left, right in itertools.product(block["datasets"], block["left"], block["right"])
    ]


def any_of(evidence: Evidence, block: Block, protocol: str) -> list[Comparison]:
    """One of the left runs against every right one."""
    paper = evidence.paper
    return [
        Comparison(
            f"{paper.dataset(role).label}, {subset}: one of {', '.join(map(paper.label, block['left']))}"
            f" > {paper.label(right)}",
            role,
            tuple((Piece(1, left, subset), Piece(-1, right, subset)) for left in block["left"]),
            tuple(map(paper.label, block["left"])),
            place=Place(protocol=protocol),
        )
        for role, subset, right in itertools.product(block["datasets"], block["subsets"], block["right"])
    ]


def never_both(evidence: Evidence, block: Block, protocol: str) -> list[Comparison]:
    """A rival on one of the sides against every run."""
    paper, sides = evidence.paper, block["sides"]
    rivals = " and ".join(f"{paper.label(side['rival'])} on {side['subset']}" for side in sides)
    return [
        Comparison(
            f"{paper.dataset(role).label}: {paper.label(run)} does not beat {rivals} at once",
            role,
            tuple((Piece(1, side["rival"], side["subset"]), Piece(-1, run, side["subset"])) for side in sides),
            tuple(f"{paper.label(side['rival'])} minus {paper.label(run)} on {side['subset']}" for side in sides),
            place=Place(protocol=protocol),
            tie_agrees=True,
        )
        for role, run in itertools.product(block["datasets"], block["runs"])
    ]


def by_seed(evidence: Evidence, block: Block, protocol: str) -> list[Comparison]:
    """Scores on all clips, of each metric or of their mean."""
    over = block.get("over", "each")
    if over not in ("each", "mean"):
        raise UserError(f"claims.yaml: over is {over!r} in a block of kind by_seed; it must be each or mean.")
    metrics, least = tuple(map(str, block["metrics"])), float(block.get("at_least", 0.0))
    place = place_of(block)
    found = []
    for group, pieces in itertools.product(
        [(name,) for name in metrics] if over == "each" else [metrics], _sums(block)
    ):
        said = block.get("text") or f"{_statement(evidence, pieces)}{_margin(least)}"
        words = [evidence.paper.dataset(str(block["dataset"])).label, metric_text(group)]
        words += [word for word, usual in zip(place, USUAL, strict=True) if word != usual]
        found.append(
            Comparison(
                f"{', '.join(words)}: {said}",
                str(block["dataset"]),
                (tuple(pieces),),
                metrics=group,
                place=place,
                least=least,
                tie_agrees=bool(block.get("tie_agrees", False)),
                context=bool(block.get("context", False)),
            )
        )
    return found


def place_of(block: Block) -> Place:
    """The place that a block names; what it leaves out is as usual."""
    return Place(**{key: str(block[key]) for key in Place._fields if key in block})


def _sums(block: Block) -> list[list[Piece]]:
    """The weighted sums that a block compares; raises UserError unless it says one of left and right, chain, pieces."""
    given = [key for key in ("left", "chain", "pieces") if key in block]
    if len(given) != 1:
        raise UserError("claims.yaml: a block by seed needs one of left (with right), chain and pieces.")
    if "pieces" in block:
        pieces = [(piece["coefficient"], piece["run"], piece.get("condition", "")) for piece in block["pieces"]]
        return [[Piece(float(number), str(run), condition=str(condition)) for number, run, condition in pieces]]
    pairs = itertools.pairwise(block["chain"]) if "chain" in block else itertools.product(block["left"], block["right"])
    return [[Piece(1.0, str(left)), Piece(-1.0, str(right))] for left, right in pairs if left != right]


def _statement(evidence: Evidence, pieces: Sequence[Piece]) -> str:
    """The comparison in words: what stands with a positive sign is more than what stands with a negative one."""
    sides = [
        " + ".join(_piece_text(evidence, piece) for piece in pieces if piece.coefficient * sign > 0) for sign in (1, -1)
    ]
    return f"{sides[0]} > {sides[1] or 0}"


def _piece_text(evidence: Evidence, piece: Piece) -> str:
    factor = "" if abs(piece.coefficient) == 1 else f"{abs(piece.coefficient):g} "
    intact = piece.condition in ("", BOTH)
    missing = "" if intact else f" ({(PROBES.get(piece.condition) or find(piece.condition)).label})"
    return f"{factor}{label_of(evidence, piece.run)}{missing}"


def label_of(evidence: Evidence, run: str) -> str:
    """A run's label, or what a row of no run stands for."""
    return REFERENCES[MAJORITY if is_majority(run) else run] if is_reference(run) else evidence.paper.label(run)


def _margin(least: float) -> str:
    return f" {'+' if least > 0 else '-'} {abs(least):g}" if least else ""


def metric_text(metrics: Sequence[str]) -> str:
    """One metric, or what the mean of several is called."""
    if len(metrics) == 1:
        return metrics[0].replace("_", " ")
    named = {group: name for name, group in MEANS.items()}
    if tuple(metrics) in named:
        return "mean of all ten" if tuple(metrics) == METRICS else f"{named[tuple(metrics)].replace('_', ' ')} of five"
    return f"mean of {', '.join(metric.replace('_', ' ') for metric in metrics)}"


def against_context(evidence: Evidence, block: Block, protocol: str) -> list[Trial]:
    """The one comparison of a block of kind context."""
    role, run, metric = str(block["dataset"]), str(block["run"]), str(block["metric"])
    least, label = float(block.get("at_least", 0.0)), evidence.paper.dataset(role).label
    trained = set(evidence.paper.labels.values())
    rivals = [
        each for each in evidence.context if (each.dataset, each.metric) == (label, metric) and each.run not in trained
    ]
    if not rivals:
        raise UserError(f"claims.yaml: no other paper's {metric} on {label} is among the published files.")
    rival = max(rivals, key=lambda each: each.value)
    own = evidence.published_value(role, run, OVERALL, metric)
    methods = f"{len(rivals)} method{'s' if len(rivals) > 1 else ''}"
    named = f"the best of {methods} of other papers ({rival.run}, {rival.source})"
    text = f"{label}, {metric_text([metric])}: {label_of(evidence, run)} > {named}{_margin(least)}"
    published = None if own is None else own - rival.value - least
    return [Trial(Outcome(text, published=published, reason=f"{label}: {named} is not trained here", context=True))]


LINEAR = {
    "difference": difference,
    "between_subsets": between_subsets,
    "growth": growth,
    "any_of": any_of,
    "never_both": never_both,
    "by_seed": by_seed,
}
