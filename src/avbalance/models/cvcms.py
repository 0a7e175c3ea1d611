"""CVCMS (Lin et al. 2021): every class of every segment is a token, and tokens attend across classes and modalities."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from avbalance.declared import Size
from avbalance.models.base import MODALITIES, Batch
from avbalance.models.parsing import (
    Dropped,
    HybridAttention,
    ParsingModel,
    ParsingOutput,
    WidthSettings,
    attentive_pooling,
    two_encoders,
)


class CVCMSSettings(WidthSettings):
    """Settings of cvcms."""

    name: Literal["cvcms"] = "cvcms"
    """which network"""
    token_width: Size = 128
    """values that describe a class in a segment"""
    dropout: Dropped = 0.4
    """dropout of the attention between segments"""
    token_dropout: Dropped = 0.25
    """dropout of the attention between classes"""


class CVCMSNet(ParsingModel):
    """HAN's encoders, hybrid attention and attention heads; segment probabilities come from class-wise tokens.

    8,005,940 parameters at the default sizes and 25 classes. The 11,787,087 of GenjiB/CM-Co-Occurrence-AVVP contain
    3,781,147 of layers that its forward pass never uses and that do not exist here. Groups: the encoders.
    """

    Settings = CVCMSSettings
    modalities = MODALITIES

    def __init__(self, settings: CVCMSSettings, classes: int) -> None:
        super().__init__()
        width, token = settings.width, settings.token_width
        self.classes = classes
        self.encoders = two_encoders(width)
        self.attention = HybridAttention(width, settings.dropout)
        self.tokens = nn.ModuleDict({name: nn.Linear(width, classes * token) for name in MODALITIES})
        self.token_attention = HybridAttention(token, settings.token_dropout)
        self.prob = nn.ModuleDict({name: nn.Linear(token, 1) for name in MODALITIES})
        self.frame_att = nn.Linear(width, classes)
        self.av_att = nn.Linear(width, classes)

    def forward(self, batch: Batch) -> ParsingOutput:
        e_a, e_v = (self.encoders[name](batch.modality(name)) for name in MODALITIES)
        f_a, f_v = self.attention.both(e_a, e_v)
        attended = torch.stack([f_a, f_v], 2)
        frame_prob = self._segment_probabilities(f_a, f_v)
        frame_att = self.frame_att(attended)
        pooled = attentive_pooling(frame_prob, frame_att, self.av_att(attended))
        return ParsingOutput(frame_prob, *pooled, e_a=e_a, e_v=e_v, f_a=f_a, f_v=f_v, frame_att=frame_att)

    def _segment_probabilities(self, f_a: Tensor, f_v: Tensor) -> Tensor:
        """`(B, T, 2, C)` from attended features `(B, T, D)`; the C tokens of a segment are the sequence attended to."""
        features = dict(zip(MODALITIES, (f_a, f_v), strict=True))
        audio, visual = (
            # Seconds become part of the batch: tokens attend to classes of the same second only.
            self.tokens[name](feature).relu().unflatten(-1, (self.classes, -1)).flatten(0, 1)
            for name, feature in features.items()
        )
        crossed = dict(zip(MODALITIES, self.token_attention.both(audio, visual), strict=True))
        logits = [self.prob[name](tokens).squeeze(-1).unflatten(0, f_a.shape[:2]) for name, tokens in crossed.items()]
        return torch.stack(logits, 2).sigmoid()


MODEL = CVCMSNet
