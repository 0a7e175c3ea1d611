"""The page of a result set, said and opened where there is a screen."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path


def open_page(page: Path, say: Callable[[str], None]) -> None:
    """Say where the page is, and open it in a browser."""
    say(f"The evidence on one page: {page}")
    if _has_screen():
        webbrowser.open(page.absolute().as_uri())


def _has_screen() -> bool:
    """Whether a window can be opened here; without one, a browser of text would take the terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
