"""The audio-visual event network (Tian et al. 2018) with audio and visual outputs, approximated for video parsing."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from avbalance.declared import Size
from avbalance.models.base import MODALITIES, Batch
from avbalance.models.parsing import (
    AUDIO_WIDTH,
    CLIP_WIDTH,
    FRAME_WIDTH,
    ParsingModel,
    ParsingOutput,
    WidthSettings,
    loudest,
)


class AVENetSettings(WidthSettings):
    """Settings of ave-net."""

    name: Literal["ave-net"] = "ave-net"
    """which network"""
    hidden: Size = 128
    """units of each memory in either direction"""


class GuidedVisualMemory(nn.Module):
    """Audio chooses what to look at within each second, then a bidirectional LSTM; returns `(B, T, 2 H)`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.appearance = nn.Linear(FRAME_WIDTH, width)
        self.motion = nn.Linear(CLIP_WIDTH, width)
        self.see = nn.Linear(width, width)
        self.hear = nn.Linear(AUDIO_WIDTH, width)
        self.score = nn.Linear(width, 1, bias=False)
        self.memory = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)

    def forward(self, visual: Tensor, audio: Tensor) -> Tensor:
        frames, clips = visual[..., :FRAME_WIDTH], visual[..., FRAME_WIDTH:]
        seen = torch.stack([self.appearance(frames), self.motion(clips)], 2)
        # One second's sound stands beside both of its features: appearance and motion.
        heard = self.hear(audio).relu().unsqueeze(2)
        weight = self.score((self.see(seen).relu() + heard).tanh()).softmax(2)
        return self.memory((weight * seen).sum(2))[0]


class AVENet(ParsingModel):
    """One memory and one head per modality; a video's probability is its highest segment's.

    Approximate: the network has public code for another task, the adaptation whose numbers are published has none.
    Decision: the audio-guided attention, over image positions in the original, chooses between the appearance and the
    motion feature of a second, since the inputs of this task are averaged over positions and frames.
    """

    Settings = AVENetSettings
    modalities = MODALITIES

    def __init__(self, settings: AVENetSettings, classes: int) -> None:
        super().__init__()
        width, hidden = settings.width, settings.hidden
        memory = nn.LSTM(AUDIO_WIDTH, hidden, batch_first=True, bidirectional=True)
        self.encoders = nn.ModuleDict({"audio": memory, "visual": GuidedVisualMemory(width, hidden)})
        self.prob = nn.ModuleDict({name: nn.Linear(2 * hidden, classes) for name in MODALITIES})

    def forward(self, batch: Batch) -> ParsingOutput:
        audio = batch.modality("audio")
        e_a, e_v = self.encoders["audio"](audio)[0], self.encoders["visual"](batch.modality("visual"), audio)
        frame_prob = torch.stack([self.prob["audio"](e_a), self.prob["visual"](e_v)], 2).sigmoid()
        return loudest(frame_prob, e_a, e_v, e_a, e_v)


MODEL = AVENet
