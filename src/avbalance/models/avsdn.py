"""AVSDN (Lin, Li and Wang 2019), approximated: sequence to sequence with a global audio-visual code."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from avbalance.declared import Size
from avbalance.models.base import MODALITIES, Batch
from avbalance.models.parsing import AUDIO_WIDTH, ParsingModel, ParsingOutput, VisualEncoder, WidthSettings, loudest


class AVSDNSettings(WidthSettings):
    """Settings of avsdn."""

    name: Literal["avsdn"] = "avsdn"
    """which network"""
    hidden: Size = 256
    """units of readers and decoders"""


class AVSDN(ParsingModel):
    """Two readers, whose last outputs are fused to one code that every step of two decoders is fed with.

    A video's probability is its highest segment's. Approximate: the adaptation to this task whose numbers are published
    has no public code; one decoder and head per modality, their sizes and the pooling are decisions.
    """

    Settings = AVSDNSettings
    modalities = MODALITIES

    def __init__(self, settings: AVSDNSettings, classes: int) -> None:
        super().__init__()
        width, hidden = settings.width, settings.hidden
        heard = nn.LSTM(AUDIO_WIDTH, hidden, batch_first=True)
        seen = nn.Sequential(VisualEncoder(width), nn.LSTM(width, hidden, batch_first=True))
        self.encoders = nn.ModuleDict({"audio": heard, "visual": seen})
        self.fuse = nn.Linear(2 * hidden, hidden)
        self.decoders = nn.ModuleDict({name: nn.LSTM(2 * hidden, hidden, batch_first=True) for name in MODALITIES})
        self.prob = nn.ModuleDict({name: nn.Linear(hidden, classes) for name in MODALITIES})

    def forward(self, batch: Batch) -> ParsingOutput:
        encoded = {name: self.encoders[name](batch.modality(name))[0] for name in MODALITIES}
        # Readers go one way: their last output has seen the whole video.
        code = self.fuse(torch.cat([tensor[:, -1] for tensor in encoded.values()], -1)).tanh()
        decoded = {name: self._decode(name, tensor, code) for name, tensor in encoded.items()}
        logits = [self.prob[name](tensor) for name, tensor in decoded.items()]
        frame_prob = torch.stack(logits, 2).sigmoid()
        return loudest(frame_prob, *encoded.values(), *decoded.values())

    def _decode(self, name: str, encoded: Tensor, code: Tensor) -> Tensor:
        told = code.unsqueeze(1).expand(-1, encoded.shape[1], -1)
        return self.decoders[name](torch.cat([encoded, told], -1))[0]


MODEL = AVSDN
