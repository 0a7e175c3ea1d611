"""One encoder and one linear head: the audio-only and the visual-only network."""

from __future__ import annotations

from typing import Literal

from torch import nn

from avbalance.models.base import Batch, ImageModel, ModelOutput
from avbalance.models.encoders import EncoderSettings, build_encoder
from avbalance.models.resnet import encode


class UnimodalNetSettings(EncoderSettings):
    """Settings of unimodal-net."""

    name: Literal["unimodal-net"] = "unimodal-net"
    """which network"""
    modality: Literal["audio", "visual"] = "audio"
    """which modality it reads"""


class UnimodalNet(ImageModel):
    """Linear classifier on one modality's pooled feature (Xia et al. 2023, section 3)."""

    Settings = UnimodalNetSettings

    def __init__(self, settings: UnimodalNetSettings, classes: int) -> None:
        super().__init__()
        self.modality: str = settings.modality
        self.modalities = (self.modality,)
        encoder = build_encoder(self.modality, settings)
        self.encoders = nn.ModuleDict({self.modality: encoder})
        self.head = nn.Linear(encoder.dimension, classes)

    def forward(self, batch: Batch) -> ModelOutput:
        feature = encode(self.encoders[self.modality], self.modality, batch.modality(self.modality))
        logits = self.head(feature)
        return ModelOutput(logits, {self.modality: logits}, {self.modality: feature})


MODEL = UnimodalNet
