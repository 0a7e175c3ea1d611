"""Branch losses: the sum of the cross-entropies of every modality's scores, without any balancing."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

from avbalance.methods.base import Method, MethodCard, TrainingStep
from avbalance.models.base import Batch, Model, ModelOutput


def branch_loss(scores: dict[str, Tensor], label: Tensor) -> Tensor:
    """Sum over modalities of the mean cross-entropy of `scores[m] (B, C)` (Wu et al. 2022, section 3)."""
    losses = [cross_entropy(scores[modality], label) for modality in sorted(scores)]
    return losses[0] + sum(losses[1:])


class BranchLosses(Method):
    """The training objective of Greedy without re-balancing: a control for its network and loss.

    Equation: `CE(z_a, y) + CE(z_v, y)`; the prediction is `(z_a + z_v) / 2`.
    """

    card = MethodCard(
        name="branch-losses",
        label="Branch losses",
        reference="Wu et al., ICML 2022, arXiv 2202.05306 (the regular training it starts from)",
        summary="Every branch has its own head and cross-entropy; prediction is the mean of the logits.",
        models=("mmtm-net",),
        deviations=("A control of this repository; Xia et al. 2023 do not print it.",),
    )

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        return branch_loss(output.scores, batch.label)


METHOD = BranchLosses
