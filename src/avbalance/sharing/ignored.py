"""Which arrays of feature stores DVC is to carry: none, but for the result sets that a line of .dvcignore asks in."""

from __future__ import annotations

from pathlib import Path

from avbalance.files import atomic_path

IGNORED = ".dvcignore"


def arrays_line(results: str) -> str:
    """The line that asks in the arrays of one result set, results/<name>."""
    return f"!/{results}/features/**/features.npy"


def arrays_shared(root: Path, results: str) -> bool:
    return arrays_line(results) in _text(root).splitlines()


def share_arrays(root: Path, results: str) -> None:
    """Ask the arrays of a result set in, for everyone who has the commit."""
    text = _text(root)
    if not arrays_shared(root, results):
        with atomic_path(root / IGNORED) as temporary:
            temporary.write_text(f"{text}{arrays_line(results)}\n", encoding="utf-8")


def _text(root: Path) -> str:
    path = root / IGNORED
    return path.read_text(encoding="utf-8") if path.is_file() else ""
