"""STPN (Nguyen et al. 2018), approximated: actions from vision alone, with sparse temporal attention."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from avbalance.declared import Weight
from avbalance.models.base import Batch
from avbalance.models.parsing import ParsingModel, ParsingOutput, VisualEncoder, WidthSettings, one_modality


class STPNSettings(WidthSettings):
    """Settings of stpn."""

    name: Literal["stpn"] = "stpn"
    """which network"""
    sparsity: Weight = 1e-4
    """weight of the loss of sparsity"""


class STPN(ParsingModel):
    """Class-agnostic attention lambda_t weighs the segments of a video; the audio input is never read.

    The video's logits are the attention-weighted mean of the segments', a segment's probability is its sigmoid times
    lambda_t, and `auxiliary` is `sparsity` times the mean of |lambda|. Approximate: the adaptation to this task whose
    numbers are published has no public code; decision: HAN's visual encoder and one stream; the sparsity's weight is
    recalled from the original paper.
    """

    Settings = STPNSettings
    modalities = ("visual",)

    def __init__(self, settings: STPNSettings, classes: int) -> None:
        super().__init__()
        width = settings.width
        self.encoders = nn.ModuleDict({"visual": VisualEncoder(width)})
        hidden = nn.Linear(width, (width + 1) // 2)
        self.attention = nn.Sequential(hidden, nn.ReLU(), nn.Linear(hidden.out_features, 1), nn.Sigmoid())
        self.prob = nn.Linear(width, classes)
        self.sparsity = settings.sparsity

    def forward(self, batch: Batch) -> ParsingOutput:
        encoded = self.encoders["visual"](batch.modality("visual"))
        attention, logits = self.attention(encoded), self.prob(encoded)
        # Attention is sparse by its loss: where all of it has gone to 0 there must be no 0 / 0.
        total = attention.sum(1).clamp_min(torch.finfo(attention.dtype).tiny)
        video = ((attention * logits).sum(1) / total).sigmoid()
        output = one_modality("visual", logits.sigmoid() * attention, video, encoded)
        output.auxiliary = self.sparsity * attention.mean()
        return output


MODEL = STPN
