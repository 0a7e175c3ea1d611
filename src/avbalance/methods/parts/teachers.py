"""Teachers of one modality each: finished runs whose networks stay as they are, and how near a student is to them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from avbalance.errors import UserError
from avbalance.methods.base import Method, Training
from avbalance.models.base import Model, build

_COMPARED = {
    "labelling": "another labelling",
    "classes": "other classes",
    "features": "other features",
    "train_ids": "other clips",
}


def teacher_of(method: Method, trainer: Training, modality: str, networks: tuple[type[Model], ...]) -> Model:
    """The frozen network of the need `teacher_<modality>`, one of `networks`, on the trainer's device in eval mode.

    Raises UserError when the need, the model.safetensors of a run on one modality, is missing, another network's, or of
    other clips or labels.
    """
    need = f"teacher_{modality}"
    weights = method.needed(trainer, need, f"model.safetensors of a run on {modality} alone")
    _check_facts(method, need, weights.facts, trainer.facts)
    settings = weights.facts["model"]
    # The draws of its initialisation do not matter: weights are loaded over them, and the run's own stream stays as it
    # is.
    teacher = build(settings, len(weights.facts["classes"]), torch.Generator())
    if not isinstance(teacher, networks) or teacher.modalities != (modality,):
        raise UserError(
            f"method {method.name}: {need} is a {settings['name']} that does not read {modality} alone; name a run of "
            "the right network in the run's needs."
        )
    method.load_weights(teacher, weights, need)
    return teacher.to(trainer.device).eval().requires_grad_(False)


def _check_facts(method: Method, need: str, teacher: dict[str, Any], student: dict[str, Any]) -> None:
    if not teacher:
        raise UserError(
            f"method {method.name}: the weights of {need} say nothing of their training; delete the file to have its "
            "run made again."
        )
    for name, what in _COMPARED.items():
        if teacher.get(name) != student[name]:
            raise UserError(
                f"method {method.name}: {need} was trained on {what} than this run; name a run with the same data "
                "settings in the run's needs."
            )


def divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """`T^2 KL(softmax(t / T) || softmax(z / T))` of logits `(B, C)`, batch mean, no gradient into t.

    Decisions: the teacher is the first argument, since the loss is to say how close the prediction is to it; T^2 keeps
    gradients of different temperatures comparable (Hinton, Vinyals and Dean 2015). Raises UserError for unequal shapes.
    """
    if teacher.shape != student.shape:
        raise UserError(
            f"teacher logits {tuple(teacher.shape)} do not fit student logits {tuple(student.shape)}; "
            "train teacher and student on the same clips and classes."
        )
    log_q, log_p = ((logits / temperature).log_softmax(1) for logits in (teacher.detach(), student))
    return temperature**2 * (log_q.exp() * (log_q - log_p)).sum(1).mean()
