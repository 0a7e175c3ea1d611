"""Figures as declared: <id>.png, <id>.pdf and <id>.csv, the same bytes whenever the numbers are the same.

A declaration names a kind: a file in figures/ of the paper, of those that it extends, or here. It holds a class, which
says what may be declared and draws it. A new kind is a new file; what kinds share stands in reporting/drawing.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pandas as pd
from pydantic import Field

from avbalance.declared import Declared, Known, Run
from avbalance.evaluation.measure import read_measurements
from avbalance.evaluation.paper import Paper
from avbalance.frames import write_csv
from avbalance.reporting.cells import MeasuredCells, published_numbers
from avbalance.reporting.coordinates import Requires, measured_names
from avbalance.reporting.drawing import METADATA, save, style
from avbalance.reporting.kinds import entries, read_kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ReadFile(Declared):
    """A file of a run that a figure reads, of every seed."""

    run: Run
    """run that leaves it"""
    file: Literal[
        "predictions.parquet", "history.csv", "model.safetensors", "mixtures.json", "gaps.json", "fine_tuning.json"
    ]
    """its name in the run's folder"""


class DeclaredFigure(Declared):
    """What every figure declares; a kind of figure adds its own fields, and draws."""

    id: Annotated[str, Field(pattern="^figure[A-Z]?[0-9]+$")]
    """name of its files: figure1, figureS1, ..."""
    kind: str
    """which kind of figure it is"""
    title: str
    """first line above it"""
    requires: Requires = None
    """data set, or "generators", without which a tier leaves the figure out"""
    runs: list[ReadFile] = Field(default=[])
    """files that it reads beside the measurements"""

    def draw(self, paper: Paper, measured: MeasuredCells) -> tuple[Figure, pd.DataFrame]:
        """The figure, and every number that it shows."""
        raise NotImplementedError


def check_figures(declared: Mapping[str, Any], known: Known, where: str) -> None:
    """Raise UserError where a figure of a paper is declared wrongly; needs no results.

    declared: all that the paper declares (figures, measures, folders); known: its data sets and runs, as kinds
    "data set" and "run"; where: the file that has the figures.
    """
    known = {**known, **measured_names(declared["measures"])}
    for given, place in entries(declared, "figures", where):
        read_kind("figures", declared["folders"], given, place, known)


def render_figures(
    paper: Paper, declarations: Mapping[str, Any], measurements: str | Path, out_dir: str | Path
) -> list[Path]:
    """Draw every declared figure into `out_dir`; returns the paths."""
    import matplotlib

    measured = MeasuredCells(paper, read_measurements(measurements), published_numbers(paper, declarations))
    written = []
    for given, where in entries(declarations, "figures", paper.slug):
        declared = read_kind("figures", paper.folders, given, where, None)
        path = Path(out_dir) / declared.id
        with matplotlib.rc_context(style()):
            figure, numbers = declared.draw(paper, measured)
            written += [save(figure, path.with_suffix(f".{suffix}"), suffix) for suffix in METADATA]
        write_csv(path.with_suffix(".csv"), numbers)
        written.append(path.with_suffix(".csv"))
    return written
