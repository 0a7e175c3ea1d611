"""TCMax: the true pairs of sound, picture and label against all others of the batch (Yu et al. 2026)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avbalance.methods.base import Method, MethodCard, TrainingStep
from avbalance.methods.parts.fusing import fusion_net
from avbalance.models.base import Batch, Model, ModelOutput
from avbalance.models.fusion import ConcatFusion, SumFusion
from avbalance.models.fusion_net import FusionNet


def pair_logits(model: FusionNet, features: dict[str, Tensor]) -> Tensor:
    """Fused logits `(B, B, C)`, float32, of the first modality of clip i with the second one of clip j."""
    first, second = (features[name] for name in model.modalities)
    if isinstance(model.fusion, SumFusion | ConcatFusion):  # each modality's logits add up to the fused ones
        _, of_first, of_second = model.fusion(first, second)
        # B x B sums in place of B x B passes through the head, which gives the same for heads that add.
        return of_first.float()[:, None] + of_second.float()[None]
    clips = len(first)
    pairs = first.repeat_interleave(clips, 0), second.repeat(clips, 1)
    fused = model.fuse(dict(zip(model.modalities, pairs, strict=True))).float()
    return fused.view(clips, clips, -1)


def total_correlation_loss(pairs: Tensor, label: Tensor) -> Tensor:
    """How far the true pairs are from having all the probability, a scalar; 0 where each of the B has 1/B.

    pairs `(B, B, C)`: logits of sound i with picture j; label `(B,)`. The mean over i of `-log(exp z_ii[y_i] / sum over
    j, k, c of exp z_jk[c])`, less log B (Yu et al. 2026, equation 11, over a batch).
    """
    clip = torch.arange(len(label), device=label.device)
    return pairs.flatten().logsumexp(0) - pairs[clip, clip, label].mean() - math.log(len(label))


class TCMax(Method):
    """The logits estimate the total correlation of sound, picture and label, of which a bound is maximised.

    Equation: `-mean_i z_ii[y_i] + log sum_jkc exp z_jk[c] - log B` over the B clips of a batch.
    """

    card = MethodCard(
        name="tcmax",
        label="TCMax",
        reference="Yu et al., ICLR 2026, arXiv 2602.13015",
        summary="Softmax over all pairs of sounds and pictures in the batch and all classes, in place of the classes.",
        fusions=("sum", "concat", "film", "gated"),
        deviations=("With film and gated fusion, too, all pairs are compared; the paper may draw some of them.",),
    )

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The loss over all pairs; raises UserError when the model is not a fusion-net."""
        return total_correlation_loss(pair_logits(fusion_net(model, self.name), output.features), batch.label)


METHOD = TCMax
