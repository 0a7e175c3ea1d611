"""JoMoLD: joint-modal label denoising (Cheng et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from avbalance.analysis.parsing_losses import (
    JOMOLD_WEIGHTS,
    WARMUPS,
    Pair,
    denoised,
    elementwise_cross_entropy,
    jomold_nce,
    removed,
    warmed,
)
from avbalance.errors import UserError
from avbalance.methods.base import MethodCard, NoOp, Step, Trainer
from avbalance.methods.parts import modulation, parsing
from avbalance.methods.parts.parsing import ParsingMethod
from avbalance.methods.parts.selection import RecentVideos, needed_ratios

if TYPE_CHECKING:
    from torch import Tensor

    from avbalance.models.base import Batch, Model
    from avbalance.models.parsing import ParsingOutput


class JoMoLD(ParsingMethod):
    """Weighted terms of audio, visual and video, a contrastive loss, and labels denoised in every mini-batch.

    The shares of noisy labels are taken of 128 videos, the batch of the reference code, whatever the batch is here: of
    the last whole batches that fit into so many.
    The noise estimator is this method with `denoise: false`, `weights: [1, 1, 1]` and the model setting
    `with_ca: false`. The global target is never denoised.
    """

    card = MethodCard(
        name="jomold",
        label="JoMoLD",
        reference="Cheng et al., ECCV 2022, arXiv 2204.11573, and MCG-NJU/JoMoLD",
        summary="Labels that one modality finds easy and the other hard are taken from the latter's targets.",
        options={
            "weights": (JOMOLD_WEIGHTS, "MCG-NJU/JoMoLD: audio, visual, video; its noise estimator has 1, 1, 1"),
            "nce_weight": (1.0, "MCG-NJU/JoMoLD; 0 in the row without CL"),
            "denoise": (True, "MCG-NJU/JoMoLD; reads noise_ratios.json; false for the noise estimator"),
            "warmup": ("step", "the net effect of MCG-NJU/JoMoLD; or linear, over the first 0.9 epochs"),
            **parsing.OPTIONS,
        },
        models=("han",),
        no_op=NoOp(modulation.OFF, {}, "jomold", "modulated by 1, without noise"),
        deviations=(
            "The reference code shrinks its noise ratios in place from 0 at the first batch: the first epoch has no "
            "denoising, all later ones have all of it. That effect is what `warmup: step` does.",
            "In batches smaller than the reference code's 128 videos, noisy labels are those among the "
            "last whole batches that fit into 128 videos, each loss as it was in its own step: a class has one or two "
            "positives in 16 videos, of which the floor of a ratio leaves nothing.",
            "The forward pass that denoises comes after the one that is trained, so that dropout is drawn alike with "
            "and without it; the first epoch, where its outcome is not used, goes without.",
            *parsing.DEVIATIONS,
        ),
    )

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        weights = self.options["weights"]
        valid = isinstance(weights, (list, tuple)) and len(weights) == 3 and all(weight >= 0 for weight in weights)
        self.require("weights", valid, "three numbers of at least 0, of audio, visual and video")
        self.require("nce_weight", self.options["nce_weight"] >= 0, "at least 0")
        self.require("denoise", self.options["denoise"] in (True, False), "true or false")
        self.require("warmup", self.options["warmup"] in WARMUPS, f"one of {', '.join(WARMUPS)}")
        self._ratio: Pair | None = None
        self._recent = RecentVideos()

    @property
    def weights(self) -> tuple[float, float, float]:
        """Weights of the terms of audio, visual and video; those of audio and visual hold for MSDU too."""
        audio, visual, video = self.options["weights"]
        return audio, visual, video

    def prepare(self, trainer: Trainer) -> None:
        """Read the noise ratios; raises UserError when they are missing, or when the model cannot do without cross
        attention.
        """
        if not self.options["denoise"]:
            return
        if not hasattr(trainer.model, "attend"):
            raise UserError("method jomold: denoising needs a model that runs without cross attention; use han.")
        classes = len(trainer.source.clips.classes)
        self._ratio = needed_ratios(trainer.needs, self.name, classes, trainer.device)

    def targets(self, model: Model, output: ParsingOutput, batch: Batch, step: Step) -> Pair:
        """Return HAN's targets, noisy labels 0 exactly.

        Noisy is judged by the model as it is, dropout included, without cross attention and without gradient. The
        encoders, in which nothing is dropped, have done their part already.
        """
        whole = super().targets(model, output, batch, step)
        if self._ratio is None or (self.options["warmup"] == "step" and step.epoch == 0):
            return whole
        import torch

        attend: Any = model.attend
        with torch.no_grad():
            alone = attend(output.e_a, output.e_v, with_ca=False)
        loss = Pair(*map(elementwise_cross_entropy, (alone.p_a, alone.p_v), whole))
        ratio = (warmed(each, step.epoch, step.index, step.batches, self.options["warmup"]) for each in self._ratio)
        label, audio, visual = self._recent.joined(batch.label, *loss)
        gone = denoised(label, Pair(audio, visual), Pair(*ratio))
        return removed(whole, Pair(*(each[-len(batch.label) :] for each in gone)))

    def objective(self, output: ParsingOutput, batch: Batch, target: Pair) -> Tensor:
        """Return the weighted terms with the contrastive loss of both attended features."""
        total, weight = super().objective(output, batch, target), self.options["nce_weight"]
        return total + weight * jomold_nce(output.f_a, output.f_v) if weight > 0 else total

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the unfinished epoch and the recent losses."""
        return {**super().state_dict(), "recent": self._recent.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the sums of the unfinished epoch and the recent losses."""
        super().load_state_dict(state)
        self._recent.load_state_dict(state["recent"])


METHOD = JoMoLD
