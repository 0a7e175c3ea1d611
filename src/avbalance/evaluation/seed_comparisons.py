"""Comparisons paired by seed: what one training differs from another by, and how much that varies between trainings.

The other kinds (comparisons.py) ask whether a difference would be found on other test clips; these ask whether it would
be found with other random numbers. Runs are paired by their seed, the effect is the mean over the seeds that all runs
of the comparison have, and its standard error is the spread of the differences, divided by the root of their number.

- holds: the effect has the right sign and exceeds twice its standard error ("strongly supported")
- weak: only the sign is right ("supported"); with a single common seed no comparison is more than weak
- fails: anything else; an effect of 0 is weak where a tie agrees with the claim

Kinds, with the keys of their declaration:

- by_seed: dataset, metrics, over (each: one comparison per metric, the default; mean: of their mean), and what is
  compared: left and right (lists of runs, every pair), chain (list of runs, each against the next) or pieces
  ([{coefficient, run, condition}, ...], a weighted sum that must be positive). Also text (in place of the made one),
  checkpoint (selected), protocol (none), split (test), condition (both; of every piece that names none), tie_agrees
  (false), at_least (0: by how much the left side must exceed the right one, negative where it may fall short; effects
  are what exceeds it), context (false: the published effect may rest on what other papers print, where this one prints
  nothing).
- by_seed_finding, by_seed_classes: see seed_findings.py
- by_seed_weaker: the head that is weaker before gains more than the other, see seed_weaker.py
- by_seed_mixture: see seed_mixtures.py
- context: this paper's number against the best of other papers' methods that are not trained here, see context.py
- by_seed_history: see seed_histories.py
- by_seed_clips, clip_segments: single videos, see seed_clips.py
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from avbalance.analysis.conditions import PROBES, find
from avbalance.errors import UserError
from avbalance.evaluation.comparisons import FAILS, HOLDS, TINY, UNTESTABLE, WEAK, Block, Outcome
from avbalance.evaluation.context import context_value
from avbalance.evaluation.evidence import Evidence, NotTestable
from avbalance.evaluation.measure_parsing import MEANS
from avbalance.evaluation.parsing import METRICS
from avbalance.evaluation.rows import BOTH, CHANCE, MAJORITY, NO_EVENT, NO_SUBSET, is_majority

ERRORS = 2.0  # standard errors that an effect must exceed
POWER = 0.84  # standard errors more than that, for a true effect to be found in four of five repetitions
ONE_SEED = "one seed"
REFERENCES = {
    MAJORITY: "the most frequent class",
    NO_EVENT: "no event at all",
}  # rows of no run, the same for all seeds
PLACE = {"split": "test", "condition": BOTH, "protocol": NO_SUBSET, "checkpoint": "selected"}


@dataclass(frozen=True)
class SeedOutcome(Outcome):
    """An outcome paired by seed: `seeds` are the effects under the seeds `numbers`.

    low and high: the effect less and plus twice its standard error; detectable: the true effect that would
    hold in four of five repetitions; these and error are None for a single seed, which `remark` then says. context:
    `published` rests on a number of another paper.
    """

    error: float | None = None
    numbers: tuple[int, ...] = field(default=())
    remark: str = ""
    context: bool = False


@dataclass(frozen=True)
class Piece:
    """coefficient * metric of a run under a condition; "" for that of the block."""

    coefficient: float
    run: str
    condition: str = ""


def judged(
    text: str,
    effects: Mapping[int, float],
    n: int | None,
    published: float | None = None,
    tie_agrees: bool = False,
    unit: str = "points",
) -> SeedOutcome:
    """The outcome of a comparison from its effect under each seed; raises NotTestable without a seed."""
    if not effects:
        raise NotTestable("its runs have no seed in common")
    values = np.array([effects[seed] for seed in sorted(effects)])
    effect = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
    return SeedOutcome(
        text=text,
        verdict=judge(effect, error, tie_agrees),
        effect=effect,
        low=None if error is None else effect - ERRORS * error,
        high=None if error is None else effect + ERRORS * error,
        detectable=None if error is None else (ERRORS + POWER) * error,
        n=n,
        seeds=tuple(values.tolist()),
        published=published,
        tie_agrees=tie_agrees,
        unit=unit,
        error=error,
        numbers=tuple(sorted(effects)),
        remark=ONE_SEED if error is None else "",
    )


def judge(effect: float, error: float | None, tie_agrees: bool = False) -> str:
    """The rule that stands above; error: standard error of the effect, None for a single seed."""
    if effect < -TINY:
        return FAILS
    if effect <= TINY:
        return WEAK if tie_agrees else FAILS
    return HOLDS if error is not None and effect > ERRORS * error + TINY else WEAK


def by_seed(evidence: Evidence, block: Block) -> list[Outcome]:
    """All comparisons of a block of kind by_seed."""
    over = block.get("over", "each")
    if over not in ("each", "mean"):
        raise UserError(f"claims.yaml: over is {over!r} in a block of kind by_seed; it must be each or mean.")
    metrics = [str(metric) for metric in block["metrics"]]
    groups = [[metric] for metric in metrics] if over == "each" else [metrics]
    return [_compared(evidence, block, group, pieces) for group, pieces in itertools.product(groups, pieces_of(block))]


def pieces_of(block: Block) -> list[list[Piece]]:
    """The weighted sums that a block compares; raises UserError unless it says one of left and right, chain, pieces."""
    given = [key for key in ("left", "chain", "pieces") if key in block]
    if len(given) != 1:
        raise UserError("claims.yaml: a block by seed needs one of left (with right), chain and pieces.")
    if "pieces" in block:
        pieces = [(piece["coefficient"], piece["run"], piece.get("condition", "")) for piece in block["pieces"]]
        return [[Piece(float(coefficient), str(run), str(condition)) for coefficient, run, condition in pieces]]
    pairs = itertools.pairwise(block["chain"]) if "chain" in block else itertools.product(block["left"], block["right"])
    return [[Piece(1.0, str(left)), Piece(-1.0, str(right))] for left, right in pairs if left != right]


def label_of(evidence: Evidence, run: str) -> str:
    """A run's label, or what a row of no run stands for."""
    return REFERENCES[_reference(run)] if is_reference(run) else evidence.paper.label(run)


