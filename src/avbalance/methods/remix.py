"""Data Remixing: each clip trains the modality that is less sure of it, in batches of one modality (Ma et al. 2025).

N clips of the data set, B of a batch, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from avbalance.declared import Count, Declared, Weight
from avbalance.errors import UserError
from avbalance.methods.base import Given, Indices, Method, MethodCard, NoOp, Training, TrainingStep
from avbalance.methods.parts.modulation import both_scores
from avbalance.models.base import Batch, ModelOutput


class RemixOptions(Declared):
    """Options of remix."""

    warm_up: Count = 10
    """Ma et al. 2025, reference code: epochs of both modalities together, of 60 in all"""
    warm_up_weight: Weight = 0.5
    """Ma et al. 2025, reference code (alpha, beta): weight of each modality's own loss in the warm-up"""
    weight: Weight = 1.0
    """Ma et al. 2025, reference code (gamma): weight of the modality's own loss afterwards"""


def sureness(scores: Tensor) -> Tensor:
    """Divergence `(B,)` in bits of the softmax of logits `(B, C)` from even odds: `log2 C - H` (Ma et al. 2025)."""
    log_p = scores.log_softmax(1)
    return math.log2(scores.shape[1]) + (log_p.exp() * log_p).sum(1) / math.log(2)


def learns_sound(audio: Tensor, visual: Tensor) -> Tensor:
    """Which clips `(B,)` train audio: those of which its logits are less sure than the visual ones, `(B, C)` each."""
    return sureness(audio) < sureness(visual)


class Remix(Method):
    """After a warm-up each clip is given to one modality, anew in every epoch; batches have clips of one modality.

    The other modality's feature is 0 then. Visual batches come first, as in the reference code.

    Equation: warm-up `CE(z, y) + alpha (CE(z_a, y) + CE(z_v, y))`; then `CE(z, y) + gamma CE(z_m, y)` with
    `m = argmin_m KL(softmax(z_m) || 1 / C)` of the clip and `phi = 0` for the other modality.
    """

    card = MethodCard(
        name="remix",
        label="Data Remixing",
        reference="Ma, Chen and Deng, ICML 2025, arXiv 2506.11550",
        summary="Every clip trains the modality that is less sure of it, in batches of one modality.",
        options=RemixOptions,
        fusions=("concat", "sum", "film", "gated"),
        no_op=NoOp(
            {"warm_up": 1000, "warm_up_weight": 0.0},
            {"unimodal_heads": True},
            "baseline",
            "the warm-up lasts to the end; the unimodal heads are then pulled to 0 by weight decay alone",
        ),
        deviations=("Needs the model's unimodal_heads.",),
    )
    kept = ("means", "sound")
    options: RemixOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.sound: Tensor | None = None  # (N,) bool: which clips train audio; None in the warm-up

    def prepare(self, trainer: Training) -> None:
        """Raise UserError when the model has not a head per modality."""
        if getattr(trainer.model, "unimodal_heads", None) is None:
            raise UserError("method remix: needs a head per modality; set the model's unimodal_heads to true.")

    def epoch_start(self, trainer: Training, epoch: int) -> None:
        """After the warm-up, give each training clip to a modality."""
        if epoch < self.options.warm_up:
            return
        # Over all clips of the data set, since a batch says its clips by their place there.
        self.sound = torch.zeros(len(trainer.source.clips.ids), dtype=torch.bool)
        with torch.no_grad():
            for batch, output in trainer.outputs(trainer.parts["train"]):
                self.sound[batch.index.cpu()] = learns_sound(*both_scores(output, self.name)).cpu()

    def clip_groups(self, indices: Indices) -> Mapping[str, Indices]:
        """The clips of each modality, visual first; in the warm-up all clips."""
        if self.sound is None:
            return super().clip_groups(indices)
        sound = self.sound[torch.as_tensor(indices)].numpy()
        return {"visual": indices[~sound], "audio": indices[sound]}

    def loss(self, model: Any, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The loss of the prediction and, weighted, of each modality that takes part."""
        own = {name: cross_entropy(scores, batch.label) for name, scores in output.scores.items()}
        if not step.group:
            return cross_entropy(output.logits, batch.label) + self.options.warm_up_weight * (
                own["audio"] + own["visual"]
            )
        # Both are encoded, and the other one's gradients are 0 rather than absent: its batch norm sees every clip, and
        # momentum and weight decay go on, as in the reference code.
        features = {name: each if name == step.group else each * 0 for name, each in output.features.items()}
        return cross_entropy(model.fuse(features), batch.label) + self.options.weight * own[step.group]

    def epoch_end(self, trainer: Training, epoch: int, log: dict[str, Any]) -> None:
        """Log the share of training clips that trained audio; none in the warm-up."""
        if self.sound is not None:
            log["share_audio"] = self.sound[torch.as_tensor(trainer.parts["train"])].double().mean().item()


METHOD = Remix
