"""What several kinds of figures draw alike: rows of points with intervals, curves named at their ends, maps."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.reporting.cells import SMALL, CellValue
from avbalance.reporting.facts import ABSENT
from avbalance.reporting.figure_style import AUDIO, BLACK, GREY, SMALLEST, VISUAL, WIDTH, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:
    Axes = Figure = Any
FOOT = 0.2  # inches below a figure, for the names of its data
Z = 1.959964  # of a normal distribution, for 95 %


def new_figure(height: float, rows: int = 1, columns: int = 1, **more: Any) -> tuple[Figure, Any]:
    """A figure as wide as a page of text and so many inches high, and its axes (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    _leave_below(figure, FOOT)
    return figure, figure.subplots(rows, columns, squeeze=False, **more)


def write_inside(axis: Axes, text: str = ABSENT, height: float = 0.5, width: int = 34) -> None:
    """Write in the middle of a panel that there is nothing to draw, or why; a panel without anything is shaded."""
    if not axis.has_data():
        axis.set_facecolor("#f2f2f2")
        axis.tick_params(length=0, labelleft=False, labelbottom=False)
    lines = textwrap.fill(text, width)
    axis.text(0.5, height, lines, ha="center", va="center", transform=axis.transAxes, fontsize=SMALLEST, color=GREY)


def class_title(name: str) -> str:
    """The name of a class as people write it: playing_guitar, and class-07 of data whose classes have no names."""
    numbered = re.fullmatch(r"class[-_ ]?0*(\d+)", name)
    return f"class {numbered[1]}" if numbered else name.replace("_", " ")


@dataclass(frozen=True)
class Point:
    """A row of a panel: what it is called, its look, the value of each seed, their mean (None: not made), an interval.

    published: the paper's number; hollow: few clips stand behind it; absent: what is said where there is no mean.
    """

    label: str
    look: Look
    mean: float | None
    seeds: Sequence[float] = ()
    interval: tuple[float, float] | None = None
    published: float | None = None
    hollow: bool = False
    absent: str = "not made"


def accuracy_point(label: str, look: Look, cell: CellValue, seeds: Sequence[float]) -> Point:
    """The point of an accuracy in per cent, with a 95 % interval for the clips behind it."""
    known = cell.ours_mean is not None and cell.n
    interval = wilson(float(cell.ours_mean or 0.0), int(cell.n or 0)) if known else None
    return Point(label, look, cell.ours_mean, seeds, interval, cell.published, cell.small, cell.text or Point.absent)


def wilson(percent: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval, in per cent, of a share of n clips (Wilson 1927, JASA 22)."""
    # Unlike the normal approximation it stays within 0 and 100 and has a width at 0 % and 100 %, also for few clips.
    share = percent / 100
    middle = share + Z**2 / (2 * n)
    half = Z * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return 100 * float(middle - half) / (1 + Z**2 / n), 100 * float(middle + half) / (1 + Z**2 / n)


INTERVAL_NOTE = (
    f"Intervals are Wilson's 95 % intervals for the n test clips; hollow markers stand on fewer than {SMALL}"
    " clips; chance is the share of the most frequent class."
)
POINT_KEY: dict[str, dict[str, Any]] = {
    "ours, mean over seeds": {"marker": "o", "linestyle": "none"},
    "one seed": {"marker": ".", "markersize": 3, "linestyle": "none"},
    "95 % interval": {"linewidth": 1.4},
    "published": {"marker": "|", "markersize": 9, "markeredgewidth": 1.4, "linestyle": "none"},
    "chance": {"color": GREY, "linestyle": ":"},
}


def draw_points(axis: Axes, groups: Sequence[tuple[str, Sequence[Point]]], named: bool = True) -> None:
    """Groups of points from the top down, each under its heading ("": none); `named`: with their names at the left.

    Call it once the limits of what is measured are set.
    """
    place, ticks, names = 0.0, [], []
    for heading, points in groups:
        if heading:
            axis.text(0.0, place, heading, transform=axis.get_yaxis_transform(), fontsize=SMALLEST, va="center",
                      fontweight="bold", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
            place += 1
        for point in points:
            _draw_point(axis, point, place)
            ticks.append(place)
            names.append(point.label)
            place += 1
        place += 0.4
    axis.set_yticks(ticks, names if named else [""] * len(names))
    # The larger limit first: rows are counted from the top down.
    axis.set_ylim(place - 0.9, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x")


def _draw_point(axis: Axes, point: Point, place: float) -> None:
    if point.mean is None:
        left = point.published is not None and point.published > sum(axis.get_xlim()) / 2  # not on the published one
        where, align = (0.01, "left") if left else (0.99, "right")
        axis.text(where, place, point.absent, transform=axis.get_yaxis_transform(), ha=align, va="center",
                  fontsize=SMALLEST, color=GREY)  # fmt: skip
    else:
        if point.interval is not None:
            axis.plot(point.interval, [place, place], color=point.look.colour, linewidth=1.4, solid_capstyle="butt")
        # Below the interval, so that single seeds do not hide it.
        axis.plot(point.seeds, [place + 0.33] * len(point.seeds), ".", color=BLACK, markersize=2.5)
        face = "white" if point.hollow else point.look.colour
        axis.plot([point.mean], [place], point.look.marker, color=point.look.colour, markerfacecolor=face,
                  markersize=5, zorder=3)  # fmt: skip
    if point.published is not None:
        axis.plot([point.published], [place], "|", color=BLACK, markersize=9, markeredgewidth=1.4)


def draw_chance(axis: Axes, chance: float | None) -> None:
    """A dotted vertical line at what guessing gets right."""
    if chance is not None:
        axis.axvline(chance, color=GREY, linewidth=0.9, linestyle=":")


def draw_band(axis: Axes, mean: pd.Series, spread: pd.Series, colour: str, alpha: float = 0.15, **line: Any) -> None:
    """A line with a band of a standard deviation to either side, both indexed by what stands along the axis."""
    spread = spread.fillna(0.0)
    axis.plot(mean.index, mean, color=colour, **line)
    axis.fill_between(mean.index, mean - spread, mean + spread, color=colour, alpha=alpha, linewidth=0)


def whole_epochs(axis: Axes) -> None:
    """Ticks at whole epochs, and lines that lead from a curve to its values."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axis.grid(axis="y")


def name_lines(axis: Axes, height: float, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names of curves at their right ends, moved apart where they would lie on one another.

    height: of the panel in inches; ends: last value, name and colour of each curve. Call it once the limits are set.
    """
    low, high = axis.get_ylim()
    # A line of text with some air, from points (72 an inch) to the unit of the vertical axis.
    gap = 1.25 * SMALLEST / 72 / height * (high - low)
    ends = sorted(ends)
    places = np.array([value for value, _, _ in ends], dtype=float)
    for _ in range(100):  # neighbours that are too near move apart by halves
        lacking = gap - np.diff(places)
        if not len(lacking) or lacking.max() < 0.01 * gap:
            break
        for below in np.flatnonzero(lacking > 0):
            places[below : below + 2] += np.array([-0.5, 0.5]) * (gap - (places[below + 1] - places[below]))
        places = np.clip(places, low + gap * np.arange(len(places)), high - gap * np.arange(len(places))[::-1])
    sideways: dict[str, Any] = {"transform": axis.get_yaxis_transform(), "clip_on": False}
    for (value, name, colour), place in zip(ends, places, strict=True):
        axis.plot([1.0, 1.03], [value, place], color=colour, linewidth=0.6, **sideways)
        axis.text(1.04, place, name, color=colour, fontsize=SMALLEST, va="center", **sideways)


def key_below(figure: Figure, entries: Mapping[str, Mapping[str, Any]], columns: int | None = None) -> None:
    """A key below all panels: name -> colour, linestyle, marker and so on of a line."""
    from matplotlib.lines import Line2D

    if not entries:
        return
    handles = [Line2D([], [], **{"color": BLACK, **drawn}, label=name) for name, drawn in entries.items()]
    columns = columns or len(handles)
    height, rows = figure.get_figheight(), -(-len(handles) // columns)
    _leave_below(figure, FOOT + 0.2 * rows)
    figure.legend(handles=handles, ncols=columns, loc="lower center", bbox_to_anchor=(0.5, FOOT / height),
                  borderaxespad=0, borderpad=0)  # fmt: skip


def _leave_below(figure: Figure, inches: float) -> None:
    """Keep panels off the lower edge."""
    share = inches / figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, share, 1, 1 - share))  # type: ignore[union-attr, call-arg]


def draw_maps(figure: Figure, axes: Sequence[Axes], maps: Sequence[tuple[str, NDArray[np.int64] | str]]) -> None:
    """Maps of mean confidences under their titles, of counts (bins, bins), rows audio, columns visual.

    All have the same colours for the same shares, and at their edges the shares by each modality alone. In the place of
    counts may stand why there is no map.
    """
    largest = max((counts.max() / counts.sum() for _, counts in maps if not isinstance(counts, str)), default=1.0)
    images = []
    for axis, (title, counts) in zip(axes, maps, strict=True):
        axis.set(title=title, xlabel="mean visual confidence", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        if isinstance(counts, str):
            write_inside(axis, counts)
            continue
        axis.set_xticks(np.linspace(0, 1, 3))
        axis.set_yticks(np.linspace(0, 1, 3))
        images.append(_draw_map(axis, counts / counts.sum(), largest))
    axes[0].set_ylabel("mean audio confidence")
    if images:
        bar = figure.colorbar(images[0], ax=list(axes), shrink=0.6, aspect=14, pad=0.02)
        bar.set_label("share of samples in a bin")
        bar.ax.set_ylim(0, largest)


def _draw_map(axis: Axes, share: NDArray[np.float64], largest: float) -> Any:
    from matplotlib.colors import PowerNorm

    shown = np.ma.masked_equal(share, 0.0)  # a bin without a sample stays white
    norm = PowerNorm(0.5, vmin=-0.05 * largest, vmax=largest)  # so that one sample is darker than none
    image = axis.imshow(shown, origin="lower", extent=(0, 1, 0, 1), cmap="Greys", norm=norm, interpolation="none")
    axis.plot([0, 1], [0, 1], color=BLACK, linewidth=0.7, linestyle="--")
    edges = np.linspace(0, 1, len(share) + 1)
    top, right = axis.inset_axes((0, 1.02, 1, 0.16)), axis.inset_axes((1.02, 0, 0.16, 1))
    top.stairs(share.sum(axis=0), edges, fill=True, color=VISUAL.colour)
    right.stairs(share.sum(axis=1), edges, fill=True, color=AUDIO.colour, orientation="horizontal")
    for margin in (top, right):
        margin.set_axis_off()
    top.set_xlim(0, 1)
    right.set_ylim(0, 1)
    return image
