"""The kinds of comparison that a claim can be made of; each says what it expects to be positive.

A comparison is positive when the claim is right. Most are weighted sums of accuracies, evaluated alike on
our runs (with a bootstrap over test samples) and on the published numbers. Kinds, with the keys of their
declaration:

- difference: datasets, subsets, left, right: left - right on the subset
- between_subsets: datasets, runs, higher, lower: one run on two subsets
- growth: datasets, left, right, subsets [from, to]: (left - right) at `to` minus the same at `from`
- any_of: datasets, subsets, left, right: one of the left runs minus right
- never_both: datasets, runs, sides [{subset, rival}, ...]: the rival minus the run, on one of the sides
- share: datasets, higher, lower, factor: share of clips in `higher` minus factor times that in `lower`
- flatness: larger, smaller, split: J2 of one data set's confidence map minus that of another
- correlation: datasets, at_least: Spearman of estimated and planted discrepancy minus a bound

any_of and never_both have k alternatives, of which one suffices: each gets an interval at the level
corrected for k looks (Bonferroni), and all that is reported belongs to one and the same alternative.
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
    flatness_difference,
    paired_bootstrap,
    spearman,
)
from avbalance.analysis.subsets import OVERALL
from avbalance.errors import UserError
from avbalance.evaluation.evidence import Evidence, NotTestable
from avbalance.evaluation.published import implied_share

HOLDS, WEAK, FAILS, UNTESTABLE = "holds", "weak", "fails", "not testable"
PREFERRED = ("audio_preferred", "visual_preferred")
WITHOUT_VARIATION = 30  # clips below which a standard error of 0 says nothing
TINY = 1e-9  # rounding of sums

Block = Mapping[str, Any]


@dataclass(frozen=True)
class Piece:
    """coefficient * accuracy of a run on a subset."""

    coefficient: float
    run: str
    subset: str


@dataclass(frozen=True)
class Comparison:
    """Alternatives (weighted sums of pieces) on one data set, of which one must be positive.

    names: of the alternatives, where there are several; tie_agrees: an effect of 0 does not contradict the
    claim.
    """

    text: str
    role: str
    alternatives: tuple[tuple[Piece, ...], ...]
    names: tuple[str, ...] = ()
    tie_agrees: bool = False


@dataclass(frozen=True)
class Outcome:
    """What one comparison came to. Effects are in `unit`; a positive effect agrees with the claim.

    n: clips in the smallest subset; seeds: the effect under each seed alone; published: the same effect in
    the paper's numbers; claimed: the effect of the paper's own best alternative, where there are several;
    tie_agrees: see Comparison; reason: why it is not testable.
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
    claimed: float | None = None
    tie_agrees: bool = False
    unit: str = "points"
    reason: str = ""

    @property
    def paper(self) -> float | None:
        """The effect in the paper's numbers on which its claim rests."""
        return self.published if self.claimed is None else self.claimed


def judge(estimate: Estimate, tie_agrees: bool = False) -> str:
    """holds: right sign and the interval excludes 0; weak: right sign only; fails: wrong sign or none.

    An effect of 0 fails, or is weak where a tie agrees with the claim.
    """
    if not np.isfinite([estimate.effect, estimate.low, estimate.high]).all():
        return UNTESTABLE
    if estimate.effect < -TINY:
        return FAILS
    if estimate.effect <= TINY:
        return WEAK if tie_agrees else FAILS
    return HOLDS if estimate.low > TINY else WEAK


def scarcity(estimate: Estimate, n: int, least: int, place: str) -> str:
    """Why an estimate on `n` clips of `place` is not judged; empty when it is."""
    if n < least:
        return f"too few clips: {n} {place}, fewer than {least}"
    if not np.isfinite([estimate.effect, estimate.low, estimate.high]).all():
        return f"no variation between the {n} clips {place}, or draws without any"
    if estimate.error <= TINY and n < WITHOUT_VARIATION:
        return f"too few clips: {n} {place}, on which the effect does not vary"
    return ""


def best(estimates: Sequence[Estimate]) -> int:
    """The alternative to report: of those that hold, else of all, the one with the largest effect."""
    holding = [number for number, estimate in enumerate(estimates) if judge(estimate) == HOLDS]
    return max(holding or range(len(estimates)), key=lambda number: estimates[number].effect)


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
    role, alternatives = comparison.role, comparison.alternatives
    published = [_published(evidence, role, pieces) for pieces in alternatives]
    known = [value for value in published if value is not None]
    claimed = max(known) if len(known) == len(alternatives) else None
    bare = Outcome(comparison.text, UNTESTABLE, published=claimed, tie_agrees=comparison.tie_agrees)
    try:
        lists = [_terms(evidence, role, pieces, protocol) for pieces in alternatives]
        smallest = [_smallest(evidence, role, pieces, protocol) for pieces in alternatives]
        counts = evidence.counts(str(evidence.info(role).data))
    except NotTestable as error:
        return replace(bare, reason=str(error))
    level = 1 - (1 - evidence.level) / len(lists)
    estimates = [paired_bootstrap(terms, counts, level) for terms in lists]
    for estimate, (n, place) in zip(estimates, smallest, strict=True):
        reason = scarcity(estimate, n, evidence.min_n, place)
        if reason:
            return replace(bare, n=n, reason=reason)
    chosen = best(estimates)
    outcome = _outcome(bare, estimates[chosen], *smallest[chosen], evidence.min_n)
    return replace(
        outcome,
        text=f"{comparison.text}; shown: {comparison.names[chosen]}" if comparison.names else comparison.text,
        seeds=tuple(_seed_effects(evidence, role, alternatives[chosen], protocol)),
        published=published[chosen],
        claimed=claimed if comparison.names else None,
    )


