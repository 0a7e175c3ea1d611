"""Adaptive loss: the modality gap is penalised, more so for clips that count as imbalanced (Liu, Yu and Liu)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from avbalance.analysis.adaptive_loss import AdaptiveSettings, adaptive_terms, fit_due, in_warm_up
from avbalance.methods.base import MethodCard, NoOp, Step, Trainer
from avbalance.methods.parts.gaps import WARM_UP, GapMethod

if TYPE_CHECKING:
    from torch import Tensor

    from avbalance.models.base import Batch, Model, ModelOutput

log = logging.getLogger(__name__)


class AdaptiveLoss(GapMethod):
    """Two stages under one optimiser: the sum of three cross-entropies, then the adaptive loss with three objectives.

    The mixture of balanced and imbalanced clips is fitted at the boundary and after every adaptive epoch, and constant
    during an epoch; each step computes the posterior of its own gaps under it. An epoch whose mixture could not be
    fitted counts no clip as imbalanced and aligns nothing.
    """

    card = MethodCard(
        name="adaptive-loss",
        label="Adaptive loss",
        reference="Liu, Yu and Liu, Quantifying Multimodal Imbalance, arXiv 2510.21797",
        summary="After warm-up the modality gap is penalised, more so for clips that a mixture finds imbalanced.",
        options={
            "warm_up_epochs": WARM_UP,
            "alpha": (1.0, "decision: the abstract says larger penalty weights for imbalanced samples; 0: equal ones"),
            "beta": (
                1.0,
                "decision: the second version weights the fusion loss of balanced samples more; 0: the first",
            ),
            "lambda_gap": (1.0, "decision: weight of the gap penalty; the abstracts give none"),
            "lambda_align": (1.0, "decision: weight of the alignment; the abstracts give none"),
            "gap": ("abs", "decision: balance is about the size of the gap; or signed"),
            "align": ("w2", "decision: squared 2-Wasserstein distance to the balanced component; or kl, nll"),
            "separation": ("posterior", "the abstract, by Bayes' theorem; controls: threshold, gap, constant"),
            "posterior_monotone": (False, "decision: Bayes' theorem as it is; true: gaps beyond a mean count as it"),
            "gap_detach_strong": (False, "decision: both branches learn from the gap; true: the weaker alone"),
        },
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

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.settings = AdaptiveSettings(**{each.name: self.options[each.name] for each in fields(AdaptiveSettings)})
        self.kind, self.monotone = self.settings.gap, self.settings.posterior_monotone

    def prepare(self, trainer: Trainer) -> None:
        """Say so where all epochs are warm-up."""
        if self.warm_up_epochs >= trainer.epochs:
            log.warning(
                "%s: all %d epochs are warm-up (warm_up_epochs is %d); this trains as head-losses does",
                self.name,
                trainer.epochs,
                self.warm_up_epochs,
            )

    def due(self, finished: int, epochs: int) -> bool:
        """At the boundary and after every adaptive epoch."""
        return fit_due(finished - 1, self.warm_up_epochs)

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: Step) -> Tensor:
        """Return the loss of the epoch's stage; raises UserError when the model has not all three heads."""
        if in_warm_up(step.epoch, self.warm_up_epochs):
            return super().loss(model, output, batch, step)
        terms = adaptive_terms(*self.heads(model, output), batch.label, self.mixture, self.settings)
        self._watch(uni=terms.uni, fusion=terms.fusion, gap=terms.gap, align=terms.align)
        return terms.total(self.settings)


METHOD = AdaptiveLoss
