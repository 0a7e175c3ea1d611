"""Comparisons that are weighted sums of scores, evaluated alike on our runs, paired by seed, and on printed numbers.

Where a sum has k alternatives, of which one suffices, each is judged at a k-th of the level (Bonferroni), and what is
reported is the alternative that decides. The published effect is that of the paper's best alternative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from avbalance.analysis.conditions import PROBES, find
from avbalance.analysis.parsing_scores import MEANS, METRICS
from avbalance.analysis.statistics import Floats
from avbalance.analysis.subsets import OVERALL
from avbalance.evaluation import rows
from avbalance.evaluation.evidence import Evidence, mean_of
from avbalance.evaluation.outcomes import SHOWN, NotTestable, Outcome, Trial, best, trial_of


@dataclass(frozen=True)
class Piece:
    """coefficient * score of a run on a subset under a condition; "" for that of the sum."""

    coefficient: float
    run: str
    subset: str = OVERALL
    condition: str = ""


@dataclass(frozen=True)
class WeightedSum:
    """Alternatives (sums of pieces) on one data set, of which one must exceed `least`.

    names: of the alternatives, where there are several; metrics: the score is their mean; place: where all is measured;
    tie_agrees: whether a printed effect of 0 has the right sign; context: the printed effect may rest on what other
    papers print, where this one prints nothing.
    """

    text: str
    alternatives: tuple[tuple[Piece, ...], ...]
    names: tuple[str, ...] = ()
    role: str = ""
    metrics: tuple[str, ...] = (rows.ACCURACY,)
    place: rows.Coordinates = rows.USUAL
    least: float = 0.0
    tie_agrees: bool = False
    context: bool = False

    def trial(self, evidence: Evidence) -> Trial:
        """Its effect and estimate, or why it is not testable."""
        printed = [self._published(evidence, pieces) for pieces in self.alternatives]
        known = [value for value, _ in printed if value is not None]
        bare = Outcome(
            self.text,
            published=max(known) - self.least if len(known) == len(printed) else None,
            tie_agrees=self.tie_agrees,
            context=any(borrowed for _, borrowed in printed),
        )
        try:
            trials = [self._alternative(evidence, pieces, bare) for pieces in self.alternatives]
        except NotTestable as error:
            return Trial(replace(bare, reason=str(error)))
        if not self.names:
            return trials[0]
        for each in trials:
            if each.estimate is None:
                return each
        chosen = best(trials)
        outcome = replace(trials[chosen].outcome, text=f"{self.text}{SHOWN}{self.names[chosen]}")
        return replace(trials[chosen], outcome=outcome, alternatives=len(trials))

    def _alternative(self, evidence: Evidence, pieces: Sequence[Piece], bare: Outcome) -> Trial:
        """The sum under each seed that all runs have."""
        offset: Floats = np.array([-self.least])
        series = []
        for piece in pieces:
            place = self.place._replace(subset=piece.subset, condition=piece.condition or self.place.condition)
            if rows.is_reference(piece.run):
                guesses = [{0: evidence.guessed(self.role, piece.run, metric, place)} for metric in self.metrics]
                offset = offset + piece.coefficient * mean_of(guesses)[0].values
            else:
                values = [evidence.measured(self.role, piece.run, metric, place) for metric in self.metrics]
                series.append((piece, mean_of(values)))
        common = set.intersection(*(set(of_seed) for _, of_seed in series))
        effects = {
            seed: offset + np.sum([piece.coefficient * of_seed[seed].values for piece, of_seed in series], axis=0)
            for seed in common
        }
        if len(series) == len(pieces):  # against what looks at nothing, the very question is whether a run learned
            evidence.failed.check(self.role, self._trainings(evidence, pieces), common)
        sizes = [(of_seed[seed].n, piece.subset) for piece, of_seed in series for seed in common]
        n, subset = min(sizes, default=(0, OVERALL))
        where = f"of {evidence.label(self.role)}" + ("" if subset == OVERALL else f" in {subset}")
        return trial_of(bare, effects, n, evidence.statistics.min_n, where)

    def _trainings(self, evidence: Evidence, pieces: Sequence[Piece]) -> list[str]:
        """The runs that are scored in place of those of the pieces, and those that chose the subsets."""
        definitions = list(rows.HALVES) if self.place.protocol == rows.CROSS_FITTED else [rows.NO_SUBSET]
        scored = [evidence.measures.scorer(piece.run, name) for piece in pieces for name in definitions]
        on_subsets = any(piece.subset != OVERALL for piece in pieces)
        return [*scored, *(evidence.estimators(self.place.protocol) if on_subsets else ())]

    def _published(self, evidence: Evidence, pieces: Sequence[Piece]) -> tuple[float | None, bool]:
        """The sum in printed numbers, and whether any of them is another paper's."""
        if any(rows.is_reference(piece.run) for piece in pieces) or self.place.protocol == rows.REPAIRED:
            return None, False
        total, borrowed = 0.0, False
        for piece in pieces:
            condition = piece.condition or self.place.condition
            place = self.role, piece.run, piece.subset
            values = [evidence.published_value(*place, metric, condition) for metric in self.metrics]
            if None in values and self.context:
                values = [evidence.context_value(self.role, piece.run, metric) for metric in self.metrics]
                borrowed = True
            known = [value for value in values if value is not None]
            if len(known) < len(values):
                return None, False
            total += piece.coefficient * float(np.mean(known))
        return total, borrowed


# Words


def statement(evidence: Evidence, pieces: Sequence[Piece]) -> str:
    """A sum in words: what stands with a positive sign is more than what stands with a negative one."""
    sides = [
        " + ".join(_piece_text(evidence, piece) for piece in pieces if piece.coefficient * sign > 0) for sign in (1, -1)
    ]
    return f"{sides[0]} > {sides[1] or 0}"


def _piece_text(evidence: Evidence, piece: Piece) -> str:
    factor = "" if abs(piece.coefficient) == 1 else f"{abs(piece.coefficient):g} "
    name, _, entering = piece.condition.partition("@")
    label = f"{factor}{label_of(evidence, piece.run)}"
    if name in ("", rows.BOTH):
        return label
    return f"{label} ({', '.join(filter(None, ((PROBES.get(name) or find(name)).label, entering)))})"


def label_of(evidence: Evidence, run: str) -> str:
    """A run's label, or what a row of no run stands for."""
    if rows.is_reference(run):
        return "no event at all" if run == rows.NO_EVENT else "the most frequent class"
    return evidence.paper.label(run)


def margin_text(least: float) -> str:
    """By how much a side must exceed the other, in words; nothing for 0."""
    return f" {'+' if least > 0 else '-'} {abs(least):g}" if least else ""


def metric_text(metrics: Sequence[str]) -> str:
    """One metric, or what the mean of several is called."""
    if len(metrics) == 1:
        return metrics[0].replace("_", " ")
    named = {group: name for name, group in MEANS.items()}
    if tuple(metrics) in named:
        return "mean of all ten" if tuple(metrics) == METRICS else f"{named[tuple(metrics)].replace('_', ' ')} of five"
    return f"mean of {', '.join(metric.replace('_', ' ') for metric in metrics)}"
