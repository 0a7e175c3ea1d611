"""Knowledge distillation: a student of both modalities learns from one teacher of each.

Modality-relevance, sections 3.2 and 4: the student's objective is its classification loss plus one Kullback-Leibler
loss per teacher. B clips, C classes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from avbalance.declared import Above0, Declared, Weight
from avbalance.methods.base import Given, Method, MethodCard, NoOp, Training, TrainingStep
from avbalance.methods.parts.teachers import divergence, teacher_of
from avbalance.models.audio_teacher import AudioTeacher
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput
from avbalance.models.late_fusion import LateFusion
from avbalance.models.visual_teacher import VisualTeacher

BATCH = 256  # clips that a teacher sees at once; its logits do not depend on it
TEACHERS = (AudioTeacher, VisualTeacher, LateFusion)  # by name, so that a student's code digest covers its teachers


def teacher_logits(method: Method, trainer: Training, modality: str) -> Tensor:
    """Logits `(N, C)` of the needed teacher of a modality, on the trainer's device; NaN for clips not trained on.

    The frozen teacher sees each clip once, with test-time transforms. Raises UserError when it does not fit.
    """
    teacher = teacher_of(method, trainer, modality, TEACHERS)
    clips, train = trainer.source.clips, trainer.parts["train"]
    # NaN, not 0: a clip that is trained on without a teacher's answer would show at once.
    logits = torch.full((len(clips.ids), len(clips.classes)), torch.nan, device=trainer.device)
    with torch.no_grad():
        for start in range(0, len(train), BATCH):
            batch = trainer.source.batch_of(train[start : start + BATCH])
            logits[batch.index] = teacher(batch).logits
    return logits


class DistillationOptions(Declared):
    """Options of distillation."""

    temperature: Above0 = 1.0
    """decision, the paper states none; 1 is the divergence as it is"""
    w_label: Weight = 1.0
    """decision, the paper has a plain sum of the losses"""
    w_audio: Weight = 1.0
    """decision, the paper has a plain sum of the losses"""
    w_visual: Weight = 1.0
    """decision, the paper has a plain sum of the losses"""


class DistillationTerms(NamedTuple):
    """The unweighted parts of the objective, scalars: cross-entropy with the label, divergence from each teacher.

    The objective is their weighted sum, `CE(z, y) + KL_T(t_a || z) + KL_T(t_v || z)`.
    """

    label: Tensor
    audio: Tensor
    visual: Tensor

    def total(self, options: DistillationOptions) -> Tensor:
        """The weighted sum."""
        return options.w_label * self.label + options.w_audio * self.audio + options.w_visual * self.visual


def distillation_terms(
    logits: Tensor, teacher_audio: Tensor, teacher_visual: Tensor, label: Tensor, temperature: float
) -> DistillationTerms:
    """Parts of the student's objective; logits `(B, C)`, label `(B,)`; the cross-entropy has no temperature."""
    return DistillationTerms(
        cross_entropy(logits, label),
        divergence(teacher_audio, logits, temperature),
        divergence(teacher_visual, logits, temperature),
    )


class Distillation(Method):
    """Cross-entropy plus, per modality, the divergence of the prediction from that of a frozen teacher.

    Equation: `w_label CE(z, y) + w_audio KL(t_a || z) + w_visual KL(t_v || z)`, softmax at the temperature.
    """

    card = MethodCard(
        name="distillation",
        label="Knowledge distillation",
        reference="modality-relevance, sections 3.2 and 4; Hinton, Vinyals and Dean 2015, arXiv 1503.02531",
        summary="The prediction is drawn to the label and to what one frozen teacher of each modality predicts.",
        options=DistillationOptions,
        models=("kd-student",),
        no_op=NoOp({"w_audio": 0.0, "w_visual": 0.0}, {}, "baseline"),
        deviations=(
            "A teacher sees every training clip once, before the student's first step: it is frozen and its logits "
            "depend on nothing but the clip.",
        ),
    )
    options: DistillationOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.teachers: dict[str, Tensor] = {}  # logits (N, C) by modality

    def prepare(self, trainer: Training) -> None:
        """Let both teachers predict the training clips; raises UserError when one does not fit the student's data."""
        self.teachers = {name: teacher_logits(self, trainer, name) for name in MODALITIES}

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The weighted sum of the three losses; the history gets their means, unweighted."""
        audio, visual = (self.teachers[name][batch.index] for name in MODALITIES)
        terms = distillation_terms(output.logits, audio, visual, batch.label, self.options.temperature)
        self.means.add([f"loss_{name}" for name in terms._fields], torch.stack([term.detach() for term in terms]))
        return terms.total(self.options)


METHOD = Distillation
