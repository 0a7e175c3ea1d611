"""Strong supervision: the truth of every second of training, which weakly supervised methods do without."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from avbalance.errors import UserError
from avbalance.methods.base import Method, MethodCard, Training
from avbalance.models.strong_reference import SecondsNet, fit_seconds


class StrongReference(Method):
    """A small network of single seconds per modality, trained with their truth.

    Equation: `CE(z_t, y_t)` per second, or `BCE(p_t, Y_t)` where a second may have several classes.
    """

    card = MethodCard(
        name="strong-reference",
        label="Strong supervision",
        reference="a reference of this repository",
        summary="Per modality one hidden layer on single seconds, trained with the truth of every second.",
        models=("strong-reference",),
        deviations=("It sees the truth per second of the training part, as no other method does: a yardstick.",),
        fits=True,
    )

    def prepare(self, trainer: Training) -> None:
        """Fit the networks; raises UserError for another model, or where training has no truth per second."""
        model = trainer.model
        if not isinstance(model, SecondsNet):
            raise UserError("method strong-reference: the model has no networks of seconds; use strong-reference.")
        for name in model.modalities:
            truth = self._truth(trainer, name, model.exclusive)
            features = self._features(trainer, name).flatten(0, 1)
            model.encoders[name] = fit_seconds(features, truth.flatten(0, 1), model.hidden, trainer.seed)

    def _features(self, trainer: Training, modality: str) -> Tensor:
        """Features (N, T, D) of the training part."""
        batches = trainer.source.evaluation(trainer.parts["train"])
        return torch.cat([batch.modality(modality).flatten(2) for batch in batches])

    def _truth(self, trainer: Training, modality: str, exclusive: bool) -> Tensor:
        """Truth (N, T, C) of the training part: floats, or one-hot whole numbers where a second has one class."""
        train = torch.as_tensor(trainer.parts["train"])
        if exclusive:
            # Whole numbers say to fit_seconds that a second has exactly one class; floats that it may have several.
            return one_hot(trainer.source.targets[train], len(trainer.source.clips.classes)).to(trainer.device)
        active: Any = trainer.source.clips.truth[f"events_{modality}"][trainer.parts["train"]]
        if not active.any():
            raise UserError(
                f"method strong-reference: no second of the training part has a true {modality} event; data such as "
                "LLP's have them for validation and test alone, so leave the run out there."
            )
        return torch.as_tensor(active.swapaxes(1, 2), dtype=torch.float32, device=trainer.device)


METHOD = StrongReference
