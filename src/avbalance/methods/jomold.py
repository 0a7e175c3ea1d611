"""JoMoLD: joint-modal label denoising (Cheng et al. 2022)."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from avbalance.declared import Weight
from avbalance.errors import UserError
from avbalance.methods.base import Given, MethodCard, NoOp, Training, TrainingStep
from avbalance.methods.parts.modulation import OFF
from avbalance.methods.parts.parsing import (
    DEVIATIONS,
    Pair,
    ParsingMethod,
    ParsingOptions,
    elementwise_cross_entropy,
    removed,
    segment_similarity,
    segment_targets,
)
from avbalance.methods.parts.selection import RecentVideos, Warmup, needed_ratios, rank, warmed
from avbalance.models.base import Batch, Model
from avbalance.models.parsing import ParsingOutput


class JoMoLDOptions(ParsingOptions):
    """Options of jomold."""

    weights: Annotated[tuple[Weight, Weight, Weight], Field(strict=False)] = (2.0, 1.0, 1.0)
    """MCG-NJU/JoMoLD: audio, visual, video; its noise estimator has 1, 1, 1. Those of audio and visual hold for MSDU"""
    nce_weight: Weight = 1.0
    """MCG-NJU/JoMoLD; 0 in the row without CL"""
    denoise: bool = True
    """MCG-NJU/JoMoLD; reads noise_ratios.json; false for the noise estimator"""
    warmup: Warmup = "step"
    """the net effect of MCG-NJU/JoMoLD; or linear, over the first 0.9 epochs"""


def jomold_nce(f_a: Tensor, f_v: Tensor, temperature: float = 0.2, smoothing: float = 0.1) -> Tensor:
    """JoMoLD's contrastive loss, both features after attention and before dropout; `(B, T, D)` to a scalar.

    `-mean ln sum_s d_s q_s`, softmax row q, smoothed target d: the log of the mixed probability.
    """
    similarity = segment_similarity(f_a, f_v, temperature)
    # The logarithm of the mixed probability, as the public code has it; a smoothed cross-entropy would mix logarithms.
    return -(segment_targets(similarity, smoothing) * similarity.softmax(-1)).sum(-1).log().mean()


def denoised(label: Tensor, loss: Pair, ratio: Pair) -> Pair:
    """JoMoLD's denoising: boolean `(B, C)` of labels to remove from each modality in a mini-batch.

    label, loss (elementwise cross-entropies with the targets) `(B, C)`, ratio `(C,)`. Of the k positives of a class,
    with `n = floor(ratio k)`: visual loses those among its n largest losses and audio's n smallest, and vice versa.
    """
    positive = label > 0.5
    count = positive.sum(0)
    rank_audio, rank_visual = (rank(values, positive) for values in loss)

    def lost(own: Tensor, other: Tensor, share: Tensor) -> Tensor:
        # In float64, as ratios are stored: in float32 a product could round across a whole number.
        number = (share.double() * count).floor().long()
        # Hard for this modality and easy for the other: only then is the label taken to be the other one's alone.
        return positive & (own >= count - number) & (other < number)

    return Pair(lost(rank_audio, rank_visual, ratio.audio), lost(rank_visual, rank_audio, ratio.visual))


class JoMoLD(ParsingMethod):
    """Weighted terms of audio, visual and video, a contrastive loss, and labels denoised in every mini-batch.

    Shares of noisy labels are taken of the last whole batches that fit into 128 videos, the batch of the reference
    code. The noise estimator is this with `denoise: false`, `weights: [1, 1, 1]` and the model's `with_ca: false`.

    Equation: `w_a BCE(p_a, Y_a) + w_v BCE(p_v, Y_v) + w_P BCE(P, Y) + nce_weight L_nce`, where removed labels are 0 in
    Y_a or Y_v; of a class with k positives and noise ratio r, a modality loses those among both its own `floor(r k)`
    largest losses and the other's smallest.
    """

    card = MethodCard(
        name="jomold",
        label="JoMoLD",
        reference="Cheng et al., ECCV 2022, arXiv 2204.11573, and MCG-NJU/JoMoLD",
        summary="Labels that one modality finds easy and the other hard are taken from the latter's targets.",
        options=JoMoLDOptions,
        models=("han",),
        no_op=NoOp(OFF, {}, "jomold", "modulated by 1, without noise"),
        deviations=(
            "The reference code shrinks its noise ratios in place from 0 at the first batch: the first epoch has no "
            "denoising, all later ones have all of it. That effect is what `warmup: step` does.",
            "In batches smaller than the reference code's 128 videos, noisy labels are those among the "
            "last whole batches that fit into 128 videos, each loss as it was in its own step: a class has one or two "
            "positives in 16 videos, of which the floor of a ratio leaves nothing.",
            "The forward pass that denoises comes after the one that is trained, so that dropout is drawn alike with "
            "and without it; the first epoch, where its outcome is not used, goes without.",
            *DEVIATIONS,
        ),
    )
    kept = ("means", "modulation", "recent")
    options: JoMoLDOptions
    ratio: Pair | None = None

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.recent = RecentVideos()

    @property
    def weights(self) -> tuple[float, float, float]:
        return self.options.weights

    def prepare(self, trainer: Training) -> None:
        """Read the noise ratios; raises UserError when they are missing, or the model needs cross attention."""
        if not self.options.denoise:
            return
        if not hasattr(trainer.model, "attend"):
            raise UserError("method jomold: denoising needs a model that runs without cross attention; use han.")
        self.ratio = needed_ratios(self, trainer)

    def targets(self, model: Model, output: ParsingOutput, batch: Batch, step: TrainingStep) -> Pair:
        """HAN's targets, noisy labels 0 exactly; that of the video is never denoised.

        Noisy is judged by the model as it is, dropout included, without cross attention and without gradient.
        """
        whole = super().targets(model, output, batch, step)
        if self.ratio is None or (self.options.warmup == "step" and step.epoch == 0):
            return whole
        attend: Any = model.attend
        # In training mode, as the reference code: dropout acts in the pass that judges labels too.
        with torch.no_grad():
            alone = attend(output.e_a, output.e_v, with_ca=False)
        loss = Pair(*map(elementwise_cross_entropy, (alone.p_a, alone.p_v), whole))
        ratio = Pair(*(warmed(each, step, self.options.warmup) for each in self.ratio))
        label, audio, visual = self.recent.joined(batch.label, *loss)
        gone = denoised(label, Pair(audio, visual), ratio)
        # The earlier videos were only ranked with: their steps are over, this batch's labels are the last ones.
        return removed(whole, Pair(*(each[-len(batch.label) :] for each in gone)))

    def objective(self, output: ParsingOutput, batch: Batch, target: Pair) -> Tensor:
        total, weight = super().objective(output, batch, target), self.options.nce_weight
        return total + weight * jomold_nce(output.f_a, output.f_v) if weight > 0 else total


METHOD = JoMoLD
