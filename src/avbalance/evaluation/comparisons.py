"""The kinds of comparison that a claim can be made of; each says what it expects to be positive.

A comparison is positive when the claim is right. Most are weighted sums of accuracies, evaluated alike on
our runs (with a bootstrap over test samples) and on the published numbers. Kinds, with the keys of their
declaration: difference        datasets, subsets, left, right: left - right on the subset between_subsets
datasets, runs, higher, lower: one run on two subsets growth            datasets, left, right, subsets
[from, to]: (left - right) at `to` minus the same at `from` any_of            datasets, subsets, left,
right: the best of the left runs minus right never_both        datasets, runs, sides [{subset, rival}, ...]:
no run beats the rival on every side share             datasets, higher, lower, factor: share of clips in
`higher` minus factor times that in `lower` flatness          larger, smaller, split: J2 of one data set's
confidence map minus that of another correlation       datasets, at_least: Spearman of estimated and planted
discrepancy minus a bound
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from avbalance.analysis.flatness import grid_counts
from avbalance.analysis.statistics import (
    Estimate,
    Term,
    contrast,
    contrast_draws,
    flatness_difference,
    paired_bootstrap,
    spearman,
    summarise,
)
from avbalance.analysis.subsets import OVERALL
from avbalance.errors import UserError
from avbalance.evaluation.evidence import Evidence, NotTestable
from avbalance.evaluation.published import implied_share

HOLDS, WEAK, FAILS, UNTESTABLE = "holds", "weak", "fails", "not testable"
PREFERRED = ("audio_preferred", "visual_preferred")

Block = Mapping[str, Any]


@dataclass(frozen=True)
class Piece:
    """coefficient * accuracy of a run on a subset."""

    coefficient: float
    run: str
    subset: str


@dataclass(frozen=True)
class Comparison:
    """Alternatives (weighted sums of pieces) on one data set; combine: one, any, or never_both of them."""

    text: str
    role: str
    alternatives: tuple[tuple[Piece, ...], ...]
    combine: str = "one"


@dataclass(frozen=True)
class Outcome:
    """What one comparison came to. Effects are in `unit`; a positive effect agrees with the claim.

    n: clips in the smallest subset; seeds: the effect under each seed alone; published: the same effect in
    the paper's numbers; reason: why it is not testable.
    """

    text: str
    verdict: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    detectable: float | None = None
    n: int | None = None
    seeds: tuple[float, ...] = field(default=())
    published: float | None = None
    unit: str = "points"
    reason: str = ""


def judge(estimate: Estimate) -> str:
    """holds: right sign and the interval excludes 0; weak: right sign only; fails: wrong sign or none."""
    if not np.isfinite([estimate.effect, estimate.low, estimate.high]).all():
        return UNTESTABLE
    if estimate.effect <= 0:
        return FAILS
    return HOLDS if estimate.low > 0 else WEAK


def outcomes(evidence: Evidence, block: Block, protocol: str) -> list[Outcome]:
    """All outcomes of one block under one protocol; raises UserError for unknown kinds and missing keys."""
    kind = str(block.get("kind"))
    try:
        if kind in SPECIAL:
            return SPECIAL[kind](evidence, block, protocol)
        if kind in EXPANSIONS:
            return [evaluate(evidence, comparison, protocol) for comparison in EXPANSIONS[kind](evidence, block)]
    except KeyError as error:
        raise UserError(f"claims.yaml: a block of kind {kind} lacks {error}.") from error
    raise UserError(f"claims.yaml: unknown kind {kind!r}; known are {', '.join([*EXPANSIONS, *SPECIAL])}.")


def uses_subsets(block: Block) -> bool:
    """False when a block is about overall accuracies only, so that all protocols give the same answer."""
    return block["kind"] not in ("difference", "any_of") or set(block["subsets"]) != {OVERALL}


def evaluate(evidence: Evidence, comparison: Comparison, protocol: str) -> Outcome:
    """The outcome of a linear comparison under one protocol."""
    published = _published(evidence, comparison)
    try:
        lists = [_terms(evidence, comparison.role, pieces, protocol) for pieces in comparison.alternatives]
        counts = evidence.counts(str(evidence.info(comparison.role).data))
        seeds = _seed_effects(evidence, comparison, protocol)
    except NotTestable as error:
        return Outcome(comparison.text, UNTESTABLE, published=published, reason=str(error))
    if comparison.combine == "never_both":
        draws = -np.min([contrast_draws(terms, counts) for terms in lists], axis=0)
        estimate = summarise(_combined(comparison, [contrast(terms) for terms in lists]), draws, evidence.level)
    else:
        # The best of k alternatives gets an interval at the level corrected for k looks (Bonferroni).
        level = 1 - (1 - evidence.level) / len(lists)
        estimates = [paired_bootstrap(terms, counts, level) for terms in lists]
        estimate = max(estimates, key=lambda item: (item.low, item.effect))
    size = min(int(term.mask.sum()) for terms in lists for term in terms)
    return replace(_outcome(comparison.text, estimate, size), seeds=tuple(seeds), published=published)


def _outcome(text: str, estimate: Estimate, n: int, unit: str = "points") -> Outcome:
    verdict = judge(estimate)
    if verdict == UNTESTABLE:
        return Outcome(text, verdict, n=n, unit=unit, reason=f"too few clips ({n}) or no variation")
    return Outcome(text, verdict, estimate.effect, estimate.low, estimate.high, estimate.detectable, n, unit=unit)


def _terms(
    evidence: Evidence, role: str, pieces: Iterable[Piece], protocol: str, seed: int | None = None
) -> list[Term]:
    lists = (evidence.terms(role, p.run, p.subset, protocol, p.coefficient, seed) for p in pieces)
    return list(itertools.chain.from_iterable(lists))


def _seed_effects(evidence: Evidence, comparison: Comparison, protocol: str) -> list[float]:
    pieces = list(itertools.chain.from_iterable(comparison.alternatives))
    common = set.intersection(*(evidence.seeds(comparison.role, p.run, p.subset, protocol) for p in pieces))
    return [
        _combined(
            comparison,
            [contrast(_terms(evidence, comparison.role, alt, protocol, seed)) for alt in comparison.alternatives],
        )
        for seed in sorted(common)
    ]


def _combined(comparison: Comparison, effects: Sequence[float]) -> float:
    return -min(effects) if comparison.combine == "never_both" else max(effects)


def _published(evidence: Evidence, comparison: Comparison) -> float | None:
    effects = []
    for pieces in comparison.alternatives:
        values = [evidence.published_value(comparison.role, piece.run, piece.subset) for piece in pieces]
        if any(value is None for value in values):
            return None
        effects.append(sum(p.coefficient * (v or 0.0) for p, v in zip(pieces, values, strict=True)))
    return _combined(comparison, effects)


def _difference(evidence: Evidence, block: Block) -> list[Comparison]:
    paper = evidence.paper
    return [
        Comparison(
            f"{paper.dataset(role).label}, {subset}: {paper.label(left)} > {paper.label(right)}",
            role,
            ((Piece(1, left, subset), Piece(-1, right, subset)),),
        )
        for role, subset, left, right in itertools.product(
            block["datasets"], block["subsets"], block["left"], block["right"]
        )
        if left != right
    ]


def _between_subsets(evidence: Evidence, block: Block) -> list[Comparison]:
    paper, higher, lower = evidence.paper, block["higher"], block["lower"]
    return [
        Comparison(
            f"{paper.dataset(role).label}, {paper.label(run)}: {higher} > {lower}",
            role,
            ((Piece(1, run, higher), Piece(-1, run, lower)),),
        )
        for role, run in itertools.product(block["datasets"], block["runs"])
    ]


def _growth(evidence: Evidence, block: Block) -> list[Comparison]:
    paper, (first, last) = evidence.paper, block["subsets"]
    return [
        Comparison(
            f"{paper.dataset(role).label}: {paper.label(left)} minus {paper.label(right)} grows from {first} to {last}",
            role,
            ((Piece(1, left, last), Piece(-1, right, last), Piece(-1, left, first), Piece(1, right, first)),),
        )
        for role, left, right in itertools.product(block["datasets"], block["left"], block["right"])
    ]


def _any_of(evidence: Evidence, block: Block) -> list[Comparison]:
    paper = evidence.paper
    return [
        Comparison(
            f"{paper.dataset(role).label}, {subset}: one of {', '.join(map(paper.label, block['left']))}"
            f" > {paper.label(right)}",
            role,
            tuple((Piece(1, left, subset), Piece(-1, right, subset)) for left in block["left"]),
            "any",
        )
        for role, subset, right in itertools.product(block["datasets"], block["subsets"], block["right"])
    ]


def _never_both(evidence: Evidence, block: Block) -> list[Comparison]:
    paper, sides = evidence.paper, block["sides"]
    rivals = " and ".join(f"{paper.label(side['rival'])} on {side['subset']}" for side in sides)
    return [
        Comparison(
            f"{paper.dataset(role).label}: {paper.label(run)} does not beat {rivals} at once",
            role,
            tuple((Piece(1, run, side["subset"]), Piece(-1, side["rival"], side["subset"])) for side in sides),
            "never_both",
        )
        for role, run in itertools.product(block["datasets"], block["runs"])
    ]


def _share(evidence: Evidence, block: Block, protocol: str) -> list[Outcome]:
    factor, found = float(block["factor"]), []
    for role in block["datasets"]:
        label = evidence.paper.dataset(role).label
        text = f"{label}: {block['higher']} holds more than {factor:g} times the clips of {block['lower']}"
        shares = implied_share(evidence.published, label)
        published = 100 * ((1 + factor) * float(np.median(shares)) - factor) if shares else None
        if (block["higher"], block["lower"]) != PREFERRED:
            published = None
        try:
            terms, sizes = [], []
            for definition in (names := evidence.definitions(protocol)):
                high, low = (evidence.mask(role, block[side], definition) for side in ("higher", "lower"))
                values = 100.0 * (high.astype(np.float64) - factor * low)
                terms.append(Term(values, np.ones(len(values), dtype=bool), 1 / len(names)))
                sizes.append(len(values))
            counts = evidence.counts(str(evidence.info(role).data))
            outcome = _outcome(text, paired_bootstrap(terms, counts, evidence.level), min(sizes))
        except NotTestable as error:
            outcome = Outcome(text, UNTESTABLE, reason=str(error))
        found.append(replace(outcome, published=published))
    return found


def _flatness(evidence: Evidence, block: Block, protocol: str) -> list[Outcome]:
    found = []
    columns = {"estimated": ("u_audio", "u_visual"), "planted": ("planted_audio", "planted_visual")}.get(protocol)
    for larger, smaller in itertools.product(block["larger"], block["smaller"]):
        labels = [evidence.paper.dataset(role).label for role in (larger, smaller)]
        text = f"J2 of {labels[0]} > J2 of {labels[1]} ({block['split']} samples)"
        values = [evidence.published.get((label, "map", "train", "j2")) for label in labels]
        published = None if values[0] is None or values[1] is None else values[0] - values[1]
        try:
            grids = [_grid(evidence, role, block["split"], columns, protocol) for role in (larger, smaller)]
            generator = evidence.generator(f"flatness {larger} {smaller}")
            estimate = flatness_difference(grids[0], grids[1], evidence.draws, generator, evidence.level)
            outcome = _outcome(text, estimate, min(int(grid.sum()) for grid in grids), "bits")
        except NotTestable as error:
            outcome = Outcome(text, UNTESTABLE, unit="bits", reason=str(error))
        found.append(replace(outcome, published=published))
    return found


def _grid(
    evidence: Evidence, role: str, split: str, columns: tuple[str, str] | None, protocol: str
) -> np.ndarray[Any, np.dtype[np.int64]]:
    if columns is None:
        raise NotTestable(f"the map has no {protocol} form")
    frame = evidence.confidence(role)
    frame = frame[frame["split"] == split]
    if columns[0] not in frame.columns:
        raise NotTestable(f"{evidence.info(role).label}: the data carry no planted informativeness")
    if frame.empty:
        raise NotTestable(f"{evidence.info(role).label} has no {split} samples")
    return grid_counts(frame[columns[0]].to_numpy(), frame[columns[1]].to_numpy())


def _correlation(evidence: Evidence, block: Block, protocol: str) -> list[Outcome]:
    bound, found = float(block["at_least"]), []
    for role in block["datasets"]:
        text = f"{evidence.paper.dataset(role).label}: Spearman(estimated, planted discrepancy) - {bound:g}"
        try:
            estimated, planted = (evidence.discrepancy(role, name) for name in ("estimated", "planted"))
            rho = spearman(estimated, planted, evidence.level)
            shifted = replace(rho, effect=rho.effect - bound, low=rho.low - bound, high=rho.high - bound)
            found.append(_outcome(text, shifted, len(estimated), "rho"))
        except NotTestable as error:
            found.append(Outcome(text, UNTESTABLE, unit="rho", reason=str(error)))
    return found


EXPANSIONS = {
    "difference": _difference,
    "between_subsets": _between_subsets,
    "growth": _growth,
    "any_of": _any_of,
    "never_both": _never_both,
}
SPECIAL = {"share": _share, "flatness": _flatness, "correlation": _correlation}
