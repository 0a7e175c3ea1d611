"""Gradient-Blending, offline, stage one: the weights from three separate trainings (Wang et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avbalance.methods.base import Method, MethodCard, Trainer
from avbalance.methods.gradient_blending import estimate


class GradientBlendingWeights(Method):
    """Train audio, visual and joint head separately from fresh initialisation; write weights.json.

    Checkpoint N is the initial model and N + n the end of the normal recipe, learning-rate schedule included.
    The run itself has no epochs of its own; gradient-blending with `weights: offline` reads its file.
    """

    card = MethodCard(
        name="gradient-blending-weights",
        label="Grad-Blending (weights)",
        reference="Wang et al., CVPR 2020, arXiv 1905.12681",
        summary="Stage one of offline Gradient-Blending: three separate trainings give three weights.",
        options={"epochs": (None, "by default the protocol's: the normal recipe (Wang et al. 2020, offline form)")},
        fusions=("concat",),
        deviations=("The held-out set is a stratified tenth of the training set, never the test set.",),
        predicts=False,
    )

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.require("epochs", self.options["epochs"] is None or self.options["epochs"] >= 1, "at least 1")
        self.record: dict[str, Any] | None = None

    def prepare(self, trainer: Trainer) -> None:
        """Estimate the weights, unless a resumed run has them already."""
        if self.record is None:
            self.record = estimate(trainer, self.options["epochs"] or trainer.epochs, first_epoch=0, schedule=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the estimate."""
        return {"record": self.record}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the estimate."""
        self.record = state["record"]

    def artifacts(self) -> dict[str, Any]:
        """Return weights.json: weight per head and all raw values."""
        return {} if self.record is None else {"weights.json": self.record}


METHOD = GradientBlendingWeights
