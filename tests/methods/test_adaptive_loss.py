"""The adaptive loss: what its terms must be, when it fits, what it uses, and a planted imbalance that it finds.

Numbers by hand, warm-up and the terms' weights: tests/fidelity/test_gmm_adaptive_loss.py.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from three_head_runs import easy_clips, make, same, trained
from torch import Tensor
from torch.nn.functional import cross_entropy

from avbalance.analysis.gap_mixture import Mixture
from avbalance.analysis.modality_gap import fit, gap, posterior
from avbalance.errors import UserError
from avbalance.methods.adaptive_loss import (
    AdaptiveLossOptions,
    AdaptiveTerms,
    adaptive_terms,
    alignment,
    imbalance,
    signed_gap,
)
from avbalance.methods.fine_tuning import high_quality
from avbalance.methods.parts.gaps import cross_entropies
from avbalance.models.base import Batch, build

LABEL = torch.tensor([0, 1, 0, 2])
AUDIO = torch.tensor([[2.0, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 3]], dtype=torch.float64)
VISUAL = torch.tensor([[0.0, 0, 0], [0, 1, 0], [3, 0, 0], [0, 2, 0]], dtype=torch.float64)
MIXTURE = Mixture(pi_B=0.6, mu_B=0.1, sigma_B=0.1, pi_I=0.4, mu_I=0.6, sigma_I=0.2)
DEFAULT = AdaptiveLossOptions()
OFF = {"beta": 0.0, "lambda_gap": 0.0, "lambda_align": 0.0}
PLAIN = AdaptiveLossOptions(**OFF)


def logits(seed: int, samples: int = 12, classes: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Fused, audio and visual logits and labels, drawn; float64."""
    generator = torch.Generator().manual_seed(seed)
    heads = 2 * torch.randn(3, samples, classes, generator=generator, dtype=torch.float64)
    return (*heads.unbind(0), torch.randint(0, classes, (samples,), generator=generator))


def warm_up_loss(*heads_and_label: Tensor) -> Tensor:
    uni, fusion = (each.mean() for each in cross_entropies(*heads_and_label))
    return uni + fusion


def numbers(terms: tuple[Tensor, ...]) -> list[float]:
    return [float(term) for term in terms]


# The terms.


def test_other_alignments_by_hand() -> None:
    # w of the four gaps: .992514 .006068 .999964 1
    g = signed_gap(AUDIO, VISUAL, LABEL).abs()
    w = imbalance(signed_gap(AUDIO, VISUAL, LABEL), MIXTURE, DEFAULT)
    assert float(alignment(g, w, MIXTURE, "kl")) == pytest.approx(13.203920, abs=1e-4)
    # (.992514 * .353653^2 + .006068 * .1^2 + .999964 * .476110^2 + .702936^2) / 4 / .02
    assert float(alignment(g, w, MIXTURE, "nll")) == pytest.approx(10.562, abs=1e-2)
    terms = adaptive_terms(AUDIO + VISUAL, AUDIO, VISUAL, LABEL, MIXTURE, AdaptiveLossOptions(align="kl"))
    assert float(terms.align) == pytest.approx(13.203920, abs=1e-4)


def test_the_strong_branch_may_be_left_alone() -> None:
    found = []
    for options in (DEFAULT, AdaptiveLossOptions(gap_detach_strong=True)):
        audio, visual = AUDIO.clone().requires_grad_(), VISUAL.clone().requires_grad_()
        terms = adaptive_terms(audio + visual, audio, visual, LABEL, MIXTURE, options)
        found.append(torch.autograd.grad(terms.gap, (audio, visual)))
    both, weak_only = found
    audio_leads = torch.tensor([True, False, False, True])
    assert not weak_only[0][audio_leads].any() and torch.equal(weak_only[1][audio_leads], both[1][audio_leads])
    assert not weak_only[1][2].any() and torch.equal(weak_only[0][2], both[0][2])


@pytest.mark.parametrize("monotone", [False, True])
@pytest.mark.parametrize("kind", ["abs", "signed"])
def test_w_is_the_posterior_of_the_analysis(kind: Any, monotone: bool) -> None:
    _, audio, visual, label = logits(3, samples=50)
    d = signed_gap(audio, visual, label)
    options = AdaptiveLossOptions(gap=kind, posterior_monotone=monotone)
    expected = posterior(gap(d.numpy(), kind), MIXTURE, monotone)
    np.testing.assert_allclose(imbalance(d, MIXTURE, options).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("separation", "w"), [("threshold", [0, 1, 0]), ("gap", [0.2, 0.7, 0.5]), ("constant", [0.5, 0.5, 0.5])]
)
def test_separations_of_the_controls(separation: Any, w: list[float]) -> None:
    d = torch.tensor([0.2, -0.7, 0.5])
    options = AdaptiveLossOptions(separation=separation)
    assert imbalance(d, MIXTURE, options).tolist() == pytest.approx(w)
    assert not imbalance(d, None, options).any()


