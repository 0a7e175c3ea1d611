"""Trees of declared values: one laid over another, and values without their sources."""

from __future__ import annotations

from copy import deepcopy
from typing import Any


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """A copy of `base` with `over` laid on it: mappings are merged key by key, everything else is replaced."""
    merged = deepcopy(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict) and not is_sourced(merged[key]):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = deepcopy(value)
    return merged


def is_sourced(value: Any) -> bool:
    """Whether `value` is a declared value with its source: {value: ..., source: ...}."""
    return isinstance(value, dict) and set(value) == {"value", "source"}


def plain(value: Any) -> Any:
    """The same tree with every {value, source} replaced by its value."""
    if is_sourced(value):
        return plain(value["value"])
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
