"""Counter-based random streams: every draw is a function of (seed, purpose, position); resuming needs no state."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive(seed: int, *position: str | int) -> int:
    """A 63-bit seed for the stream at `position` of run `seed`, e.g. derive(0, "main", "step", epoch, index)."""
    text = "/".join(str(part) for part in (seed, *position))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_stream(device: torch.device | str, seed: int, *position: str | int) -> torch.Generator:
    """A torch generator on `device` for the stream at `position`."""
    import torch

    return torch.Generator(device=device).manual_seed(derive(seed, *position))
