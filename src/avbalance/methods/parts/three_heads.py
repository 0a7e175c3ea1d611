"""What the methods of a network with a fused, an audio and a visual head share: the sum of losses, and its parts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from avbalance.errors import UserError
from avbalance.methods.base import Method, TrainingStep
from avbalance.models.base import Batch, Model, ModelOutput


def cross_entropies(fused: Tensor, audio: Tensor, visual: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """`CE_a + CE_v` and `CE_f` of every sample `(B,)`, from three heads' logits `(B, C)` and label `(B,)`."""
    ce_f, ce_a, ce_v = (cross_entropy(logits, label, reduction="none") for logits in (fused, audio, visual))
    return ce_a + ce_v, ce_f


class ThreeHeadMethod(Method):
    """Trains with the unweighted sum of three cross-entropies; the history gets the mean of every part of the loss.

    A subclass with another loss calls `watch` with its parts.
    """

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """`L_warm = mean_i (CE_f + CE_a + CE_v)`; raises UserError when the model has not all three heads."""
        uni, fusion = (each.mean() for each in cross_entropies(*self.heads(model, output), batch.label))
        self.watch(uni=uni, fusion=fusion)
        return uni + fusion

    def heads(self, model: Model, output: ModelOutput) -> tuple[Tensor, Tensor, Tensor]:
        """The logits `(B, C)` of the fused, the audio and the visual head."""
        if getattr(model, "unimodal_heads", None) is None:
            raise UserError(
                f"method {self.name} needs a head per modality; use fusion-net and set the model's unimodal_heads to "
                "true."
            )
        return output.logits, output.scores["audio"], output.scores["visual"]

    def watch(self, **parts: Tensor) -> None:
        """Log the means of this batch's parts of the loss, scalars, unweighted, as loss_<part>."""
        self.means.add([f"loss_{name}" for name in parts], torch.stack([part.detach() for part in parts.values()]))
