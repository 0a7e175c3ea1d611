"""AUG: the weaker modality gets further classifiers, each fitted to what the earlier ones leave (Jiang et al. 2025)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from avbalance.declared import Declared, Share, Size, Weight
from avbalance.errors import UserError
from avbalance.methods.base import Given, MethodCard, Training, TrainingStep
from avbalance.methods.parts.turns import InTurn, modality_of
from avbalance.models.base import MODALITIES, Batch, ModelOutput
from avbalance.models.boosted_net import BoostedNet


class AUGOptions(Declared):
    """Options of aug."""

    residual: Share = 0.5
    """Jiang et al. 2025, reference code for CREMA-D: how much of what is known is taken off the label; others: 0.2"""
    looks: Size = 10
    """Jiang et al. 2025, reference code: how often in a training the modalities are compared, beside the first epoch"""
    tolerance: Weight = 0.01
    """Jiang et al. 2025, reference code: a ratio of confidences up to so far from 1 adds no classifier"""


def boosted_loss(classifiers: list[Tensor], label: Tensor, residual: float) -> Tensor:
    """The loss of one modality from the logits `(B, C)` of its classifiers, the newest last; label `(B,)`.

    One classifier: its cross-entropy. More: that of the sum of all, of the sum of the earlier ones, and of the newest
    against the residual label `y - residual y p`, p the softmax of the earlier sum, detached.
    """
    if len(classifiers) == 1:
        return cross_entropy(classifiers[0], label)
    *earlier, newest = classifiers
    before = torch.stack(earlier).sum(0)
    known = before.detach().softmax(1).gather(1, label[:, None])[:, 0]
    left = ((1 - residual * known) * cross_entropy(newest, label, reduction="none")).mean()
    return cross_entropy(before + newest, label) + cross_entropy(before, label) + left


def weaker(audio: float, visual: float, tolerance: float) -> str | None:
    """The modality that gets a classifier, by the sums of the true class's probabilities; None if they are near."""
    if audio > (1 + tolerance) * visual:
        return "visual"
    return "audio" if audio < (1 - tolerance) * visual else None


class AUG(InTurn):
    """Modalities train in turn; ten times in a training, the one of less confidence gets a classifier more.

    Equation: for each modality in turn `CE(F_K, y) + CE(F_{K-1}, y) - (1 - lambda p_y) log f_{K,y}`, F_K the sum of K
    classifiers f, p the softmax of `F_{K-1}`; with one classifier `CE(F_1, y)`. The prediction is
    `alpha F_a + (1 - alpha) F_v`.
    """

    card = MethodCard(
        name="aug",
        label="AUG",
        reference="Jiang, Huang and Yang, NeurIPS 2025, arXiv 2502.20120",
        summary="Modalities train in turn, and the weaker one gets classifiers that fit what the earlier ones leave.",
        options=AUGOptions,
        models=("boosted-net",),
        deviations=(
            "Added classifiers are trained; the reference code makes its optimiser before it adds them, so that their "
            "hidden layers stay as drawn.",
            "All classifiers are drawn at the start and wait; their number has a limit, the model's setting most.",
            "No network weighs the added classifiers, as one does in the reference code for Kinetics-Sounds.",
        ),
    )
    kept = ("means", "sure")
    options: AUGOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.sure: dict[str, Tensor] = {}  # sums of the true class's probabilities in the epoch under way

    def prepare(self, trainer: Training) -> None:
        """Raise UserError for another network."""
        if not isinstance(trainer.model, BoostedNet):
            raise UserError("method aug: the model cannot have further classifiers; use boosted-net.")

    def epoch_start(self, trainer: Any, epoch: int) -> None:
        """Give the weaker modality of the last epoch a classifier, after the first epoch and every few."""
        # Shorter trainings than `looks` epochs compare after each one.
        every = max(1, trainer.epochs // self.options.looks)
        if self.sure and (epoch == 1 or epoch % every == 0):
            audio, visual = torch.stack([self.sure[name] for name in MODALITIES]).tolist()
            name = weaker(audio, visual, self.options.tolerance)
            if name is not None and trainer.model.used[name] < trainer.model.most:
                trainer.model.used[name] += 1
        self.sure = {}

    def loss(self, model: Any, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The loss of the modality whose turn it is."""
        name = modality_of(batch)
        probability = output.logits.detach().double().softmax(1).gather(1, batch.label[:, None]).sum()
        # Kept on the device: a number in Python would wait for it in every step.
        self.sure[name] = probability + self.sure[name].to(probability.device) if name in self.sure else probability
        return boosted_loss(model.classifiers(name, output.features[name]), batch.label, self.options.residual)

    def epoch_end(self, trainer: Any, epoch: int, log: dict[str, Any]) -> None:
        """Log how many classifiers each modality has."""
        log |= {f"classifiers_{name}": trainer.model.used[name] for name in MODALITIES}


METHOD = AUG
