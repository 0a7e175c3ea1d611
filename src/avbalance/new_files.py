"""Files laid down for somebody who begins: of a data set, and of a method with its test, its run and its table."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from string import Template

import yaml

from avbalance.checkout import require_checkout
from avbalance.errors import UserError
from flowkeeper.files import atomic_path

TEMPLATES = Path("config", "templates")
PAPER = "balanced-audiovisual"  # a new method is declared in it: the smoke tier trains its runs in seconds
OF_DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
OF_METHOD = re.compile(r"(?=.{2,30}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")  # lines stay short enough for the formatter


def new_dataset(root: Path, name: str, folder: str | None) -> list[Path]:
    """Write config/datasets/<name>.yaml and config/user/<name>.yaml from templates; returns their paths.

    root: the checkout; folder: of the clips, by default downloads/<name>. Raises UserError for a name that cannot
    serve, and where one of the files is there already.
    """
    require_checkout(root)
    if not OF_DATASET.fullmatch(name):
        raise UserError(
            f"{name!r} is no name; use letters, digits, '_', '.' and '-', and begin with a letter or digit."
        )
    words = {"name": name, "root": json.dumps(folder or f"downloads/{name}", ensure_ascii=False)}  # quoted for YAML
    files = {
        Path("config", "datasets", f"{name}.yaml"): "dataset.yaml",
        Path("config", "user", f"{name}.yaml"): "user.yaml",
    }
    _refuse_what_is_there(root, files, "data set")
    _write(root, {path: _text(root, template, words) for path, template in files.items()})
    return list(files)


def new_method(root: Path, name: str) -> tuple[list[Path], str]:
    """Write a method's module and its test, and add a run and a table to the paper PAPER.

    Returns the four paths, and the id of the table.

    What is laid down works: a small method with the lines marked that its author changes. Raises UserError for a name
    that cannot serve, where a method, a run or one of the files is there already, and where the paper's files have no
    place for an addition. Nothing is overwritten: the paper's files gain lines.
    """
    from avbalance.plan.config import load_paper

    require_checkout(root)
    words = _words_of_method(root, name)
    module, folder = words["module"], Path("workflow", "papers", PAPER)
    files = {
        Path("src", "avbalance", "methods", f"{module}.py"): "method.py.txt",
        Path("tests", "methods", f"test_{module}.py"): "method-test.py.txt",
    }
    package = Path("src", "avbalance", "methods", module)  # as methods/parts, which would hide a module of its name
    _refuse_what_is_there(root, [*files, package], "method")
    paper = load_paper(root, PAPER)
    if name in paper["runs"]:
        raise UserError(f"{folder / 'paper.yaml'}: has a run {name!r} already; give the method another name.")
    taken = {table["id"] for table in paper["tables"]}
    number = next(number for number in count(1) if f"tableS{number}" not in taken)
    words["number"] = str(number)
    added = {
        folder / f"{kind}.yaml": _with_addition(root / folder / f"{kind}.yaml", line, _text(root, template, words))
        for kind, line, template in (("paper", "runs:", "method-run.yaml"), ("tables", "tables:", "method-table.yaml"))
    }
    _write(root, {path: _text(root, template, words) for path, template in files.items()} | added)
    return [*files, *added], f"tableS{number}"


def _words_of_method(root: Path, name: str) -> dict[str, str]:
    """What the templates of a method are filled with; UserError for a name that Python, YAML or they cannot have."""
    class_name = "".join(part.capitalize() for part in name.split("-"))
    if not OF_METHOD.fullmatch(name):
        raise UserError(
            f"{name!r} is no name of a method; use 2 to 30 small letters, digits and single '-', a letter first."
        )
    words = {
        "name": name,
        "module": name.replace("-", "_"),
        "class_name": class_name,
        "label": name.replace("-", " ").capitalize(),
    }
    imported = re.findall(r"import (.+)", _text(root, "method.py.txt", words))
    if keyword.iskeyword(class_name) or class_name in ", ".join(imported).split(", ") or yaml.safe_load(name) != name:
        raise UserError(f"{name!r} has a meaning of its own in Python, YAML or the code of methods; take another name.")
    return words


def _refuse_what_is_there(root: Path, paths: Mapping[Path, str] | list[Path], kind: str) -> None:
    there = next((path for path in paths if (root / path).exists()), None)
    if there:
        raise UserError(f"{there}: is there already, and is left as it is; give the {kind} another name.")


def _text(root: Path, template: str, words: Mapping[str, str]) -> str:
    return Template((root / TEMPLATES / template).read_text(encoding="utf-8")).substitute(words)


def _with_addition(path: Path, line: str, addition: str) -> str:
    """The text of a file with an addition below the one line `line`; UserError where there is no such line."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    places = [number for number, text in enumerate(lines, 1) if text.rstrip() == line]
    if len(places) != 1:
        raise UserError(f"{path}: needs one line {line!r} and has {len(places)}; bring it into the form it had.")
    return "".join([*lines[: places[0]], addition, *lines[places[0] :]])


def _write(root: Path, texts: Mapping[Path, str]) -> None:
    for path, text in texts.items():
        with atomic_path(root / path) as temporary:
            temporary.write_text(text, encoding="utf-8")
