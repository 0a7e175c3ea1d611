"""The adaptive loss: worked numbers, gradients, identities, both stages, fine-tuning sets, and a small training."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from avbalance.analysis.adaptive_loss import (
    FINE_TUNING_SETS,
    AdaptiveSettings,
    AdaptiveTerms,
    adaptive_terms,
    alignment,
    fine_tuning_set,
    fit_due,
    high_quality,
    imbalance,
    in_warm_up,
    retention,
    signed_gap,
    true_class_score,
    warm_up_terms,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn.functional import cross_entropy

from avbalance.analysis.gap_mixture import Mixture
from avbalance.analysis.modality_gap import fit, gap, posterior
from avbalance.analysis.modality_gap import signed_gap as measured_gap
from avbalance.errors import UserError
from avbalance.models.base import Batch, load

LABEL = torch.tensor([0, 1, 0, 2])
AUDIO = torch.tensor([[2.0, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 3]], dtype=torch.float64)
VISUAL = torch.tensor([[0.0, 0, 0], [0, 1, 0], [3, 0, 0], [0, 2, 0]], dtype=torch.float64)
MIXTURE = Mixture(pi_B=0.6, mu_B=0.1, sigma_B=0.1, pi_I=0.4, mu_I=0.6, sigma_I=0.2)
DEFAULT = AdaptiveSettings()
PLAIN = AdaptiveSettings(beta=0, lambda_gap=0, lambda_align=0)


def logits(seed: int, samples: int = 12, classes: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Fused, audio and visual logits and labels, drawn; float64."""
    generator = torch.Generator().manual_seed(seed)
    heads = 2 * torch.randn(3, samples, classes, generator=generator, dtype=torch.float64)
    return (*heads.unbind(0), torch.randint(0, classes, (samples,), generator=generator))


def numbers(terms: tuple[Tensor, ...]) -> list[float]:
    return [float(term) for term in terms]


# By hand.


def test_warm_up_by_hand() -> None:
    # CE_f .239545 .239545 .094923 .349012; CE_a .239545 .551445 1.098612 .094923
    # CE_v 1.098612 .551445 .094923 2.239545
    assert float(warm_up_terms(AUDIO + VISUAL, AUDIO, VISUAL, LABEL).total()) == pytest.approx(1.723019, abs=1e-6)


def test_adaptive_terms_by_hand() -> None:
    terms = adaptive_terms(AUDIO + VISUAL, AUDIO, VISUAL, LABEL, MIXTURE)
    assert numbers(terms) == pytest.approx([1.492262, 0.290728, 0.915495, 0.262377], abs=1e-6)
    assert float(terms.total(DEFAULT)) == pytest.approx(2.960862, abs=1e-6)
    plain = adaptive_terms(AUDIO + VISUAL, AUDIO, VISUAL, LABEL, MIXTURE, replace(DEFAULT, alpha=0, beta=0))
    assert numbers(plain)[1:3] == pytest.approx([0.230756, 0.458175], abs=1e-6)
    assert float(terms.total(replace(DEFAULT, lambda_gap=0.5, lambda_align=2))) == pytest.approx(
        1.492262 + 0.290728 + 0.915495 / 2 + 2 * 0.262377, abs=1e-5
    )


def test_alignments_by_hand() -> None:
    # w of the four gaps: .992514 .006068 .999964 1; m_I = .610056, s_I = .147110
    g = signed_gap(AUDIO, VISUAL, LABEL).abs()
    w = imbalance(signed_gap(AUDIO, VISUAL, LABEL), MIXTURE, DEFAULT)
    assert w.tolist() == pytest.approx([0.992514, 0.006068, 0.999964, 1.0], abs=1e-6)
    assert float(alignment(g, w, MIXTURE, "w2")) == pytest.approx(0.510056**2 + 0.047110**2, abs=1e-5)
    assert float(alignment(g, w, MIXTURE, "kl")) == pytest.approx(13.203920, abs=1e-4)
    # (.992514 * .353653^2 + .006068 * .1^2 + .999964 * .476110^2 + .702936^2) / 4 / .02
    assert float(alignment(g, w, MIXTURE, "nll")) == pytest.approx(10.562, abs=1e-2)
    settings = replace(DEFAULT, align="kl")
    terms = adaptive_terms(AUDIO + VISUAL, AUDIO, VISUAL, LABEL, MIXTURE, settings)
    assert float(terms.align) == pytest.approx(13.203920, abs=1e-4)


