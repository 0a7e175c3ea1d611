"""Figures as declared: <id>.png, <id>.pdf and <id>.csv, the same bytes whenever the numbers are the same.

A declaration names a kind: a file in figures/ of the paper, of those that it extends, or here. It holds a class, which
says what may be declared and draws it; what kinds share stands here. Matplotlib is imported where something is drawn,
so that declarations are checked without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from avbalance.declared import Declared, Known, Run, refusal
from avbalance.evaluation.histories import read_history
from avbalance.evaluation.measure import read_measurements
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import MeasuredCells, published_numbers
from avbalance.reporting.coordinates import Requires, coordinates_of
from avbalance.reporting.facts import ABSENT, data_of
from avbalance.reporting.kinds import entries, folders_of, read_kind
from avbalance.table_files import write_csv
from flowkeeper.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure as Figure
else:
    Axes = Figure = Any
Drawing = tuple[Figure, pd.DataFrame]  # a figure, and every number that it shows

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 9,
    "legend.fontsize": 7,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "avbalance",
    "text.parse_math": False,
    "savefig.dpi": 150,
}
METADATA: dict[str, dict[str, None]] = {  # without what changes from time to time, so that bytes do not
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
}
AUDIO, VISUAL, BLACK = "#3b6fd4", "#f2a900", "#222222"
BEFORE_AND_AFTER = ("--", "-")  # lines of the run without and of the run with a method


def _colour(text: str) -> str:
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        from matplotlib.colors import is_color_like

        if not is_color_like(text):
            raise refusal(f"there is no colour {text!r}; write #rrggbb, for example #1f6fb4")
    return text


Colour = Annotated[str, AfterValidator(_colour)]
Modality = Literal["audio", "visual"]


class DrawnRun(Declared):
    """A curve or bar of one run."""

    run: Run
    """run that is drawn"""
    colour: Colour
    """its colour"""
    label: str = ""
    """its name in the legend; default: the paper's"""


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

    def draw(self, paper: Paper, measured: MeasuredCells) -> Drawing:
        """The figure, and every number that it shows."""
        raise NotImplementedError

    def head(self, paper: Paper, roles: Iterable[str], *notes: str | None) -> str:
        """What stands above it: its title, the data behind each panel, notes."""
        return "\n".join(filter(None, (self.title, *(data_of(paper.dataset(role)) for role in roles), *notes)))


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
            figure, numbers = declared.draw(paper, measured)
            written += [save(figure, path.with_suffix(f".{suffix}"), suffix) for suffix in METADATA]
        write_csv(path.with_suffix(".csv"), numbers)
        written.append(path.with_suffix(".csv"))
    return written


def style() -> Any:
    """The library's own defaults with ours: a user's matplotlibrc must not change a figure."""
    import matplotlib

    defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
    return {**defaults, **STYLE}


def save(figure: Figure, path: Path, suffix: str) -> Path:
    """Write a figure in the format `suffix`, whole or not at all; returns the path."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=suffix, metadata=METADATA[suffix])
    return path


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **more: Any) -> tuple[Figure, Any]:
    """A figure of so many inches, and its axes (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **more)


def write_inside(axis: Axes, text: str = ABSENT, height: float = 0.5, **font: Any) -> None:
    """Write in the middle of a panel: that there is nothing to draw, or why."""
    axis.text(0.5, height, text, ha="center", transform=axis.transAxes, **({"va": "center"} | font))


def legend_below(figure: Figure, axes: Iterable[Axes], columns: int) -> None:
    """One legend for several panels, in which everything stands once."""
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns, frameon=False)


def numbers_of(frames: Sequence[pd.DataFrame], columns: Sequence[str], *whole: str) -> pd.DataFrame:
    """The numbers of all panels in these columns, of which `whole` hold whole numbers or nothing."""
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return frame.reindex(columns=list(columns)).astype(dict.fromkeys(whole, "Int64"))


def draw_band(axis: Axes, mean: pd.Series, spread: pd.Series, colour: str, alpha: float = 0.15, **line: Any) -> None:
    """A line with a band of a standard deviation to either side, both indexed by what stands along the axis."""
    spread = spread.fillna(0.0)
    axis.plot(mean.index, mean, color=colour, **line)
    axis.fill_between(mean.index, mean - spread, mean + spread, color=colour, alpha=alpha, linewidth=0)


class Curve(Declared):
    """A number that trainings log after every epoch; the kind says which columns there are."""

    label: str
    """its name in the legend"""
    colour: Colour
    """its colour"""

    def draw(
        self, axis: Axes, frame: pd.DataFrame, column: str, style: str, method: str, alpha: float = 0.15
    ) -> pd.DataFrame:
        """Its mean over seeds as a line with a band, in a panel; those rows of `logged` that are drawn."""
        own = frame[frame["series"] == column].sort_values("epoch")
        if len(own):
            means = own.set_index("epoch")
            label = f"{self.label}, {method}"
            draw_band(axis, means["mean"], means["sd"], self.colour, alpha, linestyle=style, label=label)
        return own


def logged(paper: Paper, role: str, run: str) -> pd.DataFrame:
    """series, epoch, mean, sd (empty for one seed) and seeds of every number that the seeds of a run logged."""
    histories = [read_history(each).assign(seed=each.seed) for each in paper.run_files(role, run)]
    if not histories:
        return pd.DataFrame(columns=["series", "epoch", "mean", "sd", "seeds"])
    long = pd.concat(histories).melt(["epoch", "seed"], var_name="series")
    long["value"] = pd.to_numeric(long["value"], errors="coerce")
    grouped = long.dropna(subset="value").groupby(["series", "epoch"], sort=True)["value"]
    return grouped.agg(mean="mean", sd="std", seeds="size").reset_index()


def draw_map(figure: Figure, axis: Axes, counts: NDArray[np.int64] | None, title: str) -> None:
    """One map of counts (bins, bins), rows audio, columns visual; None: it says that there is none."""
    from matplotlib.colors import PowerNorm

    axis.set(title=title, xlabel="mean visual confidence", ylabel="mean audio confidence", xlim=(0, 1), ylim=(0, 1))
    axis.set_aspect("equal")
    axis.set_xticks(np.linspace(0, 1, 6))
    axis.set_yticks(np.linspace(0, 1, 6))
    if counts is None or counts.sum() == 0:
        write_inside(axis)
        return
    share = counts / counts.sum()
    norm = PowerNorm(0.5, vmin=0, vmax=share.max())
    image = axis.imshow(share, origin="lower", extent=(0, 1, 0, 1), cmap="magma", norm=norm, interpolation="nearest")
    figure.colorbar(image, ax=axis, shrink=0.8, label=f"share of {counts.sum()} samples")
    axis.plot([0, 1], [0, 1], color="white", linewidth=0.8, linestyle="--")
    axis.plot([0, 0, 1], [0, 1, 1], color=AUDIO, linewidth=3, label="audio-preferred side")
    axis.plot([0, 1, 1], [0, 0, 1], color=VISUAL, linewidth=3, label="visual-preferred side")
