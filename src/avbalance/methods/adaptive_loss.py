"""Adaptive loss: the modality gap is penalised, more so for clips that count as imbalanced (Liu, Yu and Liu).

arXiv 2510.21797. The abstracts state the objectives: (1) a small modality gap overall, (2) imbalanced samples moving
towards the balanced ones, (3) a larger gap penalty for imbalanced samples and, since the second version, a larger
fusion loss for balanced ones. Every formula here is our formulation; no equation of the paper was available. B samples,
C classes.
"""

from __future__ import annotations

import logging
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from avbalance.analysis.gap_mixture import Mixture, log_odds
from avbalance.declared import Weight
from avbalance.methods.base import Given, MethodCard, NoOp, Training, TrainingStep
from avbalance.methods.parts.gaps import GAP_FILES, GapMethod, GapOptions, cross_entropies
from avbalance.models.base import Batch, Model, ModelOutput

log = logging.getLogger(__name__)

HARD_THRESHOLD = 0.5  # control "threshold": the middle of a gap's range, [0, 1]
CONSTANT = 0.5  # control "constant": every clip is as imbalanced as balanced
LEAST_MASS = 1.0  # imbalanced samples of a batch, in sum of w, below which nothing is aligned
VARIANCE_FLOOR = 1e-8  # the root's gradient is infinite at 0, as when all gaps of a batch are equal


class AdaptiveLossOptions(GapOptions):
    """Options of adaptive-loss; all defaults are our formulation."""

    alpha: Weight = 1.0
    """decision: the abstract says larger penalty weights for imbalanced samples; 0: equal ones"""
    beta: Weight = 1.0
    """decision: the second version weights the fusion loss of balanced samples more; 0: the first"""
    lambda_gap: Weight = 1.0
    """decision: weight of the gap penalty; the abstracts give none"""
    lambda_align: Weight = 1.0
    """decision: weight of the alignment; the abstracts give none"""
    gap: Literal["abs", "signed"] = "abs"
    """decision: balance is about the size of the gap; or signed"""
    align: Literal["w2", "kl", "nll"] = "w2"
    """decision: squared 2-Wasserstein distance to the balanced component; or kl, nll"""
    separation: Literal["posterior", "threshold", "gap", "constant"] = "posterior"
    """the abstract, by Bayes' theorem; controls: threshold (g > 0.5), gap (w = g), constant (w = 0.5)"""
    posterior_monotone: bool = False
    """decision: Bayes' theorem as it is; true: gaps beyond a mean count as it"""
    gap_detach_strong: bool = False
    """decision: both branches learn from the gap; true: the weaker alone"""


class AdaptiveTerms(NamedTuple):
    """The unweighted parts of the objective, scalars: both branches, fusion, gap, alignment."""

    uni: Tensor
    fusion: Tensor
    gap: Tensor
    align: Tensor

    def total(self, options: AdaptiveLossOptions) -> Tensor:
        """`L_uni + L_fus + lambda_gap L_gap + lambda_align L_align`; a term of weight 0 is left out."""
        total = self.uni + self.fusion
        for weight, term in ((options.lambda_gap, self.gap), (options.lambda_align, self.align)):
            # Left out rather than multiplied by 0, so that the no-op setting equals head-losses bit for bit.
            if weight:
                total = total + weight * term
        return total


def true_class_score(logits: Tensor, label: Tensor) -> Tensor:
    """The softmax score of the true class: `(B, C)`, `(B,)` to `(B,)`."""
    return logits.softmax(1).gather(1, label[:, None])[:, 0]


def signed_gap(audio: Tensor, visual: Tensor, label: Tensor, detach_strong: bool = False) -> Tensor:
    """d = s_a - s_v `(B,)` from each branch's own logits `(B, C)`; `detach_strong`: not into the larger."""
    s_a, s_v = true_class_score(audio, label), true_class_score(visual, label)
    if detach_strong:
        # Strictly: where both are equal neither leads, and both keep their gradient.
        audio_leads, visual_leads = s_a > s_v, s_v > s_a
        s_a, s_v = s_a.detach().where(audio_leads, s_a), s_v.detach().where(visual_leads, s_v)
    return s_a - s_v


def imbalance(signed: Tensor, mixture: Mixture | None, options: AdaptiveLossOptions) -> Tensor:
    """w `(B,)`, detached: P(I | g) of the current gaps under the epoch's mixture; 0 without a mixture.

    So are the controls of `options.separation`, which need none, so that they differ from the method in w alone.
    """
    # In float64: the log-odds of a narrow component are large, and their sigmoid is wanted in both tails.
    d = signed.detach().double()
    if mixture is None:
        return torch.zeros_like(signed.detach())
    g = d.abs()
    if options.separation == "posterior":
        value = g if options.gap == "abs" else d
        if options.posterior_monotone:
            value = value.clamp(*sorted((mixture.mu_B, mixture.mu_I)))
        # By log-odds, not by dividing densities: far from both means these underflow to 0 / 0.
        w = log_odds(value, mixture).sigmoid()
    elif options.separation == "threshold":
        w = (g > HARD_THRESHOLD).double()
    else:
        w = g if options.separation == "gap" else torch.full_like(g, CONSTANT)
    return w.to(signed.dtype)


