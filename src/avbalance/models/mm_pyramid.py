"""MM-Pyramid (Yu et al. 2022): four levels of self- and cross-attention within growing windows, then a selection."""

from __future__ import annotations

import math
from typing import Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from avbalance.declared import Size, refusal
from avbalance.models.base import MODALITIES, Batch
from avbalance.models.dropout import Dropout
from avbalance.models.parsing import (
    Dropped,
    Heads,
    ParsingModel,
    ParsingOutput,
    WidthSettings,
    attentive_pooling,
    head_logits,
    two_encoders,
)


class MMPyramidSettings(WidthSettings):
    """Settings of mm-pyramid."""

    name: Literal["mm-pyramid"] = "mm-pyramid"
    """which network"""
    attention_heads: Size = 8
    """heads of every attention; width is a multiple of them"""
    levels: Size = 4
    """levels of the pyramid"""
    dropout: Dropped = 0.2
    """dropout of the layers"""
    attention_dropout: Dropped = 0.1
    """dropout of the shares of attention"""

    @model_validator(mode="after")
    def _equal_heads(self) -> Self:
        if self.width % self.attention_heads:
            raise refusal(f"width is {self.width}; it must be a multiple of attention_heads")
        return self


class WindowAttention(nn.Module):
    """Multi-head attention of each segment to the segments at most `reach` away; None reaches everywhere."""

    def __init__(self, width: int, heads: int, dropout: float, reach: int | None) -> None:
        super().__init__()
        self.heads, self.reach = heads, reach
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, query: Tensor, memory: Tensor) -> Tensor:
        """Return `(B, T, D)` for query and memory `(B, T, D)`."""
        q, k, v = (self._split(part) for part in (self.query(query), self.key(memory), self.value(memory)))
        logits = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        if self.reach is not None:
            place = torch.arange(query.shape[1], device=query.device)
            # A segment always reaches itself: no row of the softmax is empty.
            logits = logits.masked_fill((place[:, None] - place).abs() > self.reach, -math.inf)
        attended = self.dropout(logits.softmax(-1)) @ v
        return self.out(attended.transpose(1, 2).flatten(2))

    def _split(self, tensor: Tensor) -> Tensor:
        return tensor.view(*tensor.shape[:2], self.heads, -1).transpose(1, 2)


class PreNormLayer(nn.Module):
    """A residual transformer layer that normalises its query stream only; keys and values enter as they are."""

    def __init__(self, settings: MMPyramidSettings, reach: int | None) -> None:
        super().__init__()
        width = settings.width
        self.norm_query = nn.LayerNorm(width)
        self.attention = WindowAttention(width, settings.attention_heads, settings.attention_dropout, reach)
        self.norm_attended = nn.LayerNorm(width)
        self.expand = nn.Linear(width, width)
        self.contract = nn.Linear(width, width)
        self.dropout = Dropout(settings.dropout)

    def forward(self, query: Tensor, memory: Tensor) -> Tensor:
        attended = query + self.dropout(self.attention(self.norm_query(query), memory))
        step = self.contract(self.dropout(self.expand(self.norm_attended(attended)).relu()))
        return attended + self.dropout(step)


class PyramidBranch(nn.Module):
    """One modality's part of a level: self-attention, the gates that add cross-attention, a dilated convolution."""

    def __init__(self, settings: MMPyramidSettings, reach: int) -> None:
        super().__init__()
        width = settings.width
        self.self_layer = PreNormLayer(settings, reach)
        self.gate_self = nn.Linear(2 * width, width)
        self.gate_cross = nn.Linear(2 * width, width)
        self.dilated = nn.Conv1d(width, width, 3, padding=reach, dilation=reach)
        self.pointwise = nn.Conv1d(width, width, 1)

    def forward(self, stream: Tensor, crossed: Tensor) -> Tensor:
        """Return `(B, T, D)` for the modality's stream and its cross-attended version."""
        attended = self.self_layer(stream, stream)
        both = torch.cat([attended, crossed], -1)
        gated = self.gate_self(both).sigmoid() * attended + self.gate_cross(both).sigmoid() * crossed
        channels = gated.transpose(1, 2)
        convolved: Tensor = self.pointwise(self.dilated(channels).relu()) + channels
        return convolved.relu().transpose(1, 2)


class Level(nn.Module):
    """Both modalities' branches, and the cross-attention layer whose weights serve both directions."""

    def __init__(self, settings: MMPyramidSettings, reach: int) -> None:
        super().__init__()
        self.cross_layer = PreNormLayer(settings, reach)
        self.branches = nn.ModuleDict({name: PyramidBranch(settings, reach) for name in MODALITIES})

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Return the level's audio and visual streams `(B, T, D)`."""
        return (
            self.branches["audio"](audio, self.cross_layer(audio, visual)),
            self.branches["visual"](visual, self.cross_layer(visual, audio)),
        )


class Selection(nn.Module):
    """Weigh the levels of each segment: a layer over the levels, then a sigmoid weight each, not normalised."""

    def __init__(self, settings: MMPyramidSettings) -> None:
        super().__init__()
        self.layer = PreNormLayer(settings, None)
        self.weight = nn.Linear(settings.width, 1)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Return `(B, T, D)` for the streams of all levels, each `(B, T, D)`."""
        stacked = torch.stack(levels, 2)
        flat = stacked.flatten(0, 1)
        mixed = self.layer(flat, flat)
        selected: Tensor = (self.weight(mixed).sigmoid() * mixed).sum(1)
        return selected.view_as(levels[0])


class MMPyramid(ParsingModel):
    """HAN's encoders and heads around the pyramid; level i attends and convolves over `2**i` segments to each side.

    40,827,469 parameters at width 512, 4 levels and 25 classes. The 43,995,725 of JustinYuu/MM_Pyramid contain
    3,168,256 that are never used and do not exist here: two templates of attention and feed-forward layers, and a
    LayerNorm in each of 14 attention modules.

    Deviations: the reference code stacks (visual, audio) and reads index 0 as audio, here audio is index 0; it copies
    templates, so that the four maps of an attention and all levels' feed-forward layers start equal, here every tensor
    is drawn on its own. Groups: the encoders; the pyramid mixes the modalities.
    """

    Settings = MMPyramidSettings
    modalities = MODALITIES

    def __init__(self, settings: MMPyramidSettings, classes: int) -> None:
        super().__init__()
        self.encoders = two_encoders(settings.width)
        self.levels = nn.ModuleList(Level(settings, 2**number) for number in range(settings.levels))
        self.selections = nn.ModuleDict({name: Selection(settings) for name in MODALITIES})
        self.heads = Heads(settings.width, classes)

    def forward(self, batch: Batch) -> ParsingOutput:
        e_a, e_v = (self.encoders[name](batch.modality(name)) for name in MODALITIES)
        streams = [(e_a, e_v)]
        for level in self.levels:
            streams.append(level(*streams[-1]))
        # The encoders' output is the first level's input, but no level of its own.
        kept_a, kept_v = zip(*streams[1:], strict=True)
        f_a, f_v = self.selections["audio"](list(kept_a)), self.selections["visual"](list(kept_v))
        prob, frame_att, av_att = head_logits(self.heads, f_a, f_v)
        frame_prob = prob.sigmoid()
        pooled = attentive_pooling(frame_prob, frame_att, av_att)
        return ParsingOutput(frame_prob, *pooled, e_a=e_a, e_v=e_v, f_a=f_a, f_v=f_v, frame_att=frame_att)


MODEL = MMPyramid
