"""Figures as declared: <id>.png, <id>.pdf and <id>.csv, the same bytes whenever the numbers are the same.

A declaration names a kind; the module avbalance.reporting.figures.<kind> draws it through
`draw(declaration, paper, measured) -> (Figure, DataFrame of the plotted numbers)`. A new kind is a new
module.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from avbalance.errors import UserError
from avbalance.evaluation.measure import read_measurements
from avbalance.evaluation.paper import Paper
from avbalance.files import atomic_path
from avbalance.frames import write_csv
from avbalance.reporting.cells import Measured, published_numbers

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 9,
    "legend.fontsize": 7,
    "pdf.fonttype": 42,
    "text.parse_math": False,
    "savefig.dpi": 150,
}
METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def render_figures(
    paper: Paper, declarations: Mapping[str, Any], measurements: str | Path, out_dir: str | Path
) -> list[Path]:
    """Draw every declared figure into `out_dir`; returns the paths. Raises UserError for unknown kinds."""
    measured = Measured(paper, read_measurements(measurements), published_numbers(paper, declarations))
    written = []
    for declaration in declarations["figures"]:
        module = kind_module(str(declaration.get("kind")))
        path = Path(out_dir) / str(declaration["id"])
        with matplotlib.rc_context(style()):
            figure, numbers = module.draw(declaration, paper, measured)
            written += [save(figure, path.with_suffix(f".{suffix}"), suffix) for suffix in METADATA]
        write_csv(path.with_suffix(".csv"), numbers)
        written.append(path.with_suffix(".csv"))
    return written


def kind_module(kind: str) -> ModuleType:
    """The module that draws a kind of figure; raises UserError naming the kinds there are."""
    name = f"{__name__}.{kind}"
    if not kind.isidentifier() or importlib.util.find_spec(name) is None:
        known = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
        raise UserError(f"figures.yaml: unknown kind {kind!r}; known are {', '.join(known)}.")
    return importlib.import_module(name)


def style() -> Any:
    """The library's own defaults with ours: a user's matplotlibrc must not change a figure."""
    defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
    return {**defaults, **STYLE}


def save(figure: Figure, path: Path, suffix: str) -> Path:
    """Write a figure in the format `suffix`, whole or not at all; returns the path."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=suffix, metadata=METADATA[suffix])
    return path