def is_reference(run: str) -> bool:
    """Whether the name is that of a row of no run; the most frequent class has one for each labelling."""
    return run in REFERENCES or is_majority(run)


def _reference(run: str) -> str:
    return MAJORITY if is_majority(run) else run


def _piece_text(evidence: Evidence, piece: Piece) -> str:
    factor = "" if abs(piece.coefficient) == 1 else f"{abs(piece.coefficient):g} "
    missing = (
        "" if piece.condition in ("", BOTH) else f" ({(PROBES.get(piece.condition) or find(piece.condition)).label})"
    )
    return f"{factor}{label_of(evidence, piece.run)}{missing}"


def statement(evidence: Evidence, pieces: Sequence[Piece]) -> str:
    """The comparison in words: what stands with a positive sign is more than what stands with a negative one."""
    sides = [
        " + ".join(_piece_text(evidence, piece) for piece in pieces if piece.coefficient * sign > 0) for sign in (1, -1)
    ]
    return f"{sides[0]} > {sides[1] or 0}"


def _compared(evidence: Evidence, block: Block, metrics: Sequence[str], pieces: Sequence[Piece]) -> Outcome:
    role, least = str(block["dataset"]), float(block.get("at_least", 0.0))
    place = {key: str(block.get(key, value)) for key, value in PLACE.items()}
    said = block.get("text") or f"{statement(evidence, pieces)}{_margin(least)}"
    pieces = [replace(piece, condition=piece.condition or place["condition"]) for piece in pieces]
    text = f"{_where(evidence, role, metrics, place)}: {said}"
    published, borrowed = None, False
    if place["protocol"] == NO_SUBSET:
        published, borrowed = _published(evidence, role, metrics, pieces, bool(block.get("context", False)))
    published = None if published is None else published - least
    ties = bool(block.get("tie_agrees", False))
    try:
        effects, n = _effects(evidence, role, metrics, pieces, place)
        if n < evidence.min_n:
            raise NotTestable(f"too few videos: {n} of {evidence.info(role).label}, fewer than {evidence.min_n}")
        found = judged(text, {seed: effect - least for seed, effect in effects.items()}, n, published, ties)
        return replace(found, context=borrowed)
    except NotTestable as error:
        return SeedOutcome(text, UNTESTABLE, published=published, tie_agrees=ties, reason=str(error), context=borrowed)


def _margin(least: float) -> str:
    return f" {'+' if least > 0 else '-'} {abs(least):g}" if least else ""


