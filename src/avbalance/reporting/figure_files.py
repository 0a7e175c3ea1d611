"""A drawn figure as files: SVG, PDF and PNG with title and caption inside, the same bytes for the same numbers.

The SVG is whole in itself and can stand in a page among others: text stays text, names of its parts begin with the
paper and the figure, and its title and caption are those that a screen reader reads.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.errors import UserError
from avbalance.reporting.escape import escape_tex
from avbalance.table_files import write_text
from flowkeeper.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = ("svg", "png", "pdf")
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
LINES = "stroke-linejoin:round;stroke-linecap:butt"  # matplotlib says it of every element of a page, not of its own


@dataclass(frozen=True)
class FinishedFigure:
    """A figure of a paper as the workflow has drawn it.

    id: figure1, figureS1, ...; title: its heading; caption: sentences, the one that names the data first;
    svg: an <svg> element with both inside, to be written into a page as it stands.
    """

    id: str
    title: str
    caption: tuple[str, ...]
    svg: str


def read_figure(folder: str | Path, figure: str) -> FinishedFigure:
    """The figure with this id in a paper's folder of results; raises UserError where it is absent or not ours."""
    path = Path(folder) / f"{figure}.svg"
    try:
        text = path.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        title, caption = (root.find(f"{{{SVG}}}{name}").text or "" for name in ("title", "desc"))  # type: ignore[union-attr]
    except (OSError, UnicodeDecodeError, ElementTree.ParseError, AttributeError) as error:
        raise UserError(f"{path}: is no figure with title and caption ({error}); delete it to have it drawn.") from error
    return FinishedFigure(figure, title, tuple(caption.splitlines()), text[text.index("<svg") :])


def write_figure(figure: Figure, path: Path, paper: str, title: str, caption: Sequence[str]) -> list[Path]:
    """Write `path` with the suffixes .svg, .png, .pdf and .tex, whole or not at all; returns the paths.

    paper: its slug; title: what the figure is; caption: sentences. matplotlib's settings must be those of
    `figure_style.style`.
    """
    told = " ".join(caption)
    metadata: dict[str, dict[str, Any]] = {  # without what changes from time to time, so that bytes do not
        "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
        "png": {"Software": None, "Title": title, "Description": told},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None, "Title": title, "Subject": told},
    }
    written = []
    for suffix in PICTURES:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, metadata=metadata[suffix])
        content = buffer.getvalue()
        if suffix == "svg":
            content = _embeddable(content, f"{paper}-{path.name}", title, caption).encode()
        with atomic_path(path.with_suffix(f".{suffix}")) as temporary:
            temporary.write_bytes(content)
        written.append(path.with_suffix(f".{suffix}"))
    write_text(path.with_suffix(".tex"), _latex(path.name, paper, title, caption))
    return [*written, path.with_suffix(".tex")]


def _embeddable(content: bytes, name: str, title: str, caption: Sequence[str]) -> str:
    """matplotlib's SVG without what must not stand twice in a page or would style the rest of it."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(content)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    used = set(re.findall(r"#([\w.-]+)", " ".join(value for each in root.iter() for value in each.attrib.values())))
    for element in root.iter():
        own = element.attrib.pop("id", None)
        attributes = {key: _shorter(key, _renamed(value, name)) for key, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update({"id": f"{name}-{own}"} if own in used else {}, **attributes)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-caption", "style": LINES}
    for place, (tag, part, text) in enumerate((("title", "title", title), ("desc", "caption", "\n".join(caption)))):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{part}"})
        element.text, element.tail = text, "\n"
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _renamed(value: str, name: str) -> str:
    """References to parts of the picture, by their new names."""
    return re.sub(r"^#(?=[A-Za-z])|(?<=url\()#", f"#{name}-", value)


def _shorter(key: str, value: str) -> str:
    """Coordinates with two decimals: a hundredth of a point is finer than any screen or printer."""
    if key not in ("d", "x", "y", "points", "width", "height", "transform"):
        return value
    return " ".join(re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), value).split())


def _latex(name: str, paper: str, title: str, caption: Sequence[str]) -> str:
    """A LaTeX figure environment of the PDF, for the package graphicx."""
    return "\n".join([
        r"\begin{figure}[htbp]",
        r"\centering",
        rf"\includegraphics[width=\linewidth]{{{name}.pdf}}",
        rf"\caption{{{tex_caption(title, caption)}}}",
        rf"\label{{fig:{paper}-{name}}}",
        r"\end{figure}",
    ]) + "\n"  # fmt: skip


def tex_caption(title: str, caption: Sequence[str]) -> str:
    """Title and sentences for \\caption; LaTeX counts by itself, so that the paper's number moves behind the title."""
    found = re.match(r"(Table|Figure) (S?)(\d+)\. (.*)", title)
    if found:
        kind, own, number, rest = found.groups()
        title = rest if own else f"{rest} ({kind.lower()} {number} of the paper)"
    return escape_tex(" ".join([f"{title}.", *caption]))
