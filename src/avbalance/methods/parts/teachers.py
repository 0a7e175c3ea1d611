"""Logits of trained unimodal networks on the clips that another network learns from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from avbalance.errors import UserError
from avbalance.methods.base import Method, Training
from avbalance.models.audio_teacher import AudioTeacher
from avbalance.models.base import Model, build
from avbalance.models.late_fusion import LateFusion
from avbalance.models.visual_teacher import VisualTeacher

BATCH = 256
TEACHERS = (AudioTeacher, VisualTeacher, LateFusion)  # by name, so that a student's code digest covers its teachers
_COMPARED = {
    "labelling": "another labelling",
    "classes": "other classes",
    "features": "other features",
    "train_ids": "other clips",
}


def teacher_logits(method: Method, trainer: Training, modality: str) -> Tensor:
    """Logits `(N, C)` of the needed teacher of a modality, on the trainer's device; NaN for clips not trained on.

    The need "teacher_<modality>" is the model.safetensors of a run on one modality. The teacher is frozen: eval mode,
    no gradient, and each clip is seen once, with test-time transforms, since its logits never change. Raises UserError
    when the need is missing or another network's, or when it was trained on other clips or for other labels.
    """
    teacher = _teacher(method, trainer, modality).to(trainer.device).eval()
    clips, train = trainer.source.clips, trainer.parts["train"]
    logits = torch.full((len(clips.ids), len(clips.classes)), torch.nan, device=trainer.device)
    with torch.no_grad():
        for start in range(0, len(train), BATCH):
            batch = trainer.source.batch_of(train[start : start + BATCH])
            logits[batch.index] = teacher(batch).logits
    return logits


def _teacher(method: Method, trainer: Training, modality: str) -> Model:
    """The network that the need describes, with its weights."""
    need = f"teacher_{modality}"
    weights = method.needed(trainer, need, f"model.safetensors of a run on {modality} alone")
    _check_facts(method, need, weights.facts, trainer.facts)
    settings = weights.facts["model"]
    teacher = build(settings, len(weights.facts["classes"]), torch.Generator())
    if not isinstance(teacher, TEACHERS) or teacher.modalities != (modality,):
        raise UserError(
            f"method {method.name}: {need} is a {settings['name']} that does not read {modality} alone; name a run of "
            "the right network in the run's needs."
        )
    method.load_weights(teacher, weights, need)
    return teacher


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