SEEDS = st.integers(0, 10_000)
ANY = st.builds(
    AdaptiveLossOptions,
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
def test_neither_the_order_of_the_modalities_nor_that_of_the_batch_matters(
    seed: int, options: AdaptiveLossOptions
) -> None:
    fused, audio, visual, label = heads = logits(seed)
    order = torch.randperm(len(fused), generator=torch.Generator().manual_seed(seed))
    straight = numbers(adaptive_terms(*heads, MIXTURE, options))
    swapped = adaptive_terms(fused, visual, audio, label, MIXTURE, options)
    shuffled = adaptive_terms(*(part[order] for part in heads), MIXTURE, options)
    assert straight == pytest.approx(numbers(swapped), rel=1e-9, abs=1e-12)
    assert straight == pytest.approx(numbers(shuffled), rel=1e-9, abs=1e-12)


def test_a_term_of_weight_zero_is_left_out_however_large() -> None:
    one, infinite = torch.tensor(1.0), torch.tensor(float("inf"))
    assert float(AdaptiveTerms(one, one, infinite, infinite).total(PLAIN)) == 2


@given(SEEDS, ANY)
@settings(max_examples=40, deadline=None)
def test_terms_lie_within_their_bounds_and_gradients_are_finite(seed: int, options: AdaptiveLossOptions) -> None:
    fused, audio, visual, label = logits(seed)
    heads = [head.requires_grad_() for head in (fused, audio, visual)]
    g, ce, slack = signed_gap(audio, visual, label).abs().mean(), cross_entropy(fused, label), 1e-9
    for mixture in (MIXTURE, None):
        terms = adaptive_terms(*heads, label, mixture, options)
        assert g - slack <= terms.gap <= (1 + options.alpha) * g + slack
        assert ce - slack <= terms.fusion <= (1 + options.beta) * ce + slack
        assert float(terms.uni) == pytest.approx(float(cross_entropy(audio, label) + cross_entropy(visual, label)))
        assert all(torch.isfinite(term) for term in terms) and terms.align >= -1e-12
        loss = terms.total(options)
        assert all(torch.isfinite(each).all() for each in torch.autograd.grad(loss, heads))


@pytest.mark.parametrize("form", ["w2", "kl", "nll"])
@pytest.mark.parametrize("w", [[0.0, 0.0, 0.0], [0.3, 0.3, 0.3]])
def test_few_imbalanced_samples_are_not_aligned(form: str, w: list[float]) -> None:
    value = torch.tensor([0.2, 0.5, 0.9], requires_grad=True)
    found = alignment(value, torch.tensor(w), MIXTURE, form)
    found.backward()
    assert float(found.detach()) == 0 and value.grad is not None and not value.grad.any()


def test_alignment_pulls_the_imbalanced_samples_down() -> None:
    assert float(alignment(torch.tensor([0.4, 0.9]), torch.tensor([1.0, 0.0]), MIXTURE)) == pytest.approx(
        0.3**2 + (1e-4 - 0.1) ** 2, abs=1e-6
    )  # one whole sample is enough
    value = torch.tensor([0.5, 0.7, 0.6], requires_grad=True)
    alignment(value, torch.ones(3), MIXTURE).backward()
    assert value.grad is not None and float(value.grad.sum()) == pytest.approx(2 * 0.5, abs=1e-5)


def test_without_a_mixture_no_sample_is_imbalanced() -> None:
    fused, audio, visual, label = logits(1)
    terms = adaptive_terms(fused, audio, visual, label, None, DEFAULT)
    assert float(terms.align) == 0
    assert float(terms.gap) == pytest.approx(float(signed_gap(audio, visual, label).abs().mean()))
    assert float(terms.fusion) == pytest.approx(2 * float(cross_entropy(fused, label)))


def test_a_signed_mixture_is_compared_with_signed_gaps() -> None:
    fused, audio, visual, label = logits(2)
    mirrored = Mixture(0.6, -0.1, 0.1, 0.4, -0.6, 0.2)
    options = AdaptiveLossOptions(gap="signed")
    d = signed_gap(audio, visual, label)
    straight = adaptive_terms(fused, audio, visual, label, MIXTURE, options)
    mirror = adaptive_terms(fused, visual, audio, label, mirrored, options)
    assert numbers(straight) == pytest.approx(numbers(mirror))
    w = imbalance(d, MIXTURE, options)
    assert float(straight.align) == pytest.approx(float(alignment(d, w, MIXTURE)))
    assert float(straight.gap) == pytest.approx(float(((1 + w) * d.abs()).mean()))


# In training.


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return easy_clips(tmp_path_factory.mktemp("adaptive"))


@pytest.fixture(scope="module")
def plain(clips: Any) -> Any:
    return trained(clips, "head-losses", {"warm_up_epochs": 1})


@pytest.fixture(scope="module")
def adaptive(clips: Any) -> Any:
    return trained(clips, "adaptive-loss", {"warm_up_epochs": 1})


def test_a_training_that_is_all_warm_up_says_so(clips: Any, plain: Any, caplog: pytest.LogCaptureFixture) -> None:
    options = {"warm_up_epochs": 3, "alpha": 9.0, "beta": 9.0, "lambda_gap": 9.0, "lambda_align": 9.0}
    with caplog.at_level(logging.WARNING):
        assert same(trained(clips, "adaptive-loss", options), plain)
    assert "all 3 epochs are warm-up (warm_up_epochs is 3)" in caplog.text


@pytest.mark.parametrize(("warm_up", "fitted"), [(0, [0, 1, 2, 3]), (2, [2, 3]), (3, [3]), (5, [])])
def test_the_first_fit_is_at_the_boundary_and_one_follows_every_adaptive_epoch(
    clips: Any, warm_up: int, fitted: list[int]
) -> None:
    method = trained(clips, "adaptive-loss", {"warm_up_epochs": warm_up}).method
    assert [record["epoch"] for record in method.fits] == fitted
    assert method.gaps["epochs"] == ([3] if warm_up > 2 else [warm_up, 3])[: len(fitted)]


def test_the_parts_in_the_history_add_up_to_the_loss(adaptive: Any) -> None:
    first, *others = adaptive.history
    assert first["loss_uni"] + first["loss_fusion"] == pytest.approx(first["train_loss"], rel=1e-6)
    for row in others:
        parts = (row["loss_uni"], row["loss_fusion"], row["loss_gap"], row["loss_align"])
        assert min(parts) > 0 and sum(parts) == pytest.approx(row["train_loss"], rel=1e-6)


def test_a_network_that_diverged_is_one_sentence(clips: Any) -> None:
    trainer = make(clips, "adaptive-loss", {"warm_up_epochs": 1})
    with torch.no_grad():
        trainer.model.unimodal_heads["visual"].bias.fill_(float("nan"))
    with pytest.raises(UserError, match="96 of 96 samples have no finite gap, so the network has diverged"):
        trainer.method.measure(trainer, 1)


# A known answer: visual is noise for three samples in ten.

SAMPLES, WIDTH, NOISY = 600, 64, 0.3
NETWORK = {"name": "fusion-net", "encoder": "convolutional", "width": 8, "dimension": 32, "unimodal_heads": True}


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


def epoch_of(model: Any, batch: Batch, optimiser: Any, epoch: int, mixture: Mixture | None, adaptive: bool) -> None:
    assert batch.audio is not None and batch.visual is not None
    for rows in torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(epoch)).split(60):
        output = model(Batch(batch.audio[rows], batch.visual[rows], batch.label[rows], batch.index[rows]))
        heads = (output.logits, output.scores["audio"], output.scores["visual"], batch.label[rows])
        loss = adaptive_terms(*heads, mixture, DEFAULT).total(DEFAULT) if adaptive else warm_up_loss(*heads)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@torch.no_grad()
