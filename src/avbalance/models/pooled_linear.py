"""A linear classifier on pooled stored features: what needs no network, a reference for those that are trained."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from avbalance.errors import UserError
from avbalance.models.base import ReferenceSettings
from avbalance.models.relevance import CutModel

PICTURE = 8  # pixels a side to which frames are averaged


class PooledLinearSettings(ReferenceSettings):
    """Settings of pooled-linear."""

    name: Literal["pooled-linear"] = "pooled-linear"
    """which network"""
    modalities: Annotated[list[Literal["audio", "visual"]], Field(min_length=1)] = Field(default=["audio", "visual"])
    """what is read, in order"""


def pool_audio(audio: Tensor) -> Tensor:
    """Mean and standard deviation over time of every band `(B, 1, F, T)`: `(B, 2 F)`; vectors of seconds: their mean.

    Raises UserError for features of another kind.
    """
    if audio.ndim == 4 and audio.shape[1] == 1:
        bands = audio[:, 0]
        return torch.cat([bands.mean(2), bands.std(2, unbiased=False)], 1)
    return _pool_vectors(audio, "audio")


def pool_visual(visual: Tensor) -> Tensor:
    """Frames `(B, 3, K, H, W)` averaged over K and over areas to 8 x 8: `(B, 192)`; a vector as it is, or their mean.

    Raises UserError for features of another kind.
    """
    if visual.ndim == 5 and visual.shape[1] == 3:
        return adaptive_avg_pool2d(visual.mean(2), PICTURE).flatten(1)
    return _pool_vectors(visual, "visual")


def _pool_vectors(features: Tensor, modality: str) -> Tensor:
    """`(B, D)` as it is; `(B, T, ...)`, vectors of T seconds, averaged over T."""
    if features.ndim < 2:
        raise UserError(
            f"the {modality} of a clip has shape {tuple(features.shape[1:])}: there are no features to pool; leave the "
            "reference runs out."
        )
    return features if features.ndim == 2 else features.mean(1).flatten(1)


class PooledFeatures(nn.Module):
    """Pooled features of one modality, standardised by the mean and deviation that were fitted."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, modality: str) -> None:
        super().__init__()
        self.pool = {"audio": pool_audio, "visual": pool_visual}[modality]
        self.fit(torch.zeros(1, 1))

    def fit(self, features: Tensor) -> None:
        """Standardise by features `(N, D)`; what is constant is left at 0."""
        deviation = features.std(0, unbiased=False)
        self.register_buffer("mean", features.mean(0))
        # A value that never changes has deviation 0; 1 in its place leaves 0 in place of 0 / 0.
        self.register_buffer("deviation", torch.where(deviation > 0, deviation, torch.ones_like(deviation)))

    def forward(self, tensor: Tensor) -> Tensor:
        return (self.pool(tensor) - self.mean) / self.deviation


class PooledLinear(CutModel):
    """Pooled features of the `modalities`, concatenated, and one linear layer. Its sizes follow from what is fitted."""

    Settings = PooledLinearSettings
    head: nn.Linear

    def __init__(self, settings: PooledLinearSettings, classes: int) -> None:
        super().__init__()
        self.modalities = tuple(settings.modalities)
        self.encoders = nn.ModuleDict({name: PooledFeatures(name) for name in self.modalities})
        # A placeholder: how many values there are is known once features have been pooled, see take().
        self.head = nn.Linear(len(self.modalities), classes)

    def take(self, weight: Tensor, bias: Tensor) -> None:
        """Predict by `weight (C, D)` and `bias (C,)` from now on."""
        self.head = nn.Linear(weight.shape[1], weight.shape[0]).to(weight.device)
        with torch.no_grad():
            self.head.weight.copy_(weight)
            self.head.bias.copy_(bias)


MODEL = PooledLinear
