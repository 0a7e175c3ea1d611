"""Modalities that take turns: each has an optimiser step of its own on every batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from avbalance.methods.base import Method, TrainingStep
from avbalance.models.base import MODALITIES, Batch, Model


def alone(batch: Batch, modality: str) -> Batch:
    """The batch without the other modality."""
    audio, visual = (batch.modality(name) if name == modality else None for name in MODALITIES)
    return replace(batch, audio=audio, visual=visual)


def modality_of(batch: Batch) -> str:
    """The modality of a batch of one."""
    return "visual" if batch.audio is None else "audio"


class InTurn(Method):
    """Base of methods that train on the sound and then on the pictures of a batch; for networks that take one."""

    def turns(self, model: Model, batch: Batch, step: TrainingStep) -> Sequence[Batch]:
        """The batch of each modality alone, audio first."""
        return [alone(batch, modality) for modality in MODALITIES]
