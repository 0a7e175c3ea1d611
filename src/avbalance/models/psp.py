"""PSP, positive sample propagation (Zhou et al. 2021, jasongief/PSP_CVPR_2021), fully supervised."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from avbalance.declared import Size
from avbalance.errors import UserError
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput, ModelSettings
from avbalance.models.dropout import Dropout
from avbalance.models.parsing import Dropped


class PSPSettings(ModelSettings):
    """Settings of psp."""

    name: Literal["psp"] = "psp"
    """which network"""
    audio_width: Size = 128
    """values of a second's sound"""
    visual_width: Size = 512
    """channels of a second's pictures"""
    guide_width: Size = 512
    """width in which audio and positions of the pictures are compared"""
    attention_width: Size = 49
    """hidden units of the guided attention"""
    guide: Literal["unit", "position"] = "unit"
    """what the guided attention adds to: one value to each hidden unit, or to each position"""
    projection_width: Size = 256
    """width between the two projections"""
    width: Size = 128
    """values that describe a second of a modality, and units of its memory in either direction"""
    classifier_width: Size = 64
    """hidden units of the classifier"""
    dropout: Dropped = 0.1
    """dropout of the propagation"""
    threshold: Dropped = 0.099
    """share of a row's connections up to which one is dropped"""


def _xavier(layer: nn.Linear) -> nn.Linear:
    nn.init.xavier_uniform_(layer.weight)
    return layer


def _projection(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden, bias=False), nn.Linear(hidden, outputs, bias=False))


def _memory(width: int) -> nn.LSTM:
    return nn.LSTM(width, width, batch_first=True, bidirectional=True)


class AudioPath(nn.Module):
    """Two linear maps without activation between them, `fa`, and a bidirectional LSTM."""

    def __init__(self, settings: PSPSettings) -> None:
        super().__init__()
        self.project = _projection(settings.audio_width, settings.projection_width, settings.width)
        self.memory = _memory(settings.width)

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Return, for audio `(B, T, 128)`, what guides the eye `(B, T, W)` and the encoded seconds `(B, T, 2 W)`."""
        projected: Tensor = self.project(audio)
        return projected, self.memory(projected)[0]


class GuidedAttention(nn.Module):
    """Audio-guided attention over image positions (AVGA, Tian et al. 2018).

    `z = w tanh(U relu(A v) + G relu(H a))` per position; a softmax over positions weighs the raw features v. `guide`: G
    relu(H a) has one value for each hidden "unit", the same at all positions, as Tian et al. write it (the default), or
    one for each "position", the same in all units, as jasongief/PSP_CVPR_2021 computes it.
    """

    def __init__(self, settings: PSPSettings) -> None:
        super().__init__()
        hidden, units = settings.guide_width, settings.attention_width
        self.hear = _xavier(nn.Linear(settings.width, hidden))
        self.see = _xavier(nn.Linear(settings.visual_width, hidden))
        self.seen = _xavier(nn.Linear(hidden, units, bias=False))
        self.heard = _xavier(nn.Linear(hidden, units, bias=False))
        self.score = _xavier(nn.Linear(units, 1, bias=False))
        self.guide, self.units = settings.guide, units

    def forward(self, audio: Tensor, maps: Tensor) -> Tensor:
        """Return `(B, T, ch)` for audio `(B, T, W)` and maps `(B, T, h, w, ch)`.

        Raises UserError where audio guides by position and there are other than `attention_width` positions.
        """
        positions = maps.flatten(2, 3)
        if self.guide == "position" and positions.shape[2] != self.units:
            raise UserError(
                f"model psp: guide position needs attention_width {positions.shape[2]}, one per position; "
                f"it is {self.units}."
            )
        # The axis that is added says what shares a value of the guide: all positions, or all hidden units.
        heard = self.heard(self.hear(audio).relu()).unsqueeze(3 if self.guide == "position" else 2)
        seen = self.seen(self.see(positions).relu())
        weight = self.score((seen + heard).tanh()).softmax(2)
        return (weight * positions).sum(2)


class VisualPath(nn.Module):
    """Guided attention over positions, two linear maps without activation between them, `fv`, a bidirectional LSTM."""

    def __init__(self, settings: PSPSettings) -> None:
        super().__init__()
        self.attention = GuidedAttention(settings)
        self.project = _projection(settings.visual_width, settings.projection_width, settings.width)
        self.memory = _memory(settings.width)

    def forward(self, audio: Tensor, maps: Tensor) -> Tensor:
        """The encoded seconds `(B, T, 2 W)`."""
        return self.memory(self.project(self.attention(audio, maps)))[0]


class Propagation(nn.Module):
    """The PSP block: every second takes up seconds of the other modality that it is strongly connected to."""

    def __init__(self, width: int, dropout: float, threshold: float) -> None:
        super().__init__()
        for name in ("visual_first", "visual_second", "audio_first", "audio_second", "visual_out", "audio_out"):
            self.add_module(name, _xavier(nn.Linear(width, width, bias=False)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.dropout = Dropout(dropout)
        self.threshold = threshold

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Return a* and v*, `(B, T, D)` as the inputs."""
        v1, v2 = self._map("visual_first", visual), self._map("visual_second", visual)
        a1, a2 = self._map("audio_first", audio), self._map("audio_second", audio)
        # ReLU keeps positive connections only: the "positive samples" of the paper's name.
        beta = (v2 @ a1.transpose(1, 2) / math.sqrt(v2.shape[2])).relu()
        heard = visual + pruned(beta, self.threshold) @ a2
        seen = audio + pruned(beta.transpose(1, 2), self.threshold) @ v1
        return self.norm(self._map("audio_out", seen)), self.norm(self._map("visual_out", heard))

    def _map(self, name: str, features: Tensor) -> Tensor:
        return self.dropout(self.get_submodule(name)(features).relu())


