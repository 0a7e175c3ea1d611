"""ReconBoost: modalities boost each other in turn, each fitting what the other one leaves (Hua et al. 2024)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from avbalance.declared import Declared, Size, Weight
from avbalance.methods.base import Method, MethodCard, TrainingStep
from avbalance.methods.parts.modulation import both_scores
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput


class ReconBoostOptions(Declared):
    """Options of reconboost."""

    turn: Size = 1
    """BalanceBenchmark: epochs of a turn and of the rectification after it; Hua et al. 2024, reference code: 4"""
    fit: Weight = 5.0
    """Hua et al. 2024, reference code (weight1): what fitting the label weighs"""
    reconcile: Weight = 1.0
    """Hua et al. 2024, reference code (weight2): how much of what the other modality knows is taken off"""
    agree: Weight = 0.5
    """Hua et al. 2024, reference code (alpha): weight of agreement with the other modality"""


def learner(epoch: int, turn: int) -> str | None:
    """Whose turn a 0-based epoch is: audio, None (rectification of both), visual, None; `turn` epochs each."""
    return (MODALITIES[0], None, MODALITIES[1], None)[epoch // turn % 4]


def boosting_loss(scores: Tensor, known: Tensor, label: Tensor, fit: float, reconcile: float) -> Tensor:
    """`-(w1 - w2 q_y) log p_y / C`, batch mean: logits `(B, C)`, what is known q_y `(B,)`, label `(B,)`.

    p is the learner's softmax, q_y the true class's probability by the others, frozen; w1 = fit, w2 = reconcile. The
    division by C is the reference code's, which averages over classes (Hua et al. 2024).
    """
    loss = cross_entropy(scores, label, reduction="none")
    return ((fit - reconcile * known) * loss).mean() / scores.shape[1]


class ReconBoost(Method):
    """Epochs of audio, rectification, visual, rectification, and so on.

    In its turn a modality alone is updated: it fits the label less what the other one knows, and is held near the
    other's prediction. Rectification trains everything on the sum of the logits.

    Equation: in turns `-(w1 - w2 q_y) log p_y / C + alpha MSE(p, q)`, p of the learner, q of the other modality,
    frozen; in between `CE(z_a + z_v, y)`.
    """

    card = MethodCard(
        name="reconboost",
        label="ReconBoost",
        reference="Hua et al., ICML 2024, arXiv 2405.09321",
        summary="Modalities are trained in turn on what the other one leaves, and rectified together in between.",
        options=ReconBoostOptions,
        fusions=("sum", "concat"),
        deviations=(
            "The reference code detaches both predictions of the agreement, which then has no effect; here the learner "
            "gets its gradient, as the paper describes it.",
            "The factor of all logits that the reference code learns (boost rate) stays at 1, its first value; it "
            "changes no decision.",
            "One optimiser for the whole training, with the momentum that earlier turns left; the reference code has "
            "a new one for every turn, and one head of two layers for all modalities.",
            "Encoders start anew; the reference code can start from trained unimodal models, which its documentation "
            "recommends for stability.",
            "Turns and rectifications are epochs of the protocol, so that every method sees each clip equally often.",
        ),
    )
    options: ReconBoostOptions

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The loss of the epoch's turn, its parts logged; raises UserError when a modality has no scores."""
        scores = dict(zip(MODALITIES, both_scores(output, self.name), strict=True))
        turn = learner(step.epoch, self.options.turn)
        if turn is None:
            return cross_entropy(output.logits, batch.label)
        # What remains is the other modality, frozen: its encoder gets no gradient in this epoch.
        own = scores.pop(turn)
        other = next(iter(scores.values())).detach().softmax(1)
        first = step.epoch < self.options.turn  # the other has learned nothing: the reference code takes 1 for q
        known = torch.ones(len(own), device=own.device) if first else other.gather(1, batch.label[:, None])[:, 0]
        boosting = boosting_loss(own, known, batch.label, self.options.fit, self.options.reconcile)
        agreement = torch.zeros_like(boosting) if first else mse_loss(own.softmax(1), other)
        self.means.add(["boosting", "agreement"], torch.stack([boosting, agreement]))
        return boosting + self.options.agree * agreement


METHOD = ReconBoost