def gap_gradients(settings: AdaptiveSettings) -> tuple[Tensor, Tensor]:
    """Gradients of L_gap, as a sum over the samples, to audio and visual logits."""
    audio, visual = AUDIO.clone().requires_grad_(), VISUAL.clone().requires_grad_()
    terms = adaptive_terms(audio + visual, audio, visual, LABEL, MIXTURE, settings)
    return torch.autograd.grad(terms.gap, (audio, visual))


def test_gradient_of_the_gap_by_hand() -> None:
    audio, visual = gap_gradients(DEFAULT)
    assert audio[0].tolist() == pytest.approx([0.083506, -0.041753, -0.041753], abs=1e-6)
    assert visual[0].tolist() == pytest.approx([-0.110695, 0.055348, 0.055348], abs=1e-6)
    assert not audio[1].any() and not visual[1].any()  # g = 0


def test_the_strong_branch_may_be_left_alone() -> None:
    both, weak_only = gap_gradients(DEFAULT), gap_gradients(replace(DEFAULT, gap_detach_strong=True))
    audio_leads = torch.tensor([True, False, False, True])
    assert not weak_only[0][audio_leads].any() and torch.equal(weak_only[1][audio_leads], both[1][audio_leads])
    assert not weak_only[1][2].any() and torch.equal(weak_only[0][2], both[0][2])


def test_the_gap_is_that_of_the_analysis() -> None:
    d = signed_gap(AUDIO, VISUAL, LABEL)
    by_numpy = measured_gap(AUDIO.numpy(), VISUAL.numpy(), LABEL.numpy())
    np.testing.assert_allclose(d.numpy(), by_numpy, atol=1e-12)
    assert true_class_score(AUDIO, LABEL).tolist() == pytest.approx([0.786986, 0.576117, 0.333333, 0.909443], abs=1e-6)


@pytest.mark.parametrize("monotone", [False, True])
@pytest.mark.parametrize("kind", ["abs", "signed"])
def test_w_is_the_posterior_of_the_analysis(kind: str, monotone: bool) -> None:
    _, audio, visual, label = logits(3, samples=50)
    d = signed_gap(audio, visual, label)
    settings = AdaptiveSettings(gap=kind, posterior_monotone=monotone)
    expected = posterior(gap(d.numpy(), kind), MIXTURE, monotone)
    np.testing.assert_allclose(imbalance(d, MIXTURE, settings).numpy(), expected, atol=1e-12)


def test_separations_of_the_controls() -> None:
    d = torch.tensor([0.2, -0.7, 0.5])
    found = {
        name: imbalance(d, MIXTURE, AdaptiveSettings(separation=name)) for name in ("threshold", "gap", "constant")
    }
    assert found["threshold"].tolist() == [0, 1, 0]
    torch.testing.assert_close(found["gap"], d.abs())
    assert found["constant"].tolist() == [0.5] * 3
    for name in found:
        assert not imbalance(d, None, AdaptiveSettings(separation=name)).any()


# What must always hold.

SEEDS = st.integers(0, 10_000)
ANY = st.builds(
    AdaptiveSettings,
    alpha=st.floats(0, 3),
    beta=st.floats(0, 3),
    lambda_gap=st.floats(0, 2),
    lambda_align=st.floats(0, 2),
    align=st.sampled_from(["w2", "kl", "nll"]),
    separation=st.sampled_from(["posterior", "threshold", "gap", "constant"]),
    posterior_monotone=st.booleans(),
    gap_detach_strong=st.booleans(),
)


@given(SEEDS, ANY)
@settings(max_examples=40, deadline=None)
def test_swapping_the_modalities_changes_nothing(seed: int, options: AdaptiveSettings) -> None:
    fused, audio, visual, label = logits(seed)
    straight = adaptive_terms(fused, audio, visual, label, MIXTURE, options)
    swapped = adaptive_terms(fused, visual, audio, label, MIXTURE, options)
    assert numbers(straight) == pytest.approx(numbers(swapped), rel=1e-9, abs=1e-12)


@given(SEEDS, ANY)
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_batch_does_not_matter(seed: int, options: AdaptiveSettings) -> None:
    heads = logits(seed)
    order = torch.randperm(len(heads[0]), generator=torch.Generator().manual_seed(seed))
    straight = adaptive_terms(*heads, MIXTURE, options)
    shuffled = adaptive_terms(*(part[order] for part in heads), MIXTURE, options)
    assert numbers(straight) == pytest.approx(numbers(shuffled), rel=1e-9, abs=1e-12)


