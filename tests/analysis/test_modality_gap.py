"""The modality gap and its mixture: worked numbers, fallbacks, Bayes' rule, nulls, and what must always hold."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.mixture import GaussianMixture

from avbalance.analysis import modality_gap
from avbalance.analysis.gap_mixture import Mixture, crossing, log_odds, ordered
from avbalance.analysis.modality_gap import (
    bimodality,
    fit,
    matched_beta,
    nulls,
    posterior,
    single_bic,
    starting_means,
)
from avbalance.errors import UserError

FIXED = Mixture(pi_B=0.6, mu_B=0.1, sigma_B=0.1, pi_I=0.4, mu_I=0.6, sigma_I=0.2)


def two_humps() -> np.ndarray:
    """600 gaps about 0.08, then 400 about 0.6, cut off at 0 and 1."""
    generator = np.random.RandomState(0)
    drawn = [generator.normal(0.08, 0.05, 600), generator.normal(0.6, 0.15, 400)]
    return np.concatenate(drawn).clip(0, 1)


# The gap; worked numbers, also of the posterior: tests/fidelity/test_gmm_adaptive_loss.py, items 1 and 7.


# Bayes' rule.


def test_crossing_by_hand() -> None:
    found = crossing(FIXED)
    assert found == pytest.approx(0.308043, abs=1e-6)
    assert posterior(np.array([found]), FIXED) == pytest.approx(0.5, abs=1e-9)
    # a component that is a thousandth of the samples leads nowhere between the means
    assert crossing(Mixture(0.001, 0.1, 0.1, 0.999, 0.3, 0.2)) is None
    mirrored = Mixture(0.6, -0.1, 0.1, 0.4, -0.6, 0.2)
    assert crossing(mirrored) == pytest.approx(-0.308043, abs=1e-6)


def mixtures() -> st.SearchStrategy[Mixture]:
    share, place, width = st.floats(0.02, 0.98), st.floats(0, 1), st.floats(0.01, 0.5)
    return st.builds(
        lambda pi, first, second, narrow, wide: Mixture(
            1 - pi, min(first, second), narrow, pi, max(first, second), wide
        ),
        *(share, place, place, width, width),
    )


@given(mixtures(), arrays(np.float64, 20, elements=st.floats(0, 1)))
@settings(max_examples=100, deadline=None)
def test_posterior_is_bayes_rule(mixture: Mixture, gaps: np.ndarray) -> None:
    balanced = np.log(mixture.pi_B) + stats.norm.logpdf(gaps, mixture.mu_B, mixture.sigma_B)
    imbalanced = np.log(mixture.pi_I) + stats.norm.logpdf(gaps, mixture.mu_I, mixture.sigma_I)
    expected = np.exp(imbalanced - np.logaddexp(balanced, imbalanced))
    np.testing.assert_allclose(posterior(gaps, mixture), expected, atol=1e-9)
    assert log_odds(0.5, mixture) == pytest.approx(float(log_odds(np.array([0.5]), mixture)[0]))


@given(mixtures())
@settings(max_examples=100, deadline=None)
def test_the_monotone_posterior_rises(mixture: Mixture) -> None:
    gaps = np.linspace(0, 1, 201)
    w = posterior(gaps, mixture, monotone=True)
    assert (np.diff(w) >= -1e-12).all()
    between = (gaps >= mixture.mu_B) & (gaps <= mixture.mu_I)
    assert np.array_equal(w[between], posterior(gaps, mixture)[between])


def test_the_plain_posterior_may_turn_back() -> None:
    wide_balanced = Mixture(0.5, 0.2, 0.3, 0.5, 0.5, 0.05)
    w = posterior(np.array([0.5, 1.0]), wide_balanced)
    assert w[0] > 0.8 and w[1] < 1e-6
    assert posterior(np.array([1.0]), wide_balanced, monotone=True) == w[0]


# The fit.


def test_fit_of_two_humps_by_known_numbers() -> None:
    gaps = two_humps()
    assert gaps.sum() == pytest.approx(285.365251, abs=1e-5)
    assert starting_means(gaps) == pytest.approx((0.063982, 0.506749), abs=1e-6)
    found = fit(gaps, seed=0)
    m = found.mixture
    assert m is not None and found.converged and found.samples == 1000
    numbers = (m.pi_B, m.pi_I, m.mu_B, m.mu_I, m.sigma_B, m.sigma_I)
    assert numbers == pytest.approx((0.5997, 0.4003, 0.07874, 0.59494, 0.04841, 0.14522), abs=5e-3)
    assert all(type(number) is float for number in numbers)
    assert int((posterior(gaps, m) > 0.5).sum()) == 398
    assert posterior(np.array([0.1, 0.2, 0.3]), m) == pytest.approx([0.00074, 0.1127, 0.9990], abs=5e-3)
    assert (found.bic_2, found.bic_1) == pytest.approx((-1007.42, 244.15), abs=0.5)
    assert found.bic_difference == pytest.approx(-1251.57, abs=0.5)
    assert found.describe().startswith("modality gap: balanced 0.600 N(0.079, 0.048^2), imbalanced 0.400")


def test_one_component_s_bic_is_scikit_learn_s() -> None:
    gaps = two_humps()
    expected = GaussianMixture(1, reg_covar=1e-4).fit(gaps[:, None]).bic(gaps[:, None])
    assert single_bic(gaps) == pytest.approx(expected, abs=1e-6)


def test_the_balanced_component_is_the_one_with_the_smaller_gap() -> None:
    assert ordered([0.3, 0.7], [0.8, 0.1], [0.2, 0.05]) == Mixture(0.7, 0.1, 0.05, 0.3, 0.8, 0.2)
    assert ordered([0.3, 0.7], [0.1, 0.8], [0.05, 0.2]) == Mixture(0.3, 0.1, 0.05, 0.7, 0.8, 0.2)
    # signed: -0.1 is nearer to balance than -0.8, though the larger number
    assert ordered([0.3, 0.7], [-0.8, -0.1], [0.2, 0.05]).mu_B == -0.1


def test_signed_gaps_are_named_by_the_size_of_their_means() -> None:
    found = fit(-two_humps(), 0, "signed").mixture
    expected = fit(two_humps(), 0).mixture
    assert found is not None and expected is not None
    assert (found.mu_B, found.mu_I) == pytest.approx((-expected.mu_B, -expected.mu_I), abs=1e-3)
    generator = np.random.default_rng(0)
    both_sides = np.concatenate([generator.normal(side, 0.02, 300) for side in (-0.4, 0.4)])
    opposite = fit(both_sides, 0, "signed")
    assert opposite.mixture is None and "closer than 0.02" in opposite.reason


@given(st.integers(0, 1000), st.floats(0.05, 0.5), st.floats(0.1, 0.45), st.floats(0.2, 0.8))
@settings(max_examples=15, deadline=None)
def test_any_fit_is_ordered_and_adds_up(seed: int, first: float, apart: float, share: float) -> None:
    generator = np.random.default_rng(seed)
    imbalanced = generator.random(300) < share
    gaps = np.where(imbalanced, first + apart, first) + generator.normal(0, 0.04, 300)
    found = fit(gaps.clip(0, 1), seed)
    assert math.isfinite(found.bic_1 or math.nan) and math.isfinite(found.bic_2 or math.nan)
    if found.mixture is None:
        assert found.reason
        return
    m = found.mixture
    assert 0 <= m.mu_B < m.mu_I <= 1 and m.mu_I - m.mu_B >= 0.02
    assert min(m.pi_B, m.pi_I) >= 0.01 and m.pi_B + m.pi_I == pytest.approx(1)
    assert min(m.sigma_B, m.sigma_I) >= 0.01 - 1e-9  # the root of the regularisation


# Fallbacks and errors.


def degenerate_cases() -> dict[str, tuple[np.ndarray, str]]:
    generator = np.random.default_rng(0)
    few_far = np.concatenate([generator.normal(0.1, 0.01, 996), np.full(4, 0.9)])
    return {
        "too few": (np.linspace(0, 1, 19), "19 samples are fewer than 20"),
        "none": (np.empty(0), "0 samples are fewer than 20"),
        "equal": (np.full(50, 0.25), "the variance 0.0e[+]00 is below 1e-06"),
        "nearly equal": (0.25 + 1e-4 * generator.random(50), "is below 1e-06"),
        "nearly empty component": (few_far, "a component's weight 4.0e-03 is below 0.01"),
        "no separation": (generator.normal(0.3, 0.002, 2000), "apart, closer than 0.02"),
    }


@pytest.mark.parametrize("case", degenerate_cases())
def test_a_degenerate_fit_is_a_fallback_with_its_reason(case: str, recwarn: pytest.WarningsRecorder) -> None:
    gaps, reason = degenerate_cases()[case]
    found = fit(gaps, 0)
    assert found.mixture is None
    assert re.search(reason, found.reason)
    assert found.describe() == (
        f"modality gap: no mixture, because {found.reason}; no sample counts as imbalanced, no alignment"
    )
    assert not posterior(gaps, found.mixture).any()
    assert not [warning for warning in recwarn if "sklearn" in str(warning.filename)]


def test_more_than_half_at_the_upper_end() -> None:
    gaps = np.concatenate([np.linspace(0, 0.2, 40), np.ones(60)])
    assert starting_means(gaps) == pytest.approx((0.1, 1.0))
    found = fit(gaps, 0).mixture
    assert found is not None and (found.pi_I, found.mu_I) == pytest.approx((0.6, 1.0), abs=1e-3)


def stub(result: str) -> SimpleNamespace:
    """What stands for scikit-learn's mixture when EM goes wrong."""

    def fails(column: np.ndarray) -> None:
        if result:
            raise ValueError(result)

    nan = np.full((2, 1), np.nan)
    return SimpleNamespace(fit=fails, weights_=np.array([0.5, 0.5]), means_=nan, covariances_=nan[:, None])


