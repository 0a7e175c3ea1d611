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


def seed_globally(device: torch.device, seed: int) -> None:
    """Seed the generators that draws without one of their own use: torch's on the CPU, and the device's.

    `torch.manual_seed` does the same for all devices at once, and notes the stack for each that is not in use: 4 % of a
    small training.
    """
    import torch

    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
