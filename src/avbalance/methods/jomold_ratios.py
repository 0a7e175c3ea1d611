"""JoMoLD, stage two: the share of noisy labels of each class and modality (Cheng et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avbalance.analysis.parsing_losses import VISUAL_SMOOTHING, noise_ratio
from avbalance.errors import UserError
from avbalance.methods.base import Method, MethodCard, Trainer
from avbalance.methods.parts.estimation import BATCH, load_estimator, video_probabilities


class JoMoLDRatios(Method):
    """Look over the training set with the noise estimator; write noise_ratios.json, which jomold reads."""

    card = MethodCard(
        name="jomold-ratios",
        label="JoMoLD (noise ratios)",
        reference="Cheng et al., ECCV 2022, arXiv 2204.11573, and MCG-NJU/JoMoLD",
        summary="A positive is noisy where the estimator's confidence lies far below or not far above the mean.",
        options={
            "threshold_audio": (0.6, "MCG-NJU/JoMoLD: of the class's mean confidence"),
            "threshold_visual": (1.8, "MCG-NJU/JoMoLD: of the class's mean confidence"),
        },
        models=("han",),
        deviations=(
            "Videos are taken in the order of the manifest: the mean confidence is a mean over batches of 128, and the "
            "last, shorter one weighs as much as the others.",
            "A class without positives has ratio 0.",
        ),
        predicts=False,
    )

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        for name in ("threshold_audio", "threshold_visual"):
            self.require(name, self.options[name] > 0, "above 0")
        self.record: dict[str, Any] | None = None

    def prepare(self, trainer: Trainer) -> None:
        """Estimate the ratios with the weights of the need "model", in evaluation mode, without cross attention."""
        if getattr(trainer.model, "with_ca", True):
            raise UserError("method jomold-ratios needs a model without cross attention: use han with with_ca: false.")
        load_estimator(self, trainer)
        probability, label = video_probabilities(trainer, trainer.parts["train"])
        positives = (label > 0.5).sum(0)
        record: dict[str, Any] = {"classes": list(trainer.source.clips.classes)}
        noisy = {}
        for modality, known, smoothing in zip(("audio", "visual"), probability, (1.0, VISUAL_SMOOTHING), strict=True):
            ratio = noise_ratio(known, label, self.options[f"threshold_{modality}"], smoothing, BATCH)
            record[modality] = ratio.tolist()
            noisy[modality] = (ratio * positives).round().long().tolist()
        self.record = {**record, "noisy": noisy, "positives": positives.tolist(), "videos": len(label)}

    def artifacts(self) -> dict[str, Any]:
        """Return noise_ratios.json: per class the ratios and counts of noisy positives of both modalities."""
        return {} if self.record is None else {"noise_ratios.json": self.record}


METHOD = JoMoLDRatios
