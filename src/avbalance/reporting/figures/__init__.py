"""Figures as declared: <id>.svg, .png, .pdf, .tex and .csv, the same bytes whenever the numbers are the same.

A declaration names a kind: a file in figures/ of the paper, of those that it extends, or here. It holds a class, which
says what may be declared and draws it; what kinds draw alike stands in figure_parts.py, how all look in
figure_style.py. Matplotlib is imported where something is drawn, so that declarations are checked without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import pandas as pd
from pydantic import Field, model_validator

from avbalance.declared import Declared, Known, Run, refusal
from avbalance.evaluation.histories import read_history
from avbalance.evaluation.measure import read_measurements
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import MeasuredCells, published_numbers
from avbalance.reporting.coordinates import Requires, coordinates_of
from avbalance.reporting.facts import backend_line, data_line, withheld_line
from avbalance.reporting.figure_files import write_figure
from avbalance.reporting.figure_parts import draw_band
from avbalance.reporting.figure_style import LOOKS, Colour, Look, look_of, style
from avbalance.reporting.kinds import entries, folders_of, read_kind
from avbalance.table_files import write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:
    Axes = Figure = Any
Modality = Literal["audio", "visual"]


class DrawnRun(Declared):
    """A curve or row of one run."""

    run: Run
    """run that is drawn"""
    colour: Colour | None = None
    """#rrggbb, or the name of a modality or method that has a colour through all papers; default: the run's own name"""
    label: str = ""
    """its name in the figure; default: the paper's"""

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, given: Any) -> Any:
        return {"run": given} if isinstance(given, str) else given

    @property
    def look(self) -> Look:
        """Colour and marker; those of models of both modalities where the run has none of its own."""
        return look_of(self.colour or (self.run if self.run in LOOKS else "both"))


class ReadFile(Declared):
    """A file of a run that a figure reads, of every seed."""

    run: Run
    """run that leaves it"""
    file: Literal[
        "predictions.parquet",
        "history.csv",
        "record.json",
        "model.safetensors",
        "mixtures.json",
        "gaps.json",
        "fine_tuning.json",
    ]
    """its name in the run's folder"""


@dataclass(frozen=True)
class Drawing:
    """A figure, every number that it shows, and its caption: sentences, the one that names the data first."""

    figure: Figure
    numbers: pd.DataFrame
    caption: tuple[str, ...]


class DeclaredFigure(Declared):
    """What every figure declares; a kind of figure adds its own fields, and draws."""

    id: Annotated[str, Field(pattern="^figure[A-Z]?[0-9]+$")]
    """name of its files: figure1, figureS1, ..."""
    kind: str
    """which kind of figure it is"""
    title: str
    """heading, which begins its caption"""
    requires: Requires = None
    """data set, or "generators", without which a tier leaves the figure out"""
    runs: list[ReadFile] = Field(default=[])
    """files that it reads beside the measurements"""

    def files(self) -> Iterable[tuple[str, str]]:
        """Run and file name of all that it draws beside measurements; `runs` must name each, to have it made first."""
        return ()

    @model_validator(mode="after")
    def _names_its_files(self) -> Self:
        named = {(each.run, each.file) for each in self.runs}
        for run, file in self.files():
            if (run, file) not in named:
                raise refusal(f"draws {file} of the run {run!r}; add it to the figure's 'runs'")
        return self

    def draw(self, paper: Paper, measured: MeasuredCells) -> Drawing:
        """The figure, every number that it shows, and its caption."""
        raise NotImplementedError

    def drawing(
        self, figure: Figure, numbers: pd.DataFrame, paper: Paper, roles: Sequence[str], *notes: str | None
    ) -> Drawing:
        """The drawn figure with what its caption says: the data, frozen networks, what is not stated, notes.

        A small line at its foot names the data on disk: a picture may be passed on without its caption.
        """
        infos = [paper.dataset(role) for role in dict.fromkeys(roles)]
        told = "; ".join(f"{info.label}: {info.data}" for info in infos if info.data) or "none"
        figure.text(0.004, 0.04 / figure.get_figheight(), f"data: {told}", color="#767676", fontsize=7, va="bottom")
        lines = [line(info) for line in (backend_line, withheld_line) for info in infos]
        return Drawing(figure, numbers, (data_line(paper, dict.fromkeys(roles)), *filter(None, (*lines, *notes))))


