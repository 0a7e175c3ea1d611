"""Two encoders with one linear head for both: the network of MLA (Zhang et al. 2024)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from avbalance.models.base import MODALITIES, Batch, ImageModel, ModelOutput
from avbalance.models.encoders import EncoderSettings, build_encoder
from avbalance.models.resnet import encode


class SharedHeadNetSettings(EncoderSettings):
    """Settings of shared-head-net."""

    name: Literal["shared-head-net"] = "shared-head-net"
    """which network"""


def entropy_weights(scores: Tensor) -> Tensor:
    """Weights `(M, B)` of M modalities with logits `(M, B, C)`: `exp(-H_m)`, normalised for each clip.

    `exp(max H - H_m)` of Zhang et al. 2024 differs by a factor that normalisation takes away.
    """
    log_p = scores.log_softmax(-1)
    # The sum is -H: its softmax over modalities is exp(-H_m), normalised.
    return (log_p.exp() * log_p).sum(-1).softmax(0)


class AloneNet(ImageModel):
    """Base of networks whose modalities have logits of their own, which alone make the prediction.

    They also take a batch of one modality, whose logits are then the prediction. Subclasses register `encoders` and
    say what the logits of a feature are, and how those of both become one.
    """

    modalities = MODALITIES

    def forward(self, batch: Batch) -> ModelOutput:
        present = [name for name in self.modalities if getattr(batch, name) is not None] or list(self.modalities)
        features = {name: encode(self.encoders[name], name, batch.modality(name)) for name in present}
        scores = {name: self.score(name, feature) for name, feature in features.items()}
        return ModelOutput(self.joined(scores) if len(scores) > 1 else scores[present[0]], scores, features)

    def fuse(self, features: dict[str, Tensor]) -> Tensor:
        """The prediction logits `(B, C)` of pooled features `(B, D)` by modality, which may be of different clips."""
        return self.joined({name: self.score(name, feature) for name, feature in features.items()})

    def score(self, name: str, feature: Tensor) -> Tensor:
        """The logits `(B, C)` of a modality's feature `(B, D)`."""
        raise NotImplementedError

    def joined(self, scores: dict[str, Tensor]) -> Tensor:
        """The prediction logits `(B, C)` of the logits of both modalities."""
        raise NotImplementedError


class SharedHeadNet(AloneNet):
    """One linear head reads the feature of either modality; the surer one of a clip weighs more in the prediction."""

    Settings = SharedHeadNetSettings

    def __init__(self, settings: SharedHeadNetSettings, classes: int) -> None:
        super().__init__()
        encoders = {name: build_encoder(name, settings) for name in self.modalities}
        self.encoders = nn.ModuleDict(encoders)
        self.head = nn.Linear(encoders["audio"].dimension, classes)

    def score(self, name: str, feature: Tensor) -> Tensor:
        logits: Tensor = self.head(feature)
        return logits

    def joined(self, scores: dict[str, Tensor]) -> Tensor:
        both = torch.stack([scores[name] for name in self.modalities])
        return (entropy_weights(both)[..., None] * both).sum(0)


MODEL = SharedHeadNet
