"""JoCoR on two HANs: one joint loss that also asks them to agree, less the labels on which it is largest."""

from __future__ import annotations

from torch import Tensor

from avbalance.declared import Weight
from avbalance.methods.base import MethodCard, TrainingStep
from avbalance.methods.parts.parsing import PROBABILITY_FLOOR, Pair, elementwise_cross_entropy, targets
from avbalance.methods.parts.selection import mean_kept
from avbalance.methods.parts.twins import DEVIATIONS, TwinMethod, TwinOptions, both_outputs
from avbalance.models.base import Batch, Model, ModelOutput


class JoCoROptions(TwinOptions):
    """Options of jocor."""

    weight: Weight = 0.5
    """ours, to be chosen on validation from 0.1 to 0.9; not stated for this task"""


def symmetric_divergence(first: Tensor, second: Tensor) -> Tensor:
    """`KL(p || q) + KL(q || p)` of two Bernoulli probabilities, elementwise, both clamped to [1e-7, 1 - 1e-7]."""
    p, q = (each.clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR) for each in (first, second))
    # Both divergences of Bernoulli numbers in one product: their entropies cancel.
    return (p - q) * (p.logit() - q.logit())


def joint_loss(first: Tensor, second: Tensor, target: Tensor, weight: float) -> Tensor:
    """Both networks' cross-entropies and `weight` times their divergence, elementwise; all `(B, C)`."""
    supervised = elementwise_cross_entropy(first, target) + elementwise_cross_entropy(second, target)
    return supervised + weight * symmetric_divergence(first, second)


class JoCoR(TwinMethod):
    """Two networks are updated by one loss over the labels on which that loss is small.

    Equation: `BCE(p, Y) + BCE(q, Y) + weight (KL(p || q) + KL(q || p))` of both networks' probabilities, mean over the
    labels that are kept.
    """

    card = MethodCard(
        name="jocor",
        label="JoCoR",
        reference="Wei et al., CVPR 2020, arXiv 2003.02752; on HAN: Cheng et al., ECCV 2022, arXiv 2204.11573, table 1",
        summary="Two HANs under one loss with a term for their agreement; labels with the largest loss are left out.",
        options=JoCoROptions,
        models=("twin-han",),
        deviations=(
            *DEVIATIONS,
            "Decision: the weight is that of the divergence beside cross-entropies of weight 1; Wei et al. give those "
            "one minus the weight.",
        ),
    )

    options: JoCoROptions

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        first, second = both_outputs(output, self.name)
        label, weight = batch.label, self.options.weight
        self.watch(first, label, targets(label))
        loss = joint_loss(first.P, second.P, label, weight).mean()
        pairs = ((first.p_a, second.p_a), (first.p_v, second.p_v))
        each = Pair(*(joint_loss(*pair, target, weight) for pair, target in zip(pairs, targets(label), strict=True)))
        (hardest,) = self.hardest([each], label, step)
        return loss + mean_kept(each.audio, hardest.audio) + mean_kept(each.visual, hardest.visual)


METHOD = JoCoR
