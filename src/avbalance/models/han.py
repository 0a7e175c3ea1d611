"""HAN, the hybrid attention network (Tian et al. 2020), also as JoMoLD trains it and with measuring heads (MSDU)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from avbalance.errors import UserError
from avbalance.models.base import MODALITIES, Batch, complete, require
from avbalance.models.dropout import Dropout
from avbalance.models.parsing import (
    Heads,
    HybridAttention,
    MeasuringHeads,
    ParsingModel,
    ParsingOutput,
    assemble_default,
    attentive_pooling,
    check_shares,
    check_sizes,
    head_logits,
    measured_scores,
    two_encoders,
)

DEFAULTS: dict[str, Any] = {
    "width": 512,
    "dropout": 0.1,
    "visual_dropout": 0.0,
    "msdu": False,
    "msdu_heads": "separate",
    "msdu_detach": False,
    "with_ca": True,
}
MSDU_HEADS = ("separate", "shared")


class HAN(ParsingModel):
    """Affine encoders, one hybrid attention layer for both modalities, heads with attentive pooling.

    `visual_dropout` drops attended visual features ahead of the heads (0.5 in MCG-NJU/JoMoLD, 0 in HAN). `msdu` gives
    each modality its own heads and adds measuring heads on the encoder outputs (Fu, Gao and Xu, Eq. 11); with
    `msdu_detach` no gradient flows from those into the encoders. With `msdu_heads: shared`, a control of ours, there is
    the one set of heads of a network without MSDU, which also measures. Without `with_ca` no modality
    attends to the other (JoMoLD's noise estimator); the weights are the same.

    4,569,675 parameters, 4,659,450 with MSDU, at width 512 and 25 classes. The published counts, 4,571,723 and
    4,661,498, contain 2,048 of two LayerNorms that are never applied and do not exist here.

    Groups: audio is fc_a; visual is fc_v, fc_st and fc_fusion; with MSDU, plus the modality's own heads. The attention
    layer, heads that serve both modalities and the measuring heads belong to no modality. Decision: a tensor whose
    gradient mixes the modalities has no coefficient of its own, and the measuring heads must keep tracking the encoder.
    """

    modalities = MODALITIES

    def __init__(self, settings: dict[str, Any], classes: int) -> None:
        super().__init__()
        width = settings["width"]
        self.encoders = two_encoders(width)
        self.attention = HybridAttention(width, settings["dropout"])
        share = settings["visual_dropout"]
        self.visual_dropout = Dropout(share)
        self.audio_heads = Heads(width, classes)  # everybody's without MSDU
        separate = settings["msdu"] and settings["msdu_heads"] == "separate"
        self.visual_heads = Heads(width, classes) if separate else None
        measuring = {name: MeasuringHeads(width, classes) for name in MODALITIES} if separate else {}
        self.measuring = nn.ModuleDict(measuring)
        self.msdu = settings["msdu"]
        self.msdu_detach = settings["msdu_detach"]
        self.with_ca = settings["with_ca"]

    def forward(self, batch: Batch) -> ParsingOutput:
        """Parse the batch, with cross-modal attention if the setting with_ca says so."""
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
        return ParsingOutput(
            frame_prob,
            *pooled,
            e_a=e_a,
            e_v=e_v,
            f_a=f_a,
            f_v=f_v,
            s_a=measured.get("audio"),
            s_v=measured.get("visual"),
            frame_att=frame_att,
        )

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


def build(settings: dict[str, Any], classes: int, generator: torch.Generator) -> HAN:
    """Return an initialised network; settings and defaults are those of DEFAULTS.

    Drawn in this order: encoders, attention layer, (audio) heads, visual heads, measuring heads. So a network with MSDU
    starts from the weights of one without, whose shared heads are its audio heads.
    """
    filled = complete(settings, DEFAULTS)
    check_sizes(filled, "width")
    check_shares(filled, "dropout", "visual_dropout")
    for name in ("msdu", "msdu_detach", "with_ca"):
        require(filled[name], (True, False), name)
    require(filled["msdu_heads"], MSDU_HEADS, "msdu_heads")
    for name in ("msdu_heads", "msdu_detach"):
        if filled[name] != DEFAULTS[name] and not filled["msdu"]:
            raise UserError(f"model setting {name} is {filled[name]!r}; it needs msdu: true.")
    return assemble_default(lambda: HAN(filled, classes), generator)
