"""JoMoLD, stage two: the share of noisy labels of each class and modality (Cheng et al. 2022)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from avbalance.declared import Above0, Declared
from avbalance.errors import UserError
from avbalance.methods.base import MethodCard, Training
from avbalance.methods.parts.estimation import BATCH, Estimation, video_probabilities
from avbalance.methods.parts.parsing import VISUAL_SMOOTHING, smoothed


class JoMoLDRatiosOptions(Declared):
    """Options of jomold-ratios."""

    threshold_audio: Above0 = 0.6
    """MCG-NJU/JoMoLD: of the class's mean confidence"""
    threshold_visual: Above0 = 1.8
    """MCG-NJU/JoMoLD: of the class's mean confidence"""


def noise_ratio(
    probability: Tensor, label: Tensor, threshold: float, smoothing: float = 1.0, batch: int = BATCH
) -> Tensor:
    """JoMoLD's share of noisy positives of each class in one modality: `(N, C)` twice to `(C,)` float64.

    Noisy: `q / mean confidence < threshold`, q the probability times the smoothed target `(1 + smoothing) / 2`; the
    confidence is the mean over batches of their mean probability, a short last one counts as much. Without positives:
    0.
    """
    known, positive = probability.double(), label > 0.5
    # Batches of 128 and a mean of means, as the public code: the last one, of 16 videos on LLP, weighs as much as
    # others.
    of_batches = [known[start : start + batch].mean(0) for start in range(0, len(known), batch)]
    confidence = torch.stack(of_batches).mean(0)
    # The code multiplies by the target, which is 0.95 for smoothed visual positives and 1 for audio.
    noisy = positive & (known * smoothed(torch.ones_like(known), smoothing) / confidence < threshold)
    # clamp_min: a class without positives has ratio 0 in place of 0 / 0.
    return noisy.sum(0).double() / positive.sum(0).clamp_min(1)


class JoMoLDRatios(Estimation):
    """Look over the training set with the noise estimator; write noise_ratios.json, which jomold reads.

    Equation: `r = mean over positives of [q / mean confidence < threshold]`.
    """

    card = MethodCard(
        name="jomold-ratios",
        label="JoMoLD (noise ratios)",
        reference="Cheng et al., ECCV 2022, arXiv 2204.11573, and MCG-NJU/JoMoLD",
        summary="A positive is noisy where the estimator's confidence lies far below or not far above the mean.",
        artifacts=("noise_ratios.json",),
        options=JoMoLDRatiosOptions,
        models=("han",),
        deviations=(
            "Videos are taken in the order of the manifest: the mean confidence is a mean over batches of 128, and the "
            "last, shorter one weighs as much as the others.",
            "A class without positives has ratio 0.",
        ),
        predicts=False,
    )
    options: JoMoLDRatiosOptions

    def prepare(self, trainer: Training) -> None:
        """Estimate the ratios with the weights of the need "model", in evaluation mode, without cross attention."""
        if getattr(trainer.model, "with_ca", True):
            raise UserError("method jomold-ratios needs a model without cross attention: use han with with_ca: false.")
        self.load(trainer)
        probability, label = video_probabilities(trainer, trainer.parts["train"])
        positives = (label > 0.5).sum(0)
        ratios = {
            "audio": noise_ratio(probability.audio, label, self.options.threshold_audio),
            "visual": noise_ratio(probability.visual, label, self.options.threshold_visual, VISUAL_SMOOTHING),
        }
        self.record = {
            "classes": list(trainer.source.clips.classes),
            **{modality: ratio.tolist() for modality, ratio in ratios.items()},
            "noisy": {modality: (ratio * positives).round().long().tolist() for modality, ratio in ratios.items()},
            "positives": positives.tolist(),
            "videos": len(label),
        }

    def artifacts(self) -> dict[str, Any]:
        """noise_ratios.json: per class the ratios and counts of noisy positives of both modalities."""
        return {} if self.record is None else {"noise_ratios.json": self.record}


METHOD = JoMoLDRatios
