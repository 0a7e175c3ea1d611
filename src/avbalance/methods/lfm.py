"""LFM: at first the modalities are matched, then the labels are learnt (Yang et al. 2024)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from avbalance.declared import Above0, Declared, Share
from avbalance.methods.base import Method, MethodCard, NoOp, TrainingStep
from avbalance.methods.parts.modulation import both_scores
from avbalance.models.base import Batch, Model, ModelOutput


class LFMOptions(Declared):
    """Options of lfm."""

    strength: Share = 1.0
    """Yang et al. 2024, the weight of the matching is 1 - exp(-1/t) in epoch t; ours, to be chosen: a share of that"""
    matching: Literal["contrastive", "divergence"] = "contrastive"
    """Yang et al. 2024; or divergence, of both predictions as in BalanceBenchmark"""
    temperature: Above0 = 0.07
    """LFM reference code; of the contrastive matching"""


def matching_weight(epoch: int, strength: float) -> float:
    """Weight of the matching in a 0-based epoch: `strength (1 - exp(-1 / t))`, t counted from 1."""
    return strength * (1 - math.exp(-1 / (epoch + 1)))


def contrast(audio: Tensor, visual: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy, a scalar, of finding a clip's picture among those of the batch by its sound, and vice versa.

    audio and visual features `(B, D)`, compared by their cosine over the temperature.
    """
    similarity = normalize(audio) @ normalize(visual).T / temperature
    own = torch.arange(len(audio), device=audio.device)
    return (cross_entropy(similarity, own) + cross_entropy(similarity.T, own)) / 2


def divergence(audio: Tensor, visual: Tensor) -> Tensor:
    """`(KL(m || p_a) + KL(m || p_v)) / 2`, batch mean, of two logits `(B, C)`; `m = (p_a + p_v) / 2` of their softmax.

    As the reference code has it; a Jensen-Shannon divergence has m as the second argument.
    """
    log_a, log_v = audio.float().log_softmax(1), visual.float().log_softmax(1)
    middle = (log_a.exp() + log_v.exp()) / 2
    log_m = torch.logaddexp(log_a, log_v) - math.log(2)
    return (middle * (log_m - (log_a + log_v) / 2)).sum(1).mean()


class LFM(Method):
    """Classification and matching of the modalities under weights that sum to 1, by the heuristic strategy.

    Equation: `(1 - w) CE(z, y) + w L_match`, `w = strength (1 - exp(-1 / t))` in epoch t.
    """

    card = MethodCard(
        name="lfm",
        label="LFM",
        reference="Yang et al., NeurIPS 2024, Dynamically Learning Modality Gap",
        summary="The modalities are matched at first, with a weight that falls, while the weight of the labels rises.",
        options=LFMOptions,
        fusions=("sum", "concat", "film", "gated"),
        no_op=NoOp({"strength": 0.0}, {}, "baseline"),
        deviations=(
            "The heuristic strategy alone: for the learnt weights, public codes take other quantities than the "
            "gradient of a validation loss, and start from opposite weights.",
            "Approximate re-implementation: summaries and codes were available, which disagree on the matching, its "
            "schedule (exp(-0.3 t) in one code) and a factor 2; taken is the paper's as summaries tell it, with the "
            "matching first.",
        ),
    )
    options: LFMOptions

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The weighted sum; raises UserError when the model has not both modalities."""
        scores = both_scores(output, self.name)
        if self.options.matching == "contrastive":
            matching = contrast(output.features["audio"], output.features["visual"], self.options.temperature)
        else:
            matching = divergence(*scores)
        label = cross_entropy(output.logits, batch.label)
        weight = matching_weight(step.epoch, self.options.strength)
        self.means.add(["loss_label", "loss_matching"], torch.stack([label, matching]))
        return (1 - weight) * label + weight * matching


METHOD = LFM
