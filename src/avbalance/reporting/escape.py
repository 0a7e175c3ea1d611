"""Text from declarations and file names, made harmless in Markdown and LaTeX, and tables of it."""

from __future__ import annotations

from collections.abc import Sequence

_MARKDOWN = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\n": " "} | {mark: f"\\{mark}" for mark in "\\|*_`[]~$"}
)
_TEX = str.maketrans(
    {mark: f"\\{mark}" for mark in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\n": " ", "–": "--"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$", "†": r"$\dagger$", "‡": r"$\ddagger$", "§": r"\S{}"}
)


def escape_markdown(text: str) -> str:
    """Text that Markdown renders as it stands, in running text and in table cells, with no HTML in it."""
    return text.translate(_MARKDOWN)


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]], labels: int) -> list[str]:
    """Lines of a Markdown table; the first `labels` columns stand left, the others right."""
    lines = ["| " + " | ".join(escape_markdown(text) for text in texts) + " |" for texts in (heads, *rows)]
    rule = ["---"] * labels + ["---:"] * (len(heads) - labels)
    return [lines[0], "| " + " | ".join(rule) + " |", *lines[1:]]


def escape_tex(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return text.translate(_TEX)
