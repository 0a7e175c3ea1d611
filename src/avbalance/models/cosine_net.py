"""Late fusion by cosines: features and weights of every modality have length 1 (MMCosine, Xu et al. 2023)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import linear, normalize

from avbalance.models.encoders import EncoderSettings
from avbalance.models.fusion import ConcatFusion
from avbalance.models.fusion_net import FusionNet, FusionNetSettings

SCALE = 15.0  # BalanceBenchmark


class CosineNetSettings(EncoderSettings):
    """Settings of cosine-net."""

    name: Literal["cosine-net"] = "cosine-net"
    """which network"""


class CosineFusion(ConcatFusion):
    """Fused logits `s (cos(W_1k, x_1) + cos(W_2k, x_2))` per class k; a modality's logits are its term.

    There is no bias: that of the linear layer stays 0. The scale s is kept with the weights.
    """

    scale: Tensor

    def __init__(self, dimension: int, classes: int) -> None:
        super().__init__(dimension, classes)
        # Frozen at 0, not removed: the layer is that of the concat head, which has a bias.
        self.linear.bias.requires_grad_(False)
        self.register_buffer("scale", torch.tensor(SCALE))

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map two features `(B, D)` to fused, first and second logits `(B, C)`."""
        columns = self.linear.weight.chunk(2, dim=1)
        first_logits, second_logits = (
            self.scale * linear(normalize(feature), normalize(weight))
            for feature, weight in zip((first, second), columns, strict=True)
        )
        return first_logits + second_logits, first_logits, second_logits


class CosineNet(FusionNet):
    """Two encoders joined by the cosines of their features; weights start as those of fusion-net with concat."""

    Settings = CosineNetSettings  # type: ignore[assignment]
    fusion: CosineFusion

    def __init__(self, settings: CosineNetSettings, classes: int) -> None:
        of_encoders = {name: getattr(settings, name) for name in EncoderSettings.model_fields if name != "name"}
        super().__init__(FusionNetSettings(**of_encoders), classes)
        self.fusion = CosineFusion(self.fusion.linear.in_features // 2, classes)


MODEL = CosineNet
