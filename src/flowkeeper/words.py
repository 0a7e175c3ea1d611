"""Words of messages: how many files, which of them, how large."""

from __future__ import annotations

from collections.abc import Sequence, Sized

NAMED = 10  # files that a message names


def count(paths: Sized) -> str:
    return f"{len(paths)} file{'s' * (len(paths) != 1)}"


def listed(names: Sequence[str], limit: int = NAMED) -> str:
    """The first of some names, and how many more there are."""
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def size_text(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
