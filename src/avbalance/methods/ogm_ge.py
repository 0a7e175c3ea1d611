"""OGM-GE: on-the-fly gradient modulation with generalisation enhancement (Peng et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from avbalance.errors import UserError
from avbalance.methods.base import Method, MethodCard, NoOp, Step

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from avbalance.models.base import Batch, Model, ModelOutput


def confidence_sum(scores: Tensor, label: Tensor) -> Tensor:
    """Sum over the batch of the true class's softmax probability: `(B, C)`, `(B,)` to a detached scalar."""
    return scores.detach().softmax(1).gather(1, label[:, None]).sum()


def modulation_coefficients(confidence_audio: float, confidence_visual: float, alpha: float) -> tuple[float, float]:
    """Return the gradient coefficients of (audio, visual) for the batch sums of their confidences.

    `rho_v = s_v / s_a`, `rho_a = 1 / rho_v`. The stronger side, whose rho exceeds 1, gets `1 - tanh(alpha *
    rho)`, the other 1; at equality audio is damped. Peng et al. 2022, section 3.2, as in the reference code:
    just above rho = 1 the coefficient is `1 - tanh(alpha)`.
    """
    rho_visual = _ratio(confidence_visual, confidence_audio)
    if rho_visual > 1:
        return 1.0, 1 - math.tanh(alpha * rho_visual)
    return 1 - math.tanh(alpha * _ratio(1.0, rho_visual)), 1.0


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else math.inf


def modulated(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """Return the parameters whose gradient is 4-dimensional: convolution weights that took part."""
    return [parameter for parameter in parameters if parameter.grad is not None and parameter.grad.ndim == 4]


def modulate(gradient: Tensor, coefficient: float, generator: torch.Generator | None) -> None:
    """Replace a gradient, in place, by `coefficient * g + n`; without a generator there is no noise n.

    n is drawn elementwise from `N(0, sigma^2)` with `sigma = std(g) + 1e-8`, the unbiased standard deviation
    of the gradient before scaling (the GE part of Peng et al. 2022, reference code).
    """
    if generator is None:
        gradient.mul_(coefficient)
        return
    sigma = gradient.std() + 1e-8
    noise = gradient.new_empty(gradient.shape).normal_(generator=generator)
    gradient.mul_(coefficient).add_(noise.mul_(sigma))


class OGMGE(Method):
    """Damp the convolution gradients of the stronger encoder, and add noise to those of both encoders."""

    card = MethodCard(
        name="ogm-ge",
        label="OGM-GE",
        reference="Peng et al., CVPR 2022, arXiv 2203.15332",
        summary="The stronger encoder's gradients are damped by its lead in confidence; noise is added.",
        options={
            "alpha": (
                0.3,
                "ours, to be chosen on validation from 0.1, 0.3, 0.5, 0.8; authors: VGG 0.1, CREMA-D 0.8",
            ),
            "start_epoch": (0, "OGM-GE reference code; 0-based, included"),
            "end_epoch": (50, "OGM-GE reference code; 0-based, included"),
            "variant": ("ogm-ge", "ogm-ge, or ogm without the noise (Peng et al. 2022, table 1)"),
        },
        fusions=("sum", "concat", "film", "gated"),
        no_op=NoOp({"alpha": 0.0, "variant": "ogm"}, {}, "baseline"),
        deviations=(
            "For film and gated fusion a modality's scores come from a zero vector in the other's place; the "
            "reference code's slices of the head do not fit.",
            "The number alpha is not stated for these data sets by Xia et al. 2023.",
        ),
    )

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.require("alpha", self.options["alpha"] >= 0, "at least 0")
        self.require("variant", self.options["variant"] in ("ogm-ge", "ogm"), "ogm-ge or ogm")
        self._damped: dict[str, list[float]] = {"audio": [], "visual": []}

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: Step) -> None:
        """Modulate within the window of epochs; raises UserError when there is nothing to modulate."""
        if not self.options["start_epoch"] <= step.epoch <= self.options["end_epoch"]:
            return
        coefficients = self._coefficients(output, batch)
        generator = step.generator if self.options["variant"] == "ogm-ge" else None
        for modality, coefficient in coefficients.items():
            parameters = modulated(model.group(modality))
            if not parameters:
                raise UserError(f"method ogm-ge: the {modality} encoder has no convolution gradient to modulate.")
            self._damped[modality].append(coefficient)
            for parameter in parameters:
                assert parameter.grad is not None
                modulate(parameter.grad, coefficient, generator)

    def _coefficients(self, output: ModelOutput, batch: Batch) -> dict[str, float]:
        missing = {"audio", "visual"} - set(output.scores)
        if missing:
            raise UserError(
                f"method ogm-ge: the model gives no {' and '.join(sorted(missing))} scores; use fusion-net."
            )
        audio = confidence_sum(output.scores["audio"], batch.label)
        visual = confidence_sum(output.scores["visual"], batch.label)
        damp_audio, damp_visual = modulation_coefficients(audio.item(), visual.item(), self.options["alpha"])
        return {"audio": damp_audio, "visual": damp_visual}

    def epoch_end(self, trainer: Any, epoch: int, log: dict[str, Any]) -> None:
        """Log the mean coefficient of each encoder over the epoch; 1 outside the window."""
        for modality, values in self._damped.items():
            log[f"coefficient_{modality}"] = sum(values) / len(values) if values else 1.0
            values.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return the coefficients of the unfinished epoch."""
        return {"damped": {modality: list(values) for modality, values in self._damped.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the coefficients of the unfinished epoch."""
        self._damped = {modality: list(values) for modality, values in state["damped"].items()}


METHOD = OGMGE
