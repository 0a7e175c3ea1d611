"""Gradient modulation of methods whose samples have one label each: clips, or seconds of clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import one_hot

from avbalance.errors import UserError
from avbalance.methods.base import Given, Method, Training, TrainingStep
from avbalance.methods.parts.modulation import Modulation, ModulationOptions
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput


def both_scores(output: ModelOutput, method: str) -> tuple[Tensor, Tensor]:
    """The audio and visual scores `(..., C)`; raises UserError when the model has not both."""
    missing = sorted(set(MODALITIES) - set(output.scores))
    if missing:
        raise UserError(f"method {method}: the model gives no {' and '.join(missing)} scores; use fusion-net.")
    return output.scores["audio"], output.scores["visual"]


class SingleLabelModulation(Method):
    """Base of methods with an int64 label per sample, whose gradients can be modulated.

    Logits and scores `(..., C)` go with labels `(...)`: all leading axes count as samples.
    """

    kept = ("modulation",)
    options: ModulationOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.modulation = Modulation(self.options)

    def groups(self, model: Model) -> Mapping[str, Sequence[nn.Parameter]] | None:
        """Parameters to modulate by modality; None, by default, for the model's own groups."""
        return None

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> None:
        """Modulate by the imbalance of the softmax scores over all samples of the batch.

        Raises UserError when there is nothing to measure or to modulate.
        """
        if self.options.dgm:
            audio, visual = (each.detach().softmax(-1).flatten(0, -2) for each in both_scores(output, self.name))
            label = one_hot(batch.label.flatten(), output.logits.shape[-1])
            self.modulation.gradients(model, (audio, visual), label, self.groups(model), step)

    def after_step(self, model: Model, step: TrainingStep) -> None:
        self.modulation.after_step()

    def epoch_end(self, trainer: Training, epoch: int, log: dict[str, Any]) -> None:
        log |= self.modulation.means.close()