def _outcome(bare: Outcome, estimate: Estimate, n: int, place: str, least: int) -> Outcome:
    reason = scarcity(estimate, n, least, place)
    if reason:
        return replace(bare, n=n, reason=reason)
    numbers = {name: getattr(estimate, name) for name in ("effect", "low", "high", "detectable")}
    return replace(bare, verdict=judge(estimate, bare.tie_agrees), n=n, **numbers)


def _terms(
    evidence: Evidence, role: str, pieces: Iterable[Piece], protocol: str, seed: int | None = None
) -> list[Term]:
    lists = (evidence.terms(role, p.run, p.subset, protocol, p.coefficient, seed) for p in pieces)
    return list(itertools.chain.from_iterable(lists))


def _smallest(evidence: Evidence, role: str, pieces: Iterable[Piece], protocol: str) -> tuple[int, str]:
    """Clips in the smallest subset of some pieces, and which subset that is."""
    label = evidence.info(role).label
    return min(
        (int(term.mask.sum()), f"of {label} in {piece.subset}")
        for piece in pieces
        for term in _terms(evidence, role, [piece], protocol)
    )


def _seed_effects(evidence: Evidence, role: str, pieces: Sequence[Piece], protocol: str) -> list[float]:
    common = set.intersection(*(evidence.seeds(role, piece.run, piece.subset, protocol) for piece in pieces))
    return [contrast(_terms(evidence, role, pieces, protocol, seed)) for seed in sorted(common)]


def _published(evidence: Evidence, role: str, pieces: Sequence[Piece]) -> float | None:
    values = [evidence.published_value(role, piece.run, piece.subset) for piece in pieces]
    if any(value is None for value in values):
        return None
    return sum(piece.coefficient * (value or 0.0) for piece, value in zip(pieces, values, strict=True))


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
            tuple(map(paper.label, block["left"])),
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
            tuple((Piece(1, side["rival"], side["subset"]), Piece(-1, run, side["subset"])) for side in sides),
            tuple(f"{paper.label(side['rival'])} minus {paper.label(run)} on {side['subset']}" for side in sides),
            tie_agrees=True,
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
        bare = Outcome(text, UNTESTABLE, published=published)
        try:
            terms, sizes = [], []
            for definition in (names := evidence.definitions(protocol)):
                high, low = (evidence.mask(role, block[side], definition) for side in ("higher", "lower"))
                values = 100.0 * (high.astype(np.float64) - factor * low)
                terms.append(Term(values, np.ones(len(values), dtype=bool), 1 / len(names)))
                sizes.append(len(values))
            counts = evidence.counts(str(evidence.info(role).data))
            estimate = paired_bootstrap(terms, counts, evidence.level)
            found.append(_outcome(bare, estimate, min(sizes), f"of {label}", evidence.min_n))
        except NotTestable as error:
            found.append(replace(bare, reason=str(error)))
    return found


def _flatness(evidence: Evidence, block: Block, protocol: str) -> list[Outcome]:
    found = []
    columns = {"estimated": ("u_audio", "u_visual"), "planted": ("planted_audio", "planted_visual")}.get(protocol)
    for larger, smaller in itertools.product(block["larger"], block["smaller"]):
        labels = [evidence.paper.dataset(role).label for role in (larger, smaller)]
        text = f"J2 of {labels[0]} > J2 of {labels[1]} ({block['split']} samples)"
        values = [evidence.published.get((label, "map", "train", "j2")) for label in labels]
        published = None if values[0] is None or values[1] is None else values[0] - values[1]
        bare = Outcome(text, UNTESTABLE, published=published, unit="bits")
        try:
            grids = [_grid(evidence, role, block["split"], columns, protocol) for role in (larger, smaller)]
            generator = evidence.generator(f"flatness {larger} {smaller}")
            estimate = flatness_difference(grids[0], grids[1], evidence.draws, generator, evidence.level)
            n, label = min((int(grid.sum()), label) for grid, label in zip(grids, labels, strict=True))
            found.append(_outcome(bare, estimate, n, f"of {label}", evidence.min_n))
        except NotTestable as error:
            found.append(replace(bare, reason=str(error)))
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
        label = evidence.paper.dataset(role).label
        bare = Outcome(f"{label}: Spearman(estimated, planted discrepancy) - {bound:g}", UNTESTABLE, unit="rho")
        try:
            estimated, planted = (evidence.discrepancy(role, name) for name in ("estimated", "planted"))
            rho = spearman(estimated, planted, evidence.level)
            shifted = replace(rho, effect=rho.effect - bound, low=rho.low - bound, high=rho.high - bound)
            found.append(_outcome(bare, shifted, len(estimated), f"of {label}", evidence.min_n))
        except NotTestable as error:
            found.append(replace(bare, reason=str(error)))
    return found


EXPANSIONS = {
    "difference": _difference,
    "between_subsets": _between_subsets,
    "growth": _growth,
    "any_of": _any_of,
    "never_both": _never_both,
}
SPECIAL = {"share": _share, "flatness": _flatness, "correlation": _correlation}
