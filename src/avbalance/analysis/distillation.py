"""Knowledge distillation from one teacher per modality (modality-relevance, sections 3.2 and 4).

The student's objective is its classification loss plus one Kullback-Leibler loss per teacher. Pure functions, B clips,
C classes. Importing this module does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from avbalance.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = (1.0, 1.0, 1.0)  # label, audio teacher, visual teacher; decision: the text has a plain sum
TEMPERATURE = 1.0  # decision: none is stated


class DistillationTerms(NamedTuple):
    """The unweighted parts of the objective, scalars: cross-entropy with the label, divergence from each teacher.

    The objective is their weighted sum, `CE(z, y) + KL_T(t_a || z) + KL_T(t_v || z)`.
    """

    label: Tensor
    audio: Tensor
    visual: Tensor

    def total(self, weights: tuple[float, float, float] = WEIGHTS) -> Tensor:
        """Return the weighted sum; weights of label, audio teacher, visual teacher."""
        return weights[0] * self.label + weights[1] * self.audio + weights[2] * self.visual


def divergence(teacher: Tensor, student: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """`T^2 KL(softmax(t / T) || softmax(z / T))` of logits `(B, C)`, mean over the batch: a scalar.

    No gradient flows into the teacher. Decisions: the teacher is the first argument, since the loss is to say how close
    the prediction is to the teacher's; T^2 keeps gradients of different temperatures comparable (Hinton, Vinyals and
    Dean 2015), and is 1 here by default. Raises UserError for a temperature that is not above 0 and for logits of
    different shapes.
    """
    if not temperature > 0:
        raise UserError(f"the temperature of distillation is {temperature!r}; it must be above 0.")
    if teacher.shape != student.shape:
        raise UserError(
            f"teacher logits {tuple(teacher.shape)} do not fit student logits {tuple(student.shape)}; "
            "train teacher and student on the same clips and classes."
        )
    log_q, log_p = ((logits / temperature).log_softmax(1) for logits in (teacher.detach(), student))
    return temperature**2 * (log_q.exp() * (log_q - log_p)).sum(1).mean()


def distillation_terms(
    logits: Tensor,
    teacher_audio: Tensor,
    teacher_visual: Tensor,
    label: Tensor,
    temperature: float = TEMPERATURE,
) -> DistillationTerms:
    """Parts of the student's objective; all logits `(B, C)` of the same clips, label `(B,)` class indices.

    The cross-entropy has no temperature.
    """
    from torch.nn.functional import cross_entropy

    return DistillationTerms(
        cross_entropy(logits, label),
        divergence(teacher_audio, logits, temperature),
        divergence(teacher_visual, logits, temperature),
    )
