"""Objectives and label refinement of weakly supervised audio-visual video parsing, as pure functions.

B or N videos, T segments, C classes, D features. Importing this module does not import torch.

Sources: HAN (Tian et al. 2020, YapengTian/AVVP-ECCV20), MA (Wu and Yang 2021,
Yu-Wu/Modaily-Aware-Audio-Visual-Video-Parsing), JoMoLD (Cheng et al. 2022, MCG-NJU/JoMoLD), CVCMS (Lin et al. 2021,
GenjiB/CM-Co-Occurrence-AVVP), MSDU (Fu, Gao and Xu, Eq. 11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from avbalance.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PROBABILITY_FLOOR = 1e-7
VISUAL_SMOOTHING = 0.9
HAN_WEIGHTS = (1.0, 1.0, 1.0)  # audio, visual, video
JOMOLD_WEIGHTS = (2.0, 1.0, 1.0)
WARMUPS = ("step", "linear")
WARMUP_EPOCHS = 0.9
PARTNER_BLOCK = 1024


class Pair(NamedTuple):
    """One tensor of audio and one of visual, of the same shape."""

    audio: Tensor
    visual: Tensor


class ParsingTerms(NamedTuple):
    """The unweighted parts of the objective, scalars: BCE of p_a, of p_v and of P."""

    audio: Tensor
    visual: Tensor
    video: Tensor

    def total(self, weights: tuple[float, float, float] = HAN_WEIGHTS) -> Tensor:
        """Return the weighted sum; weights of audio, visual, video."""
        return weights[0] * self.audio + weights[1] * self.visual + weights[2] * self.video


def elementwise_cross_entropy(probability: Tensor, target: Tensor) -> Tensor:
    """`-[y ln p + (1 - y) ln(1 - p)]` for p and y of the same shape, p clamped to [1e-7, 1 - 1e-7].

    The clamp is needed: a pooled P may exceed 1. No gradient flows where it acts.
    """
    known = probability.clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return -(target * known.log() + (1 - target) * (1 - known).log())


def binary_cross_entropy(probability: Tensor, target: Tensor) -> Tensor:
    """Mean over all entries of the clamped cross-entropy; two tensors of one shape to a scalar."""
    return elementwise_cross_entropy(probability, target).mean()


def smoothed(label: Tensor, smoothing: float) -> Tensor:
    """`s y + (1 - s) / 2`, same shape: 0.9 turns 1 into 0.95 and 0 into 0.05, 1 changes nothing."""
    return smoothing * label + (1 - smoothing) / 2


def targets(label: Tensor) -> Pair:
    """Return HAN's targets of both modalities for video labels `(B, C)`: audio as it is, visual smoothed by 0.9."""
    return Pair(label, smoothed(label, VISUAL_SMOOTHING))


def parsing_terms(P: Tensor, p_a: Tensor, p_v: Tensor, label: Tensor, target: Pair) -> ParsingTerms:
    """Cross-entropies of p_a and p_v with their targets and of P with the label, never refined; all `(B, C)`."""
    return ParsingTerms(
        binary_cross_entropy(p_a, target.audio),
        binary_cross_entropy(p_v, target.visual),
        binary_cross_entropy(P, label),
    )


def han_loss(P: Tensor, p_a: Tensor, p_v: Tensor, label: Tensor) -> Tensor:
    """HAN's objective, `BCE(P, Y) + BCE(p_a, Y) + BCE(p_v, 0.9 Y + 0.05)`; all `(B, C)` to a scalar."""
    return parsing_terms(P, p_a, p_v, label, targets(label)).total(HAN_WEIGHTS)


def measuring_loss(
    s_a: Tensor, s_v: Tensor, target: Pair, weights: tuple[float, float, float] = JOMOLD_WEIGHTS
) -> Tensor:
    """Objective of the measuring heads, scores `(B, C)`: as the main terms of audio and visual, with their weights.

    Decision: Fu, Gao and Xu state none; with Eq. 1 alone these heads would stay as they were initialised. HAN_WEIGHTS
    where the main objective is HAN's.
    """
    audio, visual = binary_cross_entropy(s_a, target.audio), binary_cross_entropy(s_v, target.visual)
    return weights[0] * audio + weights[1] * visual


