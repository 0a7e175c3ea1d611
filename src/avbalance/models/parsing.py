"""Audio-visual video parsing: what a parsing network returns, and the parts that such networks share.

The task, after Tian et al. 2020 ("Unified Multisensory Perception"): a video of T one-second segments, for each of
which the events heard and the events seen are predicted, learnt from the video's labels alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import linear

from avbalance.declared import Size
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput, ModelSettings
from avbalance.models.dropout import Dropout, dropout

AUDIO_WIDTH = 128  # VGGish
FRAME_WIDTH = 2048  # ResNet-152, averaged over the frames of a second
CLIP_WIDTH = 512  # R(2+1)D
Dropped = Annotated[float, Field(ge=0, lt=1)]  # a share of values that dropout sets to 0
_MANY = 2  # segments per unit of width from which multiplying maps first pays


class WidthSettings(ModelSettings):
    """The one size that most parsing networks have."""

    width: Size = 512
    """values that describe a segment"""


@dataclass
class ParsingOutput(ModelOutput):
    """Segment and video probabilities of B videos, T segments, C classes; modality index 0 is audio, 1 visual.

    `frame_prob (B, T, 2, C)`; video level `P`, `p_a`, `p_v` `(B, C)`, probabilities though P may exceed 1. `e_a`, `e_v`
    `(B, T, D)`: encoder outputs; `f_a`, `f_v`: after cross-modal attention, before dropout. Where the model has them:
    `s_a`, `s_v` `(B, C)`, scores of the measuring heads (MSDU); `frame_att (B, T, 2, C)`, logits of the attention over
    time; `auxiliary`, a weighted regulariser to be added to the loss.

    An unseen modality has probabilities 0 and features of width 0. logits and scores are log-odds of P, p_a and p_v
    (finite at 0 and 1), features the encoder outputs' means over time.
    """

    logits: Tensor = field(init=False)
    scores: dict[str, Tensor] = field(init=False)
    features: dict[str, Tensor] = field(init=False)
    frame_prob: Tensor
    P: Tensor
    p_a: Tensor
    p_v: Tensor
    e_a: Tensor
    e_v: Tensor
    f_a: Tensor
    f_v: Tensor
    s_a: Tensor | None = None
    s_v: Tensor | None = None
    frame_att: Tensor | None = None
    auxiliary: Tensor | None = None

    def __post_init__(self) -> None:
        self.logits = _log_odds(self.P)
        self.scores = {"audio": _log_odds(self.p_a), "visual": _log_odds(self.p_v)}
        self.features = {"audio": self.e_a.mean(1), "visual": self.e_v.mean(1)}

    @property
    def measured(self) -> tuple[Tensor, Tensor]:
        """Detached scores `(B, C)` of audio and visual that the imbalance is measured on: MSDU's, else p_a and p_v."""
        if self.s_a is None or self.s_v is None:
            return self.p_a.detach(), self.p_v.detach()
        return self.s_a.detach(), self.s_v.detach()


def _log_odds(probability: Tensor) -> Tensor:
    # Clamped by the smallest step from 1: P may exceed 1, and a modality that is not seen has probability 0 exactly.
    return torch.logit(probability, eps=torch.finfo(probability.dtype).eps)


class ParsingModel(Model):
    """A network that parses videos."""

    def forward(self, batch: Batch) -> ParsingOutput:
        """Parse audio `(B, T, 128)` and visual `(B, T, 2560)`, the frame features followed by the clip features."""
        raise NotImplementedError


class AudioEncoder(nn.Module):
    """VGGish features `(B, T, 128)` to `(B, T, D)`; affine, no activation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc_a = nn.Linear(AUDIO_WIDTH, width)

    def forward(self, audio: Tensor) -> Tensor:
        return self.fc_a(audio)


class VisualEncoder(nn.Module):
    """Frame and clip features `(B, T, 2048 + 512)` to `(B, T, D)`; affine, no activation.

    The reference code averages the mapped 8 frames of a second; averaging them first gives the same up to rounding.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc_v = nn.Linear(FRAME_WIDTH, width)
        self.fc_st = nn.Linear(CLIP_WIDTH, width)
        self.fc_fusion = nn.Linear(2 * width, width)

    def forward(self, visual: Tensor) -> Tensor:
        frames, clips = visual[..., :FRAME_WIDTH], visual[..., FRAME_WIDTH:]
        return self.fc_fusion(torch.cat([self.fc_v(frames), self.fc_st(clips)], dim=-1))


