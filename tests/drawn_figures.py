"""Declared figures as tests draw them: in the style of all figures, and checked for what print asks of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib
from matplotlib.text import Text

from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figure_style import SMALLEST, WIDTH, style
from avbalance.reporting.figures import Drawing
from avbalance.reporting.kinds import read_kind


def drawn_figure(
    declarations: Mapping[str, Any], name: str, paper: Paper, measured: MeasuredCells, **changes: Any
) -> Drawing:
    """The figure `name` of some declarations, with some keys changed; its letters are large and its heading short."""
    given = next(entry for entry in declarations["figures"] if entry["id"] == name)
    declared = read_kind("figures", paper.folders, {**given, **changes}, name, None)
    with matplotlib.rc_context(style()):
        drawing: Drawing = declared.draw(paper, measured)
    figure = drawing.figure
    assert figure.get_figwidth() == WIDTH and figure.get_figheight() <= 10
    assert min(text.get_fontsize() for text in shown_texts(figure)) >= SMALLEST
    assert not figure.get_suptitle() and max(axis.get_title("left").count("\n") for axis in figure.axes) < 3
    assert drawing.caption[0].startswith("Data: ")
    return drawing


def shown_texts(figure: Any) -> Iterator[Text]:
    """Every text of a figure that is not empty."""
    return (text for text in figure.findobj(Text) if text.get_text())


def written(figure: Any) -> list[str]:
    """What a figure says, everywhere in it."""
    return [text.get_text() for text in shown_texts(figure)]
