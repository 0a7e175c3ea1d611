"""Unimodal: one modality trained alone; the reference of every comparison and estimator of discrepancy."""

from __future__ import annotations

from typing import Literal

from avbalance.declared import Declared
from avbalance.errors import UserError
from avbalance.methods.base import Method, MethodCard, Training


class UnimodalOptions(Declared):
    """Options of unimodal."""

    modality: Literal["audio", "visual"] | None = None
    """audio or visual; by default the model's (Xia et al. 2023 train both)"""


class Unimodal(Method):
    """Cross-entropy of a single modality's network.

    Equation: `CE(z_m, y)` of one modality m.
    """

    card = MethodCard(
        name="unimodal",
        label="Unimodal",
        reference="Xia et al. 2023, arXiv 2302.10912, section 3",
        summary="A network of one modality, by default an encoder and a linear head, trained on that modality alone.",
        options=UnimodalOptions,
        models=("unimodal-net", "audio-teacher", "visual-teacher", "late-fusion"),
    )

    options: UnimodalOptions

    def prepare(self, trainer: Training) -> None:
        """Raise UserError when the model has several modalities or another one than the option says."""
        modalities, wanted = trainer.model.modalities, self.options.modality
        if len(modalities) != 1 or wanted not in (None, modalities[0]):
            raise UserError(
                f"method unimodal: wanted {wanted or 'one modality'}, the model has {', '.join(modalities)}; "
                f"choose a model of one modality: {', '.join(self.card.models)}."
            )


METHOD = Unimodal
