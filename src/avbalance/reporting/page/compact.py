"""What keeps the page small: values that occur many times are written once, and data are compressed."""

from __future__ import annotations

import base64
import zlib
from typing import Any

from flowkeeper.files import canonical_json


def packed(text: str) -> str:
    """Text compressed (zlib) and in base64, which the page's script unpacks."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")


class UniqueValues:
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
