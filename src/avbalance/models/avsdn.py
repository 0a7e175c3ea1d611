"""AVSDN (Lin, Li and Wang 2019), approximated: sequence to sequence with a global audio-visual code."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from avbalance.declared import Size
from avbalance.models.base import MODALITIES, Batch
from avbalance.models.parsing import AUDIO_WIDTH, ParsingModel, ParsingOutput, VisualEncoder, WidthSettings


class AVSDNSettings(WidthSettings):
    """Settings of avsdn."""

    name: Literal["avsdn"] = "avsdn"
    """which network"""
    hidden: Size = 256
    """units of readers and decoders"""


class AudioReader(nn.Module):
    """An LSTM over audio `(B, T, 128)`; returns its outputs `(B, T, H)`."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.memory = nn.LSTM(AUDIO_WIDTH, hidden, batch_first=True)

    def forward(self, audio: Tensor) -> Tensor:
        encoded: Tensor = self.memory(audio)[0]
        return encoded


class VisualReader(nn.Module):
    """HAN's visual encoder and an LSTM; returns its outputs `(B, T, H)`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.embed = VisualEncoder(width)
        self.memory = nn.LSTM(width, hidden, batch_first=True)

    def forward(self, visual: Tensor) -> Tensor:
        encoded: Tensor = self.memory(self.embed(visual))[0]
        return encoded


class AVSDN(ParsingModel):
    """Two readers, whose last outputs are fused to one code that every step of two decoders is fed with.

    A video's probability is its highest segment's. Approximate: the adaptation to this task whose numbers are published
    has no public code; one decoder and head per modality, their sizes and the pooling are decisions.
    """

    Settings = AVSDNSettings
    approximate = True
    modalities = MODALITIES

    def __init__(self, settings: AVSDNSettings, classes: int) -> None:
        super().__init__()
        width, hidden = settings.width, settings.hidden
        self.encoders = nn.ModuleDict({"audio": AudioReader(hidden), "visual": VisualReader(width, hidden)})
        self.fuse = nn.Linear(2 * hidden, hidden)
        self.decoders = nn.ModuleDict({name: nn.LSTM(2 * hidden, hidden, batch_first=True) for name in MODALITIES})
        self.prob = nn.ModuleDict({name: nn.Linear(hidden, classes) for name in MODALITIES})

    def forward(self, batch: Batch) -> ParsingOutput:
        encoded = {name: self.encoders[name](batch.modality(name)) for name in MODALITIES}
        code = self.fuse(torch.cat([tensor[:, -1] for tensor in encoded.values()], -1)).tanh()
        decoded = {name: self._decode(name, tensor, code) for name, tensor in encoded.items()}
        logits = [self.prob[name](tensor) for name, tensor in decoded.items()]
        frame_prob = torch.stack(logits, 2).sigmoid()
        p_a, p_v = frame_prob.amax(1).unbind(1)
        return ParsingOutput(
            frame_prob,
            torch.maximum(p_a, p_v),
            p_a,
            p_v,
            e_a=encoded["audio"],
            e_v=encoded["visual"],
            f_a=decoded["audio"],
            f_v=decoded["visual"],
        )

    def _decode(self, name: str, encoded: Tensor, code: Tensor) -> Tensor:
        told = code.unsqueeze(1).expand(-1, encoded.shape[1], -1)
        decoded: Tensor = self.decoders[name](torch.cat([encoded, told], -1))[0]
        return decoded


MODEL = AVSDN
