"""STPN (Nguyen et al. 2018), approximated: actions from vision alone, with sparse temporal attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from avbalance.models.base import Batch, complete
from avbalance.models.parsing import (
    ParsingModel,
    ParsingOutput,
    VisualEncoder,
    assemble_default,
    check_sizes,
    one_modality,
)

DEFAULTS: dict[str, Any] = {"width": 512, "sparsity": 1e-4}


class STPN(ParsingModel):
    """Class-agnostic attention lambda_t weighs the segments of a video; the audio input is never read.

    The video's logits are the attention-weighted mean of the segments' logits, a segment's probability is its sigmoid
    times lambda_t, and `auxiliary` is `sparsity` times the mean of |lambda|.

    Approximate: the adaptation to this task whose numbers are published has no public code; decision: HAN's visual
    encoder, and one stream instead of separate streams for appearance and motion. The weight of the sparsity loss is
    recalled from the original paper.
    """

    approximate = True
    modalities = ("visual",)

    def __init__(self, settings: dict[str, Any], classes: int) -> None:
        super().__init__()
        width = settings["width"]
        self.encoders = nn.ModuleDict({"visual": VisualEncoder(width)})
        hidden = nn.Linear(width, (width + 1) // 2)
        self.attention = nn.Sequential(hidden, nn.ReLU(), nn.Linear(hidden.out_features, 1), nn.Sigmoid())
        self.prob = nn.Linear(width, classes)
        self.sparsity = settings["sparsity"]

    def forward(self, batch: Batch) -> ParsingOutput:
        """Parse the batch's visual input."""
        encoded = self.encoders["visual"](batch.modality("visual"))
        attention, logits = self.attention(encoded), self.prob(encoded)
        total = attention.sum(1).clamp_min(torch.finfo(attention.dtype).tiny)
        video = ((attention * logits).sum(1) / total).sigmoid()
        output = one_modality("visual", logits.sigmoid() * attention, video, encoded)
        output.auxiliary = self.sparsity * attention.mean()
        return output


def build(settings: dict[str, Any], classes: int, generator: torch.Generator) -> STPN:
    """Return an initialised network; settings and defaults are those of DEFAULTS."""
    filled = complete(settings, DEFAULTS)
    check_sizes(filled, "width")
    return assemble_default(lambda: STPN(filled, classes), generator)
