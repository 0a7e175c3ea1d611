"""One step of a method on a small network of images and six clips of noise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from avbalance.methods.base import TrainingStep
from avbalance.models.base import Batch, build

CLASSES = 3


def network(name: str = "fusion-net", **settings: Any) -> Any:
    return build({"name": name, "width": 2, "stem": "small", **settings}, CLASSES, torch.Generator().manual_seed(0))


def clips() -> Batch:
    """Six clips of noise."""
    generator = torch.Generator().manual_seed(1)
    audio, visual = (torch.randn(6, *shape, generator=generator) for shape in ((1, 16, 16), (3, 1, 16, 16)))
    return Batch(audio, visual, torch.arange(6) % CLASSES, torch.arange(6))


def gradients(method: Any, model: Any) -> dict[str, Tensor]:
    """The gradients of a network as the optimiser finds them, by parameter; those that there are."""
    step = TrainingStep(0, 0, 3, torch.Generator().manual_seed(5))
    batch = method.batch(model, clips(), step)
    output = model(batch)
    method.loss(model, output, batch, step).backward()
    method.gradients(model, output, batch, step)
    return {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
