"""Every network at a size of milliseconds, and a batch that it can read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from avbalance.models.base import Batch, Model, build, load, read_settings

CLIPS, CLASSES, SEGMENTS = 3, 5, 10
BINS, FRAMES, FEATURE = 8, 13, 6
IMAGES: dict[str, dict[str, Any]] = {
    "unimodal-net": {"modality": "visual", "width": 2, "stem": "small"},
    "fusion-net": {"unimodal_heads": True, "width": 2, "stem": "small"},
    "mmtm-net": {"width": 2, "stem": "small"},
    "cosine-net": {"width": 2, "stem": "small"},
    "shared-head-net": {"width": 2, "stem": "small"},
    "boosted-net": {"width": 2, "stem": "small", "hidden": 4, "most": 2},
}
SEGMENTED: dict[str, dict[str, Any]] = {
    "han": {"width": 16, "visual_dropout": 0.5, "msdu": True},
    "mm-pyramid": {"width": 16, "attention_heads": 4},
    "cvcms": {"width": 16, "token_width": 8},
    "talnet": {"width": 8},
    "stpn": {"width": 16},
    "cmcs": {"width": 16},
    "ave-net": {"width": 16, "hidden": 8},
    "avsdn": {"width": 16, "hidden": 8},
    "twin-han": {"width": 8},
}
SOUND = {"bins": BINS, "frames": FRAMES, "audio_width": 10}
VECTORS: dict[str, dict[str, Any]] = {
    "audio-teacher": {**SOUND, "channels": 2},
    "visual-teacher": {"visual_feature": FEATURE, "hidden": 5},
    "kd-student": {**SOUND, "visual_feature": FEATURE, "visual_width": 9},
    "late-fusion": {**SOUND, "channels": 2, "visual_feature": FEATURE, "visual_width": 9, "hidden": [8, 4]},
}
MAPS: dict[str, dict[str, Any]] = {
    "psp": {"visual_width": 6, "guide_width": 8, "projection_width": 8, "width": 4, "classifier_width": 6},
}
NETWORKS = {**IMAGES, **SEGMENTED, **VECTORS, **MAPS}
REFERENCES = {"pooled-linear", "strong-reference"}  # fitted, not trained


def make(name: str, seed: int = 0, classes: int = CLASSES, **settings: Any) -> Any:
    """A small network with some settings changed."""
    generator = torch.Generator().manual_seed(seed)
    return build({"name": name, **NETWORKS[name], **settings}, classes, generator)


def full(name: str, classes: int, **settings: Any) -> Any:
    """The network at full size, without memory."""
    with torch.device("meta"):
        return load(name)(read_settings({"name": name, **settings}), classes)  # type: ignore[call-arg]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch_for(name: str, audio: int = 1, visual: int = 2, clips: int = CLIPS) -> Batch:
    """A batch of the kind that the network reads, whose modalities are drawn with the given seeds."""
    shapes = {
        **dict.fromkeys(IMAGES, ((1, 16, 24), (3, 2, 16, 16))),
        **dict.fromkeys(SEGMENTED, ((SEGMENTS, 128), (SEGMENTS, 2560))),
        **dict.fromkeys(VECTORS, ((1, BINS, FRAMES), (FEATURE,))),
        **dict.fromkeys(MAPS, ((SEGMENTS, 128), (SEGMENTS, 7, 7, 6))),
    }
    sound, sight = shapes[name]
    label = torch.arange(clips) % CLASSES
    return Batch(random(clips, *sound, seed=audio), random(clips, *sight, seed=visual), label, torch.arange(clips))


def parameters(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
