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
  ([{coefficient, run}, ...], a weighted sum that must be positive). Also text (in place of the made one), checkpoint
  (selected), protocol (none), split (test), tie_agrees (false).
- by_seed_history: see seed_histories.py
- by_seed_clips, clip_segments: single videos, see seed_clips.py
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from avbalance.errors import UserError
from avbalance.evaluation.comparisons import FAILS, HOLDS, TINY, UNTESTABLE, WEAK, Block, Outcome
from avbalance.evaluation.evidence import Evidence, NotTestable
from avbalance.evaluation.measure_parsing import MEANS
from avbalance.evaluation.parsing import METRICS
from avbalance.evaluation.rows import CHANCE, MAJORITY, NO_EVENT, NO_SUBSET

ERRORS = 2.0  # standard errors that an effect must exceed
POWER = 0.84  # standard errors more than that, for a true effect to be found in four of five repetitions
ONE_SEED = "one seed"
REFERENCES = {
    MAJORITY: "the most frequent class",
    NO_EVENT: "no event at all",
}  # rows of no run, the same for all seeds
PLACE = {"split": "test", "condition": "both", "protocol": NO_SUBSET, "checkpoint": "selected"}


@dataclass(frozen=True)
class SeedOutcome(Outcome):
    """An outcome paired by seed: `seeds` are the effects under the seeds `numbers`.

    low and high: the effect less and plus twice its standard error; detectable: the true effect that would
    hold in four of five repetitions; these and error are None for a single seed, which `remark` then says.
    """

    error: float | None = None
    numbers: tuple[int, ...] = field(default=())
    remark: str = ""


@dataclass(frozen=True)
class Piece:
    """coefficient * metric of a run."""

    coefficient: float
    run: str


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
        return [[Piece(float(piece["coefficient"]), str(piece["run"])) for piece in block["pieces"]]]
    pairs = itertools.pairwise(block["chain"]) if "chain" in block else itertools.product(block["left"], block["right"])
    return [[Piece(1.0, str(left)), Piece(-1.0, str(right))] for left, right in pairs if left != right]


def label_of(evidence: Evidence, run: str) -> str:
    """A run's label, or what a row of no run stands for."""
    return REFERENCES[run] if run in REFERENCES else evidence.paper.label(run)


def statement(evidence: Evidence, pieces: Sequence[Piece]) -> str:
    """The comparison in words: what stands with a positive sign is more than what stands with a negative one."""
    sides = [
        " + ".join(
            ("" if abs(piece.coefficient) == 1 else f"{abs(piece.coefficient):g} ") + label_of(evidence, piece.run)
            for piece in pieces
            if piece.coefficient * sign > 0
        )
        for sign in (1, -1)
    ]
    return f"{sides[0]} > {sides[1] or 0}"


def _compared(evidence: Evidence, block: Block, metrics: Sequence[str], pieces: Sequence[Piece]) -> Outcome:
    role = str(block["dataset"])
    place = {key: str(block.get(key, value)) for key, value in PLACE.items()}
    text = f"{_where(evidence, role, metrics, place)}: {block.get('text') or statement(evidence, pieces)}"
    published = _published(evidence, role, metrics, pieces) if place["protocol"] == NO_SUBSET else None
    ties = bool(block.get("tie_agrees", False))
    try:
        effects, n = _effects(evidence, role, metrics, pieces, place)
        if n < evidence.min_n:
            raise NotTestable(f"too few videos: {n} of {evidence.info(role).label}, fewer than {evidence.min_n}")
        return judged(text, effects, n, published, ties)
    except NotTestable as error:
        return SeedOutcome(text, UNTESTABLE, published=published, tie_agrees=ties, reason=str(error))


def _effects(
    evidence: Evidence, role: str, metrics: Sequence[str], pieces: Sequence[Piece], place: Mapping[str, str]
) -> tuple[dict[int, float], int]:
    """The weighted sum under each seed that all runs have, and the smallest n."""
    offset, series = 0.0, []
    for piece in pieces:
        if piece.run in REFERENCES:
            elsewhere = {**place, "condition": "none", "checkpoint": "none"}
            names = [CHANCE] if piece.run == MAJORITY else metrics
            offset += piece.coefficient * _series(evidence, role, piece.run, names, elsewhere)[0][0]
        else:
            series.append((piece.coefficient, _series(evidence, role, piece.run, metrics, place)))
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
    words += [place[key] for key in ("split", "protocol", "checkpoint") if place[key] != PLACE[key]]
    return ", ".join(words)


def metric_text(metrics: Sequence[str]) -> str:
    """One metric, or what the mean of several is called."""
    if len(metrics) == 1:
        return metrics[0].replace("_", " ")
    named = {group: name for name, group in MEANS.items()}
    if tuple(metrics) in named:
        return "mean of all ten" if tuple(metrics) == METRICS else f"{named[tuple(metrics)].replace('_', ' ')} of five"
    return f"mean of {', '.join(metric.replace('_', ' ') for metric in metrics)}"


def _published(evidence: Evidence, role: str, metrics: Sequence[str], pieces: Sequence[Piece]) -> float | None:
    if any(piece.run in REFERENCES for piece in pieces):
        return None
    total = 0.0
    for piece in pieces:
        values = [evidence.published_value(role, piece.run, "overall", metric) for metric in metrics]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None
        total += piece.coefficient * float(np.mean(known))
    return total