@given(SEEDS, st.sampled_from([None, MIXTURE]), st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=40, deadline=None)
def test_without_its_terms_the_loss_is_that_of_warm_up_to_the_bit(
    seed: int, mixture: Mixture | None, dtype: torch.dtype
) -> None:
    *heads, label = logits(seed)
    gradients = []
    for adaptive in (False, True):
        given = [head.to(dtype).requires_grad_() for head in heads]
        warm_up = warm_up_terms(*given, label).total()
        loss = adaptive_terms(*given, label, mixture, PLAIN).total(PLAIN) if adaptive else warm_up
        gradients.append((loss, *torch.autograd.grad(loss, given)))
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_a_term_of_weight_zero_is_left_out_however_large() -> None:
    one, infinite = torch.tensor(1.0), torch.tensor(float("inf"))
    assert float(AdaptiveTerms(one, one, infinite, infinite).total(PLAIN)) == 2


@given(SEEDS, ANY)
@settings(max_examples=40, deadline=None)
def test_terms_lie_within_their_bounds(seed: int, options: AdaptiveSettings) -> None:
    fused, audio, visual, label = logits(seed)
    terms = adaptive_terms(fused, audio, visual, label, MIXTURE, options)
    g = signed_gap(audio, visual, label).abs().mean()
    ce = cross_entropy(fused, label)
    slack = 1e-9
    assert g - slack <= terms.gap <= (1 + options.alpha) * g + slack
    assert ce - slack <= terms.fusion <= (1 + options.beta) * ce + slack
    assert float(terms.uni) == pytest.approx(float(cross_entropy(audio, label) + cross_entropy(visual, label)))
    assert all(torch.isfinite(term) for term in terms) and terms.align >= -1e-12


@given(SEEDS, ANY)
@settings(max_examples=25, deadline=None)
def test_gradients_are_finite_and_w_carries_none(seed: int, options: AdaptiveSettings) -> None:
    fused, audio, visual, label = logits(seed)
    heads = [head.requires_grad_() for head in (fused, audio, visual)]
    assert not imbalance(signed_gap(audio, visual, label), MIXTURE, options).requires_grad
    for mixture in (MIXTURE, None):
        loss = adaptive_terms(*heads, label, mixture, options).total(options)
        assert all(torch.isfinite(each).all() for each in torch.autograd.grad(loss, heads))


def test_the_fused_logits_have_no_part_in_gap_and_alignment() -> None:
    fused, audio, visual, label = logits(0)
    first, second = (adaptive_terms(given, audio, visual, label, MIXTURE) for given in (fused, -fused))
    assert torch.equal(first.gap, second.gap) and torch.equal(first.align, second.align)
    assert not torch.equal(first.fusion, second.fusion)


def test_identical_branches_have_no_gap() -> None:
    fused, audio, _, label = logits(0)
    terms = adaptive_terms(fused, audio, audio, label, MIXTURE)
    assert float(terms.gap) == 0
    assert float(terms.align) == 0  # w is small everywhere, sum w < 1


# Fallbacks of the alignment.


@pytest.mark.parametrize("form", ["w2", "kl", "nll"])
@pytest.mark.parametrize("w", [[0.0, 0.0, 0.0], [0.3, 0.3, 0.3]])
def test_few_imbalanced_samples_are_not_aligned(form: str, w: list[float]) -> None:
    value = torch.tensor([0.2, 0.5, 0.9], requires_grad=True)
    found = alignment(value, torch.tensor(w), MIXTURE, form)
    found.backward()
    assert float(found.detach()) == 0 and value.grad is not None and not value.grad.any()


def test_one_whole_sample_is_aligned() -> None:
    found = alignment(torch.tensor([0.4, 0.9]), torch.tensor([1.0, 0.0]), MIXTURE)
    assert float(found) == pytest.approx(0.3**2 + (1e-4 - 0.1) ** 2, abs=1e-6)


@pytest.mark.parametrize("form", ["w2", "kl"])
def test_alignment_is_zero_where_the_groups_coincide(form: str) -> None:
    # mean .1 and deviation .1
    value = torch.tensor([0.0, 0.2], dtype=torch.float64)
    assert float(alignment(value, torch.ones(2, dtype=torch.float64), MIXTURE, form)) == pytest.approx(0, abs=1e-6)
    assert float(alignment(value + 0.3, torch.ones(2, dtype=torch.float64), MIXTURE, form)) > 0.08


def test_alignment_pulls_the_imbalanced_samples_down() -> None:
    value = torch.tensor([0.5, 0.7, 0.6], requires_grad=True)
    alignment(value, torch.ones(3), MIXTURE).backward()
    assert value.grad is not None and float(value.grad.sum()) == pytest.approx(2 * 0.5, abs=1e-5)