def alignment(value: Tensor, w: Tensor, mixture: Mixture, form: str = "w2") -> Tensor:
    """How far the batch's imbalanced group is from the balanced component, a scalar; 0 where `sum w < 1`.

    value `(B,)`: gaps, with gradient; w `(B,)` without. With m and s, the mean and deviation of the gaps weighted by w
    (1e-8 added to the variance): "w2", squared 2-Wasserstein distance of Gaussians, `(m - mu_B)^2 + (s - sigma_B)^2`;
    "kl", `KL(N(m, s^2) || N(mu_B, sigma_B^2))`, which explodes for a narrow balanced component; "nll", `mean w (g -
    mu_B)^2 / (2 sigma_B^2)`.
    """
    mass = w.sum()
    known = mass.clamp_min(LEAST_MASS)  # keeps the unused branch of `where` finite
    m = (w * value).sum() / known
    s = ((w * (value - m).square()).sum() / known + VARIANCE_FLOOR).sqrt()
    mu, sigma = mixture.mu_B, mixture.sigma_B
    if form == "w2":
        distance = (m - mu).square() + (s - sigma).square()
    elif form == "kl":
        distance = (sigma / s).log() + (s.square() + (m - mu).square()) / (2 * sigma**2) - 0.5
    else:
        distance = (w * (value - mu).square()).mean() / (2 * sigma**2)
    # Selected on the device: an `if` on the mass would wait for it in every step.
    return distance.where(mass >= LEAST_MASS, 0)


def adaptive_terms(
    fused: Tensor,
    audio: Tensor,
    visual: Tensor,
    label: Tensor,
    mixture: Mixture | None,
    options: AdaptiveLossOptions,
) -> AdaptiveTerms:
    """The parts of the second stage's loss, of three heads' logits `(B, C)` and label `(B,)`.

    `L_uni = mean (CE_a + CE_v)`, `L_fus = mean (1 + beta (1 - w)) CE_f`, `L_gap = mean (1 + alpha w) |d|`, L_align as
    in `alignment`; no gradient flows through w. Without a mixture w and L_align are 0. With beta and both lambdas 0 the
    total is the loss of the first stage to the bit.
    """
    uni, ce_f = cross_entropies(fused, audio, visual, label)
    d = signed_gap(audio, visual, label, options.gap_detach_strong)
    g = d.abs()
    w = imbalance(d, mixture, options)
    align = g.new_zeros(())
    if mixture is not None:
        align = alignment(g if options.gap == "abs" else d, w, mixture, options.align)
    return AdaptiveTerms(
        uni=uni.mean(),
        fusion=((1 + options.beta * (1 - w)) * ce_f).mean(),
        gap=((1 + options.alpha * w) * g).mean(),
        align=align,
    )


class AdaptiveLoss(GapMethod):
    """Two stages under one optimiser: the sum of three cross-entropies, then the adaptive loss with three objectives.

    The mixture is fitted at the boundary and after every adaptive epoch, and constant during an epoch. An epoch whose
    mixture could not be fitted counts no clip as imbalanced and aligns nothing.

    Equation: `L_uni + L_fus + lambda_gap L_gap + lambda_align L_align` with `L_uni = mean (CE_a + CE_v)`, `L_fus = mean
    (1 + beta (1 - w)) CE_f`, `L_gap = mean (1 + alpha w) |d|`, `d = s_a - s_v` of the true class's softmax scores and
    `w = P(imbalanced | d)`.
    """

    card = MethodCard(
        name="adaptive-loss",
        label="Adaptive loss",
        reference="Liu, Yu and Liu, Quantifying Multimodal Imbalance, arXiv 2510.21797",
        summary="After warm-up the modality gap is penalised, more so for clips that a mixture finds imbalanced.",
        options=AdaptiveLossOptions,
        artifacts=GAP_FILES,
        fusions=("sum", "concat", "film", "gated"),
        no_op=NoOp(
            {"beta": 0.0, "lambda_gap": 0.0, "lambda_align": 0.0, "warm_up_epochs": 0},
            {},
            "head-losses",
            "the same training whatever warm_up_epochs is, which also says when the gap is measured",
        ),
        deviations=(
            "Approximate re-implementation: abstracts alone were available, so that equations, schedule and every "
            "number here are our formulation.",
            "Decision: refitted after every adaptive epoch on all training clips, in evaluation mode.",
            "Decision: the optimiser is not reset between the stages.",
        ),
    )
    options: AdaptiveLossOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.kind, self.monotone = self.options.gap, self.options.posterior_monotone

    def prepare(self, trainer: Training) -> None:
        """Say so where all epochs are warm-up."""
        if self.options.warm_up_epochs >= trainer.epochs:
            log.warning(
                "%s: all %d epochs are warm-up (warm_up_epochs is %d); this trains as head-losses does",
                self.name,
                trainer.epochs,
                self.options.warm_up_epochs,
            )

    def due(self, finished: int, epochs: int) -> bool:
        """At the boundary and after every adaptive epoch; constant in between (our formulation)."""
        return finished >= self.options.warm_up_epochs

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The loss of the epoch's stage; raises UserError when the model has not all three heads."""
        if step.epoch < self.options.warm_up_epochs:
            return super().loss(model, output, batch, step)
        terms = adaptive_terms(*self.heads(model, output), batch.label, self.mixture, self.options)
        self.watch(**terms._asdict())
        return terms.total(self.options)


METHOD = AdaptiveLoss
