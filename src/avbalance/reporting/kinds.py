"""The tables and figures that a paper declares, one by one, and those of them that a file of a paper reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from avbalance.declared import Known, read
from avbalance.errors import UserError
from avbalance.kinds import class_in, module_of


def read_kind(part: str, folders: Sequence[str], given: Mapping[str, Any], where: str, known: Known | None) -> Any:
    """The figure or source that `given` says, of the class of its kind; raises UserError where it is wrong.

    part: "figures" or "sources"; folders: slugs of the papers that may have its kind; where: file and place.
    """
    if not isinstance(given, Mapping):
        raise UserError(f"{where}: must be a mapping of keys to values.")
    module = module_of(folders, part, str(given.get("kind", "")), where)
    return read(class_in(module, part), given, where, known)


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
