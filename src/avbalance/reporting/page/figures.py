"""Figures on the page: the drawing as part of the page, and its numbers to be saved from it."""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup

from avbalance.errors import UserError
from avbalance.reporting.figure_files import read_figure

DIGITS = 6  # of the numbers that the page holds; the CSV file beside it has all
_TAG = re.compile(r"<[^>]+>")
_GROUP = re.compile(r"(<g>|<g [^>]*>|</g>)")
_REFERENCE = re.compile(r'(?:xlink:)?(href="#|url\(#)([^")]+)')
_STYLE = re.compile(r'style="([^"]*)"')
_USES = re.compile(r'(?:<use [^>]*class="(\w+)"[^>]*/>)+')
_LONG = re.compile(r"-?\d+\.\d{4,}(?:e[-+]?\d+)?")
_WITHOUT = (  # what a drawing does not need on the page -> what stands in its place
    (r"<(title|desc)\b.*?</\1>", ""),
    (r"\s*\n\s*", " "),
    (r"> <", "><"),
)
_IN_TAGS = (
    (r'\s(?:role|aria-\w+|version|xmlns(?::\w+)?)="[^"]*"| transform="rotate\(-?0 [^"]*\)"', ""),
    (r"xlink:(?=href=\"data:)|font-family:[^;\"]*;? ?", ""),
    (r"(-?\d+\.\d)\d+", r"\1"),  # a tenth of a point is finer than a screen
    (r"(\d)\.0(?=\D)", r"\1"),
    (r" ?\b([MLCQZz])\b ?", r"\1"),
    (r' (?="|/>)', ""),
)


def inline_svg(folder: str | Path, figure: str, prefix: str) -> tuple[Markup, str, tuple[str, ...]]:
    """The drawing of a figure as an element of the page, its title, and its caption.

    IDs and classes are `prefix`, letters alone, and a number: two drawings on a page have none in common. Raises
    UserError for a file that is no drawing or holds a script.
    """
    drawn = read_figure(folder, figure)
    svg, title = drawn.svg, drawn.title
    # The drawing becomes part of the page, where a script would run with the page's rights.
    if re.search(r"<script|<foreignObject|<[^>]*(\son\w+=|javascript:)", svg, re.IGNORECASE):
        raise UserError(f"{folder}/{figure}.svg: holds a script; delete it to have it drawn again.")
    for pattern, text in _WITHOUT:
        svg = re.sub(pattern, text, svg, flags=re.DOTALL)
    svg, rules = _classes(_own_ids(_TAG.sub(_slim, svg), prefix), prefix)
    head, body = _without_bare_groups(svg).split(">", 1)
    size = re.search(r'width="([\d.]+)pt" height="[\d.]+pt"', head)
    # matplotlib counts points, 72 an inch, and CSS pixels, 96 an inch.
    width = f' style="width:{float(size[1]) * 4 / 3:.0f}px"' if size else ""
    head = head.replace("<svg", f'<svg role="img" aria-labelledby="{prefix}0"{width}').replace(
        size[0] if size else "", ""
    )
    named = Markup('<title id="{}0">{}</title>').format(prefix, title)
    return Markup(f"{head}>{named}<style>{rules}</style>{body}"), title, drawn.caption


def prefixes() -> Iterator[str]:
    """Prefixes for the drawings of a page: a, b, ..., z, aa, ab, ..."""
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield "".join(letters)


def _slim(tag: re.Match[str]) -> str:
    text = tag[0]
    for pattern, other in _IN_TAGS:
        text = re.sub(pattern, other, text)
    return text


def _own_ids(svg: str, prefix: str) -> str:
    """IDs that are referred to get short names of this drawing, others go."""
    used = dict.fromkeys(name for _, name in _REFERENCE.findall(svg))
    short = {name: f"{prefix}{place}" for place, name in enumerate(used, start=1)}
    svg = re.sub(r'\s?\bid="([^"]+)"', lambda match: f' id="{short[match[1]]}"' if match[1] in used else "", svg)
    return _REFERENCE.sub(lambda match: f"{match[1]}{short[match[2]]}", svg)


def _classes(svg: str, prefix: str) -> tuple[str, str]:
    """The drawing with a class in place of each style, said once for neighbours that share it; and the rules."""
    names: dict[str, str] = {}

    def named(match: re.Match[str]) -> str:
        return f'class="{names.setdefault(match[1], f"{prefix}{len(names)}")}"'

    def joined(match: re.Match[str]) -> str:
        uses = re.findall(r"<use [^>]*/>", match[0])
        groups = itertools.groupby(uses, key=lambda use: re.search(r' class="\w+"', use)[0])  # type: ignore[index]
        return "".join(f"<g{own}>{''.join(use.replace(own, '') for use in members)}</g>" for own, members in groups)

    svg = _USES.sub(joined, _STYLE.sub(named, svg))
    rules = "".join(f".{name}{{{style}}}" for style, name in names.items())
    return svg, re.sub("([:;]) ", r"\1", rules)


def _without_bare_groups(svg: str) -> str:
    """The drawing without groups that say nothing of what they hold."""
    kept, bare = [], []
    for piece in _GROUP.split(svg):
        if piece.startswith("<g") and _GROUP.fullmatch(piece):
            bare.append(piece == "<g>")
        dropped = bare.pop() if piece == "</g>" else piece == "<g>"
        kept.append("" if dropped else piece)
    return "".join(kept)


def numbers_text(path: str | Path) -> str:
    """A CSV file with numbers of at most DIGITS digits."""
    return _LONG.sub(lambda match: f"{float(match[0]):.{DIGITS}g}", Path(path).read_text(encoding="utf-8"))
