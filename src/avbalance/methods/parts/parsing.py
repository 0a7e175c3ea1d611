"""What the methods of audio-visual video parsing share: objective, measuring heads, modulation, losses in the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from avbalance.analysis.parsing_losses import (
    HAN_WEIGHTS,
    Pair,
    elementwise_cross_entropy,
    measuring_loss,
    parsing_terms,
    targets,
)
from avbalance.errors import UserError
from avbalance.methods.base import Method, Step, Trainer
from avbalance.methods.parts import modulation
from avbalance.methods.parts.modulation import Modulation

if TYPE_CHECKING:
    from torch import Tensor

    from avbalance.models.base import Batch, Model, ModelOutput
    from avbalance.models.parsing import ParsingOutput

OPTIONS: dict[str, tuple[Any, str]] = {
    "lambda_ms": (
        1.0,
        "decision, Fu, Gao and Xu state no loss of the measuring heads: that of the main terms, added with this weight",
    ),
    **modulation.OPTIONS,
}
DEVIATIONS = (
    "Gradients are modulated for encoders and, with MSDU, a modality's own heads; the attention layer and shared heads "
    "have gradients of both modalities, the measuring heads must keep tracking the encoder: they are left alone.",
)
COLUMNS = (
    "loss_audio", "loss_visual", "loss_audio_target", "loss_visual_target", "loss_audio_msdu", "loss_visual_msdu",
)  # fmt: skip


class WatchedMethod(Method):
    """Base of all methods of parsing: logs the modalities' mean losses of an epoch; `loss` calls `_watch`."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._losses: Tensor | None = None  # sums over the epoch's batches, float64 (4,) or (6,), on the device
        self._batches = 0

    def epoch_end(self, trainer: Trainer, epoch: int, log: dict[str, Any]) -> None:
        """Log the mean losses of the modalities over the epoch's batches, unweighted."""
        if self._losses is not None:
            means = (self._losses / self._batches).tolist()
            log |= dict(zip(COLUMNS, means, strict=False))  # without MSDU the last two are missing
        self._losses, self._batches = None, 0

    def _watch(self, output: ParsingOutput, label: Tensor, target: Pair) -> None:
        """Add this batch's losses to the sums: p_a, p_v and MSDU's scores against the labels, p_a, p_v against targets.

        Nothing here waits for the device.
        """
        import torch

        known, wanted = [output.p_a, output.p_v] * 2, [label, label, *target]
        if output.s_a is not None and output.s_v is not None:
            known, wanted = [*known, output.s_a, output.s_v], [*wanted, label, label]
        with torch.no_grad():
            losses = elementwise_cross_entropy(torch.stack(known), torch.stack(wanted)).double().mean((1, 2))
        self._losses = losses if self._losses is None else self._losses.to(losses.device) + losses
        self._batches += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the unfinished epoch."""
        return {"losses": self._losses, "batches": self._batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the sums of the unfinished epoch."""
        self._losses, self._batches = state["losses"], state["batches"]


class ParsingMethod(WatchedMethod):
    """Base of methods that train a parsing network with HAN's objective, whose gradients can be modulated.

    Cards list OPTIONS among their options. Subclasses override `weights`, `targets` and `objective`.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.require("lambda_ms", self.options["lambda_ms"] >= 0, "at least 0")
        self.modulation = Modulation(self.options)

    @property
    def weights(self) -> tuple[float, float, float]:
        """Weights of the terms of audio, visual and video; by default HAN's."""
        return HAN_WEIGHTS

    def targets(self, model: Model, output: ParsingOutput, batch: Batch, step: Step) -> Pair:
        """Return the targets `(B, C)` of both modalities; by default HAN's. That of the video is always the label."""
        return targets(batch.label)

    def objective(self, output: ParsingOutput, batch: Batch, target: Pair) -> Tensor:
        """Return the main objective: the weighted terms, and the model's own regulariser if it has one."""
        terms = parsing_terms(output.P, output.p_a, output.p_v, batch.label, target)
        total = terms.total(self.weights)
        return total if output.auxiliary is None else total + output.auxiliary

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: Step) -> Tensor:
        """Return the objective plus, with MSDU, `lambda_ms` times the loss of the measuring heads."""
        parsed = parsing_output(self, output)
        target = self.targets(model, parsed, batch, step)
        total = self.objective(parsed, batch, target)
        if parsed.s_a is not None and parsed.s_v is not None and self.options["lambda_ms"] > 0:
            measured = measuring_loss(parsed.s_a, parsed.s_v, target, self.weights)
            total = total + self.options["lambda_ms"] * measured
        self._watch(parsed, batch.label, target)
        return total

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: Step) -> None:
        """Modulate by the imbalance of the scores, MSDU's or else p_a and p_v, under the clean labels."""
        parsed = parsing_output(self, output)
        self.modulation.gradients(model, *parsed.measured, batch.label, None, step)

    def after_step(self, model: Model, step: Step) -> None:
        """Scale the optimiser's step where the modulation applies to it."""
        self.modulation.after_step()

    def epoch_end(self, trainer: Trainer, epoch: int, log: dict[str, Any]) -> None:
        """Log the mean losses of the modalities and the modulation."""
        super().epoch_end(trainer, epoch, log)
        self.modulation.epoch_end(log)

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the unfinished epoch."""
        return {**super().state_dict(), "modulation": self.modulation.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the sums of the unfinished epoch."""
        super().load_state_dict(state)
        self.modulation.load_state_dict(state["modulation"])


def parsing_output(method: Method, output: ModelOutput) -> ParsingOutput:
    """Return the output of a parsing network; raises UserError when it is that of another network."""
    from avbalance.models.parsing import ParsingOutput

    if not isinstance(output, ParsingOutput):
        raise UserError(f"method {method.name}: the model parses no videos; use {' or '.join(method.card.models)}.")
    return output
