"""State to resume from: one file per training, outside the workflow's outputs, bound to what it belongs to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from flowkeeper.files import atomic_path


@dataclass
class Checkpoints:
    """Writes and reads the states of one run (`key`) and of the trainings inside it (`stream`).

    A state with another key is ignored. `every_s` seconds pass at least between two writes. `after_save` is called
    after each: what it raises ends the training at a point from which it can go on.
    """

    folder: Path
    key: str
    every_s: float = 20.0
    after_save: Callable[[], None] = lambda: None
    _last: float = field(default_factory=time.monotonic)

    def path(self, stream: str) -> Path:
        return self.folder / f"{self.key}-{stream}.pt"

    def due(self) -> bool:
        return time.monotonic() - self._last >= self.every_s

    def save(self, stream: str, state: dict[str, Any]) -> None:
        """Write the state of `stream` atomically."""
        with atomic_path(self.path(stream)) as temporary:
            torch.save({"key": self.key, "stream": stream, "state": state}, temporary)
        self._last = time.monotonic()
        self.after_save()

    def load(self, stream: str) -> dict[str, Any] | None:
        """The state of `stream`, or None when there is none of this run or it cannot be read."""
        path = self.path(stream)
        if not path.is_file():
            return None
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # torch raises many kinds for a damaged file; resuming from nothing is always right
            return None
        if content.get("key") != self.key or content.get("stream") != stream:
            return None
        return content["state"]

    def discard(self) -> None:
        """Remove all states of this run, and what a killed process left half written."""
        for pattern in (f"{self.key}-*.pt", f".{self.key}-*.partial"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)
