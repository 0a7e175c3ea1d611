"""A drawn figure as files: SVG, PDF and PNG with title and caption inside, the same bytes for the same numbers.

The SVG is whole in itself and can stand in a page among others: text stays text, names of its parts begin with the
paper and the figure, and its title and caption are those that a screen reader reads.
"""

from __future__ import annotations

import hashlib
import io
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
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
FONT = "font-family: 'DejaVu Sans', sans-serif"
WHOLE = f"stroke-linejoin: round; stroke-linecap: butt; {FONT}"  # said once, of all that stands in a picture


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
        raise UserError(
            f"{path}: is no figure with title and caption ({error}); delete it to have it drawn."
        ) from error
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
    _settle(figure)
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


def _settle(figure: Figure) -> None:
    """Lay the panels out for good: the solver's last bits change from run to run, and with them digits in the files."""
    for _ in range(2):  # where titles stand above marginals is known only after the first time
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axis in figure.axes:
        # Five decimals of the figure's size are below any visible difference and above the solver's noise.
        left, bottom, width, height = (round(each, 5) for each in axis.get_position(original=True).bounds)
        axis.set_position((left, bottom, width, height), which="original")


def _embeddable(content: bytes, name: str, title: str, caption: Sequence[str]) -> str:
    """matplotlib's SVG without what must not stand twice in a page or would style the rest of it."""
    # Without this ElementTree writes every tag as ns0:..., which an HTML page does not read as SVG.
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = _slimmer(ElementTree.fromstring(content))
    # Only IDs that something refers to are needed; matplotlib gives one to every group.
    told = " ".join(value for element in root.iter() for value in element.attrib.values())
    # All IDs of a page share one name space, and two matplotlib figures use the same ones.
    mark = hashlib.sha256(name.encode()).hexdigest()[:6]  # of this picture among others in a page
    names = {part: f"f{mark}-{number}" for number, part in enumerate(dict.fromkeys(re.findall(r"#(\w+)", told)))}
    for element in root.iter():
        own = names.get(element.attrib.pop("id", ""))
        shorter = {key: _shorter(key, value, names) for key, value in element.attrib.items()}
        element.attrib.update(shorter | ({"id": own} if own else {}))
    root.attrib |= {"role": "img", "aria-labelledby": f"f{mark}-title f{mark}-caption", "style": WHOLE}
    for place, (tag, part, text) in enumerate((("title", "title", title), ("desc", "caption", "\n".join(caption)))):
        inside = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"f{mark}-{part}"})
        inside.text, inside.tail = text, "\n"
        root.insert(place, inside)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _slimmer(element: ElementTree.Element) -> ElementTree.Element:
    """Without metadata, global styles, groups that group nothing, and white space."""
    kept: list[ElementTree.Element] = []
    for child in map(_slimmer, element):
        tag = child.tag.removeprefix(f"{{{SVG}}}")
        bare = tag == "g" and set(child.attrib) <= {"id"}
        if tag not in ("metadata", "style") and (len(child) or tag not in ("g", "defs")):
            kept += list(child) if bare else [child]
    element[:] = kept
    if element.tag != f"{{{SVG}}}text":
        element.text = None
    element.tail = "\n"
    return element


def _shorter(key: str, value: str, names: Mapping[str, str]) -> str:
    """An attribute with references to parts of the picture by their new names, and without what says nothing.

    Coordinates have two decimals: a hundredth of a point is finer than any screen or printer.
    """
    if key == "style":
        return value.replace(f"; {FONT}", "")
    if key in ("d", "x", "y", "transform"):
        short = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), value)
        return " ".join(short.split())
    return re.sub(r"#(\w+)", lambda part: f"#{names[part[1]]}", value) if "#" in value else value


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
    """Title and sentences for \\caption, without "Table 2." or "Table II.", since LaTeX counts by itself."""
    plain = re.sub(r"^(Table|Figure) (S?\d+|[IVX]+)\. ", "", title)
    return escape_tex(" ".join([f"{plain}.", *caption]))