class HybridAttention(nn.Module):
    """A post-norm layer whose queries attend to their own sequence and to the other modality's (Tian et al. 2020).

    `h = LayerNorm(q + drop(cross) + drop(self))`, `out = LayerNorm(h + drop(W2 drop(ReLU(W1 h))))`, one head each; the
    same weights serve both directions. Two more LayerNorms of the reference code are never applied (4 D parameters).
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = nn.MultiheadAttention(width, 1, dropout, batch_first=True)
        self.cross_attention = nn.MultiheadAttention(width, 1, dropout, batch_first=True)
        self.expand = nn.Linear(width, width)
        self.contract = nn.Linear(width, width)
        self.norm_attended = nn.LayerNorm(width)
        self.norm_out = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, query: Tensor, other: Tensor, with_ca: bool = True) -> Tensor:
        """Return `query (B, T, D)` attended; without `with_ca` the other modality is not looked at."""
        attended = query + self.dropout(_attend(self.self_attention, query, query))
        if with_ca:
            attended = attended + self.dropout(_attend(self.cross_attention, query, other))
        attended = self.norm_attended(attended)
        step = self.contract(self.dropout(self.expand(attended).relu()))
        return self.norm_out(attended + self.dropout(step))

    def both(self, audio: Tensor, visual: Tensor, with_ca: bool = True) -> tuple[Tensor, Tensor]:
        """Return audio attending to visual and visual attending to audio, both from the unmodified inputs.

        The weights being shared, both directions are one pass over the videos of either modality.
        """
        attended: Tensor = self(torch.cat([audio, visual]), torch.cat([visual, audio]), with_ca)
        return attended[: len(audio)], attended[len(audio) :]


def _attend(attention: nn.MultiheadAttention, query: Tensor, memory: Tensor) -> Tensor:
    """What `attention`, of one head and batch first, makes of `query (B, T, D)` and `memory (B, S, D)`.

    Written out: the module's own forward costs more here, and its fused kernels are not deterministic everywhere.
    """
    width = query.shape[-1]
    # Only without gradient and dropout: products of weights would have to be made anew, and trained through, in each
    # step.
    if not attention.training and not torch.is_grad_enabled() and query.shape[:2].numel() > _MANY * width:
        return _attend_folded(attention, query, memory)
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    if query is memory:
        wanted, keys, values = linear(query, weight, bias).chunk(3, -1)
    else:
        wanted = linear(query, weight[:width], bias[:width])
        keys, values = linear(memory, weight[width:], bias[width:]).chunk(2, -1)
    # Scaled before the product, as torch's own attention does it: the order decides the last bits.
    share = torch.bmm(wanted * width**-0.5, keys.transpose(1, 2)).softmax(-1)
    share = dropout(share, attention.dropout, attention.training)
    return attention.out_proj(torch.bmm(share, values))


def _attend_folded(attention: nn.MultiheadAttention, query: Tensor, memory: Tensor) -> Tensor:
    """The same, up to rounding, in half the products: maps that follow each other are multiplied first.

    With one head, q k' = x (W_q' W_k) y' up to a term that all keys share and the softmax drops, and the output map
    W_o W_v can be applied before the mean over the keys, whose shares sum to one. For evaluation on many segments.
    """
    to_query, to_key, to_value = attention.in_proj_weight.chunk(3)
    bias_query, _, bias_value = attention.in_proj_bias.chunk(3)
    out = attention.out_proj
    likeness = torch.bmm(query @ (to_query.T @ to_key), memory.transpose(1, 2))
    share = (likeness + (memory @ (to_key.T @ bias_query)).unsqueeze(1)) * query.shape[-1] ** -0.5
    values = memory @ (out.weight @ to_value).T
    return torch.bmm(share.softmax(-1), values) + (out.weight @ bias_value + out.bias)


class Heads(nn.Module):
    """Logits of the segment probabilities, of attention over time and of attention over modalities."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.prob = nn.Linear(width, classes)
        self.frame_att = nn.Linear(width, classes)
        self.av_att = nn.Linear(width, classes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return three times `(..., C)` for features `(..., D)`."""
        return self.prob(features), self.frame_att(features), self.av_att(features)


class MeasuringHeads(nn.Module):
    """Measuring heads of one modality (Fu, Gao and Xu, Eq. 11): video scores from the encoder's output alone.

    `s = sum_t softmax_t(frame_att(e)) * sigmoid(prob(e))`. Decision: neither dropout nor attention over modalities,
    since the modalities are to be "completely separated" here.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.prob = nn.Linear(width, classes)
        self.frame_att = nn.Linear(width, classes)

    def forward(self, encoded: Tensor) -> Tensor:
        """Return scores `(B, C)` in (0, 1) for encoder outputs `(B, T, D)`."""
        return measured_scores(self, encoded)


def measured_scores(heads: Heads | MeasuringHeads, encoded: Tensor) -> Tensor:
    """Pool what the heads say of encoder outputs `(B, T, D)`: scores `(B, C)`, by attention over time alone."""
    return (heads.frame_att(encoded).softmax(1) * heads.prob(encoded).sigmoid()).sum(1)


def attentive_pooling(frame_prob: Tensor, frame_att: Tensor, av_att: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """P, p_a and p_v `(B, C)` of segment probabilities; all arguments `(B, T, 2, C)`, the latter two logits.

    Attention over time is a softmax over segments within each modality, attention over modalities one over the two
    (Tian et al. 2020, section 4.3). p_a and p_v are convex combinations over time; the weights of P need not sum to 1.
    """
    temporal = frame_att.softmax(1) * frame_prob
    return (temporal * av_att.softmax(2)).sum((1, 2)), temporal[:, :, 0].sum(1), temporal[:, :, 1].sum(1)


def head_logits(heads: Heads | tuple[Heads, Heads], audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the heads' three logits `(B, T, 2, C)` for features `(B, T, D)`; heads are shared, or (audio's, visual's).

    Index 0 of the third axis is audio.
    """
    if isinstance(heads, Heads):
        return heads(torch.stack([audio, visual], 2))
    prob, frame_att, av_att = (torch.stack(pair, 2) for pair in zip(heads[0](audio), heads[1](visual), strict=True))
    return prob, frame_att, av_att


def loudest(frame_prob: Tensor, e_a: Tensor, e_v: Tensor, f_a: Tensor, f_v: Tensor) -> ParsingOutput:
    """The output of a network in which a video's probability is that of its highest segment."""
    p_a, p_v = frame_prob.amax(1).unbind(1)
    return ParsingOutput(frame_prob, torch.maximum(p_a, p_v), p_a, p_v, e_a, e_v, f_a, f_v)


def one_modality(modality: str, frame_prob: Tensor, video_prob: Tensor, encoded: Tensor) -> ParsingOutput:
    """The output of a network that sees one modality: `frame_prob (B, T, C)`, `video_prob (B, C)`, `(B, T, D)`."""
    order = 1 if modality == "audio" else -1  # audio is the first of each pair
    segments = torch.stack([frame_prob, torch.zeros_like(frame_prob)][::order], 2)
    p_a, p_v = [video_prob, torch.zeros_like(video_prob)][::order]
    e_a, e_v = [encoded, encoded[..., :0]][::order]
    return ParsingOutput(segments, video_prob, p_a, p_v, e_a, e_v, f_a=e_a, f_v=e_v)


def two_encoders(width: int) -> nn.ModuleDict:
    """The encoders of both modalities as HAN has them."""
    return nn.ModuleDict(dict(zip(MODALITIES, (AudioEncoder(width), VisualEncoder(width)), strict=True)))
