"""Every method against one of them, the tuned Baseline: who can be told apart from it, on one data set.

The rule is that of claims (evaluation/outcomes.py): differences of accuracy paired by seed and clip, intervals over
other seeds and other test clips, all methods of a data set judged together by Holm's steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from avbalance.analysis.statistics import LEVEL, holm_adjusted
from avbalance.analysis.subsets import OVERALL
from avbalance.evaluation.declarations import Declarations
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds.difference import Difference
from avbalance.evaluation.outcomes import CLAIMED, CONTRARY, UNTESTABLE, Outcome, judged
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET

BETTER, WORSE, ALIKE = "better", "worse", "not told apart"
_WORDS = {CLAIMED: BETTER, CONTRARY: WORSE}


@dataclass(frozen=True)
class Against:
    """How a run compares: its outcome (effect in points), the p value after Holm's steps, and the verdict in a word."""

    run: str
    outcome: Outcome
    p: float | None
    verdict: str

    @property
    def spread(self) -> float | None:
        """Standard deviation of the difference over seeds."""
        return float(np.std(self.outcome.seeds, ddof=1)) if len(self.outcome.seeds) > 1 else None


def versus(paper: Paper, role: str, runs: Iterable[str], against: str, level: float = LEVEL) -> list[Against]:
    """Each run of a data set that was made, against another run; `against` itself is none of them."""
    made = [run for run in runs if run != against and paper.run_files(role, run)]
    if not made or not paper.run_files(role, against):
        return []
    block = Difference(kind="difference", datasets=[role], subsets=[OVERALL], left=made, right=[against])
    trials = block.trials(Evidence(paper, Declarations()), NO_SUBSET)
    outcomes, tested = judged(trials, level), [trial.p for trial in trials if trial.estimate]
    adjusted = iter(holm_adjusted(tested))
    return [
        Against(run, outcome, next(adjusted) if trial.estimate else None, _verdict(outcome))
        for run, trial, outcome in zip(made, trials, outcomes, strict=True)
    ]


def _verdict(outcome: Outcome) -> str:
    return outcome.reason if outcome.verdict == UNTESTABLE else _WORDS.get(outcome.verdict, ALIKE)


def sentence(paper: Paper, role: str, compared: Iterable[Against], against: str) -> str:
    """Who is better and who is worse than the run that all are compared with, and how many are not told apart."""
    compared, other = list(compared), paper.label(against)

    def named(verdict: str) -> str:
        own = [each for each in compared if each.verdict == verdict]
        own.sort(key=lambda each: -abs(each.outcome.effect or 0.0))
        return ", ".join(f"{paper.label(each.run)} ({each.outcome.effect:+.1f})" for each in own) or "nobody"

    rest = sum(each.verdict not in (BETTER, WORSE) for each in compared)
    return (
        f"{paper.dataset(role).label}: better than {other}: {named(BETTER)}; worse: {named(WORSE)}; "
        f"not told apart from it: {rest} of {len(compared)}."
    )
