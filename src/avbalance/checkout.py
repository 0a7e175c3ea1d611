"""The checkout that a command is typed in: whether there is one, and its code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from avbalance.errors import UserError

BASE = "config/config.yaml"
_SOURCE = "AVBALANCE_SOURCE"  # the code that a command was started again with


def use_code_of_this_checkout() -> None:
    """Where the command is typed in another checkout than the installed one, start again with the code there.

    Raises UserError where that code is not taken, as under `python -I`.
    """
    source = Path.cwd() / "src"
    if not (source / "avbalance").is_dir() or Path(__file__).parent.samefile(source / "avbalance"):
        return
    if os.environ.get(_SOURCE) == str(source):
        raise UserError(
            f"{Path.cwd()}: the code of another checkout runs here, {Path(__file__).parents[1]}; make this checkout's "
            "own environment with `make .venv/.ready` and use .venv/bin/avbalance."
        )
    variables = {**os.environ, "PYTHONPATH": str(source), _SOURCE: str(source)}
    os.execve(sys.executable, [sys.executable, "-m", "avbalance", *sys.argv[1:]], variables)


def lacking_package(error: ModuleNotFoundError) -> UserError:
    """The sentence on a package that this environment does not have."""
    return UserError(
        f"{sys.prefix}: this environment has no package {error.name!r}, so it is older than the code in "
        f"{Path(__file__).parents[1]} or another checkout's; make it anew with `make .venv/.ready`, and use .venv/bin."
    )


def require_checkout(root: Path) -> None:
    """Raise UserError unless `root` is the topmost folder of a checkout of the repository."""
    if (root / BASE).is_file():
        return
    above = next((folder for folder in root.resolve().parents if (folder / BASE).is_file()), None)
    if above:
        raise UserError(f"{root}: lies inside of a checkout; type the command in its topmost folder: cd {above}")
    raise UserError(
        f"{root}: no checkout of avbalance (there is no {BASE}); cd to the folder that `git clone` made and type the "
        "command there."
    )
