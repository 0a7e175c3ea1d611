"""HAN's weakly supervised training (Tian et al. 2020), also with MA's contrastive loss and refined labels."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from avbalance.declared import Weight
from avbalance.methods.base import MethodCard, NoOp, Training, TrainingStep
from avbalance.methods.parts.modulation import OFF
from avbalance.methods.parts.parsing import (
    DEVIATIONS,
    Pair,
    ParsingMethod,
    ParsingOptions,
    removed,
    removed_labels,
    segment_similarity,
    segment_targets,
)
from avbalance.models.base import Batch, Model
from avbalance.models.parsing import ParsingOutput


class HANOptions(ParsingOptions):
    """Options of han."""

    contrastive_weight: Weight = 0.0
    """none in HAN; 1 in MA (Wu and Yang, CVPR 2021), 0 in its row without CL"""
    labels: Literal["plain", "refined"] = "plain"
    """plain in HAN; refined in MA's last stage: without those of labels.json"""


def ma_contrastive(f_a: Tensor, e_v: Tensor, temperature: float = 0.2, smoothing: float = 0.1) -> Tensor:
    """MA's contrastive loss: attended audio picks the unattended visual segment of its second; `(B, T, D)` to a scalar.

    Smoothed cross-entropy of the T-way choice, mean over the B T audio segments (Wu and Yang 2021,
    Yu-Wu/Modaily-Aware-Audio-Visual-Video-Parsing).
    """
    similarity = segment_similarity(f_a, e_v, temperature)
    return -(segment_targets(similarity, smoothing) * similarity.log_softmax(-1)).sum(-1).mean()


class HAN(ParsingMethod):
    """The objective of HAN, plus MA's contrastive loss where it has a weight.

    Equation: `BCE(P, Y) + BCE(p_a, Y) + BCE(p_v, 0.9 Y + 0.05)`.
    """

    card = MethodCard(
        name="han",
        label="HAN",
        reference="Tian et al., ECCV 2020, arXiv 2007.10558, and YapengTian/AVVP-ECCV20",
        summary="Cross-entropy of pooled audio, visual and joint probabilities with the labels of the video.",
        options=HANOptions,
        models=("han", "mm-pyramid"),
        no_op=NoOp(OFF, {}, "han", "modulated by 1, without noise"),
        deviations=DEVIATIONS,
    )
    options: HANOptions
    gone: Pair | None = None  # labels to remove, (N, C)

    def prepare(self, trainer: Training) -> None:
        """Read which labels to remove; raises UserError when that is asked for and not among the needs."""
        if self.options.labels == "refined":
            self.gone = removed_labels(self, trainer)

    def targets(self, model: Model, output: ParsingOutput, batch: Batch, step: TrainingStep) -> Pair:
        whole = super().targets(model, output, batch, step)
        return whole if self.gone is None else removed(whole, Pair(*(gone[batch.index] for gone in self.gone)))

    def objective(self, output: ParsingOutput, batch: Batch, target: Pair) -> Tensor:
        """The main objective with MA's contrastive loss: attended audio against unattended visual."""
        total, weight = super().objective(output, batch, target), self.options.contrastive_weight
        return total + weight * ma_contrastive(output.f_a, output.e_v) if weight > 0 else total


METHOD = HAN
