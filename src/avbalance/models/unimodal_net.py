"""One encoder and one linear head: the audio-only and the visual-only network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput, assemble, complete, require
from avbalance.models.encoders import ENCODER_DEFAULTS, build_encoder
from avbalance.models.resnet import encode

DEFAULTS: dict[str, Any] = {"modality": "audio", **ENCODER_DEFAULTS}


class UnimodalNet(Model):
    """Linear classifier on one modality's pooled feature (Xia et al. 2023, section 3)."""

    def __init__(self, settings: dict[str, Any], classes: int) -> None:
        super().__init__()
        require(settings["modality"], MODALITIES, "modality")
        self.modality: str = settings["modality"]
        self.modalities = (self.modality,)
        encoder = build_encoder(self.modality, settings)
        self.encoders = nn.ModuleDict({self.modality: encoder})
        self.head = nn.Linear(encoder.dimension, classes)

    def forward(self, batch: Batch) -> ModelOutput:
        """Return the head's logits, which are also the modality's scores."""
        feature = encode(self.encoders[self.modality], self.modality, batch.modality(self.modality))
        logits = self.head(feature)
        return ModelOutput(logits, {self.modality: logits}, {self.modality: feature})


def build(settings: dict[str, Any], classes: int, generator: torch.Generator) -> UnimodalNet:
    """Return an initialised network; settings and defaults are those of DEFAULTS."""
    filled = complete(settings, DEFAULTS)
    return assemble(lambda: UnimodalNet(filled, classes), generator)
