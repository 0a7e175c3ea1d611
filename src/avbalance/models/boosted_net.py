"""Two encoders whose modalities may have several classifiers each: the network of AUG (Jiang et al. 2025)."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from avbalance.declared import Share, Size
from avbalance.models.encoders import EncoderSettings, build_encoder
from avbalance.models.shared_head_net import AloneNet


class BoostedNetSettings(EncoderSettings):
    """Settings of boosted-net."""

    name: Literal["boosted-net"] = "boosted-net"
    """which network"""
    hidden: Size = 256
    """values of a classifier's hidden layer"""
    most: Size = 12
    """classifiers that a modality may have, the first one included; those that are not in use cost memory alone"""
    share_audio: Share = 0.4
    """Jiang et al. 2025, reference code for CREMA-D: weight of audio logits in the prediction; visual has the rest"""


class BoostedNet(AloneNet):
    """A modality's logits are the sum of its classifiers': a hidden layer each, and one linear layer for all.

    `used` says how many of a modality's classifiers are in use: one at first. It is saved with the weights.
    """

    Settings = BoostedNetSettings

    def __init__(self, settings: BoostedNetSettings, classes: int) -> None:
        super().__init__()
        encoders = {name: build_encoder(name, settings) for name in self.modalities}
        self.encoders = nn.ModuleDict(encoders)
        self.most, self.share_audio = settings.most, settings.share_audio
        self.hidden = nn.ModuleDict(
            {
                name: nn.ModuleList(nn.Linear(encoder.dimension, settings.hidden) for _ in range(self.most))
                for name, encoder in encoders.items()
            }
        )
        self.head = nn.Linear(settings.hidden, classes)
        # Numbers, not a tensor: slicing a list by a tensor would wait for the device in every forward.
        self.used = dict.fromkeys(self.modalities, 1)

    def classifiers(self, name: str, feature: Tensor) -> list[Tensor]:
        """The logits `(B, C)` of each of a modality's classifiers in use, the newest last."""
        layers = cast(nn.ModuleList, self.hidden[name])
        return [self.head(layer(feature).relu()) for layer in layers[: self.used[name]]]

    def score(self, name: str, feature: Tensor) -> Tensor:
        return torch.stack(self.classifiers(name, feature)).sum(0)

    def joined(self, scores: dict[str, Tensor]) -> Tensor:
        return self.share_audio * scores["audio"] + (1 - self.share_audio) * scores["visual"]

    def get_extra_state(self) -> Tensor:
        """How many classifiers are in use, (2,) int64; on the CPU, so that a forward does not wait for a GPU."""
        return torch.tensor([self.used[name] for name in self.modalities])

    def set_extra_state(self, state: Tensor) -> None:
        """Take up what `get_extra_state` returned."""
        self.used = dict(zip(self.modalities, state.tolist(), strict=True))


MODEL = BoostedNet
