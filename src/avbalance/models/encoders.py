"""The encoders that a network may have, by name: ResNet-18 of the papers, and a small one for generated data."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from avbalance.errors import UserError
from avbalance.models.base import require
from avbalance.models.resnet import ENCODER_DEFAULTS as RESNET_DEFAULTS
from avbalance.models.resnet import IN_CHANNELS, ResNet18
from avbalance.models.resnet import build_encoder as build_resnet

ENCODERS = ("resnet18", "convolutional")
ENCODER_DEFAULTS: dict[str, Any] = {"encoder": "resnet18", "dimension": None, **RESNET_DEFAULTS}


class ConvolutionalEncoder(nn.Module):
    """Three 3x3 convolutions of stride 2 and w, 2w, 4w channels, then a 1x1 convolution to `dimension` channels.

    Each is followed by batch norm and ReLU. Input `(N, in_channels, H, W)` of any size, output of `forward`
    `(N, dimension, H / 8, W / 8)`, rounded up and not pooled, as ResNet18 leaves its maps. Ours, for data on which
    ResNet-18 would cost much and say no more; the papers use none like it.
    """

    def __init__(self, in_channels: int, width: int, dimension: int) -> None:
        super().__init__()
        for setting, value in (("width", width), ("dimension", dimension)):
            if value < 1:
                raise UserError(f"model setting {setting} is {value}; it must be at least 1.")
        self.dimension = dimension
        channels = (in_channels, width, 2 * width, 4 * width)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, 2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(True)]
        layers += [nn.Conv2d(channels[-1], dimension, 1, bias=False), nn.BatchNorm2d(dimension), nn.ReLU(True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Return the maps after the last convolution."""
        maps: Tensor = self.layers(images)
        return maps


def build_encoder(modality: str, settings: Mapping[str, Any]) -> ResNet18 | ConvolutionalEncoder:
    """Return the encoder of a modality under the settings of ENCODER_DEFAULTS.

    `dimension` is the convolutional encoder's, by default 8 times the width, as many as ResNet-18 has; `stem` and
    `stem_stride` are ResNet-18's. Raises UserError for a value that does not exist or does not apply.
    """
    require(settings["encoder"], ENCODERS, "encoder")
    dimension = settings["dimension"]
    if settings["encoder"] == "convolutional":
        wanted = 8 * settings["width"] if dimension is None else dimension
        return ConvolutionalEncoder(IN_CHANNELS[modality], settings["width"], wanted)
    if dimension is not None:
        raise UserError(
            f"model setting dimension is {dimension}; ResNet-18 has 8 times its width: set dimension to null, "
            "or encoder to convolutional."
        )
    return build_resnet(modality, settings)
