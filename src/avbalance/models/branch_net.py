"""Two small branches with 512 features each, joined by a linear head: stand-in for two ResNet-18 in small studies."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from avbalance.errors import UserError
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput, assemble, complete, require
from avbalance.models.fusion import ConcatFusion
from avbalance.models.resnet import IN_CHANNELS, as_images, pool

ENCODERS = ("convolutional", "vector")
DEFAULTS: dict[str, Any] = {
    "encoder": "convolutional",
    "unimodal_heads": True,
    "modalities": list(MODALITIES),
    "width": 16,
    "inputs": 64,
    "dimension": 512,
}


class ConvolutionalBranch(nn.Module):
    """Three 3x3 convolutions of stride 2 and width w, 2w, 4w, a 1x1 convolution, and the mean over the map.

    Input as a ResNet-18 of the same modality takes it, audio `(B, 1, F, T)` or visual `(B, 3, K, H, W)`, of any size;
    output `(B, dimension)`, the mean over frames too.
    """

    def __init__(self, modality: str, width: int, dimension: int) -> None:
        super().__init__()
        self.modality = modality
        channels = (IN_CHANNELS[modality], width, 2 * width, 4 * width)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, 2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(True)]
        layers += [nn.Conv2d(channels[-1], dimension, 1, bias=False), nn.BatchNorm2d(dimension), nn.ReLU(True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, tensor: Tensor) -> Tensor:
        """Return the pooled feature."""
        return pool(self.layers(as_images(self.modality, tensor)), len(tensor))


class VectorBranch(nn.Module):
    """One linear layer and ReLU on vectors `(B, inputs)`; output `(B, dimension)`."""

    def __init__(self, inputs: int, dimension: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, dimension)

    def forward(self, tensor: Tensor) -> Tensor:
        """Return the feature."""
        return functional.relu(self.layer(tensor))


class BranchNet(Model):
    """Late fusion by concatenation over small branches, as `fusion-net` is over ResNet-18.

    The scores of a modality are those of its own linear head or, without `unimodal_heads`, its columns of the fusion
    head with half the bias; the two then add up to the fused logits. With one modality only, its own head predicts.
    Encoder "convolutional" takes what ResNet-18 takes, "vector" takes vectors of `inputs` numbers.
    """

    def __init__(self, settings: dict[str, Any], classes: int) -> None:
        super().__init__()
        self.modalities = tuple(settings["modalities"])
        dimension = settings["dimension"]
        self.encoders = nn.ModuleDict({name: _branch(name, settings) for name in self.modalities})
        both = len(self.modalities) == 2
        self.fusion = ConcatFusion(dimension, classes) if both else None
        self.unimodal_heads: nn.ModuleDict | None = None
        if settings["unimodal_heads"] or not both:
            self.unimodal_heads = nn.ModuleDict({name: nn.Linear(dimension, classes) for name in self.modalities})

    def forward(self, batch: Batch) -> ModelOutput:
        """Return fused logits and every modality's scores."""
        features = {name: self.encoders[name](batch.modality(name)) for name in self.modalities}
        scores = {}
        if self.unimodal_heads is not None:
            scores = {name: self.unimodal_heads[name](feature) for name, feature in features.items()}
        if self.fusion is None:
            return ModelOutput(scores[self.modalities[0]], scores, features)
        fused, *alone = self.fusion(*features.values())
        return ModelOutput(fused, scores or dict(zip(self.modalities, alone, strict=True)), features)


def _branch(modality: str, settings: dict[str, Any]) -> ConvolutionalBranch | VectorBranch:
    if settings["encoder"] == "vector":
        return VectorBranch(settings["inputs"], settings["dimension"])
    return ConvolutionalBranch(modality, settings["width"], settings["dimension"])


def build(settings: dict[str, Any], classes: int, generator: torch.Generator) -> BranchNet:
    """Return an initialised network; settings and defaults are those of DEFAULTS. Audio fills the first columns."""
    filled = complete(settings, DEFAULTS)
    require(filled["encoder"], ENCODERS, "encoder")
    if filled["modalities"] not in ([*MODALITIES], *([name] for name in MODALITIES)):
        raise UserError(f"model setting modalities is {filled['modalities']}; use audio and visual, or one of them.")
    for name in ("width", "inputs", "dimension"):
        if filled[name] < 1:
            raise UserError(f"model setting {name} is {filled[name]}; it must be at least 1.")
    return assemble(lambda: BranchNet(filled, classes), generator)