def _effects(
    evidence: Evidence, role: str, metrics: Sequence[str], pieces: Sequence[Piece], place: Mapping[str, str]
) -> tuple[dict[int, float], int]:
    """The weighted sum under each seed that all runs have, and the smallest n."""
    offset, series = 0.0, []
    for piece in pieces:
        if is_reference(piece.run):
            elsewhere = {**place, "condition": "none", "checkpoint": "none"}
            names = [CHANCE] if is_majority(piece.run) else metrics
            offset += piece.coefficient * _series(evidence, role, piece.run, names, elsewhere)[0][0]
        else:
            here = {**place, "condition": piece.condition}
            series.append((piece.coefficient, _series(evidence, role, piece.run, metrics, here)))
    common = set.intersection(*(set(each) for _, each in series))
    if not common:
        raise NotTestable("its runs have no seed in common")
    effects = {seed: offset + sum(coefficient * each[seed][0] for coefficient, each in series) for seed in common}
    return effects, min(each[seed][1] for _, each in series for seed in common)


def _series(
    evidence: Evidence, role: str, run: str, metrics: Sequence[str], place: Mapping[str, str]
) -> dict[int, tuple[float, int]]:
    """Seed -> mean over the metrics and the smallest n."""
    found = [evidence.measured(role, run, metric, place) for metric in metrics]
    return {
        seed: (float(np.mean([each[seed][0] for each in found])), min(each[seed][1] for each in found))
        for seed in set.intersection(*map(set, found))
    }


def _where(evidence: Evidence, role: str, metrics: Sequence[str], place: Mapping[str, str]) -> str:
    words = [evidence.paper.dataset(role).label, metric_text(metrics)]
    words += [place[key] for key in ("split", "condition", "protocol", "checkpoint") if place[key] != PLACE[key]]
    return ", ".join(words)


def metric_text(metrics: Sequence[str]) -> str:
    """One metric, or what the mean of several is called."""
    if len(metrics) == 1:
        return metrics[0].replace("_", " ")
    named = {group: name for name, group in MEANS.items()}
    if tuple(metrics) in named:
        return "mean of all ten" if tuple(metrics) == METRICS else f"{named[tuple(metrics)].replace('_', ' ')} of five"
    return f"mean of {', '.join(metric.replace('_', ' ') for metric in metrics)}"


def _published(
    evidence: Evidence, role: str, metrics: Sequence[str], pieces: Sequence[Piece], elsewhere: bool
) -> tuple[float | None, bool]:
    """The weighted sum in printed numbers, and whether any of them is another paper's (`elsewhere`: it may be)."""
    if any(is_reference(piece.run) for piece in pieces):
        return None, False
    total, borrowed = 0.0, False
    for piece in pieces:
        values = [evidence.published_value(role, piece.run, "overall", metric, piece.condition) for metric in metrics]
        if None in values and elsewhere:
            names = evidence.paper.dataset(role).label, evidence.paper.label(piece.run)
            values, borrowed = [context_value(evidence.context, *names, metric) for metric in metrics], True
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None, False
        total += piece.coefficient * float(np.mean(known))
    return total, borrowed


def against_context(evidence: Evidence, block: Block) -> list[Outcome]:
    """The one comparison of a block of kind context: keys dataset, metric, run, at_least.

    Nothing of ours is compared, since the other methods are not trained here.
    """
    role, run, metric = str(block["dataset"]), str(block["run"]), str(block["metric"])
    least, label = float(block.get("at_least", 0.0)), evidence.paper.dataset(role).label
    trained = set(evidence.paper.labels.values())
    rivals = [
        each for each in evidence.context if (each.dataset, each.metric) == (label, metric) and each.run not in trained
    ]
    if not rivals:
        raise UserError(f"claims.yaml: no other paper's {metric} on {label} is among the published files.")
    best = max(rivals, key=lambda each: each.value)
    own = evidence.published_value(role, run, "overall", metric)
    named = (
        f"the best of {len(rivals)} method{'s' if len(rivals) > 1 else ''} of other papers ({best.run}, {best.source})"
    )
    text = f"{label}, {metric_text([metric])}: {label_of(evidence, run)} > {named}{_margin(least)}"
    published = None if own is None else own - best.value - least
    reason = f"{label}: {named} is not trained here"
    return [SeedOutcome(text, UNTESTABLE, published=published, reason=reason, context=True)]
