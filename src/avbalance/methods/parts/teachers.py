"""Frozen networks of one modality, trained in other runs, from which a method learns."""

from __future__ import annotations

from typing import Any

import torch

from avbalance.errors import UserError
from avbalance.methods.base import Method, Training
from avbalance.models.base import Model, build

_COMPARED = {
    "labelling": "another labelling",
    "classes": "other classes",
    "features": "other features",
    "train_ids": "other clips",
}


def teacher(method: Method, trainer: Training, modality: str, kinds: tuple[type[Model], ...]) -> Model:
    """The network of the need `teacher_<modality>`, with its weights, on the trainer's device and in eval mode.

    The need is the model.safetensors of a run on that modality alone, with one of `kinds`. Raises UserError when it is
    missing, another network's, or of other clips or labels.
    """
    need = f"teacher_{modality}"
    weights = method.needed(trainer, need, f"model.safetensors of a run on {modality} alone")
    _check_facts(method, need, weights.facts, trainer.facts)
    settings = weights.facts["model"]
    network = build(settings, len(weights.facts["classes"]), torch.Generator())
    if not isinstance(network, kinds) or network.modalities != (modality,):
        raise UserError(
            f"method {method.name}: {need} is a {settings['name']} that does not read {modality} alone; name a run of "
            "the right network in the run's needs."
        )
    method.load_weights(network, weights, need)
    return network.to(trainer.device).eval()


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
