"""What the methods of a network with a fused, an audio and a visual head share: the sum of losses, and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from avbalance.analysis.adaptive_loss import warm_up_terms
from avbalance.errors import UserError
from avbalance.methods.base import Method, Step, Trainer

if TYPE_CHECKING:
    from torch import Tensor

    from avbalance.models.base import Batch, Model, ModelOutput


class ThreeHeadMethod(Method):
    """Trains with the unweighted sum of three cross-entropies; the history gets the mean of every part of the loss.

    A subclass with another loss calls `_watch` with its parts.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._names: list[str] = []
        self._sums: Tensor | None = None  # of the parts over the epoch's batches, float64, on the device
        self._batches = 0

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: Step) -> Tensor:
        """Return the sum of the heads' mean cross-entropies; raises UserError when the model has not all three."""
        terms = warm_up_terms(*self.heads(model, output), batch.label)
        self._watch(uni=terms.uni, fusion=terms.fusion)
        return terms.total()

    def heads(self, model: Model, output: ModelOutput) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logits `(B, C)` of the fused, the audio and the visual head."""
        if getattr(model, "unimodal_heads", None) is None:
            raise UserError(
                f"method {self.name} needs a head per modality; use fusion-net and set the model's unimodal_heads to "
                "true."
            )
        return output.logits, output.scores["audio"], output.scores["visual"]

    def _watch(self, **parts: Tensor) -> None:
        """Add this batch's parts of the loss, scalars, to the sums. Nothing here waits for the device."""
        import torch

        values = torch.stack([part.detach() for part in parts.values()]).double()
        self._sums = values if self._sums is None else self._sums.to(values.device) + values
        self._names = list(parts)
        self._batches += 1

    def epoch_end(self, trainer: Trainer, epoch: int, log: dict[str, Any]) -> None:
        """Log the mean of every part of the loss over the epoch's batches, unweighted, as loss_<part>."""
        if self._sums is not None:
            means = (self._sums / self._batches).tolist()
            log |= {f"loss_{name}": mean for name, mean in zip(self._names, means, strict=True)}
        self._sums, self._batches = None, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the unfinished epoch."""
        return {"names": self._names, "sums": self._sums, "batches": self._batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the sums of the unfinished epoch."""
        self._names, self._sums, self._batches = state["names"], state["sums"], state["batches"]
