"""Digests of this repository's code, see flowkeeper/code.py: of both packages, single papers, own methods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import flowkeeper
from avbalance.own_methods import place_of
from avbalance.papers import folder_of
from flowkeeper.code import Code

HERE = Path(__file__).resolve().parent
DIGEST_CACHE = Path(".avbalance/digests.json")  # below the folder that the workflow runs in


def _elsewhere(name: str) -> Path | None:
    """Where a module lies that is not in the package's folder: of a paper, or a method of a user's own."""
    _, *rest = name.split(".")
    if rest[:1] == ["methods"] and len(rest) == 2 and not (HERE / "methods" / f"{rest[1]}.py").is_file():
        return place_of(rest[1])
    return folder_of(rest[1]).joinpath(*rest[2:]) if rest[:1] == ["papers"] and rest[1:] else None


CODE = Code(
    {"avbalance": HERE, "flowkeeper": Path(flowkeeper.__file__).resolve().parent},
    elsewhere=_elsewhere,
)


def code_digest(*entries: str, cache_file: Path | None = None) -> str:
    """Digest (16 hex digits) of the modules `entries` and all that they import, e.g. "avbalance.training.cell"."""
    return replace(CODE, cache=cache_file).digest(*entries)
