"""The checkout that a command is typed in: whether there is one, its code, and files laid down in it."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from string import Template

from avbalance.errors import UserError
from flowkeeper.files import atomic_path

BASE = "config/config.yaml"
TEMPLATES = {"dataset": "config/datasets", "user": "config/user"}  # file of config/templates -> folder
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


def new_dataset(root: Path, name: str, folder: str | None) -> list[Path]:
    """Write config/datasets/<name>.yaml and config/user/<name>.yaml from templates; returns their paths.

    root: the checkout; folder: of the clips, by default downloads/<name>. Raises UserError for a name that cannot
    serve, and where one of the files is there already.
    """
    require_checkout(root)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise UserError(
            f"{name!r} is no name; use letters, digits, '_', '.' and '-', and begin with a letter or digit."
        )
    paths = {kind: Path(where) / f"{name}.yaml" for kind, where in TEMPLATES.items()}
    there = next((path for path in paths.values() if (root / path).exists()), None)
    if there:
        raise UserError(f"{there}: is there already, and is left as it is; give the data set another name.")
    words = {"name": name, "root": json.dumps(folder or f"downloads/{name}", ensure_ascii=False)}  # quoted for YAML
    for kind, path in paths.items():
        template = Template((root / "config" / "templates" / f"{kind}.yaml").read_text(encoding="utf-8"))
        with atomic_path(root / path) as temporary:
            temporary.write_text(template.substitute(words), encoding="utf-8")
    return list(paths.values())