def test_without_a_mixture_no_sample_is_imbalanced() -> None:
    fused, audio, visual, label = logits(1)
    terms = adaptive_terms(fused, audio, visual, label, None)
    assert float(terms.align) == 0
    assert float(terms.gap) == pytest.approx(float(signed_gap(audio, visual, label).abs().mean()))
    assert float(terms.fusion) == pytest.approx(2 * float(cross_entropy(fused, label)))


def test_a_signed_mixture_is_compared_with_signed_gaps() -> None:
    fused, audio, visual, label = logits(2)
    mirrored = Mixture(0.6, -0.1, 0.1, 0.4, -0.6, 0.2)
    options = AdaptiveSettings(gap="signed")
    d = signed_gap(audio, visual, label)
    straight = adaptive_terms(fused, audio, visual, label, MIXTURE, options)
    reversed_ = adaptive_terms(fused, visual, audio, label, mirrored, options)
    assert numbers(straight) == pytest.approx(numbers(reversed_))
    w = imbalance(d, MIXTURE, options)
    assert float(straight.align) == pytest.approx(float(alignment(d, w, MIXTURE)))
    assert float(straight.gap) == pytest.approx(float(((1 + w) * d.abs()).mean()))


# Settings and stages.


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("alpha", -0.1, "alpha is -0.1; it must be at least 0"),
        ("lambda_gap", float("nan"), "lambda_gap is nan; it must be at least 0"),
        ("lambda_align", float("inf"), "lambda_align is inf"),
        ("gap", "squared", "gap is 'squared'; it must be one of abs, signed"),
        ("align", "js", "align is 'js'; it must be one of w2, kl, nll"),
        ("separation", "hard", "separation is 'hard'; it must be one of posterior, threshold, gap, constant"),
    ],
)
def test_settings_are_checked(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        AdaptiveSettings(**{name: value})


def test_stages_and_when_the_mixture_is_fitted() -> None:
    assert [in_warm_up(epoch, 3) for epoch in range(5)] == [True, True, True, False, False]
    assert [fit_due(epoch, 3) for epoch in range(-1, 5)] == [False, False, False, True, True, True]
    assert [fit_due(epoch, 0) for epoch in (-1, 0)] == [True, True]  # before the first epoch, on the untrained network
    # every adaptive epoch has a fit right before it, no warm-up epoch has
    for warm_up in (0, 1, 4):
        assert all(fit_due(epoch - 1, warm_up) != in_warm_up(epoch, warm_up) for epoch in range(8))


# Fine-tuning.

KEPT = np.array([True, True, False, True, False, False, True, False])
CLASSES = np.array([0, 0, 0, 1, 1, 1, 1, 3])


def test_high_quality_samples_by_hand() -> None:
    # P(B | g) = 1 - w; w = .5 at .308043
    gaps = np.array([0.0, 0.308, 0.3081, 0.8])
    assert high_quality(gaps, MIXTURE).tolist() == [True, True, False, False]
    assert high_quality(gaps, MIXTURE, 0.99).tolist() == [True, False, False, False]
    assert high_quality(gaps, None).all()
    for wrong in (0.0, 1.5, float("nan")):
        with pytest.raises(UserError, match="it must be above 0 and at most 1"):
            high_quality(gaps, MIXTURE, wrong)


@given(st.integers(0, 1000), st.floats(0.05, 1), st.floats(0.05, 1))
@settings(max_examples=30, deadline=None)
def test_higher_thresholds_keep_fewer(seed: int, first: float, second: float) -> None:
    gaps = np.random.default_rng(seed).random(100)
    loose, strict = (high_quality(gaps, MIXTURE, each) for each in sorted((first, second)))
    assert not (strict & ~loose).any()


def test_fine_tuning_sets_by_hand() -> None:
    generator = np.random.default_rng(0)
    assert fine_tuning_set("high-quality", KEPT, CLASSES, generator).tolist() == [0, 1, 3, 6]
    assert fine_tuning_set("complement", KEPT, CLASSES, generator).tolist() == [2, 4, 5, 7]
    assert fine_tuning_set("full", KEPT, CLASSES, generator).tolist() == list(range(8))
    drawn = [fine_tuning_set("random", KEPT, CLASSES, np.random.default_rng(seed)) for seed in range(30)]
    for chosen in drawn:
        assert np.bincount(CLASSES[chosen], minlength=4).tolist() == [2, 2, 0, 0]
        assert (np.diff(chosen) > 0).all()
    assert {int(index) for chosen in drawn for index in chosen} == set(range(7))  # from all, not from the kept
    assert np.array_equal(drawn[0], fine_tuning_set("random", KEPT, CLASSES, np.random.default_rng(0)))


def test_fine_tuning_sets_can_be_empty_and_unknown_ones_are_errors() -> None:
    generator = np.random.default_rng(0)
    assert fine_tuning_set("complement", np.ones(8, bool), CLASSES, generator).tolist() == []
    for name in ("high-quality", "random"):
        assert fine_tuning_set(name, np.zeros(8, bool), CLASSES, generator).tolist() == []
    with pytest.raises(UserError, match="unknown fine-tuning set 'best'"):
        fine_tuning_set("best", KEPT, CLASSES, generator)
    assert set(FINE_TUNING_SETS) == {"high-quality", "full", "random", "complement"}


def test_retention_by_hand() -> None:
    found = retention(KEPT, CLASSES, 5)
    np.testing.assert_allclose(found, [2 / 3, 0.5, np.nan, 0, np.nan])


def test_importing_imports_neither_numpy_nor_torch() -> None:
    command = "import sys, avbalance.analysis.adaptive_loss; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


# A known answer: visual is noise for three samples in ten.

SAMPLES, WIDTH, NOISY = 600, 64, 0.3
NETWORK = {"encoder": "convolutional", "width": 8, "dimension": 32, "unimodal_heads": True}


def planted() -> tuple[Batch, np.ndarray]:
    """Gaussian clusters of 64 values as maps, visual replaced by noise for 30 %; and which samples these are."""
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(SAMPLES) % 4
    audio, visual = (
        torch.randn(4, WIDTH, generator=generator)[label] * 0.6 + torch.randn(SAMPLES, WIDTH, generator=generator)
        for _ in range(2)
    )
    noisy = torch.randperm(SAMPLES, generator=generator) < NOISY * SAMPLES
    visual = torch.where(noisy[:, None], torch.randn(SAMPLES, WIDTH, generator=generator), visual)
    maps = audio.view(-1, 1, 8, 8), visual.view(-1, 1, 1, 8, 8).expand(-1, 3, -1, -1, -1)
    return Batch(*maps, label, torch.arange(SAMPLES)), noisy.numpy()


def part(batch: Batch, rows: Tensor) -> Batch:
    assert batch.audio is not None and batch.visual is not None
    return Batch(batch.audio[rows], batch.visual[rows], batch.label[rows], batch.index[rows])


def epoch_of(model: Any, batch: Batch, optimiser: Any, epoch: int, mixture: Mixture | None, adaptive: bool) -> None:
    order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(epoch))
    for rows in order.split(60):
        given = part(batch, rows)
        output = model(given)
        heads = (output.logits, output.scores["audio"], output.scores["visual"], given.label)
        loss = adaptive_terms(*heads, mixture).total(DEFAULT) if adaptive else warm_up_terms(*heads).total()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@torch.no_grad()