def check_figures(declared: Mapping[str, Any], known: Known, where: str) -> None:
    """Raise UserError where a figure of a paper is declared wrongly; needs no results.

    declared: all that the paper declares (slug, figures, measures); known: its data sets and runs, as kinds
    "data set" and "run"; where: the file that has the figures.
    """
    known = {**known, **coordinates_of(declared["measures"], known)}
    for given, place in entries(declared, "figures", where):
        read_kind("figures", folders_of(declared), given, place, known)


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
            drawing = declared.draw(paper, measured)
            written += write_figure(drawing.figure, path, paper.slug, declared.title, drawing.caption)
        write_csv(path.with_suffix(".csv"), drawing.numbers)
        written.append(path.with_suffix(".csv"))
    return written


def numbers_of(frames: Sequence[pd.DataFrame], columns: Sequence[str], *whole: str) -> pd.DataFrame:
    """The numbers of all panels in these columns, of which `whole` hold whole numbers or nothing."""
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return frame.reindex(columns=list(columns)).astype(dict.fromkeys(whole, "Int64"))


def logged(paper: Paper, role: str, run: str) -> pd.DataFrame:
    """series, epoch, mean, sd (empty for one seed) and seeds of every number that the seeds of a run logged."""
    histories = [read_history(each).assign(seed=each.seed) for each in paper.run_files(role, run)]
    if not histories:
        return pd.DataFrame(columns=["series", "epoch", "mean", "sd", "seeds"])
    long = pd.concat(histories).melt(["epoch", "seed"], var_name="series")
    long["value"] = pd.to_numeric(long["value"], errors="coerce")
    grouped = long.dropna(subset="value").groupby(["series", "epoch"], sort=True)["value"]
    return grouped.agg(mean="mean", sd="std", seeds="size").reset_index()


BAND_NOTE = "Bands are a standard deviation over seeds to either side."
BEFORE_AND_AFTER = ("--", "-")  # lines of the run without and of the run with a method


class DrawnCurve(Declared):
    """A number that trainings log after every epoch; the kind says which columns there are."""

    column: str
    """column of history.csv"""
    label: str
    """its name in the figure"""
    colour: Colour
    """#rrggbb, or the name of a modality or method that has a colour through all papers"""


def draw_curves(
    axis: Axes, curves: Sequence[DrawnCurve], frames: Mapping[str, pd.DataFrame]
) -> list[tuple[float, str, str]]:
    """Means over seeds as lines with bands, of a run before and one after; ends of the latter's, to be named.

    frames: label of each run -> its numbers, see `logged`.
    """
    ends = {}  # of the last run that logged a curve
    for frame, line in zip(frames.values(), BEFORE_AND_AFTER, strict=False):
        for curve in curves:
            own = frame[frame["series"] == curve.column].sort_values("epoch").set_index("epoch")
            if len(own):
                colour = look_of(curve.colour).colour
                draw_band(axis, own["mean"], own["sd"], colour, linestyle=line)
                ends[curve.column] = float(own["mean"].iloc[-1]), curve.label, colour
    return list(ends.values())


def key_of(runs: Iterable[str]) -> dict[str, dict[str, str]]:
    """Which line is the run before, and which the one after, for `figure_parts.key_below`."""
    return {run: {"linestyle": line} for run, line in zip(runs, BEFORE_AND_AFTER, strict=False)}


def seeds_line(counts: Iterable[int]) -> str:
    """How many seeds a figure's means are over, as its caption says it."""
    several = sorted({int(count) for count in counts})
    if several in ([], [0]):
        return ""
    if several == [1]:
        return "One seed, hence no spread."
    return f"Means over {'-'.join(str(count) for count in dict.fromkeys((several[0], several[-1])))} seeds."
