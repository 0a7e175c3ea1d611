"""What every network offers: a batch in, logits per head out, parameters grouped by modality."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from avbalance.errors import UserError

MODALITIES = ("audio", "visual")


@dataclass
class Batch:
    """One mini-batch: audio `(B, 1, F, T)`, visual `(B, 3, K, H, W)`, label and data-set row `(B,)` int64."""

    audio: Tensor | None
    visual: Tensor | None
    label: Tensor
    index: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on `device`; memory formats are kept."""
        return Batch(
            audio=None if self.audio is None else self.audio.to(device, non_blocking=True),
            visual=None if self.visual is None else self.visual.to(device, non_blocking=True),
            label=self.label.to(device, non_blocking=True),
            index=self.index.to(device, non_blocking=True),
        )

    def modality(self, name: str) -> Tensor:
        """Return the tensor of modality `name`; raises UserError when the batch does not carry it."""
        tensor: Tensor | None = {"audio": self.audio, "visual": self.visual}[name]
        if tensor is None:
            raise UserError(
                f"the batch carries no {name}, which this model needs; train it on data with both modalities."
            )
        return tensor


@dataclass
class ModelOutput:
    """Prediction `logits (B, C)`; per modality `scores (B, C)` and pooled encoder `features (B, D)`.

    Where every second has a class of its own, all have an axis of seconds: `(B, T, C)` and `(B, T, D)`.
    """

    logits: Tensor
    scores: dict[str, Tensor]
    features: dict[str, Tensor]


class Model(nn.Module):
    """A network over named modalities; subclasses register one encoder per modality in `encoders`."""

    modalities: tuple[str, ...]
    encoders: nn.ModuleDict

    def forward(self, batch: Batch) -> ModelOutput:
        """Return logits, scores and features of a batch."""
        raise NotImplementedError

    def group(self, name: str) -> list[nn.Parameter]:
        """Return a modality's encoder parameters, or for "head" all parameters outside the encoders.

        The groups partition `parameters()`. Raises UserError for a name that is neither.
        """
        if name == "head":
            encoder_parameters = {id(parameter) for parameter in self.encoders.parameters()}
            return [parameter for parameter in self.parameters() if id(parameter) not in encoder_parameters]
        if name in self.modalities:
            return list(self.encoders[name].parameters())
        known = ", ".join([*self.modalities, "head"])
        raise UserError(f"{type(self).__name__} has no parameter group {name!r}; it has {known}.")


Build = Callable[[dict[str, Any], int, torch.Generator], Model]
ModelT = TypeVar("ModelT", bound=Model)


def load(name: str) -> Build:
    """Return the `build(settings, classes, generator)` of the module that model `name` lives in.

    `fusion-net` lives in `avbalance.models.fusion_net`. Raises UserError when there is no such model.
    """
    module_name = f"avbalance.models.{name.replace('-', '_')}"
    try:
        build: Build = importlib.import_module(module_name).build
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name != module_name:
            raise
        raise UserError(f"no model named {name!r}; models are modules of avbalance.models with a build().") from error
    return build


def complete(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return `defaults` overridden by `settings` without its "name"; raises UserError on unknown keys."""
    given = {key: value for key, value in settings.items() if key != "name"}
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        raise UserError(
            f"model {settings.get('name', '?')}: unknown setting {', '.join(unknown)}; it takes {', '.join(defaults)}."
        )
    return {**defaults, **given}


def require(value: Any, allowed: tuple[Any, ...], setting: str) -> None:
    """Raise UserError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise UserError(f"model setting {setting} is {value!r}; it must be one of {', '.join(map(str, allowed))}.")


def assemble(make: Callable[[], ModelT], generator: torch.Generator) -> ModelT:
    """Construct a model without touching torch's global generator, then initialise it from `generator`."""
    with torch.random.fork_rng(devices=[]):
        model = make()
    initialise(model, generator)
    return model


@torch.no_grad()
def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Fill all weights in place, in order of registration.

    Convolutions: Kaiming-normal, fan-out, ReLU gain. Linear layers: Xavier-normal, bias 0. Batch norm: weight
    1, bias 0. Recipe of the OGM-GE reference code (Peng et al. 2022), which Xia et al. 2023 build upon. A
    module registered later never changes the draws of an earlier one.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            fan_out = part.out_channels * part.kernel_size[0] * part.kernel_size[1]
            part.weight.normal_(0.0, math.sqrt(2.0 / fan_out), generator=generator)
        elif isinstance(part, nn.Linear):
            part.weight.normal_(0.0, math.sqrt(2.0 / (part.in_features + part.out_features)), generator=generator)
            part.bias.zero_()
        elif isinstance(part, nn.BatchNorm2d):
            part.weight.fill_(1.0)
            part.bias.zero_()
