"""Sources of clips, one module per `kind` of data set specification (dashes become underscores).

A module of a kind ends its declarations with `OPTIONS = <the class of its options>`, a `base.Source`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from avbalance.data.sources.base import Source
from avbalance.declared import Declared, listed, nearest, read
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest


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
    modules = (
        path for path in Path(__file__).parent.glob("*.py") if "\nOPTIONS = " in path.read_text(encoding="utf-8")
    )
    return sorted(path.stem.replace("_", "-") for path in modules)


def source_class(kind: str, where: str) -> type[Source]:
    """The class of a kind; raises UserError, which begins with `where`, when there is none."""
    try:
        module = importlib.import_module(f"{__name__}.{kind.replace('-', '_')}")
        options: type[Source] = module.OPTIONS
    except (ModuleNotFoundError, AttributeError) as error:
        known = kinds()
        if kind in known:  # what is not there is something that the module imports
            raise
        raise UserError(f"{where}, kind: is {kind!r}{nearest(kind, known)}; there are {listed(known)}.") from error
    return options


def source_text(kind: str) -> str:
    """What the module of a kind says of it, its published source among other things."""
    return str(importlib.import_module(source_class(kind, "config/datasets").__module__).__doc__)


def read_source(spec: Mapping[str, Any]) -> Source:
    """The data set that a specification describes; raises UserError for an unknown kind and for wrong options."""
    return source_class(spec["kind"], "config/datasets").of(spec)


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """The manifest of a specification; raises UserError also when something is absent that it is made from."""
    source = read_source(spec)
    problem = source.missing()
    if problem is not None:
        raise UserError(problem)
    return source.build(name, spec, out_dir)


def check_dataset(spec: Mapping[str, Any], where: str) -> None:
    """Raise UserError, in one sentence that begins with `where`, unless `spec` is a data set of a kind there is."""
    file = read(DatasetFile, spec, where)
    read(source_class(file.kind, where), file.options, f"{where}, options")
    if file.kind.startswith("synthetic") and "stands_for" not in spec:
        raise UserError(f"{where}: lacks the key 'stands_for'; name the real data set, or null.")