def gaps_of(model: Any, batch: Batch) -> np.ndarray:
    output = model.eval()(batch)
    model.train()
    heads = (output.scores[name].numpy() for name in ("audio", "visual"))
    return gap(measured_gap(*heads, batch.label.numpy()))


def train(batch: Batch, adaptive: bool) -> tuple[np.ndarray, np.ndarray]:
    """Gaps of all samples after four epochs of warm-up and after eight more."""
    model = load("fusion-net")(NETWORK, 4, torch.Generator().manual_seed(1))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    first = np.empty(0)
    mixture = None
    for epoch in range(12):
        epoch_of(model, batch, optimiser, epoch, mixture, adaptive and not in_warm_up(epoch, 4))
        if fit_due(epoch, 4):
            gaps = gaps_of(model, batch)
            mixture = fit(gaps, seed=0).mixture
            first = gaps if epoch == 3 else first
    return first, gaps_of(model, batch)


def test_planted_imbalance_is_found_and_filtered_and_the_gap_shrinks() -> None:
    batch, noisy = planted()
    first, adaptive = train(batch, adaptive=True)
    same, plain = train(batch, adaptive=False)
    np.testing.assert_array_equal(first, same)  # warm-up knows nothing of the gap
    mixture = fit(first, seed=0).mixture
    assert mixture is not None
    w = posterior(first, mixture)
    assert roc_auc_score(noisy, w) >= 0.8
    kept = high_quality(first, mixture)
    assert kept[noisy].mean() <= 0.5 < kept[~noisy].mean()
    assert adaptive.mean() <= 0.8 * plain.mean()
