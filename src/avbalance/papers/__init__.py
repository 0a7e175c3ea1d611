"""Python that belongs to single papers: avbalance.papers.<slug> is the folder workflow/papers/<slug>.

A dash of a folder's name is written as an underscore: avbalance.papers.gmm_adaptive_loss.figures.gap_posterior lies in
workflow/papers/gmm-adaptive-loss/figures/gap_posterior.py, beside what that paper declares. A new kind of figure or
claim is a new file there, see avbalance/kinds.py.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parents[3] / "workflow" / "papers"
_PREFIX = f"{__name__}."


class _Finder(MetaPathFinder):
    """Says where the folder of a paper is; what lies in it Python then finds by itself."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        folder = folder_of(name.removeprefix(_PREFIX))
        if not name.startswith(_PREFIX) or not folder.is_dir():
            return None
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        return spec


sys.meta_path.append(_Finder())


def folder_of(slug: str) -> Path:
    """The folder of a paper, by its slug or its name as a module."""
    return FOLDER / slug.replace("_", "-")
