"""Gradient-Blending, offline, stage one: the weights from three separate trainings (Wang et al. 2020)."""

from __future__ import annotations

from typing import Any

from avbalance.declared import Declared, Size
from avbalance.methods.base import Given, Method, MethodCard, Training
from avbalance.methods.gradient_blending import estimate


class GradientBlendingWeightsOptions(Declared):
    """Options of gradient-blending-weights."""

    epochs: Size | None = None
    """by default the protocol's: the normal recipe (Wang et al. 2020, offline form)"""


class GradientBlendingWeights(Method):
    """Train audio, visual and joint head separately from fresh initialisation; write weights.json.

    Checkpoint N is the initial model, N + n the end of the normal recipe with its schedule.

    Equation: `w_k = (dG_k / dO_k^2) / sum_j (dG_j / dO_j^2)` over a whole training of each head (proposition 1).
    """

    card = MethodCard(
        name="gradient-blending-weights",
        label="Grad-Blending (weights)",
        reference="Wang et al., CVPR 2020, arXiv 1905.12681",
        summary="Stage one of offline Gradient-Blending: three separate trainings give three weights.",
        artifacts=("weights.json",),
        options=GradientBlendingWeightsOptions,
        fusions=("concat",),
        deviations=("The held-out set is a stratified tenth of the training set, never the test set.",),
        predicts=False,
    )

    kept = ("record",)
    options: GradientBlendingWeightsOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.record: dict[str, Any] | None = None

    def prepare(self, trainer: Training) -> None:
        """Estimate the weights, unless a resumed run has them already."""
        if self.record is None:
            self.record = estimate(trainer, self.options.epochs or trainer.epochs, first_epoch=0, schedule=True)

    def artifacts(self) -> dict[str, Any]:
        """weights.json: weight per head and all raw values."""
        return {} if self.record is None else {"weights.json": self.record}


METHOD = GradientBlendingWeights
