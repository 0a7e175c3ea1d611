"""Kinds of claims, figures and sources of tables: each is a file, with a class that says what may be declared.

The kind gap_posterior of figures is <part>/gap_posterior.py in the folder of the paper or of those that it builds on,
or a module beside those of all papers, see CORE; part is "claims", "figures" or "sources". Its class is
GapPosteriorFigure, of a source ...Source, of a claim's comparison GapPosterior alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avbalance import papers
from avbalance.declared import listed, nearest
from avbalance.errors import UserError

CORE = {"claims": "evaluation.kinds", "figures": "reporting.figures", "sources": "reporting.sources"}
ENDING = {"claims": "", "figures": "Figure", "sources": "Source"}  # of the name of the class


def modules(slugs: Sequence[str], part: str) -> dict[str, str]:
    """Kind -> its module, of all that every paper and some papers have; a kind of an earlier one of `slugs` counts."""
    folders = {f"avbalance.{CORE[part]}": Path(__file__).parent / CORE[part].replace(".", "/")}
    folders |= {
        f"avbalance.papers.{slug.replace('-', '_')}.{part}": papers.folder_of(slug) / part for slug in slugs[::-1]
    }
    return {
        path.stem: f"{package}.{path.stem}"
        for package, folder in folders.items()
        for path in sorted(folder.glob("[!_]*.py"))
    }


def unknown(slugs: Sequence[str], part: str, kind: str) -> str:
    """The end of a sentence on a kind that there is not, with those that there are, or the paper that has it."""
    known = modules(slugs, part)
    others = [path.parents[1].name for path in sorted(papers.FOLDER.glob(f"*/{part}/[!_]*.py")) if path.stem == kind]
    hint = f"; copy {part}/{kind}.py from the folder of {others[0]} to have it" if others else nearest(kind, known)
    return f"there is no {kind!r} of {part}{hint}; there are {listed(known)}"


def module_of(slugs: Sequence[str], part: str, kind: str, where: str) -> str:
    """The module of a kind; raises UserError, which begins with `where`, when there is none."""
    name = modules(slugs, part).get(kind)
    if name is None:
        raise UserError(f"{where}, kind: {unknown(slugs, part, kind)}.")
    return name


def class_in(module: str, part: str) -> Any:
    """The class of the kind that a module is; raises UserError when the module lacks it."""
    name = module.rpartition(".")[2].title().replace("_", "") + ENDING[part]
    loaded = importlib.import_module(module)
    if not hasattr(loaded, name):
        raise UserError(f"{loaded.__file__}: has no class {name}, which this kind of {part} needs.")
    return getattr(loaded, name)
