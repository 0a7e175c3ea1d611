"""The documentation as a site: `make docs`. Pages are Markdown that reads as well on a code host.

The source folder is the repository, so that links between docs/, workflow/papers/ and the README are the same in both
places. The navigation is made of the lists of links in docs/index.md.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from pygments.lexers.special import TextLexer

project = "avbalance"
author = "The avbalance maintainers"
root_doc = "docs/index"
extensions = ["myst_parser"]
include_patterns = [
    "README.md", "CHANGELOG.md", "config/README.md", "docs/**.md", "workflow/papers/**.md",
    "src/flowkeeper/README.md",
]  # fmt: skip
exclude_patterns = [".*", "data", "downloads", "logs", "results", "tests", "docs/_build"]
suppress_warnings = ["toc.not_included"]  # a test looks for pages that docs/index.md leaves out
myst_heading_anchors = 4
html_theme = "furo"
html_title = "avbalance"
html_copy_source = html_show_sourcelink = html_show_copyright = False

LINK = re.compile(r"^- \[[^]]*\]\((?P<page>[^)#]+)\.md", re.MULTILINE)


def add_navigation(app: Any, name: str, text: list[str]) -> None:
    """Append hidden tables of contents to pages that lead to others; `text` holds the page's Markdown."""
    folder = PurePosixPath(name).parent
    if name == root_doc:
        for section in text[0].split("\n## ")[1:]:
            text[0] += contents(section.partition("\n")[0], LINK.findall(section))
    elif folder.is_relative_to("docs/gallery/real") and name.endswith("/claims"):
        text[0] += contents("", ["*/claims"] if folder.name == "real" else ["table*", "figures*"])


def contents(caption: str, pages: list[str]) -> str:
    """A hidden table of contents, in MyST's words."""
    lines = ["```{toctree}", ":hidden:", ":glob:", f":caption: {caption}" if caption else "", *pages, "```"]
    return "\n\n" + "\n".join(filter(None, lines)) + "\n"


def lead_to_first_page(app: Any, error: Exception | None) -> None:
    """Write index.html, which browsers open by themselves."""
    if error is None:
        target = f"{root_doc}.html"
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={target}"><a href="{target}">{project}</a>\n'
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.add_lexer("csv", TextLexer)  # Pygments knows none
    app.connect("source-read", add_navigation)
    app.connect("build-finished", lead_to_first_page)
