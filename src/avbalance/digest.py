"""Digests of this repository's code, see flowkeeper/code.py: of both packages, and of the Python of single papers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import flowkeeper
from avbalance.papers import folder_of
from flowkeeper.code import Code

DIGEST_CACHE = Path(".avbalance/digests.json")  # below the folder that the workflow runs in


def _in_folder_of_paper(name: str) -> Path | None:
    _, *rest = name.split(".")
    return folder_of(rest[1]).joinpath(*rest[2:]) if rest[:1] == ["papers"] and rest[1:] else None


CODE = Code(
    {"avbalance": Path(__file__).resolve().parent, "flowkeeper": Path(flowkeeper.__file__).resolve().parent},
    elsewhere=_in_folder_of_paper,
)


def code_digest(*entries: str, cache_file: Path | None = None) -> str:
    """Digest (16 hex digits) of the modules `entries` and all that they import, e.g. "avbalance.training.cell"."""
    return replace(CODE, cache=cache_file).digest(*entries)
