"""Gradient modulation of methods whose samples have one label each: clips, or seconds of clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from avbalance.errors import UserError
from avbalance.methods.base import Method, Step, Trainer
from avbalance.methods.parts.modulation import MODALITIES, Modulation

if TYPE_CHECKING:
    from torch import Tensor, nn

    from avbalance.models.base import Batch, Model, ModelOutput


def softmax_scores(output: ModelOutput, method: str) -> tuple[Tensor, Tensor]:
    """Detached softmax of the audio and visual scores `(..., C)`; raises UserError when the model has not both."""
    missing = sorted(set(MODALITIES) - set(output.scores))
    if missing:
        raise UserError(f"method {method}: the model gives no {' and '.join(missing)} scores; use fusion-net.")
    audio, visual = (output.scores[name].detach().softmax(-1) for name in MODALITIES)
    return audio, visual


class SingleLabelModulation(Method):
    """Base of methods with an int64 label per sample; `modulation` holds the options of parts/modulation.py.

    Cards list those options. Logits and scores `(..., C)` go with labels `(...)`: all leading axes count as samples.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.modulation = Modulation(self.options)

    def groups(self, model: Model) -> Mapping[str, Sequence[nn.Parameter]] | None:
        """Parameters to modulate by modality; None, by default, for the model's own groups."""
        return None

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: Step) -> None:
        """Modulate by the imbalance of the softmax scores over all samples of the batch.

        Raises UserError when there is nothing to measure or to modulate.
        """
        if not self.options["dgm"]:
            return
        from torch.nn.functional import one_hot

        audio, visual = (scores.flatten(0, -2) for scores in softmax_scores(output, self.name))
        label = one_hot(batch.label.flatten(), output.logits.shape[-1])
        self.modulation.gradients(model, audio, visual, label, self.groups(model), step)

    def after_step(self, model: Model, step: Step) -> None:
        """Scale the optimiser's step where the modulation applies to it."""
        self.modulation.after_step()

    def epoch_end(self, trainer: Trainer, epoch: int, log: dict[str, Any]) -> None:
        """Log the mean imbalance and coefficients of the epoch."""
        self.modulation.epoch_end(log)

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the unfinished epoch."""
        return {"modulation": self.modulation.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the sums of the unfinished epoch."""
        self.modulation.load_state_dict(state["modulation"])
