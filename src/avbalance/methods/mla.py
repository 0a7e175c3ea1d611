"""MLA: modalities train in turn through one head, whose gradient spares what it has learned before (Zhang et al. 2024).

D values of a feature, C classes.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from avbalance.declared import Above0, Declared
from avbalance.errors import UserError
from avbalance.methods.base import Given, MethodCard, TrainingStep
from avbalance.methods.parts.turns import InTurn, modality_of
from avbalance.models.base import Batch, Model, ModelOutput


class MLAOptions(Declared):
    """Options of mla."""

    projection: Literal["replaced", "added", "none"] = "replaced"
    """Zhang et al. 2024: G P for the head's gradient G; added: G + G P, as BalanceBenchmark has it"""
    decay: Above0 = 0.1
    """Zhang et al. 2024, reference code: alpha is this to the power of 1 + the share of the epoch that is done"""


def next_projection(projection: Tensor, feature: Tensor, alpha: float) -> Tensor:
    """The matrix P `(D, D)` after a batch of mean feature r `(D,)`: `P - k k^T / (alpha + r k)`, `k = P r`.

    Recursive least squares, divided by its Frobenius norm (Zhang et al. 2024, reference code).
    """
    k = projection @ feature
    updated = projection - torch.outer(k, k) / (alpha + feature @ k)
    # The update only ever shortens P; divided by its norm, as in the reference code, it keeps its size.
    return updated / updated.norm()


class MLA(InTurn):
    """Each batch first trains the audio encoder and the shared head, then the visual encoder and the head.

    The gradient G of the head's weights is projected on what the mean features of earlier turns do not span, so that a
    turn forgets little of the other modality's.

    Equation: `CE(W phi_m, y)` for each modality m in turn, `G <- G P`, `P <- P - k k^T / (alpha + r k)`, `k = P r`, P
    then divided by its norm, r the mean of `phi_m`; the prediction is `sum_m w_m z_m`, `w_m = exp(-H_m) / sum exp(-H)`.
    """

    card = MethodCard(
        name="mla",
        label="MLA",
        reference="Zhang et al., CVPR 2024, arXiv 2311.10707",
        summary="Modalities train in turn through one head, whose gradient is projected; the surer one weighs more.",
        options=MLAOptions,
        models=("shared-head-net",),
        deviations=(
            "In the reference code the projection never takes place, since it asks for a parameter by a name that it "
            "does not have; projection: none is what the code does.",
            "The reference code divides by a matrix where recursive least squares have the number r k; here it is "
            "the number.",
            "The weights of the prediction come from the entropy of each clip, not of a whole batch.",
        ),
    )
    kept = ("means", "projection")
    options: MLAOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.projection: Tensor | None = None  # P (D, D), float32, after the first turn

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> None:
        """Project the gradient of the head's weights in all turns but the first; raises UserError for another head."""
        head = getattr(model, "head", None)
        if not isinstance(head, torch.nn.Linear) or head.weight.grad is None:
            raise UserError("method mla: the model has no head that both modalities share; use shared-head-net.")
        if self.options.projection == "none":
            return
        # float32: under autocast features are float16, in which P would lose what it has collected.
        feature = output.features[modality_of(batch)].detach().float().mean(0)
        gradient = head.weight.grad
        if self.projection is None:
            # The first gradient is not projected: there is nothing yet that it could forget.
            self.projection = torch.eye(len(feature), device=feature.device)
            return
        alpha = self.options.decay ** (1 + step.index / step.batches)
        self.projection = next_projection(self.projection.to(feature.device), feature, alpha)
        projected = gradient @ self.projection
        self.means.add(["projected_share"], (projected.norm() / gradient.norm().clamp_min(1e-12))[None])
        if self.options.projection == "replaced":
            gradient.copy_(projected)
        else:
            gradient.add_(projected)


METHOD = MLA
