"""Random streams: known values, so that a result can be made again years later."""

from __future__ import annotations

import hashlib

import pytest
import torch

from avbalance.streams import derive, torch_stream


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ((0, "main", "order", 3), 0x5CA126037B7507F1),
        ((1, "main", "order", 3), 0x22C59D4348B2AC28),
        ((0, "initialisation"), 0x1B1A5C56647AA5E7),
    ],
)
def test_seeds_are_known_values(position: tuple[int | str, ...], expected: int) -> None:
    # the first 63 bits of sha256 of the position joined by slashes
    digest = hashlib.sha256("/".join(map(str, position)).encode()).hexdigest()
    assert derive(*position) == int(digest[:16], 16) // 2 == expected  # type: ignore[arg-type]


def test_every_part_of_the_position_counts() -> None:
    seeds = [derive(0), derive(0, "a"), derive(0, "a", 1), derive(0, "a", 2), derive(1, "a", 1), derive(0, "b", 1)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generators_repeat() -> None:
    first, second = (torch.rand(4, generator=torch_stream("cpu", 3, "x", 0)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, torch.rand(4, generator=torch_stream("cpu", 3, "x", 1)))
