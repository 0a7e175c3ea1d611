"""What every network offers: a batch in, logits per head out, parameters grouped by modality."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from avbalance.declared import Declared, listed, nearest, read
from avbalance.errors import UserError

MODALITIES = ("audio", "visual")


@dataclass
class Batch:
    """One mini-batch: audio `(B, 1, F, T)`, visual `(B, 3, K, H, W)`, label and data-set row `(B,)` int64."""

    audio: Tensor | None
    visual: Tensor | None
    label: Tensor
    index: Tensor

    def modality(self, name: str) -> Tensor:
        """The tensor of modality `name`; raises UserError when the batch does not carry it."""
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


class ModelSettings(Declared):
    """What is said of a network; its class is named by `Settings` of the network's class."""

    name: str
    """which network"""


class ReferenceSettings(ModelSettings):
    """Settings of a reference, which is no network; those of its role's networks say nothing to it."""

    @model_validator(mode="before")
    @classmethod
    def _pass_over(cls, given: Any) -> Any:
        return {key: value for key, value in given.items() if key in cls.model_fields}


class Model(nn.Module):
    """A network over named modalities; subclasses register one encoder per modality in `encoders`.

    `Settings`: of what it is built. A module of a network ends with `MODEL = <its class>`.
    """

    Settings: ClassVar[type[ModelSettings]]
    modalities: tuple[str, ...]
    encoders: nn.ModuleDict

    @classmethod
    def initialised(cls, settings: ModelSettings, classes: int, generator: torch.Generator) -> Self:
        """A new network with PyTorch's default initialisation, drawn from the CPU `generator` in order of construction.

        The generator ends where the draws ended; torch's global one is left as it was.
        """
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.set_state(generator.get_state())
            model = cls(settings, classes)
            generator.set_state(torch.default_generator.get_state())
        return model

    def forward(self, batch: Batch) -> ModelOutput:
        """Logits, scores and features of a batch."""
        raise NotImplementedError

    def own(self, modality: str) -> list[nn.Module]:
        """The modules that serve this modality alone; by default its encoder."""
        return [self.encoders[modality]]

    def group(self, name: str) -> list[nn.Parameter]:
        """The parameters of a modality's own modules, or for "head" all others.

        The groups partition `parameters()`. Raises UserError for a name that is neither.
        """
        if name in self.modalities:
            return [parameter for module in self.own(name) for parameter in module.parameters()]
        if name != "head":
            known = ", ".join([*self.modalities, "head"])
            raise UserError(f"{type(self).__name__} has no parameter group {name!r}; it has {known}.")
        taken = {id(parameter) for modality in self.modalities for parameter in self.group(modality)}
        return [parameter for parameter in self.parameters() if id(parameter) not in taken]


class ImageModel(Model):
    """A network of encoders of images, initialised as the OGM-GE code does (Peng et al. 2022, Xia et al. 2023).

    Convolutions: Kaiming-normal, fan-out, ReLU gain. Linear layers: Xavier-normal, bias 0. Batch norm: weight 1, bias
    0. A module registered later never changes the draws of an earlier one.
    """

    @classmethod
    def initialised(cls, settings: ModelSettings, classes: int, generator: torch.Generator) -> Self:
        """A new network whose weights are drawn from `generator`; torch's global one is left as it was."""
        with torch.random.fork_rng(devices=[]):
            model = cls(settings, classes)
        with torch.no_grad():
            for part in model.modules():
                if isinstance(part, nn.Conv2d):
                    fan_out = part.out_channels * part.kernel_size[0] * part.kernel_size[1]
                    part.weight.normal_(0.0, math.sqrt(2.0 / fan_out), generator=generator)
                elif isinstance(part, nn.Linear):
                    scale = math.sqrt(2.0 / (part.in_features + part.out_features))
                    part.weight.normal_(0.0, scale, generator=generator)
                    part.bias.zero_()
                elif isinstance(part, nn.BatchNorm2d):
                    part.weight.fill_(1.0)
                    part.bias.zero_()
        return model


def names() -> list[str]:
    """Names of all networks on disk, sorted: of the modules with a MODEL."""
    networks = (path for path in Path(__file__).parent.glob("*.py") if "\nMODEL = " in path.read_text(encoding="utf-8"))
    return sorted(path.stem.replace("_", "-") for path in networks)


def load(name: str, where: str = "") -> type[Model]:
    """The class of the network `name`: `fusion-net` lives in `avbalance.models.fusion_net`.

    Raises UserError, which begins with `where`, when there is none.
    """
    known = names()
    if name not in known:
        raise UserError(
            f"{where and f'{where}: '}no model named {name!r}{nearest(str(name), known)}; there are {listed(known)}."
        )
    return importlib.import_module(f"avbalance.models.{name.replace('-', '_')}").MODEL


def read_settings(given: Mapping[str, Any], where: str = "model") -> ModelSettings:
    """The settings that `given`, with the network's name, says; raises UserError that begins with `where`."""
    if "name" not in given:
        raise UserError(f"{where}: lacks the key 'name'.")
    return read(load(given["name"], where).Settings, given, where)


def build(settings: Mapping[str, Any] | ModelSettings, classes: int, generator: torch.Generator) -> Model:
    """An initialised network of the settings, which name it; raises UserError for settings that do not exist."""
    known = settings if isinstance(settings, ModelSettings) else read_settings(settings)
    return load(known.name).initialised(known, classes, generator)
