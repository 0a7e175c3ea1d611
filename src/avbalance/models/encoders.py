"""The encoders that a network may have, by name: ResNet-18 of the papers, and a small one for generated data."""

from __future__ import annotations

import itertools
from typing import Literal, Self

from pydantic import model_validator
from torch import Tensor, nn

from avbalance.declared import Size, refusal
from avbalance.models.base import ModelSettings
from avbalance.models.resnet import IN_CHANNELS, ResNet18


class EncoderSettings(ModelSettings):
    """The encoders of a network of images."""

    encoder: Literal["resnet18", "convolutional"] = "resnet18"
    """which encoder; convolutional: a small one of four layers"""
    dimension: Size | None = None
    """values that the convolutional encoder makes; null: 8 times the width, as many as ResNet-18 has"""
    width: Size = 64
    """channels of the first stage; 64 is ResNet-18"""
    stem: Literal["imagenet", "small"] = "imagenet"
    """what comes before the stages of ResNet-18; small: one 3 x 3 convolution, for inputs of about 32 x 32"""
    stem_stride: Literal[1, 2] = 2
    """step of the small stem"""

    @model_validator(mode="after")
    def _dimension_of_one(self) -> Self:
        if self.encoder == "resnet18" and self.dimension is not None:
            raise refusal(
                f"dimension is {self.dimension}; ResNet-18 has 8 times its width: set dimension to null, or encoder to "
                "convolutional"
            )
        return self


class ConvolutionalEncoder(nn.Module):
    """Three 3x3 convolutions of stride 2 and w, 2w, 4w channels, then a 1x1 convolution to `dimension` channels.

    Each with batch norm and ReLU. Input `(N, in_channels, H, W)`, output `(N, dimension, H / 8, W / 8)`, rounded up and
    not pooled. Ours, for data on which ResNet-18 would cost much and say no more.
    """

    def __init__(self, in_channels: int, width: int, dimension: int) -> None:
        super().__init__()
        self.dimension = dimension
        channels = (in_channels, width, 2 * width, 4 * width)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, 2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(True)]
        layers += [nn.Conv2d(channels[-1], dimension, 1, bias=False), nn.BatchNorm2d(dimension), nn.ReLU(True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def build_encoder(modality: str, settings: EncoderSettings) -> ResNet18 | ConvolutionalEncoder:
    """The encoder of a modality."""
    channels, width = IN_CHANNELS[modality], settings.width
    if settings.encoder == "convolutional":
        # 8 times the width by default, as ResNet-18: heads and methods then have the same sizes with either encoder.
        return ConvolutionalEncoder(channels, width, settings.dimension or 8 * width)
    return ResNet18(channels, width, settings.stem, settings.stem_stride)
