"""The settings of a run, read into the classes that training uses: planning checks by the very same reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avbalance.declared import Declared, nearest, read
from avbalance.errors import UserError
from avbalance.methods import base as methods
from avbalance.methods.base import Method
from avbalance.models import base as models
from avbalance.models.base import MODALITIES, ModelSettings
from avbalance.training.data_settings import DataSettings
from avbalance.training.protocol import Protocol
from avbalance.training.tasks import base as tasks
from avbalance.training.tasks.base import Task


class SettingsParts(Declared):
    """The four parts of a run's settings."""

    data: dict[str, Any]
    """what is read of the data set, see the settings of the run's task"""
    model: dict[str, Any]
    """the network, by its name, and its settings"""
    method: dict[str, Any] = {}  # noqa: RUF012  pydantic copies it
    """the method's options"""
    protocol: dict[str, Any]
    """how long, how fast and by what a run is trained and selected"""


@dataclass(frozen=True)
class Settings:
    """Everything that a run is told, in its classes."""

    task: Task
    model: ModelSettings
    method: Method
    protocol: Protocol

    @property
    def data(self) -> DataSettings:
        return self.task.data


def read_settings(method: str, settings: Mapping[str, Any], where: str = "settings") -> Settings:
    """The settings of a run of `method`; raises UserError, which begins with `where`, for what does not exist."""
    parts = read(SettingsParts, settings, where)
    task = tasks.load(parts.data, f"{where}.data")
    protocol = read(Protocol, parts.protocol, f"{where}.protocol")
    if protocol.metric not in task.metrics:
        raise UserError(
            f"{where}.protocol, metric: is {protocol.metric!r}{nearest(protocol.metric, task.metrics)}; task "
            f"{task.name} has {', '.join(task.metrics)}."
        )
    kind = methods.load(method, where)
    options = read(kind.card.options, parts.method, f"{where}.method")
    return Settings(task, models.read_settings(parts.model, f"{where}.model"), kind(options), protocol)


def check(method: str, settings: Mapping[str, Any], where: str) -> None:
    """Raise UserError, in one sentence that begins with `where`, unless a run of `method` may have these settings.

    For a row of the run sheet: `where` says which, such as "paper x, run y". Imports torch.
    """
    if not methods.load(method, where).card.trains:
        return  # joins predictions: it has no settings
    read_settings(method, settings, f"{where}, settings")
    absent = [f"{modality}_recipe" for modality in MODALITIES if f"{modality}_recipe" not in settings["data"]]
    if absent:
        raise UserError(f"{where}, settings.data: lacks the key {absent[0]!r}; name a recipe, or null for none.")