def test_em_without_result_is_a_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    for result, reason in (("", "EM did not return finite values"), ("ill-defined covariance", "without variance")):
        monkeypatch.setattr(modality_gap, "estimator", lambda *_, result=result: stub(result))
        found = fit(two_humps(), 0)
        assert found.mixture is None and reason in found.reason
    monkeypatch.setattr(modality_gap, "estimator", lambda *_: stub("another defect"))
    with pytest.raises(ValueError, match="another defect"):
        fit(two_humps(), 0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_gap_that_is_not_finite_is_an_error(wrong: float) -> None:
    gaps = two_humps()
    gaps[[3, 7]] = wrong
    with pytest.raises(UserError, match="2 of 1000 samples have no finite gap, so the network has diverged"):
        fit(gaps, 0)


def test_gaps_out_of_range_are_an_error() -> None:
    gaps = two_humps()
    with pytest.raises(UserError, match=r"1000 of 1000 gaps lie outside \[0, 1\]; .* not of logits"):
        fit(gaps + 1.5, 0)
    with pytest.raises(UserError, match=r"outside \[-1, 1\]"):
        fit(-gaps - 1.5, 0, "signed")
    with pytest.raises(UserError, match="outside"):
        fit(-two_humps(), 0)
    assert fit(gaps + 1e-7, 0).mixture is not None
    with pytest.raises(UserError, match="unknown gap"):
        fit(gaps, 0, "relative")


# Two components or one.


def test_two_humps_stand_out_from_every_unimodal_null() -> None:
    gaps = two_humps()[::2]
    observed, found = bimodality(gaps, seed=0, draws=5)
    assert observed == pytest.approx(-(fit(gaps, 0).bic_difference or 0))
    assert [entry.null for entry in found] == ["uniform", "half-normal", "beta-2-2", "beta-5-2", "beta-matched"]
    for entry in found:
        assert len(entry.draws) == 5 and (np.diff(entry.draws) >= 0).all()
    by_name = {entry.null: entry for entry in found}
    assert all(by_name[name].share == pytest.approx(1 / 6) for name in ("uniform", "half-normal", "beta-2-2"))


def test_bic_prefers_two_components_for_skewed_unimodal_samples_too() -> None:
    gaps = np.random.default_rng(5).beta(0.6, 3, 600)
    observed, found = bimodality(gaps, seed=0, draws=9)
    matched = found[-1]
    assert observed > 100
    assert matched.null == "beta-matched" and matched.share > 0.1  # so the preference alone shows no second mode
    again, same = bimodality(gaps, seed=0, draws=9)
    assert again == observed and np.array_equal(same[-1].draws, matched.draws)


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(UserError, match="one and two components cannot be compared, because the variance"):
        bimodality(np.full(50, 0.25), seed=0)


def test_nulls_lie_on_the_range_of_the_gap() -> None:
    observed = np.random.default_rng(0).beta(1.5, 4, 4000)
    for name, draw in nulls(observed).items():
        drawn = draw(4000, np.random.default_rng(1))
        assert drawn.shape == (4000,) and drawn.min() >= 0 and drawn.max() <= 1, name
        if name == "beta-matched":
            assert (drawn.mean(), drawn.std()) == pytest.approx((observed.mean(), observed.std()), abs=0.02)


def test_the_matched_beta_is_unimodal() -> None:
    # mean 1/3 and variance 1/18: Beta(1, 2)
    assert matched_beta(np.random.default_rng(0).beta(1, 2, 400_000)) == pytest.approx((1, 2), abs=0.02)
    # half at 0.2, half at 0.8: mean 1/2, variance .09, size .25 / .09 - 1 = 1.78, below 2: uniform
    assert matched_beta(np.repeat([0.2, 0.8], 50)) == pytest.approx((1, 1))
    assert matched_beta(np.repeat([0.0, 1.0], [75, 25])) == pytest.approx((1 / 3, 1))


# Cost.
