"""The objective of video parsing, by hand and against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from avbalance.methods.han import ma_contrastive
from avbalance.methods.jomold import jomold_nce
from avbalance.methods.parts.parsing import (
    Pair,
    binary_cross_entropy,
    elementwise_cross_entropy,
    measuring_loss,
    parsing_terms,
    removed,
    smoothed,
    targets,
)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_binary_cross_entropy_by_hand() -> None:
    # -ln .5, -ln .75 (target 0), -(.9 ln .25 + .1 ln .75)
    loss = binary_cross_entropy(torch.tensor([0.5, 0.25, 0.25]), torch.tensor([1.0, 0.0, 0.9]))
    expected = (-math.log(0.5) - math.log(0.75) - 0.9 * math.log(0.25) - 0.1 * math.log(0.75)) / 3
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_clamp_bounds_the_loss_and_stops_the_gradient() -> None:
    probability = torch.tensor([1.7, 0.0, 0.5], dtype=torch.float64, requires_grad=True)
    loss = elementwise_cross_entropy(probability, torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64))
    assert loss.tolist() == pytest.approx([-math.log(1e-7), -math.log(1e-7), math.log(2)])
    loss.sum().backward()
    assert probability.grad is not None and probability.grad.tolist() == pytest.approx([0.0, 0.0, -2.0])
    for target in (0.0, 1.0):  # in single precision too
        assert bool(elementwise_cross_entropy(probability.float(), torch.full((3,), target)).isfinite().all())


def test_targets_smooth_the_visual_ones_only_and_removed_ones_are_zero() -> None:
    label = torch.tensor([[1.0, 0.0]])
    audio, visual = targets(label)
    assert torch.equal(audio, label) and torch.equal(smoothed(label, 1.0), label)
    torch.testing.assert_close(visual, torch.tensor([[0.95, 0.05]]))
    gone = Pair(torch.tensor([[True, False]]), torch.tensor([[False, True]]))
    assert torch.equal(removed(targets(label), gone).audio, torch.zeros(1, 2))
    torch.testing.assert_close(removed(targets(label), gone).visual, torch.tensor([[0.95, 0.0]]))


def test_objectives_weigh_their_terms() -> None:
    label = torch.tensor([[1.0, 0.0]])
    P, p_a, p_v = torch.tensor([[0.9, 0.2]]), torch.tensor([[0.8, 0.1]]), torch.tensor([[0.6, 0.3]])
    video = -(math.log(0.9) + math.log(0.8)) / 2
    audio = -(math.log(0.8) + math.log(0.9)) / 2
    visual = -(0.95 * math.log(0.6) + 0.05 * math.log(0.4) + 0.05 * math.log(0.3) + 0.95 * math.log(0.7)) / 2
    terms = parsing_terms(P, p_a, p_v, label, targets(label))
    assert [float(term) for term in terms] == pytest.approx([audio, visual, video], rel=1e-6)
    assert float(terms.total()) == pytest.approx(video + audio + visual, rel=1e-6)
    assert float(terms.total((2, 1, 1))) == pytest.approx(2 * audio + visual + video, rel=1e-6)
    assert float(measuring_loss(p_a, p_v, targets(label), (2, 3, 9))) == pytest.approx(2 * audio + 3 * visual, rel=1e-6)
    # video's label is untouched by refined targets
    cleaned = parsing_terms(P, p_a, p_v, label, Pair(0 * label, 0 * label))
    assert float(cleaned.video) == float(terms.video) and float(cleaned.audio) != float(terms.audio)


def contrast_by_hand(first: Tensor, second: Tensor, mixed: bool) -> float:
    """Row by row, with cosines, temperature .2 and smoothing .1."""
    rows = []
    for video in range(len(first)):
        for t in range(first.shape[1]):
            cosine = torch.cosine_similarity(first[video, t][None], second[video], dim=-1)
            q = (cosine / 0.2).softmax(0)
            d = torch.full_like(q, 0.1 / (len(q) - 1))
            d[t] = 0.9
            rows.append(-math.log(float((d * q).sum())) if mixed else -float((d * q.log()).sum()))
    return float(np.mean(rows))


def test_contrastive_losses_of_ma_and_jomold_against_plain_loops() -> None:
    first, second = rand(3, 10, 6) - 0.5, rand(3, 10, 6, seed=1) - 0.5
    assert float(ma_contrastive(first, second)) == pytest.approx(contrast_by_hand(first, second, mixed=False))
    assert float(jomold_nce(first, second)) == pytest.approx(contrast_by_hand(first, second, mixed=True))
    # rows choose among the second's segments: not symmetric
    assert float(ma_contrastive(first, second)) != pytest.approx(float(ma_contrastive(second, first)))
