"""OGM-GE: on-the-fly gradient modulation with generalisation enhancement (Peng et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

from torch import Tensor, nn

from avbalance.declared import Count, Declared, Weight
from avbalance.methods.base import Given, Method, MethodCard, NoOp, Training, TrainingStep
from avbalance.methods.parts.modulation import both_scores, modulate_groups
from avbalance.models.base import Batch, Model, ModelOutput


class OGMGEOptions(Declared):
    """Options of ogm-ge."""

    alpha: Weight = 0.3
    """ours, to be chosen on validation from 0.1, 0.3, 0.5, 0.8; authors: VGG 0.1, CREMA-D 0.8"""
    start_epoch: Count = 0
    """OGM-GE reference code; 0-based, included"""
    end_epoch: Count = 50
    """OGM-GE reference code; 0-based, included"""
    variant: Literal["ogm-ge", "ogm"] = "ogm-ge"
    """ogm-ge, or ogm without the noise (Peng et al. 2022, table 1)"""


def confidence_sum(scores: Tensor, label: Tensor) -> Tensor:
    """Sum over the batch of the true class's softmax probability: `(B, C)`, `(B,)` to a detached scalar."""
    return scores.detach().softmax(1).gather(1, label[:, None]).sum()


def modulation_coefficients(confidence_audio: float, confidence_visual: float, alpha: float) -> tuple[float, float]:
    """The gradient coefficients of (audio, visual) for the batch sums of their confidences.

    `rho_v = s_v / s_a`, `rho_a = 1 / rho_v`. The side whose rho exceeds 1 gets `1 - tanh(alpha * rho)`, the other 1; at
    equality audio is damped (Peng et al. 2022, section 3.2, reference code).
    """
    rho_visual = _ratio(confidence_visual, confidence_audio)
    if rho_visual > 1:
        return 1.0, 1 - math.tanh(alpha * rho_visual)
    return 1 - math.tanh(alpha * _ratio(1.0, rho_visual)), 1.0


def _ratio(numerator: float, denominator: float) -> float:
    # tanh(inf) is 1: a side that has lost all confidence stops the other one altogether instead of dividing by 0.
    return numerator / denominator if denominator > 0 else math.inf


def modulated(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """The parameters whose gradient is 4-dimensional: convolution weights that took part."""
    # As the reference code: batch norm, biases and the fusion head keep their gradients, and shortcuts of 1 x 1 count.
    return [parameter for parameter in parameters if parameter.grad is not None and parameter.grad.ndim == 4]


class OGMGE(Method):
    """Damp the convolution gradients of the stronger encoder, and add noise to those of both encoders.

    Equation: `g <- k_m g + N(0, sd(g)^2)` with `k_m = 1 - tanh(alpha rho_m)` for the modality whose rho exceeds 1, and
    1 for the other; `rho_a = s_a / s_v = 1 / rho_v`, `s_m = sum over the batch of softmax(z_m)[y]` (section 3.2).
    """

    card = MethodCard(
        name="ogm-ge",
        label="OGM-GE",
        reference="Peng et al., CVPR 2022, arXiv 2203.15332",
        summary="The stronger encoder's gradients are damped by its lead in confidence; noise is added.",
        options=OGMGEOptions,
        fusions=("sum", "concat", "film", "gated"),
        no_op=NoOp({"alpha": 0.0, "variant": "ogm"}, {}, "baseline"),
        deviations=(
            "For film and gated fusion a modality's scores come from a zero vector in the other's place; the "
            "reference code's slices of the head do not fit.",
            "The number alpha is not stated for these data sets by Xia et al. 2023.",
        ),
    )
    kept = ("damped",)
    options: OGMGEOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.damped: dict[str, list[float]] = {"audio": [], "visual": []}  # coefficients of the unfinished epoch

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> None:
        """Modulate within the window of epochs; raises UserError when there is nothing to modulate."""
        if not self.options.start_epoch <= step.epoch <= self.options.end_epoch:
            return
        audio, visual = (confidence_sum(each, batch.label).item() for each in both_scores(output, self.name))
        damp_audio, damp_visual = modulation_coefficients(audio, visual, self.options.alpha)
        # The order of this dictionary is that in which noise is drawn: audio first.
        coefficients = {"audio": damp_audio, "visual": damp_visual}
        groups = {modality: modulated(model.group(modality)) for modality in coefficients}
        noise: Literal["added", "none"] = "added" if self.options.variant == "ogm-ge" else "none"
        modulate_groups(groups, coefficients, noise, step.generator)
        for modality, coefficient in coefficients.items():
            self.damped[modality].append(coefficient)

    def epoch_end(self, trainer: Training, epoch: int, log: dict[str, Any]) -> None:
        """Log the mean coefficient of each encoder over the epoch; 1 outside the window."""
        for modality, values in self.damped.items():
            log[f"coefficient_{modality}"] = sum(values) / len(values) if values else 1.0
            values.clear()


METHOD = OGMGE
