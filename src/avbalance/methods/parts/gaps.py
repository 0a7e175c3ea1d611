"""Methods of a fused, an audio and a visual head: the sum of their losses, and the modality gap in training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from avbalance.analysis.gap_mixture import Mixture
from avbalance.analysis.modality_gap import Fit, fit, gap, posterior, true_class_scores
from avbalance.declared import Count, Declared
from avbalance.errors import UserError
from avbalance.methods.base import Given, Indices, Method, Training, TrainingStep
from avbalance.models.base import Batch, Model, ModelOutput

log = logging.getLogger(__name__)

GAP_FILES = ("mixtures.json", "gaps.json")  # what artifacts() of a GapMethod holds
DIGITS = 6  # of the scores in gaps.json; half a unit in the last place is far below a score's own rounding


def cross_entropies(fused: Tensor, audio: Tensor, visual: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """`CE_a + CE_v` and `CE_f` of every sample `(B,)`, from three heads' logits `(B, C)` and label `(B,)`."""
    # One by one: the adaptive loss weighs the fusion term of each clip by how balanced it is.
    ce_f, ce_a, ce_v = (cross_entropy(logits, label, reduction="none") for logits in (fused, audio, visual))
    return ce_a + ce_v, ce_f


class ThreeHeadMethod(Method):
    """Trains with the unweighted sum of three cross-entropies; one with another loss calls `watch` with its parts."""

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """`L_warm = mean_i (CE_f + CE_a + CE_v)`; raises UserError when the model has not all three heads."""
        uni, fusion = (each.mean() for each in cross_entropies(*self.heads(model, output), batch.label))
        self.watch(uni=uni, fusion=fusion)
        return uni + fusion

    def heads(self, model: Model, output: ModelOutput) -> tuple[Tensor, Tensor, Tensor]:
        """The logits `(B, C)` of the fused, the audio and the visual head."""
        if getattr(model, "unimodal_heads", None) is None:
            raise UserError(
                f"method {self.name} needs a head per modality; use fusion-net and set the model's unimodal_heads to "
                "true."
            )
        return output.logits, output.scores["audio"], output.scores["visual"]

    def watch(self, **parts: Tensor) -> None:
        """Log the means of this batch's parts of the loss, scalars, unweighted, as loss_<part>."""
        self.means.add([f"loss_{name}" for name in parts], torch.stack([part.detach() for part in parts.values()]))


class GapOptions(Declared):
    """When the gap is measured first."""

    warm_up_epochs: Count = 20
    """decision: a fifth of 100 epochs; the abstracts only name two stages"""


@dataclass(frozen=True)
class HeadScores:
    """Softmax scores of the true class by the audio and the visual head, float64 (N,), and labels (N,)."""

    audio: NDArray[np.float64]
    visual: NDArray[np.float64]
    label: NDArray[np.int64]

    @property
    def signed(self) -> NDArray[np.float64]:
        """The signed gaps (N,), positive where audio leads."""
        return self.audio - self.visual


def training_scores(method: ThreeHeadMethod, trainer: Training, indices: Indices) -> HeadScores:
    """The scores of the clips at `indices` by the current model: eval mode, test-time transforms; nothing is drawn."""
    audio, visual, labels = [], [], []
    for batch, output in trainer.outputs(indices):
        _, heard, seen = method.heads(trainer.model, output)
        audio.append(heard)
        visual.append(seen)
        labels.append(batch.label)
    label = torch.cat(labels).cpu().numpy()
    by_audio, by_visual = (true_class_scores(torch.cat(each).cpu().numpy(), label) for each in (audio, visual))
    return HeadScores(by_audio, by_visual, label)


class GapMethod(ThreeHeadMethod):
    """Base of methods that fit the mixture of balanced and imbalanced clips after `due` epochs, and keep the record.

    Artifacts: mixtures.json, every fit; gaps.json, the scores of every training clip after warm-up and the last epoch.
    """

    kept = ("means", "fits", "gaps")
    options: GapOptions
    kind = "abs"
    monotone = False

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.fits: list[dict[str, Any]] = []
        self.gaps: dict[str, Any] = {"epochs": [], "ids": [], "labels": [], "audio": [], "visual": []}

    def due(self, finished: int, epochs: int) -> bool:
        """Whether to fit after so many finished epochs of a training of `epochs`."""
        raise NotImplementedError

    @property
    def mixture(self) -> Mixture | None:
        """The last fitted mixture; None before the first fit and where the last fit gave none."""
        known = self.fits[-1]["mixture"] if self.fits else None
        return None if known is None else Mixture(**known)

    def epoch_start(self, trainer: Training, epoch: int) -> None:
        """Without warm-up, fit the untrained network."""
        if epoch == 0 and self.due(0, trainer.epochs):
            self.measure(trainer, 0)

    def epoch_end(self, trainer: Training, epoch: int, log: dict[str, Any]) -> None:
        """Log the parts of the loss and, where a fit is due, what was fitted."""
        super().epoch_end(trainer, epoch, log)
        if self.due(epoch + 1, trainer.epochs):
            self.measure(trainer, epoch + 1)
            log |= _columns(self.fits[-1])

    def measure(self, trainer: Training, finished: int) -> None:
        """Fit the mixture to the gaps of all training clips and record it; raises UserError if one is not finite."""
        scores = training_scores(self, trainer, trainer.parts["train"])
        values = gap(scores.signed, self.kind)
        fitted = fit(values, trainer.seed, self.kind)
        say = log.info if fitted.mixture is not None else log.warning
        say("%s, seed %d, after %d epochs: %s", self.name, trainer.seed, finished, fitted.describe())
        self.fits.append({"epoch": finished, **fit_record(fitted, scores, values, self.monotone)})
        if finished in (self.options.warm_up_epochs, trainer.epochs):
            self.gaps["epochs"].append(finished)
            self.gaps["ids"] = trainer.source.clips.ids[trainer.parts["train"]].tolist()
            self.gaps["labels"] = scores.label.tolist()
            self.gaps["audio"].append(scores.audio.round(DIGITS).tolist())
            self.gaps["visual"].append(scores.visual.round(DIGITS).tolist())

    def artifacts(self) -> dict[str, Any]:
        mixtures = {"warm_up_epochs": self.options.warm_up_epochs, "gap": self.kind, "fits": self.fits}
        return dict(zip(GAP_FILES, (mixtures, self.gaps), strict=True))


def fit_record(fitted: Fit, scores: HeadScores, values: NDArray[np.float64], monotone: bool) -> dict[str, Any]:
    """A fit as numbers and text: its mixture, or None and the reason; gap_mean is that of the absolute gap."""
    return {
        "mixture": None if fitted.mixture is None else asdict(fitted.mixture),
        "reason": fitted.reason,
        "samples": fitted.samples,
        "bic_1": fitted.bic_1,
        "bic_2": fitted.bic_2,
        "gap_mean": float(abs(scores.signed).mean()),
        "share_imbalanced": float((posterior(values, fitted.mixture, monotone) > 0.5).mean()),
    }


def _columns(fit: Mapping[str, Any]) -> dict[str, Any]:
    """What the history says of a fit; a mixture that there is not leaves its columns empty."""
    mixture = fit["mixture"] or dict.fromkeys(("mu_B", "mu_I", "pi_I"))
    known = fit["bic_1"] is not None
    return {
        "gap_mean": fit["gap_mean"],
        **{name: mixture[name] for name in ("mu_B", "mu_I", "pi_I")},
        "share_imbalanced": fit["share_imbalanced"],
        "bic_difference": fit["bic_2"] - fit["bic_1"] if known else None,
    }
