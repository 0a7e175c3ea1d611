"""TALNet (Wang, Li and Metzger 2019), approximated: sound events from audio alone, with linear softmax pooling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from avbalance.models.base import Batch, complete
from avbalance.models.parsing import (
    AUDIO_WIDTH,
    ParsingModel,
    ParsingOutput,
    assemble_default,
    check_sizes,
    one_modality,
)

DEFAULTS: dict[str, Any] = {"width": 128}


def linear_softmax_pooling(frame_prob: Tensor) -> Tensor:
    """`sum_t y^2 / sum_t y` for segment probabilities `(B, T, C)`: video probabilities `(B, C)`."""
    return frame_prob.square().sum(1) / frame_prob.sum(1).clamp_min(torch.finfo(frame_prob.dtype).tiny)


class TALNet(ParsingModel):
    """A bidirectional GRU over VGGish features and a sigmoid per class and segment; the visual input is never read.

    Approximate: the adaptation to this task whose numbers are published has no public code. The original works on
    spectrograms with convolutions; decision: a GRU on the VGGish features that all other methods get, and the pooling,
    which is the method's key part.
    """

    approximate = True
    modalities = ("audio",)

    def __init__(self, settings: dict[str, Any], classes: int) -> None:
        super().__init__()
        width = settings["width"]
        self.encoders = nn.ModuleDict({"audio": nn.GRU(AUDIO_WIDTH, width, batch_first=True, bidirectional=True)})
        self.prob = nn.Linear(2 * width, classes)

    def forward(self, batch: Batch) -> ParsingOutput:
        """Parse the batch's audio."""
        encoded = self.encoders["audio"](batch.modality("audio"))[0]
        frame_prob = self.prob(encoded).sigmoid()
        return one_modality("audio", frame_prob, linear_softmax_pooling(frame_prob), encoded)


def build(settings: dict[str, Any], classes: int, generator: torch.Generator) -> TALNet:
    """Return an initialised network; settings and defaults are those of DEFAULTS."""
    filled = complete(settings, DEFAULTS)
    check_sizes(filled, "width")
    return assemble_default(lambda: TALNet(filled, classes), generator)