def pruned(beta: Tensor, threshold: float) -> Tensor:
    """Connections `(B, T, T)`, at least 0, as shares of their row; those up to the threshold drop out, the rest share.

    A row without connection stays 0.
    """
    shares = beta / (beta.sum(-1, keepdim=True) + 1e-8)
    kept = shares * (shares > threshold)
    # 1e-8 as in the public code: a row whose connections were all dropped stays 0.
    return kept / (kept.sum(-1, keepdim=True) + 1e-8)


class PSPNet(Model):
    """Guided attention, memories, one PSP block, and a classifier of the mean of both modalities.

    Output: logits `(B, T, C)`; scores, the same classifier on each modality's features, without gradient (decision: PSP
    has no unimodal scores); features a* and v* `(B, T, 2 W)`. 1,548,657 parameters at the default sizes and 29 classes;
    the 1,667,251 of the public code contain 118,594 of layers that nothing uses. PyTorch's default initialisation in
    projections and memories, Xavier-uniform elsewhere. Groups: audio's path; visual's with the guided attention.
    """

    Settings = PSPSettings
    modalities = MODALITIES

    def __init__(self, settings: PSPSettings, classes: int) -> None:
        super().__init__()
        width = 2 * settings.width
        self.encoders = nn.ModuleDict({"audio": AudioPath(settings), "visual": VisualPath(settings)})
        self.propagation = Propagation(width, settings.dropout, settings.threshold)
        hidden = settings.classifier_width
        self.classifier = nn.Sequential(
            _xavier(nn.Linear(width, hidden, bias=False)), nn.ReLU(), _xavier(nn.Linear(hidden, classes, bias=False))
        )

    def forward(self, batch: Batch) -> ModelOutput:
        """Classify every second of audio `(B, T, 128)` and visual `(B, T, h, w, ch)`."""
        guide, encoded = self.encoders["audio"](batch.modality("audio"))
        audio, visual = self.propagation(encoded, self.encoders["visual"](guide, batch.modality("visual")))
        features = {"audio": audio, "visual": visual}
        logits = self.classifier((visual + audio) / 2)
        # For the measure of DGM alone: a gradient here would train the classifier on a task that PSP does not have.
        with torch.no_grad():
            scores = {name: self.classifier(feature) for name, feature in features.items()}
        return ModelOutput(logits, scores, features)


MODEL = PSPNet
