"""CMCS (Liu, Jiang and Wang 2019), approximated: actions from vision alone, with branches that must differ."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from avbalance.declared import Weight
from avbalance.models.base import Batch
from avbalance.models.parsing import ParsingModel, ParsingOutput, VisualEncoder, WidthSettings, one_modality


class CMCSSettings(WidthSettings):
    """Settings of cmcs."""

    name: Literal["cmcs"] = "cmcs"
    """which network"""
    branches: Annotated[int, Field(ge=2)] = 4
    """classifiers, which are compared in pairs"""
    diversity: Weight = 0.2
    """weight of the loss of diversity"""


def mean_pairwise_cosine(activation: Tensor) -> Tensor:
    """Mean over videos, classes and pairs of branches of the cosine of two branches' sequences over time.

    activation `(B, T, K, C)` to a scalar.
    """
    branches = activation.shape[2]
    unit = nn.functional.normalize(activation.permute(0, 3, 2, 1), dim=-1)
    cosine = unit @ unit.transpose(-2, -1)
    # Without a branch's cosine with itself, which is always 1.
    others = cosine.sum((-2, -1)) - cosine.diagonal(dim1=-2, dim2=-1).sum(-1)
    return (others / (branches * (branches - 1))).mean()


class CMCS(ParsingModel):
    """K branches classify every segment, with a background class, and are averaged; the audio input is never read.

    Softmax over classes and background, so that two events of one segment compete; the video's are pooled by attention
    over time; `auxiliary` is `diversity` times the branches' mean pairwise cosine. Approximate: the adaptation to this
    task whose numbers are published has no public code; pooling and weight are decisions, context clips are left out.
    """

    Settings = CMCSSettings
    modalities = ("visual",)

    def __init__(self, settings: CMCSSettings, classes: int) -> None:
        super().__init__()
        width = settings.width
        self.encoders = nn.ModuleDict({"visual": VisualEncoder(width)})
        self.branches = nn.ModuleList(nn.Linear(width, classes + 1) for _ in range(settings.branches))
        self.attention = nn.Linear(width, 1)
        self.diversity = settings.diversity

    def forward(self, batch: Batch) -> ParsingOutput:
        encoded = self.encoders["visual"](batch.modality("visual"))
        activation = torch.stack([branch(encoded) for branch in self.branches], 2).softmax(-1)
        # The last class is the background, with which events compete, and which is none itself.
        frame_prob = activation.mean(2)[..., :-1]
        video = (self.attention(encoded).softmax(1) * frame_prob).sum(1)
        output = one_modality("visual", frame_prob, video, encoded)
        output.auxiliary = self.diversity * mean_pairwise_cosine(activation)
        return output


MODEL = CMCS
