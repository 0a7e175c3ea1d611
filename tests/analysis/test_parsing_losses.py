"""Objectives and label refinement of video parsing by hand-worked numbers and against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from avbalance.analysis.parsing_losses import (
    HAN_WEIGHTS,
    JOMOLD_WEIGHTS,
    Pair,
    ParsingTerms,
    binary_cross_entropy,
    cross_video_contrastive,
    denoised,
    elementwise_cross_entropy,
    exchange_partners,
    han_loss,
    jomold_nce,
    ma_contrastive,
    measuring_loss,
    noise_ratio,
    parsing_terms,
    relative_error,
    removable_labels,
    removed,
    smoothed,
    targets,
    warmed,
)
from torch import Tensor

from avbalance.errors import UserError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=generator(seed), dtype=torch.float64)


# Cross-entropies.


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
    assert probability.grad is not None
    assert probability.grad.tolist() == pytest.approx([0.0, 0.0, -2.0])


def test_clamp_is_finite_in_single_precision() -> None:
    probability = torch.tensor([1.0, 0.0, 1.7])
    for target in (0.0, 1.0):
        assert bool(elementwise_cross_entropy(probability, torch.full((3,), target)).isfinite().all())


def test_targets_smooth_the_visual_ones_only() -> None:
    label = torch.tensor([[1.0, 0.0]])
    audio, visual = targets(label)
    assert torch.equal(audio, label)
    torch.testing.assert_close(visual, torch.tensor([[0.95, 0.05]]))
    assert torch.equal(smoothed(label, 1.0), label)


def test_objectives_weigh_their_terms() -> None:
    label = torch.tensor([[1.0, 0.0]])
    P, p_a, p_v = torch.tensor([[0.9, 0.2]]), torch.tensor([[0.8, 0.1]]), torch.tensor([[0.6, 0.3]])
    video = -(math.log(0.9) + math.log(0.8)) / 2
    audio = -(math.log(0.8) + math.log(0.9)) / 2
    visual = -(0.95 * math.log(0.6) + 0.05 * math.log(0.4) + 0.05 * math.log(0.3) + 0.95 * math.log(0.7)) / 2
    assert float(han_loss(P, p_a, p_v, label)) == pytest.approx(video + audio + visual, rel=1e-6)
    terms = parsing_terms(P, p_a, p_v, label, targets(label))
    assert [float(term) for term in terms] == pytest.approx([audio, visual, video], rel=1e-6)
    assert float(terms.total(JOMOLD_WEIGHTS)) == pytest.approx(2 * audio + visual + video, rel=1e-6)
    # video's label is untouched by refined targets
    cleaned = parsing_terms(P, p_a, p_v, label, Pair(0 * label, 0 * label))
    assert float(cleaned.video) == float(terms.video) and float(cleaned.audio) != float(terms.audio)


def test_weights_of_the_two_objectives() -> None:
    terms = ParsingTerms(torch.tensor(1.0), torch.tensor(10.0), torch.tensor(100.0))
    assert float(terms.total()) == float(terms.total(HAN_WEIGHTS)) == 111
    assert float(terms.total(JOMOLD_WEIGHTS)) == 112


def test_measuring_heads_have_the_targets_and_weights_of_the_main_terms() -> None:
    target = targets(torch.tensor([[1.0, 0.0]]))
    s_a, s_v = torch.tensor([[0.8, 0.1]]), torch.tensor([[0.6, 0.3]])
    audio, visual = binary_cross_entropy(s_a, target.audio), binary_cross_entropy(s_v, target.visual)
    torch.testing.assert_close(measuring_loss(s_a, s_v, target), 2 * audio + visual)
    torch.testing.assert_close(measuring_loss(s_a, s_v, target, HAN_WEIGHTS), audio + visual)


# Contrastive terms.


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


def test_contrastive_losses_against_plain_loops() -> None:
    first, second = rand(3, 10, 6) - 0.5, rand(3, 10, 6, seed=1) - 0.5
    assert float(ma_contrastive(first, second)) == pytest.approx(contrast_by_hand(first, second, mixed=False))
    assert float(jomold_nce(first, second)) == pytest.approx(contrast_by_hand(first, second, mixed=True))
    # rows choose among the second's segments: not symmetric
    assert float(ma_contrastive(first, second)) != pytest.approx(float(ma_contrastive(second, first)))


def test_contrastive_losses_by_hand() -> None:
    # two orthogonal segments that match: q = (1, e^-5) / (1 + e^-5), d = (.9, .1)
    feature = torch.eye(2, dtype=torch.float64)[None]
    near = 1 / (1 + math.exp(-5))
    mixed = -math.log(0.9 * near + 0.1 * (1 - near))
    usual = -(0.9 * math.log(near) + 0.1 * math.log(1 - near))
    assert float(jomold_nce(feature, 3 * feature)) == pytest.approx(mixed)
    assert float(ma_contrastive(feature, 3 * feature)) == pytest.approx(usual)


def test_cross_video_contrast_by_hand() -> None:
    # one segment per video, vectors e1 and e2 for both modalities; audio labels {0}, {1}; visual labels {0}, {0, 1}
    # similarity is the identity; audio 0 belongs to both visuals, audio 1 to visual 1
    features = torch.eye(2, dtype=torch.float64)[:, None]
    audio = torch.eye(2, dtype=torch.float64)
    visual = torch.tensor([[1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    attention = torch.zeros(2, 1, 2, 2, dtype=torch.float64)
    near, far = -math.log(math.e / (math.e + 1)), -math.log(1 / (math.e + 1))
    found = cross_video_contrastive(features, features, attention, Pair(audio, visual))
    assert float(found) == pytest.approx(((near + far) / 2 + near) / 2)


def test_cross_video_contrast_attends_by_the_video_s_labels() -> None:
    # class 0 looks at segment 0 (e1), class 1 at segment 1 (e2), in both modalities; both videos of one label match
    features = torch.eye(2, dtype=torch.float64)[None].repeat(2, 1, 1)
    attention = torch.zeros(2, 2, 2, 2, dtype=torch.float64)
    attention[:, 0, :, 0] = attention[:, 1, :, 1] = 60.0
    label = torch.eye(2, dtype=torch.float64)
    near = -math.log(math.e / (math.e + 1))
    assert float(cross_video_contrastive(features, features, attention, Pair(label, label))) == pytest.approx(near)
    crossed = cross_video_contrastive(features, features, attention, Pair(label, label.flip(0)))
    assert float(crossed) == pytest.approx(near)
    nothing = cross_video_contrastive(features, features, attention, Pair(0 * label, label))
    assert float(nothing) == 0


# Label estimation of MA.


def test_partners_share_no_label_and_are_uniform() -> None:
    label = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 0, 1]]).repeat(600, 1)
    partner = exchange_partners(label, generator())
    assert not bool((label * label[partner]).sum(1).any())
    assert torch.equal(partner, exchange_partners(label, generator()))
    assert not torch.equal(partner, exchange_partners(label, generator(1)))
    # video kind 0 may meet kinds 1, 2 and 4 alike
    kinds = partner[0::5] % 5
    shares = [float((kinds == kind).double().mean()) for kind in (1, 2, 4)]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.08)
    lonely = torch.tensor([[1.0, 0], [1, 0], [0, 1], [1, 1]])  # the last shares a label with all
    partner = exchange_partners(lonely, generator()).tolist()
    assert partner[:2] == [2, 2] and partner[2] in (0, 1) and partner[3] == -1
    assert exchange_partners(torch.ones(3, 2), generator()).tolist() == [-1, -1, -1]


def test_relative_error_by_hand() -> None:
    # class 0: one of four wrong (.5 is not above .5), class 1: two wrong, class 2: none; over the greatest: .5, 1, 0
    probability = torch.tensor([[0.6, 0.6, 0.1], [0.5, 0.6, 0.1], [0.7, 0.1, 0.1], [0.2, 0.2, 0.1]])
    label = torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]])
    assert relative_error(probability, label).tolist() == pytest.approx([0.5, 1.0, 0.0])
    assert relative_error(label, label).tolist() == [0.0, 0.0, 0.0]


def test_label_estimation_by_hand() -> None:
    # video 0 has both classes. Errors on the own pair: audio (1/2, 0) -> k_a (1, 0); visual (1/2, 1) -> k_v (.5, 1)
    label = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    own = Pair(torch.tensor([[0.1, 0.9], [0.1, 0.1]]), torch.tensor([[0.9, 0.1], [0.8, 0.7]]))
    with_other_visual = Pair(torch.tensor([[0.4, 0.0], [0.0, 0.0]]), torch.tensor([[0.49, 0.0], [0.0, 0.0]]))
    with_other_audio = Pair(torch.tensor([[0.3, 0.4], [0.0, 0.0]]), torch.tensor([[0.1, 0.45], [0.0, 0.0]]))
    gone = removable_labels(label, own, with_other_visual, with_other_audio)
    # audio, threshold .5: class 0 at .4 and .49 goes, class 1 has threshold 0 and stays
    assert gone.audio.tolist() == [[True, False], [False, False]]
    # visual: class 0 has threshold .25 and audio at .3: stays; class 1 has .5, and .4 and .45 lie below: goes
    assert gone.visual.tolist() == [[False, True], [False, False]]
    refined = removed(targets(label), gone)
    assert refined.audio.tolist() == [[0.0, 1.0], [0.0, 0.0]]
    assert refined.visual.flatten().tolist() == pytest.approx([0.95, 0.0, 0.05, 0.05])


def test_label_estimation_against_plain_loops() -> None:
    label = (rand(60, 6) < 0.5).double()
    own, other_visual, other_audio = (Pair(rand(60, 6, seed=seed), rand(60, 6, seed=seed + 1)) for seed in (1, 3, 5))
    k_a, k_v = (relative_error(probability, label) for probability in own)
    gone = removable_labels(label, own, other_visual, other_audio)
    for n in range(60):
        for c in range(6):
            audio = max(other_visual.audio[n, c] / k_a[c], other_visual.visual[n, c] / k_a[c]) < 0.5
            visual = max(other_audio.audio[n, c] / k_v[c], other_audio.visual[n, c] / k_v[c]) < 0.5
            assert bool(gone.audio[n, c]) == bool(label[n, c] == 1 and audio)
            assert bool(gone.visual[n, c]) == bool(label[n, c] == 1 and visual)
    assert bool(gone.audio.any()) and bool(gone.visual.any())


# Noise ratios and denoising of JoMoLD.


def test_noise_ratio_by_hand() -> None:
    # in batches of two the means are (.5 + .3) / 2 = .4 and .9; their mean is .65, not the videos' 1.7 / 3 = .5667
    probability, label = torch.tensor([[0.5], [0.3], [0.9]]), torch.tensor([[1.0], [1.0], [1.0]])
    # p / .65: .7692, .4615, 1.3846; over .5667 the first would be .8824
    assert noise_ratio(probability, label, 0.8, batch=2).tolist() == pytest.approx([2 / 3])
    assert noise_ratio(probability, label, 0.6, batch=2).tolist() == pytest.approx([1 / 3])
    # .95 p / .65: .7308, .4385, 1.3154
    assert noise_ratio(probability, label, 1.8, 0.9, batch=2).tolist() == [1.0]
    assert noise_ratio(probability, label, 1.3, 0.9, batch=2).tolist() == pytest.approx([2 / 3])
    assert noise_ratio(probability, label, 1.35, 0.9, batch=2).tolist() == [1.0]
    assert noise_ratio(probability, label, 1.35, 1.0, batch=2).tolist() == pytest.approx([2 / 3])


def test_noise_ratio_counts_positives_only() -> None:
    probability = torch.tensor([[0.1, 0.5], [0.1, 0.5], [0.9, 0.5]])
    label = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    ratio = noise_ratio(probability, label, 0.6)
    assert ratio.dtype == torch.float64
    assert ratio.tolist() == [0.5, 0.0]


def test_warmup() -> None:
    ratio = torch.tensor([0.4, 0.2], dtype=torch.float64)
    assert warmed(ratio, 0, 0, 10).tolist() == warmed(ratio, 0, 9, 10).tolist() == [0.0, 0.0]
    assert torch.equal(warmed(ratio, 1, 0, 10), ratio) and torch.equal(warmed(ratio, 7, 3, 10), ratio)
    # u = 3 / (.9 * 10) = 1/3; full from batch 9 on
    torch.testing.assert_close(warmed(ratio, 0, 3, 10, "linear"), ratio / 3)
    assert torch.equal(warmed(ratio, 0, 9, 10, "linear"), ratio) and torch.equal(
        warmed(ratio, 1, 0, 10, "linear"), ratio
    )
    with pytest.raises(UserError, match="unknown warmup 'slow'; use one of step, linear"):
        warmed(ratio, 0, 0, 10, "slow")


def column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def test_denoising_worked_case() -> None:
    label = column(1, 1, 1, 1, 0, 1)
    p_a, p_v = column(0.9, 0.8, 0.2, 0.7, 0.1, 0.6), column(0.1, 0.7, 0.9, 0.2, 0.3, 0.8)
    target = targets(label)
    loss = Pair(elementwise_cross_entropy(p_a, target.audio), elementwise_cross_entropy(p_v, target.visual))
    assert loss.audio.flatten().tolist() == pytest.approx([0.1054, 0.2231, 1.6094, 0.3567, 0.1054, 0.5108], abs=5e-5)
    assert loss.visual.flatten().tolist() == pytest.approx([2.1927, 0.3990, 0.2152, 1.5401, 0.3990, 0.2925], abs=5e-5)
    # 5 positives: audio loses 2 (.4 of 5), visual 3 (.6 of 5) at most
    gone = denoised(label, loss, Pair(torch.tensor([0.4]), torch.tensor([0.6])))
    cleaned = removed(target, gone)
    assert cleaned.audio.flatten().tolist() == [1, 1, 0, 1, 0, 0]
    assert cleaned.visual.flatten().tolist() == pytest.approx([0, 0, 0.95, 0, 0.05, 0.95])


def denoised_by_loops(label: Tensor, loss: Pair, ratio: Pair) -> Pair:
    """Class by class, with sorted lists."""
    gone = Pair(torch.zeros_like(label, dtype=torch.bool), torch.zeros_like(label, dtype=torch.bool))
    for c in range(label.shape[1]):
        members = [n for n in range(len(label)) if label[n, c] == 1]
        order_a = sorted(members, key=lambda n, c=c: float(loss.audio[n, c]))
        order_v = sorted(members, key=lambda n, c=c: float(loss.visual[n, c]))
        n_a, n_v = (math.floor(float(share[c]) * len(members)) for share in ratio)
        for n in set(order_a[:n_v]) & set(order_v[len(members) - n_v :]):
            gone.visual[n, c] = True
        for n in set(order_v[:n_a]) & set(order_a[len(members) - n_a :]):
            gone.audio[n, c] = True
    return gone


@pytest.mark.parametrize("seed", range(5))
def test_denoising_against_plain_loops(seed: int) -> None:
    label = (rand(40, 12, seed=seed) < 0.4).double()
    label[:, 0], label[:, 1] = 0, 1  # a class that nobody has and one that everybody has
    loss = Pair((rand(40, 12, seed=seed + 10) * 8).round(), (rand(40, 12, seed=seed + 20) * 8).round())  # many ties
    ratio = Pair(rand(12, seed=seed + 30), rand(12, seed=seed + 40))
    found, expected = denoised(label, loss, ratio), denoised_by_loops(label, loss, ratio)
    assert torch.equal(found.audio, expected.audio) and torch.equal(found.visual, expected.visual)
    assert bool(found.audio.any()) and bool(found.visual.any())


def test_ratios_of_zero_remove_nothing_and_of_one_everything() -> None:
    label = torch.ones(6, 3)
    loss = Pair(rand(6, 3), rand(6, 3, seed=1))
    nothing = denoised(label, loss, Pair(torch.zeros(3), torch.zeros(3)))
    assert not bool(nothing.audio.any() or nothing.visual.any())
    everything = denoised(label, loss, Pair(torch.ones(3), torch.ones(3)))
    assert bool(everything.audio.all() and everything.visual.all())
