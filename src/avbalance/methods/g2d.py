"""G2D: a student of both modalities learns from one teacher of each, and the better encoder waits (Rakib et al. 2025).

B clips, C classes, D values of a feature.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from avbalance.declared import Above0, Declared, Share, Weight
from avbalance.errors import UserError
from avbalance.methods.base import Given, Method, MethodCard, NoOp, Training, TrainingStep
from avbalance.methods.parts.teachers import divergence, teacher_of
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput
from avbalance.models.unimodal_net import UnimodalNet

TEACHERS = (UnimodalNet,)  # by name, so that a student's code digest covers its teachers
COLUMNS = ("loss_label", "loss_features", "loss_logits", "waited_audio", "waited_visual")


class G2DOptions(Declared):
    """Options of g2d."""

    wait: Share = 0.5
    """Rakib et al. 2025, reference code: the better encoder waits in the first 150 of 300 epochs"""
    features: Weight = 1.0
    """Rakib et al. 2025, reference code: weight of the distance to each teacher's features"""
    logits: Weight = 1.0
    """Rakib et al. 2025, reference code: weight of the divergence from each teacher's prediction"""
    temperature: Above0 = 1.0
    """Rakib et al. 2025, reference code: temperature of that divergence"""


def passing(audio: Tensor, visual: Tensor, label: Tensor) -> Tensor:
    """What the gradients of (audio, visual) are multiplied by, `(2,)`: 0 for the surer teacher's encoder, 1 for others.

    Sureness is the batch sum of the true class's softmax of the teachers' logits `(B, C)`; where both are equally sure,
    none waits (Rakib et al. 2025, reference code).
    """
    sums = [logits.softmax(1).gather(1, label[:, None]).sum() for logits in (audio, visual)]
    return torch.stack([sums[0] <= sums[1], sums[1] <= sums[0]]).float()


class G2D(Method):
    """Cross-entropy, plus the distance of each encoder to its teacher's and of the prediction to each teacher's.

    While the better encoder waits, which one that is, is decided for each batch.

    Equation: `CE(z, y) + sum_m (w_f MSE(phi_m, phi_m^t) + w_l KL(t_m || z))`; in the first epochs the gradient of the
    encoder whose teacher is surer of the true classes is multiplied by 0.
    """

    card = MethodCard(
        name="g2d",
        label="G2D",
        reference="Rakib and Bagavathi, ICCV 2025, arXiv 2506.21514",
        summary="Unimodal teachers guide both encoders and the prediction; at first the better encoder waits.",
        options=G2DOptions,
        fusions=("concat", "sum", "film", "gated"),
        no_op=NoOp({"wait": 0.0, "features": 0.0, "logits": 0.0}, {}, "baseline"),
        deviations=(
            "All parameters of the waiting encoder get a gradient of 0; in the reference code those of its "
            "convolutions alone, so that its batch norm learns on.",
            "Costs about a third more per step than Baseline: both teachers see every batch. Their own trainings come "
            "on top.",
        ),
    )
    options: G2DOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.teachers: dict[str, Model] = {}
        self.until = 0  # the first epoch in which no encoder waits
        self._passing: Tensor | None = None  # of the step under way

    def prepare(self, trainer: Training) -> None:
        """Load the teachers; raises UserError when one does not fit the student's data or its encoder."""
        self.until = round(self.options.wait * trainer.epochs)
        self.teachers = {
            # The layout in which the student's convolutions run; one of another layout would be converted in every
            # step.
            name: teacher_of(self, trainer, name, TEACHERS).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            for name in MODALITIES
        }

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The sum of the terms; the history gets them unweighted, and how often each encoder waited."""
        with torch.no_grad():
            taught = {name: teacher(batch) for name, teacher in self.teachers.items()}
        label = cross_entropy(output.logits, batch.label)
        features = logits = torch.zeros_like(label)
        for name, teacher in taught.items():
            own, wanted = output.features[name], teacher.features[name]
            if own.shape != wanted.shape:
                raise UserError(
                    f"method g2d: teacher_{name} has features of {wanted.shape[1]} values and the student of "
                    f"{own.shape[1]}; give both runs the same encoder."
                )
            features = features + mse_loss(own, wanted)
            logits = logits + divergence(teacher.logits, output.logits, self.options.temperature)
        self._passing = passing(taught["audio"].logits, taught["visual"].logits, batch.label)
        if step.epoch >= self.until:
            self._passing = torch.ones_like(self._passing)
        terms = torch.stack([label, features, logits, *(1 - self._passing)])
        self.means.add(COLUMNS, terms)
        return label + self.options.features * features + self.options.logits * logits

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> None:
        """Multiply the encoders' gradients by 0 or 1."""
        if step.epoch >= self.until:
            return
        assert self._passing is not None
        for name, factor in zip(MODALITIES, self._passing, strict=True):
            gradients = [each.grad for each in model.group(name) if each.grad is not None]
            torch._foreach_mul_(gradients, factor)


METHOD = G2D
