from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from avbalance.declared import Condition, Declared, Metric, ScoredRun, refusal
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import AtLeastOne, UnderOneCondition
from avbalance.evaluation.outcomes import Trial
from avbalance.evaluation.rows import USUAL, is_reference
from avbalance.evaluation.weighted_sums import Piece, WeightedSum, margin_text, metric_text, statement


class Summand(Declared):
    """One part of a weighted sum."""

    coefficient: float
    """by what the score is multiplied"""
    run: ScoredRun
    """whose score"""
    condition: Condition = ""
    """condition of testing; that of the block where none is named"""


class BySeed(UnderOneCondition):
    """Scores of runs on all clips, paired by seed. What is compared: left and right, chain, or pieces."""

    kind: Literal["by_seed"]
    """differences, orders and sums of metrics"""
    metrics: AtLeastOne[Metric]
    """what is compared"""
    over: Literal["each", "mean"] = "each"
    """one comparison for each metric, or one of their mean"""
    left: list[ScoredRun] = Field(default=[])
    """runs that are claimed to be better, each than every right one"""
    right: list[ScoredRun] = Field(default=[])
    """runs that they are compared with; also majority-label or no-event, what looks at nothing"""
    chain: list[ScoredRun] = Field(default=[])
    """runs of which each is claimed to be better than the next"""
    pieces: list[Summand] = Field(default=[])
    """a weighted sum that must be positive"""
    text: str = ""
    """what is said of it in reports, in place of a made sentence"""
    at_least: float = 0.0
    """by how much the left side must exceed the right one; negative where it may fall short"""
    tie_agrees: bool = False
    """whether an effect of 0 in the paper's numbers has the right sign"""
    context: bool = False
    """whether the published effect may rest on what other papers print, where this one prints nothing"""

    @model_validator(mode="after")
    def _one_way(self) -> BySeed:
        given = [bool(self.left or self.right), bool(self.chain), bool(self.pieces)]
        if given.count(True) != 1 or bool(self.left) != bool(self.right) or len(self.chain) == 1:
            raise refusal("needs one of left with right, chain (of two runs at least) and pieces")
        if any(all(is_reference(piece.run) for piece in pieces) for pieces in self._sums()):
            raise refusal("compares no run with anything")
        return self

    def _sums(self) -> list[tuple[Piece, ...]]:
        """The weighted sums that are compared."""
        if self.pieces:
            return [tuple(Piece(each.coefficient, each.run, condition=each.condition) for each in self.pieces)]
        pairs: Iterable[tuple[str, str]] = itertools.product(self.left, self.right)
        if self.chain:
            pairs = itertools.pairwise(self.chain)
        return [(Piece(1.0, left), Piece(-1.0, right)) for left, right in pairs if left != right]

    def scores(self) -> Iterable[tuple[str, str, str]]:
        runs = dict.fromkeys(piece.run for pieces in self._sums() for piece in pieces)
        return itertools.product([self.dataset], runs, self.metrics)

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        groups = [tuple(self.metrics)] if self.over == "mean" else [(name,) for name in self.metrics]
        trials = []
        for group, pieces in itertools.product(groups, self._sums()):
            said = self.text or f"{statement(evidence, pieces)}{margin_text(self.at_least)}"
            words = [evidence.label(self.dataset), metric_text(group)]
            words += [word for word, usual in zip(self.place, USUAL, strict=True) if word != usual]
            asked = WeightedSum(
                f"{', '.join(words)}: {said}",
                (pieces,),
                role=self.dataset,
                metrics=group,
                place=self.place,
                least=self.at_least,
                tie_agrees=self.tie_agrees,
                context=self.context,
            )
            trials.append(asked.trial(evidence))
        return trials
