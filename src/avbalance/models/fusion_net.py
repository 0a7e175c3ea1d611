"""Late fusion: one encoder per modality and a fusion head, with separate unimodal heads on request."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from torch import Tensor, nn

from avbalance.declared import refusal
from avbalance.models.base import MODALITIES, Batch, ImageModel, ModelOutput
from avbalance.models.encoders import EncoderSettings, build_encoder
from avbalance.models.fusion import FUSIONS
from avbalance.models.resnet import encode


def _both(names: list[str]) -> list[str]:
    if sorted(names) != sorted(MODALITIES):
        raise refusal(f"is {names}; it must order audio and visual")
    return names


class FusionNetSettings(EncoderSettings):
    """Settings of fusion-net."""

    name: Literal["fusion-net"] = "fusion-net"
    """which network"""
    fusion: Literal["sum", "concat", "film", "gated"] = "concat"
    """how the features of both modalities are joined"""
    unimodal_heads: bool = False
    """whether each modality has a linear head of its own, as Gradient-Blending needs"""
    modalities: Annotated[list[str], AfterValidator(_both)] = Field(default=list(MODALITIES))
    """the order of the two: the first conditions, gates, or fills the first columns"""


class FusionNet(ImageModel):
    """Two encoders joined by a fusion head; the prediction is the fused logits.

    A modality's scores are the fusion head's logits for it alone or, with `unimodal_heads`, those of a linear head of
    its own (Wang et al. 2020), registered last: the other weights start as without. Such a network also takes a batch
    of one modality, whose scores are then the logits.
    """

    Settings = FusionNetSettings

    def __init__(self, settings: FusionNetSettings, classes: int) -> None:
        super().__init__()
        self.modalities = tuple(settings.modalities)
        encoders = {modality: build_encoder(modality, settings) for modality in self.modalities}
        dimension = encoders[self.modalities[0]].dimension
        self.encoders = nn.ModuleDict(encoders)
        self.fusion = FUSIONS[settings.fusion](dimension, classes)
        self.unimodal_heads: nn.ModuleDict | None = None
        # Last, after everything else has drawn its weights: with or without these heads the rest starts the same.
        if settings.unimodal_heads:
            self.unimodal_heads = nn.ModuleDict({name: nn.Linear(dimension, classes) for name in self.modalities})

    def forward(self, batch: Batch) -> ModelOutput:
        # A copy of Gradient-Blending trains one head; the other modality need not be encoded.
        if self.unimodal_heads is not None and (batch.audio is None) != (batch.visual is None):
            present = "audio" if batch.visual is None else "visual"
            feature = self._encode(present, batch)
            logits = self.unimodal_heads[present](feature)
            return ModelOutput(logits, {present: logits}, {present: feature})
        features = {name: self._encode(name, batch) for name in self.modalities}
        fused, *alone = self.fusion(*features.values())
        scores = dict(zip(self.modalities, alone, strict=True))
        if self.unimodal_heads is not None:
            scores = {name: self.unimodal_heads[name](feature) for name, feature in features.items()}
        return ModelOutput(fused, scores, features)

    def fuse(self, features: dict[str, Tensor]) -> Tensor:
        """The fused logits `(B, C)` of pooled features `(B, D)` by modality, which may be of different clips."""
        logits: Tensor = self.fusion(*(features[name] for name in self.modalities))[0]
        return logits

    def _encode(self, name: str, batch: Batch) -> Tensor:
        return encode(self.encoders[name], name, batch.modality(name))


MODEL = FusionNet