def gaps_of(model: Any, batch: Batch) -> np.ndarray:
    output = model.eval()(batch)
    model.train()
    return gap(signed_gap(output.scores["audio"].double(), output.scores["visual"].double(), batch.label).numpy())


def gaps_of_training(batch: Batch, adaptive: bool) -> tuple[np.ndarray, np.ndarray]:
    """Gaps of all samples after four epochs of warm-up and after eight more."""
    model = build(NETWORK, 4, torch.Generator().manual_seed(1))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    found, mixture = [], None
    for epoch in range(12):
        epoch_of(model, batch, optimiser, epoch, mixture, adaptive and epoch >= 4)
        if epoch >= 3:
            found.append(gaps_of(model, batch))
            mixture = fit(found[-1], seed=0).mixture
    return found[0], found[-1]


def test_planted_imbalance_is_found_and_filtered_and_the_gap_shrinks() -> None:
    batch, noisy = planted()
    first, adaptive = gaps_of_training(batch, adaptive=True)
    again, plain = gaps_of_training(batch, adaptive=False)
    np.testing.assert_array_equal(first, again)  # warm-up knows nothing of the gap
    mixture = fit(first, seed=0).mixture
    assert mixture is not None
    assert roc_auc_score(noisy, posterior(first, mixture)) >= 0.8
    kept = high_quality(first, mixture, 0.5)
    assert kept[noisy].mean() <= 0.5 < kept[~noisy].mean()
    assert adaptive.mean() <= 0.8 * plain.mean()
