"""Blocks of the modality-relevance networks, and the base of those that can be cut at their fusion.

Audio is a standardised log-mel `(B, 1, F, T)`, or vectors of seconds `(B, T, F)`, which are read as such a map; visual
is a stored feature of frozen ResNet-50 on 8 frames, one vector `(B, D)` per clip. ReLU follows every convolution and
linear layer but the output layers (paper, section 3); dropout, batch norm and pooling are not mentioned and not used.
Layer sizes are decisions: the paper's appendix, which had them, is not available; they match all sizes that the text
gives. Weights start as PyTorch's defaults (decision).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from avbalance.declared import Size
from avbalance.errors import UserError
from avbalance.models.base import Batch, Model, ModelOutput, ModelSettings


class SpectrogramSettings(ModelSettings):
    """The sound that a network takes."""

    bins: Size = 64
    """bands of the log-mel"""
    frames: Size = 313
    """its frames; 313 are 10 s at 16 kHz, hop 512"""


class AudioTrunkSettings(SpectrogramSettings):
    """Settings of the audio sub-network."""

    channels: Size = 8
    """channels of the convolution"""
    kernel: Size = 5
    """its rows and columns"""
    stride: Size = 4
    """its step"""
    audio_width: Size = 512
    """values that the audio sub-network makes"""


class StoredFeatureSettings(ModelSettings):
    """The pictures that a network takes."""

    visual_feature: Size = 400
    """values of the stored feature: 400 scores of Kinetics-400, 2048 of ResNet-50 for images"""


class AudioTrunk(nn.Module):
    """One convolution, flattened, and one linear layer: `(B, 1, F, T)` to `(B, 512)` at full size.

    10 s of sound: `(1, 64, 313)`, convolved to `(8, 16, 79)`, flattened to 10,112; 5,178,064 parameters.
    """

    def __init__(self, settings: AudioTrunkSettings) -> None:
        super().__init__()
        kernel, stride, channels = settings.kernel, settings.stride, settings.channels
        self.shape = (1, settings.bins, settings.frames)
        padding = kernel // 2
        sides = [(side + 2 * padding - kernel) // stride + 1 for side in self.shape[1:]]
        self.convolution = nn.Conv2d(1, channels, kernel, stride, padding)
        self.linear = nn.Linear(channels * math.prod(sides), settings.audio_width)

    def forward(self, audio: Tensor) -> Tensor:
        # Vectors of seconds read as a map: values become bands, seconds become frames.
        audio = audio.mT.unsqueeze(1) if audio.ndim == 3 else audio
        maps = self.convolution(checked(audio, self.shape, "audio")).relu()
        return self.linear(maps.flatten(1)).relu()


class VisualTrunk(nn.Module):
    """The stored feature as it is if it has `width` values, else a linear layer and ReLU: `(B, D)` to `(B, width)`."""

    def __init__(self, feature: int, width: int) -> None:
        super().__init__()
        self.shape = (feature,)
        self.linear = None if feature == width else nn.Linear(feature, width)

    def forward(self, visual: Tensor) -> Tensor:
        visual = checked(visual, self.shape, "visual")
        return visual if self.linear is None else self.linear(visual).relu()


class LinearBranch(nn.Module):
    """One linear layer and ReLU on a flattened input of `shape`: `(B, *shape)` to `(B, width)`."""

    def __init__(self, shape: tuple[int, ...], width: int, what: str) -> None:
        super().__init__()
        self.shape, self.what = shape, what
        self.linear = nn.Linear(math.prod(shape), width)

    def forward(self, tensor: Tensor) -> Tensor:
        return self.linear(checked(tensor, self.shape, self.what).flatten(1)).relu()


def checked(tensor: Tensor, shape: tuple[int, ...], modality: str) -> Tensor:
    """The input; raises UserError unless every clip's tensor has `shape`."""
    if tuple(tensor.shape[1:]) != shape:
        names = {"audio": "bins and frames", "visual": "visual_feature"}[modality]
        raise UserError(
            f"the {modality} of a clip has shape {tuple(tensor.shape[1:])}, the model takes {shape}; "
            f"set the model's {names} to what the feature recipe stores."
        )
    return tensor


class CutModel(Model):
    """A network of one sub-network per modality, whose features are concatenated in the order of `encoders`.

    It can be cut there: `features` and `output` make up `forward`. Of a single modality, its scores are the logits;
    several have no scores of their own, since the paper's networks have one head.
    """

    head: nn.Module

    def encode(self, name: str, tensor: Tensor) -> Tensor:
        """The features `(B, D)` of one modality's input."""
        return self.encoders[name](tensor)

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """The features of every modality, in the order in which they are concatenated."""
        return {name: self.encode(name, batch.modality(name)) for name in self.modalities}

    def forward(self, batch: Batch) -> ModelOutput:
        return self.output(self.features(batch))

    def output(self, features: dict[str, Tensor]) -> ModelOutput:
        """What follows from the features of all modalities: those of a batch, or others in their place."""
        logits: Tensor = self.head(torch.cat([features[name] for name in self.modalities], 1))
        scores = {name: logits for name in self.modalities} if len(self.modalities) == 1 else {}
        return ModelOutput(logits, scores, features)
