"""Methods of a user's own, outside of the checkout: the modules in the folders that a variable names."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER_VARIABLE = "AVBALANCE_METHODS"  # several folders are separated as in PATH


def folders() -> list[Path]:
    """The folders, absolute: jobs start elsewhere than the command."""
    return [Path(name).absolute() for name in os.environ.get(FOLDER_VARIABLE, "").split(os.pathsep) if name]


def place_of(module: str) -> Path | None:
    """Where a module of a user's own lies, without its suffix; None for a name that no folder has."""
    return next((folder / module for folder in folders() if (folder / f"{module}.py").is_file()), None)
