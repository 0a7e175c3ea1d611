"""Runs of seconds for the methods of three heads, by the real trainer: easy clips and a small network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_cell import kill_after, make_data, tiny_settings

__all__ = ["NETWORK", "easy_clips", "kill_after", "make", "same", "spied", "trained", "weights_of"]

NETWORK = {
    "name": "fusion-net",
    "fusion": "concat",
    "unimodal_heads": True,
    "encoder": "convolutional",
    "width": 4,
    "dimension": 16,
}


def easy_clips(folder: Path) -> Any:
    """96 training, 32 validation and 120 test clips of four classes."""
    from avbalance.training.data import load_clips

    data = make_data(folder)
    return load_clips(data.manifest, data.audio, data.visual)


def make(
    clips: Any,
    method: str,
    options: dict[str, Any],
    model: dict[str, Any] | None = None,
    epochs: int = 3,
    seed: int = 0,
    checkpoints: Any = None,
    **data: Any,
) -> Any:
    """A trainer at the start of a run."""
    from avbalance.training.cell import make_trainer

    torch.set_num_threads(1)
    settings = tiny_settings(data=data, method=options, protocol={"epochs": epochs})
    settings["model"] = {**NETWORK, **(model or {})}
    return make_trainer(method, settings, seed, clips, torch.device("cpu"), None, checkpoints)


def trained(*arguments: Any, **changes: Any) -> Any:
    """A trainer after its run."""
    trainer = make(*arguments, **changes)
    trainer.train()
    return trainer


def weights_of(trainer: Any) -> Any:
    """The weights of the last epoch, as a run leaves them for others."""
    from avbalance.training.outputs import Tensors

    weights = Tensors(trainer.states["last"])
    weights.facts = dict(trainer.facts)
    return weights


def same(first: Any, second: Any) -> bool:
    """Whether two finished runs have the same last weights and validation losses, bit for bit."""
    pairs = [(value, second.states["last"][name]) for name, value in first.states["last"].items()]
    losses = [[row["val_loss"] for row in trainer.history] for trainer in (first, second)]
    return losses[0] == losses[1] and all(torch.equal(one, other) for one, other in pairs)


def spied(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[tuple[Any, ...]]:
    """Let `owner.name` append the arguments of every call to the list that is returned."""
    original, calls = getattr(owner, name), []

    def spy(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        return original(*arguments, **named)

    monkeypatch.setattr(owner, name, spy)
    return calls
