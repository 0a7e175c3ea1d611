"""HAN, the hybrid attention network (Tian et al. 2020), also as JoMoLD trains it and with measuring heads (MSDU)."""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from avbalance.declared import refusal
from avbalance.models.base import MODALITIES, Batch
from avbalance.models.dropout import Dropout
from avbalance.models.parsing import (
    Dropped,
    Heads,
    HybridAttention,
    MeasuringHeads,
    ParsingModel,
    ParsingOutput,
    WidthSettings,
    attentive_pooling,
    head_logits,
    measured_scores,
    two_encoders,
)


class CrossAttentionSettings(WidthSettings):
    """What HAN has in one network or two."""

    dropout: Dropped = 0.1
    """dropout of the attention"""
    visual_dropout: Dropped = 0.0
    """dropout of attended visual features ahead of the heads: 0.5 in MCG-NJU/JoMoLD, 0 in HAN"""
    with_ca: bool = True
    """false: no modality attends to the other (JoMoLD's noise estimator); the weights are the same"""


class HANSettings(CrossAttentionSettings):
    """Settings of han."""

    name: Literal["han"] = "han"
    """which network"""
    msdu: bool = False
    """own heads for each modality, and measuring heads on the encoder outputs (Fu, Gao and Xu, Eq. 11)"""
    msdu_heads: Literal["separate", "shared"] = "separate"
    """which main heads MSDU has; shared, a control of ours: the one set of a network without it, which also measures"""
    msdu_detach: bool = False
    """whether no gradient flows from the measuring heads into the encoders"""

    @model_validator(mode="after")
    def _only_with_msdu(self) -> Self:
        for name in ("msdu_heads", "msdu_detach"):
            if not self.msdu and getattr(self, name) != HANSettings.model_fields[name].default:
                raise refusal(f"{name} is {getattr(self, name)!r}; it needs msdu: true")
        return self


class HANNet(ParsingModel):
    """Affine encoders, one hybrid attention layer for both modalities, heads with attentive pooling.

    4,569,675 parameters, 4,659,450 with MSDU, at width 512 and 25 classes. The published counts, 4,571,723 and
    4,661,498, contain 2,048 of two LayerNorms that are never applied and do not exist here.

    Groups: audio is fc_a; visual is fc_v, fc_st and fc_fusion; with MSDU, plus the modality's own heads. The attention
    layer, heads that serve both modalities and the measuring heads belong to no modality. Decision: a tensor whose
    gradient mixes the modalities has no coefficient of its own, and the measuring heads must keep tracking the encoder.
    """

    Settings = HANSettings
    modalities = MODALITIES

    def __init__(self, settings: HANSettings, classes: int) -> None:
        super().__init__()
        # drawn in this order, a network with MSDU starts from the weights of one without, whose heads are its audio's
        width = settings.width
        self.encoders = two_encoders(width)
        self.attention = HybridAttention(width, settings.dropout)
        self.visual_dropout = Dropout(settings.visual_dropout)
        self.audio_heads = Heads(width, classes)  # everybody's without MSDU
        separate = settings.msdu and settings.msdu_heads == "separate"
        self.visual_heads = Heads(width, classes) if separate else None
        measuring = {name: MeasuringHeads(width, classes) for name in MODALITIES} if separate else {}
        self.measuring = nn.ModuleDict(measuring)
        self.msdu = settings.msdu
        self.msdu_detach = settings.msdu_detach
        self.with_ca = settings.with_ca

    def forward(self, batch: Batch) -> ParsingOutput:
        encoded = {name: self.encoders[name](batch.modality(name)) for name in MODALITIES}
        return self.attend(encoded["audio"], encoded["visual"], self.with_ca)

    def attend(self, e_a: Tensor, e_v: Tensor, with_ca: bool) -> ParsingOutput:
        """Parse encoder outputs `(B, T, D)`; without `with_ca` no modality attends to the other."""
        f_a, f_v = self.attention.both(e_a, e_v, with_ca)
        heads = self.audio_heads if self.visual_heads is None else (self.audio_heads, self.visual_heads)
        prob, frame_att, av_att = head_logits(heads, f_a, self.visual_dropout(f_v))
        frame_prob = prob.sigmoid()
        pooled = attentive_pooling(frame_prob, frame_att, av_att)
        measured = self._measure({"audio": e_a, "visual": e_v})
        scores = measured.get("audio"), measured.get("visual")
        return ParsingOutput(frame_prob, *pooled, e_a, e_v, f_a, f_v, *scores, frame_att)

    def _measure(self, encoded: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if not self.msdu:
            return {}
        seen = {name: tensor.detach() if self.msdu_detach else tensor for name, tensor in encoded.items()}
        if self.visual_heads is None:
            return {name: measured_scores(self.audio_heads, tensor) for name, tensor in seen.items()}
        return {name: heads(seen[name]) for name, heads in self.measuring.items()}

    def own(self, modality: str) -> list[nn.Module]:
        """Return the modality's encoder and, with MSDU, its heads."""
        if self.visual_heads is None:
            return [self.encoders[modality]]
        return [self.encoders[modality], self.audio_heads if modality == "audio" else self.visual_heads]


MODEL = HANNet
