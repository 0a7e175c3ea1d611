"""Blocks of the modality-relevance networks, and the base of those that can be cut at their fusion.

Audio is a standardised log-mel `(B, 1, F, T)`, or vectors of seconds `(B, T, F)`, which are read as such a map; visual
is a stored feature of frozen ResNet-50 on 8 frames, one vector `(B, D)` per clip. ReLU follows every convolution and
linear layer but the output layers (paper, section 3); dropout, batch norm and pooling are not mentioned and not used.
Layer sizes are decisions: the paper's appendix, which had them, is not available; they match all sizes that the text
gives. Weights start as PyTorch's defaults (decision).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from avbalance.analysis.conditions import LEVELS, Condition, StandIns, replaced
from avbalance.errors import UserError
from avbalance.models.base import Batch, Model, ModelOutput, require
from avbalance.models.parsing import check_sizes

AUDIO_DEFAULTS: dict[str, Any] = {"bins": 64, "frames": 313}  # log-mel of 10 s at 16 kHz, hop 512
TRUNK_DEFAULTS: dict[str, Any] = {**AUDIO_DEFAULTS, "channels": 8, "kernel": 5, "stride": 4, "audio_width": 512}
VISUAL_DEFAULTS: dict[str, Any] = {"visual_feature": 400}


class AudioTrunk(nn.Module):
    """One convolution, flattened, and one linear layer: `(B, 1, F, T)` to `(B, 512)` at full size.

    10 s of sound: `(1, 64, 313)`, convolved to `(8, 16, 79)`, flattened to 10,112; 5,178,064 parameters.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        check_sizes(dict(settings), *TRUNK_DEFAULTS)
        kernel, stride, channels = settings["kernel"], settings["stride"], settings["channels"]
        self.shape = (1, settings["bins"], settings["frames"])
        padding = kernel // 2
        sides = [(side + 2 * padding - kernel) // stride + 1 for side in self.shape[1:]]
        self.convolution = nn.Conv2d(1, channels, kernel, stride, padding)
        self.linear = nn.Linear(channels * math.prod(sides), settings["audio_width"])

    def forward(self, audio: Tensor) -> Tensor:
        """Return the features."""
        audio = audio.mT.unsqueeze(1) if audio.ndim == 3 else audio
        maps = self.convolution(checked(audio, self.shape, "audio")).relu()
        features: Tensor = self.linear(maps.flatten(1)).relu()
        return features


class VisualTrunk(nn.Module):
    """The stored feature as it is if it has `width` values, else a linear layer and ReLU: `(B, D)` to `(B, width)`."""

    def __init__(self, feature: int, width: int) -> None:
        super().__init__()
        self.shape = (feature,)
        self.linear = None if feature == width else nn.Linear(feature, width)

    def forward(self, visual: Tensor) -> Tensor:
        """Return the features."""
        visual = checked(visual, self.shape, "visual")
        return visual if self.linear is None else self.linear(visual).relu()


class Branch(nn.Module):
    """One linear layer and ReLU on a flattened input of `shape`: `(B, *shape)` to `(B, width)`."""

    def __init__(self, shape: tuple[int, ...], width: int, what: str) -> None:
        super().__init__()
        self.shape, self.what = shape, what
        self.linear = nn.Linear(math.prod(shape), width)

    def forward(self, tensor: Tensor) -> Tensor:
        """Return the features."""
        features: Tensor = self.linear(checked(tensor, self.shape, self.what).flatten(1)).relu()
        return features


def checked(tensor: Tensor, shape: tuple[int, ...], modality: str) -> Tensor:
    """Return the input; raises UserError unless every clip's tensor has `shape`."""
    if tuple(tensor.shape[1:]) != shape:
        names = {"audio": "bins and frames", "visual": "visual_feature"}[modality]
        raise UserError(
            f"the {modality} of a clip has shape {tuple(tensor.shape[1:])}, the model takes {shape}; "
            f"set the model's {names} to what the feature recipe stores."
        )
    return tensor


def head(width: int, hidden: Sequence[int], classes: int) -> nn.Sequential:
    """Linear layers of `hidden` sizes, each with ReLU, and one of `classes`: with two sizes, the three-layer head.

    Raises UserError unless `hidden` lists sizes of at least 1.
    """
    sizes: dict[str, Any] = {f"hidden[{place}]": size for place, size in enumerate(hidden)}
    if not sizes:
        raise UserError(
            "model setting hidden is empty; list the sizes of the head's hidden layers, such as [256, 128]."
        )
    check_sizes(sizes, *sizes)
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU()]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, classes))


class CutModel(Model):
    """A network of one sub-network per modality, whose features are concatenated in the order of `encoders`.

    It can be cut there: `encode` and `classify` make up `forward`. Of a single modality, its scores are the logits;
    several have no scores of their own, since the paper's networks have one head.
    """

    head: nn.Module

    def encode(self, name: str, tensor: Tensor) -> Tensor:
        """Return the features `(B, D)` of one modality's input."""
        features: Tensor = self.encoders[name](tensor)
        return features

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """Return the features of every modality, in the order in which they are concatenated."""
        return {name: self.encode(name, batch.modality(name)) for name in self.modalities}

    def classify(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return logits `(B, C)` of features by modality."""
        logits: Tensor = self.head(torch.cat([features[name] for name in self.modalities], 1))
        return logits

    def forward(self, batch: Batch) -> ModelOutput:
        """Return logits, features and, of a unimodal network, scores."""
        return self._output(self.features(batch))

    def withheld(
        self,
        batch: Batch,
        condition: Condition,
        level: str,
        stand_ins: StandIns,
        generator: torch.Generator | None = None,
        exchanged: Tensor | None = None,
    ) -> ModelOutput:
        """Return the output under a condition; stand-ins and `exchanged` are of `level`, "input" or "fusion".

        See `avbalance.analysis.conditions.replaced`. At the input the sub-network runs on the stand-in, at the fusion
        the stand-in takes the place of what it makes. Raises UserError for another level.
        """
        require(level, LEVELS, "missing.level")
        if level == "fusion":
            return self._output(replaced(self.features(batch), condition, stand_ins, generator, exchanged))
        inputs = {name: batch.modality(name) for name in self.modalities}
        inputs = replaced(inputs, condition, stand_ins, generator, exchanged)
        return self._output({name: self.encode(name, tensor) for name, tensor in inputs.items()})

    def _output(self, features: dict[str, Tensor]) -> ModelOutput:
        logits = self.classify(features)
        scores = {name: logits for name in self.modalities} if len(self.modalities) == 1 else {}
        return ModelOutput(logits, scores, features)
