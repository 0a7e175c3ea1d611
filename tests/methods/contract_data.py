"""What the contract of methods is tested on: per task easy data, tiny settings, and a bar that a run must clear."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from tiny_cell import kill_after, make_data, tiny_settings
from tiny_segments import make_segment_data, segment_settings
from tiny_vectors import MODELS, make_vector_data, vector_settings

__all__ = ["kill_after"]

SMALL: dict[str, dict[str, Any]] = {
    "classification": {"width": 4, "stem": "small", "stem_stride": 1},
    "parsing": {"width": 16},
    "relevance": MODELS["kd-student"],
    "localisation": {"visual_width": 4, "guide_width": 12, "projection_width": 12, "width": 8, "classifier_width": 8},
}
TEACHERS = {"teacher_audio": "audio-teacher", "teacher_visual": "visual-teacher"}  # need -> network
ENCODERS = {"encoder_audio": "audio", "encoder_visual": "visual"}  # need -> what its run reads


def easy_clips(folder: Path) -> dict[str, Any]:
    """Task -> clips whose labels both modalities tell."""
    from avbalance.training.data import load_clips

    made = {
        "classification": make_data(folder / "classes"),
        "parsing": make_segment_data(folder / "events"),
        "localisation": make_segment_data(folder / "seconds", grid=True),
        "relevance": make_vector_data(folder / "vectors"),
    }
    return {task: load_clips(data.manifest, data.audio, data.visual) for task, data in made.items()}


def settings_for(task: str, **changes: dict[str, Any]) -> dict[str, Any]:
    """Complete settings of a short run; `changes` are laid over data, model, method and protocol."""
    if task == "classification":
        return tiny_settings(**changes)
    if task == "relevance":
        return vector_settings(**changes)
    long = {"parsing": 8, "localisation": 20}[task]  # psp's similarity outweighs the classes at first
    epochs = {"epochs": long, "decay_every": long - 2, "batch_size": 8}
    metric = {"metric": "segment_Event"} if task == "parsing" else {}
    settings = segment_settings(task, {}, **epochs, **metric)
    return settings | {part: {**settings[part], **values} for part, values in changes.items()}


def stand_in(need: str, file: str, trainer: Any) -> Any:
    """Content of a file that a run needs of another one: something of the right form for the trainer's data."""
    if need in TEACHERS:
        return teacher_like(teacher_settings(need, trainer), trainer)
    if need in ENCODERS:
        return trained_alone(ENCODERS[need], trainer)
    classes = trainer.source.clips.classes
    first = str(trainer.source.clips.ids[trainer.parts["train"][0]])
    return {
        "noise_ratios.json": {"audio": [0.3] * len(classes), "visual": [0.3] * len(classes)},
        "labels.json": {"removed": {first: {"audio": [0], "visual": [1]}}},
        "model.safetensors": weights_like(trainer),
    }[file]


def weights_like(trainer: Any, factor: float = 1.1) -> Any:
    """Weights as a finished run on the trainer's clips would have left them, by default a tenth larger than its own."""
    from avbalance.training.outputs import Tensors

    weights = Tensors({name: value * factor for name, value in trainer.model.state_dict().items()})
    weights.facts = dict(trainer.facts)
    return weights


def teacher_settings(need: str, trainer: Any) -> dict[str, Any]:
    """The network of one modality that teaches the trainer's: of its own encoder, where it is one of images."""
    own = trainer.facts["model"]
    if "encoder" not in own:
        return MODELS[TEACHERS[need]]
    other = ("name", "fusion", "unimodal_heads", "modalities")
    encoder = {key: value for key, value in own.items() if key not in other}
    return {"name": "unimodal-net", "modality": need.removeprefix("teacher_"), **encoder}


def teacher_like(settings: dict[str, Any], trainer: Any) -> Any:
    """Weights of a new network of one modality, as a finished run on the trainer's clips would have left them."""
    import torch

    from avbalance.models.base import build
    from avbalance.training.outputs import Tensors

    classes = trainer.source.clips.classes
    weights = Tensors(build(settings, len(classes), torch.Generator().manual_seed(1)).state_dict())
    weights.facts = {**trainer.facts, "model": settings}
    return weights


def trained_alone(modality: str, trainer: Any) -> Any:
    """Weights of a short run of the trainer's encoder of one modality on its clips."""
    import torch

    from avbalance.models.encoders import EncoderSettings
    from avbalance.training.cell import make_trainer

    encoder = {name: value for name, value in trainer.facts["model"].items() if name in EncoderSettings.model_fields}
    settings = tiny_settings() | {"model": {**encoder, "name": "unimodal-net", "modality": modality}}
    alone = make_trainer("unimodal", settings, 0, trainer.source.clips, torch.device("cpu"))
    alone.train()
    return weights_like(alone, factor=1.0)


def learnt(trainer: Any, logits: Any) -> bool:
    """Whether the test logits say more of the labels than the labels' shares do, by three standard errors."""
    targets = trainer.source.targets[trainer.parts["test"]].numpy()
    if trainer.task.name == "parsing":
        probability = np.clip(1 / (1 + np.exp(-logits.double().numpy())), 1e-7, 1 - 1e-7)
        share = np.broadcast_to(targets.mean(0), targets.shape)
        gain = np.log(np.where(targets > 0, probability, 1 - probability) / np.where(targets > 0, share, 1 - share))
        return bool(gain.mean() > 3 * gain.std() / math.sqrt(gain.size))
    return beats_majority(logits.argmax(-1).numpy().ravel(), targets.ravel())


def beats_majority(predicted: Any, labels: Any) -> bool:
    """Whether accuracy exceeds the largest class's share by three standard errors of that share."""
    share = np.bincount(labels).max() / len(labels)
    return bool((predicted == labels).mean() > share + 3 * math.sqrt(share * (1 - share) / len(labels)))
