"""Logits of trained unimodal networks on the clips that another network learns from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avbalance.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from avbalance.methods.base import Method, Trainer
    from avbalance.models.base import Build, Model

BATCH = 256
_COMPARED = {
    "labelling": "another labelling",
    "classes": "other classes",
    "features": "other features",
    "train_ids": "other clips",
}


def teacher_logits(method: Method, trainer: Trainer, modality: str) -> Tensor:
    """Logits `(N, C)` of the needed teacher of a modality, on the trainer's device; NaN for clips not trained on.

    The need "teacher_<modality>" is the model.safetensors of a run on one modality. The teacher is frozen: eval mode,
    no gradient, and each clip is seen once, with test-time transforms, since its logits never change. Raises UserError
    when the need is missing or another network's, or when it was trained on other clips or for other labels.
    """
    import torch

    teacher = _teacher(method, trainer, modality).to(trainer.device).eval()
    clips, train = trainer.source.clips, trainer.parts["train"]
    logits = torch.full((len(clips.ids), len(clips.classes)), torch.nan, device=trainer.device)
    with torch.no_grad():
        for start in range(0, len(train), BATCH):
            batch = trainer.source.batch_of(train[start : start + BATCH])
            logits[batch.index] = teacher(batch).logits
    return logits


def _teacher(method: Method, trainer: Trainer, modality: str) -> Model:
    """The network that the need describes, with its weights."""
    need = f"teacher_{modality}"
    if need not in trainer.needs:
        raise UserError(
            f"method {method.name} reads model.safetensors of a run on {modality} alone; add it to the run's needs as "
            f"{need}."
        )
    weights = trainer.needs[need]
    _check_facts(method, need, weights.facts, trainer.facts)
    teacher = _built(weights.facts["model"], len(weights.facts["classes"]))
    if teacher is None or teacher.modalities != (modality,):
        raise UserError(
            f"method {method.name}: {need} is a {weights.facts['model']['name']} that does not read {modality} alone; "
            "name a run of the right network in the run's needs."
        )
    try:
        teacher.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"method {method.name}: the weights of {need} are another network's; delete the file to have its run made "
            "again."
        ) from error
    return teacher


def _built(settings: dict[str, Any], classes: int) -> Model | None:
    """A network of these settings; None for one that cannot be a teacher.

    The modules are imported by name, so that a student's code digest covers its teachers.
    """
    import torch

    from avbalance.models import audio_teacher, late_fusion, visual_teacher

    known: dict[str, Build] = {
        "audio-teacher": audio_teacher.build,
        "visual-teacher": visual_teacher.build,
        "late-fusion": late_fusion.build,
    }
    build = known.get(settings["name"])
    return build(settings, classes, torch.Generator()) if build else None


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
