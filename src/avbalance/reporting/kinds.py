"""Kinds of figures, and of sources of tables: which module makes one, and the declaration that it reads.

A kind is a file: <part>/<kind>.py in the folder of the paper or of those that it extends, else beside this module; part
is "figures" or "sources". The class of its declarations is named after it: GapPosteriorFigure in gap_posterior.py.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from avbalance.declared import Known, listed, nearest, read
from avbalance.errors import UserError
from avbalance.papers import FOLDER, kinds_of, module_of


def module_name(folders: Sequence[str], part: str, kind: str, where: str) -> str:
    """The module of a kind; raises UserError naming those there are.

    folders: slugs of the papers that are looked through, in that order.
    """
    core = [path.stem for path in (Path(__file__).parent / part).glob("[!_]*.py")]
    if name := module_of(folders, part, kind):
        return name
    if kind in core:
        return f"avbalance.reporting.{part}.{kind}"
    known = sorted({*core, *kinds_of(folders, part)})
    others = [slug for slug in sorted(path.name for path in FOLDER.iterdir()) if kind in kinds_of([slug], part)]
    hint = f"; copy {part}/{kind}.py from the folder of {others[0]} to have it" if others else nearest(kind, known)
    raise UserError(f"{where}, kind: there is no {kind!r} of {part}{hint}; there are {listed(known)}.")


def kind_class(folders: Sequence[str], part: str, kind: str, where: str) -> Any:
    """The class of the declarations of a kind; raises UserError as `module_name` does."""
    module = importlib.import_module(module_name(folders, part, kind, where))
    return getattr(module, kind.title().replace("_", "") + part.removesuffix("s").title())


def read_kind(part: str, folders: Sequence[str], given: Mapping[str, Any], where: str, known: Known | None) -> Any:
    """The declaration that `given` says, of the class of its kind; raises UserError where it is wrong."""
    if not isinstance(given, Mapping):
        raise UserError(f"{where}: must be a mapping of keys to values.")
    return read(kind_class(folders, part, str(given.get("kind", "")), where), given, where, known)


def folders_of(declared: Mapping[str, Any]) -> tuple[str, ...]:
    """Slugs of the papers in whose folders kinds are looked for, of what a paper declares."""
    return declared["slug"], *declared.get("builds_on", ())


def entries(declared: Mapping[str, Any], part: str, where: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each table or figure that a paper declares, and the file with its id, for sentences on what is wrong there.

    Raises UserError where two have one id.
    """
    seen = set()
    for given in declared.get(part) or ():
        if given["id"] in seen:
            raise UserError(f"{where}: the id {given['id']!r} is used twice.")
        seen.add(given["id"])
        yield given, f"{where}, {given['id']}"
