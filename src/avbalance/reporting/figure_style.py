"""One look for all figures: sizes for print, and one colour with one marker for each modality and method.

No two of these colours are nearer than 30 in CIELAB, also as protanopes and deuteranopes see them (a test computes it),
and markers or hatches say the same again. Nothing here imports matplotlib before something is drawn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator

from avbalance.declared import listed, nearest, refusal

WIDTH = 7.0  # inches: a page of text, so that letters keep their size in print
SMALLEST = 7.0  # points of the smallest letters
STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "legend.fontsize": SMALLEST,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "hatch.linewidth": 0.6,
    # TrueType instead of the default Type 3, which many publishers refuse.
    "pdf.fonttype": 42,
    # Letters stay text, for screen readers and search; a fixed salt gives the parts of a picture the same IDs every
    # time.
    "svg.fonttype": "none",
    "svg.hashsalt": "avbalance",
    # Names of runs and clips may hold dollar signs.
    "text.parse_math": False,
    "savefig.dpi": 160,
}
BLACK, GREY, PALE = "#222222", "#767676", "#d0d0d0"


@dataclass(frozen=True)
class Look:
    """How a modality or method is drawn."""

    colour: str
    marker: str


LOOKS = {
    "audio": Look("#0072b2", "^"),
    "visual": Look("#e69f00", "s"),
    "both": Look(BLACK, "o"),
    "baseline": Look("#136c22", "D"),
    "ogm-ge": Look("#ff80aa", "v"),
    "gradient-blending": Look("#7300e6", "P"),
    "greedy": Look("#13136c", "X"),
}
AUDIO, VISUAL = LOOKS["audio"], LOOKS["visual"]
STRESS = "#b21e00"  # what a panel is about, where that is neither a modality nor a method


def style() -> Any:
    """The library's own defaults with ours: a user's matplotlibrc must not change a figure."""
    import matplotlib

    # The backend stays as it is: files are written without any.
    defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
    return {**defaults, **STYLE}


def look_of(name: str) -> Look:
    """The look with this name, or one of a colour of its own."""
    return LOOKS[name] if name in LOOKS else Look(name, "o")


def _drawable(name: str) -> str:
    if name not in LOOKS and not re.fullmatch("#[0-9a-fA-F]{6}", name):
        raise refusal(
            f"there is no colour {name!r}{nearest(name, LOOKS)}; write #rrggbb, or one of those through all papers: "
            f"{listed(LOOKS)}"
        )
    return name


Colour = Annotated[str, AfterValidator(_drawable)]
