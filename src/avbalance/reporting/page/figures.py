"""Figures on the page: the drawing as part of the page, and its numbers to be saved from it."""

from __future__ import annotations

import base64
import itertools
import re
import zlib
from pathlib import Path

from markupsafe import Markup

from avbalance.errors import UserError

DIGITS = 6  # of the numbers that the page holds; the CSV file beside it has all
FONT = "'DejaVu Sans', Verdana, 'Helvetica Neue', Arial, sans-serif"
_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'(?:xlink:)?(href="#|url\(#)([^")]+)')
_STYLE = re.compile(r'style="([^"]*)"')
_USES = re.compile(r'(?:<use [^>]*class="(\w+)"[^>]*/>)+')
_LONG = re.compile(r"-?\d+\.\d{4,}(?:e[-+]?\d+)?")
_WITHOUT = (  # what a drawing does not need here -> what stands in its place
    (r"^.*?(?=<svg)|<metadata>.*?</metadata>|<style[^>]*>.*?</style>", ""),
    (r' transform="rotate\(-?0 [^"]*\)"|\s(?:version|xmlns(?::\w+)?)="[^"]*"|xlink:(?=href="data:)', ""),
    (r"(-?\d+\.\d)\d+", r"\1"),
    (r"\s*\n\s*", " "),
    (r"> <", "><"),
    (r' "', '"'),
)


def inline_svg(path: str | Path, prefix: str, title: str) -> Markup:
    """The drawing of a figure as an element of the page, with `title` for those who do not see it.

    IDs and classes begin with `prefix`, letters and digits, so that two drawings on a page have none in common.
    Coordinates keep one decimal, a tenth of a point. Raises UserError for a file that is no drawing or holds a script.
    """
    try:
        svg = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: not readable ({error.strerror}); delete it to have it drawn again.") from error
    if "<svg" not in svg or re.search(r"<script|<foreignObject|\son\w+=|javascript:", svg, re.IGNORECASE):
        raise UserError(f"{path}: no drawing that may stand on a page; delete it to have it drawn again.")
    for pattern, text in _WITHOUT:
        svg = re.sub(pattern, text, svg, flags=re.DOTALL)
    svg, rules = _classes(_own_ids(svg, prefix), prefix)
    while (slim := re.sub(r"<g>(<g[ >](?:(?!</?g[ >]).)*</g>)</g>|<g(?: class=\"\w+\")?></g>", r"\1", svg)) != svg:
        svg = slim
    size = re.search(r'width="([\d.]+)pt" height="[\d.]+pt" ', svg)
    width = f'style="width:{float(size[1]) * 4 / 3:.0f}px" ' if size else ""
    body = svg.replace(size[0] if size else "", "", 1).removeprefix("<svg ").replace(">", f"><style>{rules}</style>", 1)
    named = Markup('<title id="{}t">{}</title>').format(prefix, title)
    return Markup(
        f'<svg role="img" aria-labelledby="{prefix}t" {width}{body}'.replace("><style>", f">{named}<style>", 1)
    )


def _own_ids(svg: str, prefix: str) -> str:
    """IDs that are referred to get short names of this drawing, others go."""
    used = dict.fromkeys(name for _, name in _REFERENCE.findall(svg))
    short = {name: f"{prefix}{place}" for place, name in enumerate(used)}
    svg = re.sub(r'\s?\bid="([^"]+)"', lambda found: f' id="{short[found[1]]}"' if found[1] in used else "", svg)
    return _REFERENCE.sub(lambda found: f"{found[1]}{short[found[2]]}", svg)


def _classes(svg: str, prefix: str) -> tuple[str, str]:
    """The drawing with a class in place of each style, said once for neighbours that share it; and the rules."""
    names: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        return f'class="{names.setdefault(found[1], f"{prefix}c{len(names)}")}"'

    def joined(found: re.Match[str]) -> str:
        uses = re.findall(r"<use [^>]*/>", found[0])
        groups = itertools.groupby(uses, key=lambda use: re.search(r' class="\w+"', use)[0])  # type: ignore[index]
        return "".join(f"<g{own}>{''.join(use.replace(own, '') for use in members)}</g>" for own, members in groups)

    svg = _USES.sub(joined, _STYLE.sub(named, svg))
    rules = "".join(f".{name}{{{style}}}" for style, name in names.items())
    return svg, re.sub("([:;]) ", r"\1", rules).replace("'DejaVu Sans'", FONT)


def packed_numbers(path: str | Path) -> dict[str, str | int]:
    """A CSV file as text that a page can hold: compressed, in base64, and its size in bytes; numbers have DIGITS."""
    text = _LONG.sub(lambda found: f"{float(found[0]):.{DIGITS}g}", Path(path).read_text(encoding="utf-8"))
    packed = zlib.compress(text.encode(), 9)
    return {"size": len(text), "packed": base64.b64encode(packed).decode("ascii")}
