"""Sources of clips, one module per `kind` of data set specification (dashes become underscores).

A module of a kind ends its declarations with `OPTIONS = <the class of its options>`, and has functions of a
specification: preflight (what is missing), inputs (files that list the clips) and build (the manifest).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import Field

from avbalance.declared import Declared, listed, nearest, read
from avbalance.errors import UserError


class DatasetFile(Declared):
    """A file of config/datasets: where the clips of one data set come from."""

    kind: str
    """which source reads or makes the clips"""
    stands_for: str | None = None
    """the real data set that generated data stand in for; printed with every number made from them"""
    describe: Annotated[str, Field(min_length=1)]
    """what the clips are, in one line"""
    options: dict[str, Any]
    """options of the kind"""


def kinds() -> list[str]:
    """All kinds of data sets, sorted: the modules with OPTIONS."""
    found = (path for path in Path(__file__).parent.glob("*.py") if "\nOPTIONS = " in path.read_text(encoding="utf-8"))
    return sorted(path.stem.replace("_", "-") for path in found)


def source_of(kind: str, where: str) -> ModuleType:
    """The module of a kind; raises UserError, which begins with `where`, when there is none."""
    known = kinds()
    if kind not in known:
        raise UserError(f"{where}, kind: is {kind!r}{nearest(kind, known)}; there are {listed(known)}.")
    return importlib.import_module(f"{__name__}.{kind.replace('-', '_')}")


def check_dataset(spec: Mapping[str, Any], where: str) -> None:
    """Raise UserError, in one sentence that begins with `where`, unless `spec` is a data set of a kind there is."""
    file = read(DatasetFile, spec, where)
    read(source_of(file.kind, where).OPTIONS, file.options, f"{where}, options")
    if file.kind.startswith("synthetic") and "stands_for" not in spec:
        raise UserError(f"{where}: lacks the key 'stands_for'; name the real data set, or null.")
