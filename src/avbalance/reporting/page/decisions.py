"""What a paper's README says of deviations and decisions, as parts of the page."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

FIRST = ("Deviations", "Decisions", "What is approximate", "Status", "Known weakness", "Risks", "Where the paper")


def sections(path: str | Path) -> list[dict[str, Any]]:
    """Title and content of every section of a README; what deviates and was decided first.

    HTML in the text stays text, links to other files of the repository become plain words: the page stands alone.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    rendered = []
    for tokens in _split(parser.parse(Path(path).read_text(encoding="utf-8"))):
        title = tokens[1].content
        content, bare = tokens[3:], False
        for token, following in itertools.pairwise([*content, *content[-1:]]):
            _stand_alone(token)
            if token.type == "th_open":
                bare = not following.content  # a head without words is none
            if token.type in ("th_open", "th_close") and bare:
                token.tag = "td"
        rendered.append({"title": title, "html": Markup(parser.renderer.render(content, parser.options, {}))})
    order = {title: place for place, title in enumerate(FIRST)}
    return sorted(
        rendered, key=lambda each: min((p for t, p in order.items() if each["title"].startswith(t)), default=99)
    )


def _split(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The tokens of each section of level 2, from its heading on; what stands above the first one is left out."""
    starts = [place for place, token in enumerate(tokens) if (token.type, token.tag) == ("heading_open", "h2")]
    for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True):
        yield list(tokens[start:end])


def _stand_alone(token: Token) -> None:
    """Lower headings by two levels, and take away links that lead out of the page into files."""
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(int(token.tag[1:]) + 2, 6)}"
    if token.type == "table_open":
        token.attrSet("class", "plain")
    if not token.children:
        return
    kept, open_links = [], []
    for child in token.children:
        if child.type == "link_open":
            open_links.append(str(child.attrGet("href")).startswith("https://"))
        if child.type not in ("link_open", "link_close") or open_links[-1]:
            kept.append(child)
        if child.type == "link_close":
            open_links.pop()
    token.children = [child for child in kept if child.type != "image"]
