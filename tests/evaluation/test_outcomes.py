"""The rule by hand-worked cases: verdicts, intervals, scarcity, alternatives."""

from __future__ import annotations

import numpy as np
import pytest

from avbalance.analysis.statistics import EffectEstimate
from avbalance.evaluation.outcomes import (
    CLAIMED,
    CONTRARY,
    INCONCLUSIVE,
    UNTESTABLE,
    Outcome,
    Trial,
    best,
    combined,
    judged,
    trial_of,
)


def by_error(effect: float, error: float, headline: bool = False, alternatives: int = 1) -> Trial:
    """A comparison with that effect and a standard error from very many clips."""
    bare = Outcome(f"{effect} {error}", effect=effect, headline=headline)
    return Trial(bare, EffectEstimate(effect, 0.0, 2, error**2, 10**6), alternatives)


def test_the_rule() -> None:
    # 2.24 standard errors at 97.5 %, 1.96 at 95 %.
    outcomes = judged([by_error(2.3, 1), by_error(-2.0, 1)], 0.95)
    assert [each.verdict for each in outcomes] == [CLAIMED, CONTRARY]
    assert [each.level for each in outcomes] == pytest.approx([0.975, 0.95])
    # The first step fails, so that the second is not taken, and both intervals are those of the first step.
    outcomes = judged([by_error(2.2, 1), by_error(-2.0, 1)], 0.95)
    assert [each.verdict for each in outcomes] == [INCONCLUSIVE] * 2 and {each.level for each in outcomes} == {0.975}
    assert judged([by_error(0.0, 0.0)], 0.95)[0].verdict == INCONCLUSIVE


def test_an_interval_excludes_0_exactly_if_the_comparison_is_decided() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        effects, seeds = generator.normal(0, 3, 6), generator.uniform(0, 0.3, 6)
        trials = [Trial(Outcome(str(e)), EffectEstimate(e, s, 4, 1.0, 99), number) for e, s, number in
                  zip(effects, seeds, (1, 1, 1, 2, 4, 1), strict=True)]  # fmt: skip
        for each in judged(trials, 0.95):
            assert each.low is not None and each.high is not None
            assert (each.low > 0, each.high < 0) == (each.verdict == CLAIMED, each.verdict == CONTRARY)


def test_a_headline_stands_alone() -> None:
    outcomes = judged([by_error(2.0, 1, headline=True), by_error(2.0, 1), by_error(0.5, 1)], 0.95)
    assert [each.verdict for each in outcomes] == [CLAIMED, INCONCLUSIVE, INCONCLUSIVE]


@pytest.mark.parametrize(
    ("verdicts", "headline", "expected"),
    [
        ([CLAIMED, CLAIMED], CLAIMED, CLAIMED),
        ([CLAIMED, INCONCLUSIVE], None, INCONCLUSIVE),
        ([CLAIMED, INCONCLUSIVE, CONTRARY], CLAIMED, CONTRARY),
        ([UNTESTABLE, CLAIMED], None, CLAIMED),
        ([UNTESTABLE, CLAIMED], UNTESTABLE, UNTESTABLE),
        ([UNTESTABLE, CONTRARY], UNTESTABLE, CONTRARY),
        ([UNTESTABLE, UNTESTABLE], None, UNTESTABLE),
    ],
)
def test_a_claim_follows_from_its_comparisons(verdicts: list[str], headline: str | None, expected: str) -> None:
    heads = [] if headline is None else [Outcome("h", headline, headline=True)]
    assert combined([*(Outcome("t", verdict) for verdict in verdicts), *heads]) == expected


@pytest.mark.parametrize(
    ("spread", "n", "reason"),
    [
        (1.0, 19, "too few clips: 19 of D, fewer than 20"),
        (0.0, 29, "too few clips: 29 of D, on which the effect does not vary"),
        (float("nan"), 30, "it cannot be evaluated on most drawings of the 30 clips of D"),
    ],
)
def test_scarcity(spread: float, n: int, reason: str) -> None:
    values = 5 + spread * np.random.default_rng(0).normal(0, 1, (2, 101))
    values[:, 0] = 5
    trial = trial_of(Outcome("t"), dict(enumerate(values)), n, 20, "of D")
    assert trial == Trial(Outcome("t", n=n, reason=reason))


def test_a_single_seed_never_decides_and_shows_its_effect() -> None:
    (outcome,) = judged([trial_of(Outcome("t"), {3: np.array([4.0, 4.1, 3.9])}, 200, 20)], 0.95)
    assert (outcome.verdict, outcome.reason, outcome.effect, outcome.numbers) == (UNTESTABLE, "one seed", 4.0, (3,))
    assert outcome.low is None and outcome.p is None


def test_the_alternative_that_decides_is_reported() -> None:
    wide, narrow, wrong = by_error(9, 5), by_error(2, 0.5), by_error(-1, 0.05)
    assert best([wrong, wide]) == 1
    assert best([wide, narrow, wrong]) == 1
    assert best([by_error(-5, 1), by_error(-1, 1)]) == 1  # of negative ones, the one that is least sure
    # 2.24 standard errors for one of two, and both must be contrary for the comparison to be.
    assert judged([by_error(2.1, 1, alternatives=2)], 0.95)[0].verdict == INCONCLUSIVE
