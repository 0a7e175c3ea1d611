"""Comparisons of what unimodal models make of the clips themselves: no multimodal run enters.

By estimate, every seed has its own unimodal models; what is planted or annotated needs no training, so that only clips
vary. Kinds:

- share: datasets, higher, lower, factor: share of clips in `higher` minus factor times that in `lower`
- flatness: larger, smaller, split: J2 of one data set's confidence map minus that of another
- correlation: datasets, at_least: Spearman of estimated and planted discrepancy minus a bound
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from avbalance.analysis.flatness import GRID, jensen_shannon
from avbalance.analysis.statistics import Floats, weighted_mean, weighted_spearman
from avbalance.analysis.subsets import ANNOTATIONS, OVERALL
from avbalance.evaluation.comparisons import Block
from avbalance.evaluation.evidence import ESTIMATED, PLANTED, Evidence, NotTestable
from avbalance.evaluation.outcomes import Outcome, Trial, trial_of
from avbalance.evaluation.published import implied_share
from avbalance.evaluation.scores import CROSS_FITTED, HALVES

PREFERRED = ("audio_preferred", "visual_preferred")
Found = tuple[dict[int, Floats], int]  # seed -> effect under every drawing; clips


def _tested(evidence: Evidence, bare: Outcome, where: str, trained: bool, effects: Callable[[], Found]) -> Trial:
    try:
        values, n = effects()
        return trial_of(bare, values, n, evidence.min_n, where, trained)
    except NotTestable as error:
        return Trial(replace(bare, reason=str(error)))


def share(evidence: Evidence, block: Block, protocol: str) -> list[Trial]:
    """One comparison per data set."""
    factor, found = float(block["factor"]), []
    for role in block["datasets"]:
        label = evidence.paper.dataset(role).label
        text = f"{label}: {block['higher']} holds more than {factor:g} times the clips of {block['lower']}"
        shares = implied_share(evidence.published, label)
        known = bool(shares) and (block["higher"], block["lower"]) == PREFERRED
        published = 100 * ((1 + factor) * float(np.median(shares)) - factor) if known else None

        def effects(role: str = role) -> Found:
            names = [*HALVES] if protocol == CROSS_FITTED else [protocol]
            parts = [_shares(evidence, role, block, name, factor) for name in names]
            values = {seed: np.mean([part[seed] for part, _ in parts], axis=0) for seed in parts[0][0]}
            evidence.refuse_unfit(role, evidence.estimators(protocol), values)
            return values, parts[0][1]

        bare = Outcome(text, published=published)
        found.append(_tested(evidence, bare, f"of {label}", protocol not in (PLANTED, ANNOTATIONS), effects))
    return found


def _shares(evidence: Evidence, role: str, block: Block, definition: str, factor: float) -> Found:
    values, n = {}, 0
    for seed in evidence.matched_seeds(role, definition):
        names = (OVERALL, block["higher"], block["lower"])
        inside, high, low = (evidence.mask(role, name, definition, seed) for name in names)
        assert inside is not None and high is not None and low is not None
        n = int(inside.sum())
        lead = 100.0 * (high - factor * low.astype(np.float64))
        values[seed] = weighted_mean(evidence.weights(role, len(inside))[:, inside], lead[inside])
    return values, n


def flatness(evidence: Evidence, block: Block, protocol: str) -> list[Trial]:
    """One comparison per pair of data sets, whose clips are drawn independently."""
    found = []
    for larger, smaller in itertools.product(block["larger"], block["smaller"]):
        labels = [evidence.paper.dataset(role).label for role in (larger, smaller)]
        values = [evidence.published.get((label, "map", "train", "j2")) for label in labels]
        published = None if values[0] is None or values[1] is None else values[0] - values[1]
        text = f"J2 of {labels[0]} > J2 of {labels[1]} ({block['split']} samples)"

        def effects(roles: tuple[str, str] = (larger, smaller)) -> Found:
            (first, n), (second, m) = (_divergences(evidence, role, block["split"], protocol) for role in roles)
            common = first.keys() & second.keys()
            for role in roles:
                evidence.refuse_unfit(role, evidence.estimators(protocol), common)
            return {seed: first[seed] - second[seed] for seed in common}, min(n, m)

        bare = Outcome(text, published=published, unit="bits")
        found.append(_tested(evidence, bare, f"of {' and '.join(labels)}", protocol != PLANTED, effects))
    return found


def _divergences(evidence: Evidence, role: str, split: str, protocol: str) -> Found:
    """Seed -> J2 of the map under every drawing of a part's clips; their number."""
    values, n = {}, 0
    for seed, frame in evidence.confidences(role, split, protocol).items():
        n = len(frame)
        cells = np.minimum(np.floor(GRID * frame.to_numpy(dtype=np.float64)), GRID - 1).astype(np.intp)
        counts = evidence.weights(role, n, split) @ np.eye(GRID * GRID)[cells[:, 0] * GRID + cells[:, 1]]
        values[seed] = jensen_shannon(counts, np.ones_like(counts))
    return values, n


def correlation(evidence: Evidence, block: Block, protocol: str) -> list[Trial]:
    """One comparison per data set."""
    bound, found = float(block["at_least"]), []
    for role in block["datasets"]:
        label = evidence.paper.dataset(role).label

        def effects(role: str = role) -> Found:
            planted = evidence.discrepancy(role, PLANTED)
            weights = evidence.weights(role, len(planted))
            names = evidence.matched_seeds(role, ESTIMATED)
            evidence.refuse_unfit(role, evidence.estimators(ESTIMATED), names)
            return {
                seed: weighted_spearman(evidence.discrepancy(role, name), planted, weights) - bound
                for seed, name in names.items()
            }, len(planted)

        bare = Outcome(f"{label}: Spearman(estimated, planted discrepancy) - {bound:g}", unit="rho")
        found.append(_tested(evidence, bare, f"of {label}", True, effects))
    return found


MAPS = {"share": share, "flatness": flatness, "correlation": correlation}
