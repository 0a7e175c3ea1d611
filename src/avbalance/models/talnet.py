"""TALNet (Wang, Li and Metzger 2019), approximated: sound events from audio alone, with linear softmax pooling."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from avbalance.declared import Size
from avbalance.models.base import Batch, ModelSettings
from avbalance.models.parsing import AUDIO_WIDTH, ParsingModel, ParsingOutput, one_modality


class TALNetSettings(ModelSettings):
    """Settings of talnet."""

    name: Literal["talnet"] = "talnet"
    """which network"""
    width: Size = 128
    """units of the memory in either direction"""


def linear_softmax_pooling(frame_prob: Tensor) -> Tensor:
    """`sum_t y^2 / sum_t y` for segment probabilities `(B, T, C)`: video probabilities `(B, C)`."""
    return frame_prob.square().sum(1) / frame_prob.sum(1).clamp_min(torch.finfo(frame_prob.dtype).tiny)


class TALNet(ParsingModel):
    """A bidirectional GRU over VGGish features and a sigmoid per class and segment; the visual input is never read.

    Approximate: the adaptation to this task whose numbers are published has no public code. Decision: a GRU on the
    VGGish features that all methods get, in place of convolutions on spectrograms; pooling is its key part.
    """

    Settings = TALNetSettings
    modalities = ("audio",)

    def __init__(self, settings: TALNetSettings, classes: int) -> None:
        super().__init__()
        width = settings.width
        self.encoders = nn.ModuleDict({"audio": nn.GRU(AUDIO_WIDTH, width, batch_first=True, bidirectional=True)})
        self.prob = nn.Linear(2 * width, classes)

    def forward(self, batch: Batch) -> ParsingOutput:
        encoded = self.encoders["audio"](batch.modality("audio"))[0]
        frame_prob = self.prob(encoded).sigmoid()
        return one_modality("audio", frame_prob, linear_softmax_pooling(frame_prob), encoded)


MODEL = TALNet
