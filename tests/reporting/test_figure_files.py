"""Figures as files: an SVG that stands in a page among others, its caption, and LaTeX."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest

from avbalance.errors import UserError
from avbalance.reporting.figure_files import read_figure, tex_caption, write_figure
from avbalance.reporting.figure_parts import Point, draw_points, name_lines, new_figure, wilson
from avbalance.reporting.figure_style import LOOKS, style

TITLE, CAPTION = "Figure 2. <script>alert(1)</script> & 5%", ("Data: \u202eset (a_b).", "n = 3.")


def write(folder: Path, name: str) -> None:
    with matplotlib.rc_context(style()):
        figure, ((axis,),) = new_figure(2.0)
        draw_points(axis, [("", [Point("audio", LOOKS["audio"], 0.0, [0.0]), Point("none", LOOKS["visual"], None)])])
        write_figure(figure, folder / name, "paper", TITLE, CAPTION)


def test_title_and_caption_are_read_as_they_were_written(tmp_path: Path) -> None:
    write(tmp_path, "figure2")
    found = read_figure(tmp_path, "figure2")
    assert (found.id, found.title, found.caption) == ("figure2", TITLE, CAPTION)
    assert found.svg.startswith("<svg ") and "<script>" not in found.svg


def test_figures_stand_in_one_page_without_touching_each_other(tmp_path: Path) -> None:
    for name in ("figure1", "figure2"):
        write(tmp_path, name)
    page = "".join(read_figure(tmp_path, name).svg for name in ("figure1", "figure2"))
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) and set(re.findall(r'(?:\(|")#([^)"]+)', page)) <= set(ids)
    assert not any(word in page for word in ("<style", "<metadata", "<?xml", "<!DOCTYPE", "http://purl"))
    root = ElementTree.fromstring(read_figure(tmp_path, "figure1").svg)
    assert root.get("role") == "img" and set(str(root.get("aria-labelledby")).split()) <= set(ids)
    assert {"audio", "none", "not made"} <= {element.text for element in root.iter() if element.tag.endswith("}text")}


@pytest.mark.parametrize("content", [None, "<svg", "<svg xmlns='http://www.w3.org/2000/svg'><title>a</title></svg>"])
def test_what_is_no_figure_of_ours_is_told(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "figure1.svg").write_text(content)
    with pytest.raises(UserError, match=r"figure1\.svg: .*delete it to have it drawn\."):
        read_figure(tmp_path, "figure1")


def test_latex_counts_by_itself(tmp_path: Path) -> None:
    write(tmp_path, "figure2")
    text = (tmp_path / "figure2.tex").read_text(encoding="utf-8")
    assert r"\label{fig:paper-figure2}" in text and r"\includegraphics[width=\linewidth]{figure2.pdf}" in text
    assert r"\caption{\textless{}script\textgreater{}alert(1)" in text and "Figure 2" not in text
    assert tex_caption("Table S1. Parts", ["Data: none."]) == "Parts. Data: none."


def test_wilsons_interval_holds_what_no_error_does_not_say() -> None:
    # Of 10 clips none is right: 0 to 3.8416 / 13.8416.
    assert wilson(0.0, 10) == pytest.approx((0.0, 27.754), abs=0.01)
    assert wilson(50.0, 100) == pytest.approx((40.383, 59.617), abs=0.01)


def test_names_at_the_ends_of_curves_do_not_lie_on_one_another() -> None:
    with matplotlib.rc_context(style()):
        _, ((axis,),) = new_figure(2.0)
        axis.set_ylim(0, 100)
        name_lines(axis, 1.5, [(99.0, "a", "#000000"), (99.5, "b", "#000000"), (10.0, "c", "#000000")])
    heights = {text.get_text(): text.get_position()[1] for text in axis.texts}
    assert heights["b"] - heights["a"] >= 7.5 and heights["b"] <= 100 and heights["c"] == 10
