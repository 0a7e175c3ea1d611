"""CML: calibrating multimodal learning; without a modality the prediction must not be surer (Ma et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from avbalance.declared import Declared, Weight
from avbalance.methods.base import Method, MethodCard, TrainingStep
from avbalance.methods.parts.fusing import both_features, fused
from avbalance.models.base import Batch, Model, ModelOutput


class CMLOptions(Declared):
    """Options of cml."""

    weight: Weight = 0.1
    """BalanceBenchmark, lambda; of a sum over the clips of a batch"""


def rank_penalty(both: Tensor, one: Tensor, label: Tensor) -> Tensor:
    """By how much confidence rises, summed over clips, when a modality is removed: a scalar.

    both, one: logits `(B, C)` of all modalities and without one; label `(B,)`. Confidence is the largest softmax
    probability. A clip does not count whose class is right without the modality and wrong with it (reference code).
    """
    # float32: under autocast a softmax of float16 would round small rises to nothing.
    confidences, predicted = zip(*(logits.float().softmax(1).max(1) for logits in (both, one)), strict=True)
    counts = (predicted[0] == label) | (predicted[1] != label)
    return ((confidences[1] - confidences[0]).relu() * counts).sum()


class CML(Method):
    """Predict with both modalities and, in every step, without one of them, which must not be surer.

    Equation: `(CE(z, y) + CE(z', y)) / 2 + weight sum_i max(0, max_k p'_ik - max_k p_ik)` with p and p' the softmax of
    the logits z and of z', those with a zero vector in place of the features of a modality drawn in every step.
    """

    card = MethodCard(
        name="cml",
        label="CML",
        reference="Ma et al., ICML 2023, arXiv 2306.01265",
        summary="Confidence is not to rise when a modality is removed; the prediction without it is trained, too.",
        options=CMLOptions,
        fusions=("concat", "sum", "film", "gated"),
        deviations=(
            "A modality is removed from the features, as in BalanceBenchmark, so that nothing is encoded twice.",
            "The rise counts clip by clip, as in the reference code, not as that of the batch's sum, as in "
            "BalanceBenchmark.",
        ),
    )
    options: CMLOptions

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The loss of both predictions; raises UserError for another network."""
        # On the device and as a factor, not as an `if`: which modality is missing never has to be known here.
        kept = torch.rand((), generator=step.generator, device=batch.label.device) < 0.5  # audio; otherwise visual
        audio, visual = both_features(output, self.name)
        one = fused(model, audio * kept, visual * ~kept, self.name)
        penalty = rank_penalty(output.logits, one, batch.label)
        self.means.add(["confidence_rise"], penalty[None] / len(batch.label))
        classes = (cross_entropy(output.logits, batch.label) + cross_entropy(one, batch.label)) / 2
        return classes + self.options.weight * penalty


METHOD = CML