def segment_similarity(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Cosine of every two segments of one video over a temperature: features `(B, T, D)` to `(B, T, T)`."""
    from torch.nn.functional import normalize

    return normalize(first, dim=-1) @ normalize(second, dim=-1).transpose(1, 2) / temperature


def segment_targets(similarity: Tensor, smoothing: float) -> Tensor:
    """`(T, T)`: `1 - smoothing` on the diagonal, the rest shared by the others of a row; similarity `(B, T, T)`."""
    import torch

    segments = similarity.shape[-1]
    rest = smoothing / (segments - 1)
    here = torch.eye(segments, dtype=similarity.dtype, device=similarity.device)
    return rest + (1 - smoothing - rest) * here


def ma_contrastive(f_a: Tensor, e_v: Tensor, temperature: float = 0.2, smoothing: float = 0.1) -> Tensor:
    """MA's contrastive loss: attended audio picks the unattended visual segment of its second; `(B, T, D)` to a scalar.

    Smoothed cross-entropy of the T-way choice, mean over the B T audio segments.
    """
    similarity = segment_similarity(f_a, e_v, temperature)
    return -(segment_targets(similarity, smoothing) * similarity.log_softmax(-1)).sum(-1).mean()


def jomold_nce(f_a: Tensor, f_v: Tensor, temperature: float = 0.2, smoothing: float = 0.1) -> Tensor:
    """JoMoLD's contrastive loss, both features after attention and before dropout; `(B, T, D)` to a scalar.

    `-mean ln sum_s d_s q_s` with softmax row q and smoothed target d: the log of the mixed probability, which is not
    the smoothed cross-entropy.
    """
    similarity = segment_similarity(f_a, f_v, temperature)
    return -(segment_targets(similarity, smoothing) * similarity.softmax(-1)).sum(-1).log().mean()


def cross_video_contrastive(
    f_a: Tensor, f_v: Tensor, frame_att: Tensor, label: Pair, temperature: float = 1.0
) -> Tensor:
    """CVCMS's contrastive loss between audio and visual of all videos of a batch, to a scalar.

    Features `(B, T, D)`, attention logits over time `(B, T, 2, C)`, refined labels `(B, C)`. A video's vector is the
    mean of its segments weighted by a softmax of the logits summed over its labels. Audio i and visual j belong
    together when they share a label; rows of targets are normalised, empty ones stay 0.
    """
    from torch.nn.functional import normalize

    vectors = []
    for index, (feature, known) in enumerate(zip((f_a, f_v), label, strict=True)):
        weight = (frame_att[:, :, index] * known[:, None]).sum(-1, keepdim=True).softmax(1)
        vectors.append(normalize((weight * feature).sum(1), dim=-1))
    shared = ((label.audio @ label.visual.T) > 0).to(f_a.dtype)
    wanted = shared / shared.sum(1, keepdim=True).clamp_min(1)
    similarity = vectors[0] @ vectors[1].T / temperature
    return -(wanted * similarity.log_softmax(-1)).sum(-1).mean()


def exchange_partners(label: Tensor, generator: torch.Generator) -> Tensor:
    """Draw for each video one with no label in common, uniformly: label `(N, C)` to indices `(N,)` on the CPU.

    -1 for a video that shares a label with every other.
    """
    import torch

    known = label.to("cpu", torch.float32)
    drawn = []
    for start in range(0, len(known), PARTNER_BLOCK):
        disjoint = (known[start : start + PARTNER_BLOCK] @ known.T == 0).float()
        alone = ~disjoint.any(1)
        chosen = torch.multinomial(disjoint.masked_fill(alone[:, None], 1), 1, generator=generator)[:, 0]
        drawn.append(chosen.masked_fill(alone, -1))
    return torch.cat(drawn)


def class_error(probability: Tensor, label: Tensor) -> Tensor:
    """Share of videos whose `p > 0.5` differs from the label: `(N, C)` twice to `(C,)` float64."""
    import torch

    return ((probability > 0.5) != (label > 0.5)).to(torch.float64).mean(0)


def relative_error(probability: Tensor, label: Tensor) -> Tensor:
    """MA's per-class error over its greatest: `(N, C)` twice to `(C,)` in [0, 1], 0 everywhere without errors."""
    import torch

    error = class_error(probability, label)
    return error / error.max().clamp_min(torch.finfo(torch.float64).tiny)


def removable_labels(label: Tensor, own: Pair, with_other_visual: Pair, with_other_audio: Pair) -> Pair:
    """MA's label estimation: boolean `(N, C)` of labels to remove from each modality, from stored predictions.

    Each pair holds p_a and p_v `(N, C)`: `own` of `(a_i, v_i)`, `with_other_visual` of `(a_i, v_j)`, `with_other_audio`
    of `(a_j, v_i)`, where video j shares no label with i. With k the relative error of a modality on `own`, a label
    leaves visual when p_v and p_a of `(a_j, v_i)` both lie below `0.5 k_v`, and audio when p_a and p_v of `(a_i, v_j)`
    both lie below `0.5 k_a`. A class without errors loses no label.
    """

    def absent(pair: Pair, relative: Tensor) -> Tensor:
        highest = pair.audio.maximum(pair.visual)
        return (label > 0.5) & (highest < 0.5 * relative)

    relative_audio, relative_visual = (relative_error(probability, label) for probability in own)
    return Pair(absent(with_other_visual, relative_audio), absent(with_other_audio, relative_visual))


def removed(target: Pair, gone: Pair) -> Pair:
    """Return the targets `(B, C)` with the entries `gone` (boolean) set to 0 exactly, smoothing notwithstanding."""
    return Pair(target.audio.masked_fill(gone.audio, 0), target.visual.masked_fill(gone.visual, 0))


def noise_ratio(
    probability: Tensor, label: Tensor, threshold: float, smoothing: float = 1.0, batch: int = 128
) -> Tensor:
    """JoMoLD's share of noisy positives of each class in one modality: `(N, C)` twice to `(C,)` float64.

    A positive is noisy when `q / mean confidence < threshold`, with q the probability times the smoothed target of a
    positive, `(1 + smoothing) / 2`. The mean confidence is the mean over batches, in the given order, of their mean
    probability: a short last batch weighs as much as a full one. JoMoLD: audio threshold 0.6 and smoothing 1, visual
    1.8 and 0.9. A class without positives has ratio 0.
    """
    import torch

    known, positive = probability.double(), label > 0.5
    of_batches = [known[start : start + batch].mean(0) for start in range(0, len(known), batch)]
    confidence = torch.stack(of_batches).mean(0)
    noisy = positive & (known * smoothed(torch.ones_like(known), smoothing) / confidence < threshold)
    return noisy.sum(0).double() / positive.sum(0).clamp_min(1)


def warmed(ratio: Tensor, epoch: int, index: int, batches: int, warmup: str = "step") -> Tensor:
    """Return the noise ratios `(C,)` in force at batch `index` of the 0-based `epoch` of `batches` each.

    "step": none in the first epoch, full from then on. This is the net effect of JoMoLD's code, whose ratios shrink in
    place from 0 at the first batch. "linear": `ratio * min(1, u)`, u the share passed of the first 0.9 epochs. Raises
    UserError for another warm-up.
    """
    if warmup not in WARMUPS:
        raise UserError(f"unknown warmup {warmup!r}; use one of {', '.join(WARMUPS)}.")
    if warmup == "step":
        return ratio * float(epoch > 0)
    return ratio * min(1.0, (epoch * batches + index) / (WARMUP_EPOCHS * batches))


def denoised(label: Tensor, loss: Pair, ratio: Pair) -> Pair:
    """JoMoLD's denoising: boolean `(B, C)` of labels to remove from each modality in a mini-batch.

    label `(B, C)`, loss `(B, C)`: elementwise cross-entropies with the targets, ratio `(C,)`: noise ratios in force. Of
    the k positives of a class, with `n = floor(ratio k)`: visual loses those among both its n largest losses and
    audio's n smallest, audio the reverse. Equal losses are ranked by their place in the batch.
    """
    positive = label > 0.5
    count = positive.sum(0)
    rank_audio, rank_visual = (_rank(values, positive) for values in loss)

    def lost(own: Tensor, other: Tensor, share: Tensor) -> Tensor:
        number = (share.double() * count).floor().long()
        return positive & (own >= count - number) & (other < number)

    return Pair(lost(rank_audio, rank_visual, ratio.audio), lost(rank_visual, rank_audio, ratio.visual))


def _rank(values: Tensor, positive: Tensor) -> Tensor:
    """Rank from 0, within each column, of the positive entries by ascending value; the others come after them."""
    order = values.masked_fill(~positive, float("inf")).argsort(dim=0, stable=True)
    return order.argsort(dim=0)
