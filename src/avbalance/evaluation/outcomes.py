"""One rule for all comparisons: what an effect and its interval say of a claim.

An effect is positive when the claim is right. *As claimed*: its interval lies right of 0; *contrary*: left of 0;
*inconclusive*: it holds 0; *not testable here*: there is no interval, and a reason. Intervals cover other trainings and
other test clips (analysis/statistics.py), and the comparisons of a claim are judged together by Holm's steps, so that
any of them is decided wrongly in at most 5 % of repetitions. A headline comparison, chosen from the paper's text,
stands alone at the full level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from avbalance.analysis.statistics import TINY, EffectEstimate, Floats, estimate, holm

CLAIMED, CONTRARY, INCONCLUSIVE, UNTESTABLE = "as claimed", "contrary", "inconclusive", "not testable here"
ONE_SEED = "one seed"
SHOWN = "; shown: "  # between what a comparison of alternatives asks and the one that decides
WITHOUT_VARIATION = 30  # clips below which a standard error of 0 says nothing


class NotTestable(Exception):
    """A comparison that this tier's data or runs cannot answer; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """What one comparison came to, in `unit`.

    low, high, detectable: the interval at its level, and the true effect that it would find in four of five
    repetitions; error: standard error; p: corrected for alternatives of which one suffices; n: clips in the
    smallest subset; seeds: the effects under the seeds `numbers`; published: the effect in the paper's numbers, of its
    best alternative; tie_agrees: a published effect of 0 has the right sign; context: `published` rests on a number of
    another paper; reason: why it is not testable.
    """

    text: str
    verdict: str = UNTESTABLE
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    error: float | None = None
    detectable: float | None = None
    level: float | None = None
    p: float | None = None
    n: int | None = None
    seeds: tuple[float, ...] = field(default=())
    numbers: tuple[int, ...] = field(default=())
    published: float | None = None
    tie_agrees: bool = False
    context: bool = False
    headline: bool = False
    unit: str = "points"
    reason: str = ""


@dataclass(frozen=True)
class Trial:
    """A comparison before it is judged: its outcome so far, and its estimate unless it is not testable.

    alternatives: how many, of which one suffices; each is judged at its share of the level (Bonferroni).
    """

    outcome: Outcome
    estimate: EffectEstimate | None = None
    alternatives: int = 1

    @property
    def p(self) -> float:
        """Two-sided p value; 1 for what is not testable."""
        return 1.0 if self.estimate is None else min(self.alternatives * self.estimate.p, 1.0)


def attempt(bare: Outcome, trial: Callable[[], Trial]) -> Trial:
    """The trial, or why it is not testable."""
    try:
        return trial()
    except NotTestable as error:
        return Trial(replace(bare, reason=str(error)))


def trial_of(
    bare: Outcome,
    effects: Mapping[int, Floats],
    n: int | None = None,
    least: int = 0,
    where: str = "",
    trained: bool = True,
) -> Trial:
    """Estimate a comparison from seed -> effect, a value on the clips as they are and one for each drawing.

    n: clips, None where no test clip enters; least: clips that it must have; where: which clips, in words. A single
    seed is not testable, unless no training is involved (trained False). Raises NotTestable without a seed.
    """
    if not effects:
        raise NotTestable("its runs have no seed in common")
    numbers = tuple(sorted(effects))
    matrix = np.stack([np.atleast_1d(effects[seed]) for seed in numbers], axis=1)
    if n is not None and n < least:
        return Trial(replace(bare, n=n, reason=f"too few clips: {n} {where}, fewer than {least}"))
    shown = replace(bare, effect=float(matrix[0].mean()), n=n)
    if trained:
        shown = replace(shown, seeds=tuple(matrix[0].tolist()), numbers=numbers)
        if len(numbers) == 1:
            return Trial(replace(shown, reason=ONE_SEED))
    estimated = estimate(matrix, n, trained)
    reason = ""
    if not np.isfinite([estimated.effect, estimated.error]).all():
        reason = f"it cannot be evaluated on most drawings of the {n} clips {where}"
    # Ten clips that all runs tell right have a standard error of 0, and prove nothing.
    elif n is not None and estimated.error <= TINY and n < WITHOUT_VARIATION:
        reason = f"too few clips: {n} {where}, on which the effect does not vary"
    if reason:
        return Trial(replace(bare, n=n, reason=reason))
    return Trial(shown, estimated)


def best(alternatives: Sequence[Trial]) -> int:
    """The alternative that decides where one suffices: the surest positive one, else the least sure negative one."""

    def agreement(number: int) -> tuple[float, float]:
        effect, p = alternatives[number].outcome.effect or 0.0, alternatives[number].p
        # Sureness with its sign; of equal ones, such as two with p = 1, the larger effect.
        return (1 - p) * np.sign(effect), effect

    return max(range(len(alternatives)), key=agreement)


def judged(trials: Sequence[Trial], level: float) -> list[Outcome]:
    """The outcomes of a claim's comparisons: Holm's steps at `level` together, every headline at `level` alone."""
    family = [each for each in trials if each.estimate and not each.outcome.headline]
    # Without the headline, which was chosen beforehand and is tested at the full level by itself.
    steps = iter(holm([each.p for each in family], 1 - level))
    return [
        _judged(each, 1 - level if each.outcome.headline else next(steps)) if each.estimate else each.outcome
        for each in trials
    ]


def _judged(trial: Trial, alpha: float) -> Outcome:
    assert trial.estimate is not None
    effect, single = trial.estimate.effect, alpha / trial.alternatives
    decided = trial.p <= alpha
    width = trial.estimate.half_width(single)
    return replace(
        trial.outcome,
        verdict=(CLAIMED if effect > 0 else CONTRARY) if decided else INCONCLUSIVE,
        low=effect - width,
        high=effect + width,
        error=trial.estimate.error,
        detectable=trial.estimate.detectable(single),
        level=1 - single,
        p=trial.p,
    )


def combined(outcomes: Sequence[Outcome]) -> str:
    """The verdict on a claim: contrary when one comparison is, as claimed when all that could be tested are.

    Not testable when none could be, or its headline could not.
    """
    # One comparison that contradicts decides: a claim says that all of them hold.
    verdicts = {outcome.verdict for outcome in outcomes} - {UNTESTABLE}
    if CONTRARY in verdicts:
        return CONTRARY
    if not verdicts or any(outcome.headline and outcome.verdict == UNTESTABLE for outcome in outcomes):
        return UNTESTABLE
    return CLAIMED if verdicts == {CLAIMED} else INCONCLUSIVE
