"""Values that occur many times on the page, each written once."""

from __future__ import annotations

from typing import Any

from flowkeeper.files import canonical_json


class Pool:
    """Values in the order in which they first came; a value is known by its place."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def place(self, value: Any) -> int:
        """Where a value, plain JSON, stands; it is added if it is new."""
        key = canonical_json(value)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]
