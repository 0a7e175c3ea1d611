"""A table in LaTeX that fits a page: columns in blocks one below the other, long tables over several pages.

Every block is at most as wide as the text of an article, and its columns have widths of their own, in which cells and
headings break into lines. What is long becomes a longtable, the rest a table that floats. Packages: array, booktabs,
longtable.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from avbalance.reporting.escape import escape_tex
from avbalance.reporting.figure_files import tex_caption

PAGE = 345.0  # points: the text of LaTeX's article on letter paper, narrower than on A4
LINES = 44  # of a page, in \footnotesize, less the caption
EM, GAP = 8.5, 3.0  # points: the letter m of \footnotesize, and the space at either side of a column
LABEL = 120.0  # points that the labels of rows take at the most, where their words allow it
WIDE, SLIM = "mwMW±†‡§%+", "iljtfr.,:;'|()[] -–"  # letters beside capitals (0.75) and all others (0.53)


@dataclass(frozen=True)
class TexColumn:
    """A column: its headings from the top down, as many as the table has levels, and its cells."""

    heads: tuple[str, ...]
    cells: tuple[str, ...]
    width: float
    left: bool = False

    @classmethod
    def of(cls, heads: Sequence[str], cells: Sequence[str], left: bool = False) -> TexColumn:
        """The column as wide as its longest word, one of labels (`left`) as its longest text, up to LABEL."""
        texts = (heads[-1], *cells)
        # A number and its spread are one word; names may break behind blanks, underscores and slashes.
        words = (word for text in texts for word in re.split(r"(?<!± )(?<= |_|/)(?!±)", text))
        width = max(map(_width, words))
        if left:
            width = max(width, min(LABEL, max(map(_width, texts))))
        return cls(tuple(heads), tuple(cells), math.ceil(width), left)

    @property
    def taken(self) -> float:
        """Its width with the space beside it."""
        return self.width + 2 * GAP


def latex_table(
    name: str, title: str, said: Sequence[str], columns: Sequence[TexColumn], notes: Sequence[str], apart: bool
) -> str:
    """The table in LaTeX, with the label tab:<name>.

    said: sentences of the caption behind the title; notes: sentences below the table; apart: whether a rule stands
    above the last row.
    """
    blocks = list(_blocks(columns))
    caption = rf"\caption{{{tex_caption(title, said)}}}\label{{tab:{name}}}"
    below = [rf"\par\noindent {escape_tex(note)}" for note in notes]
    size = rf"\footnotesize\setlength{{\tabcolsep}}{{{GAP:g}pt}}\raggedright"
    lines = sum(_lines(block) for block in blocks) + sum(math.ceil(_width(note) / PAGE) for note in notes)
    # A floating table cannot break over pages.
    if lines <= LINES:
        tables = [_tabular(block, apart) for block in blocks]
        inner = list(itertools.chain(*((*table, r"\par\medskip") for table in tables)))
        return "\n".join([r"\begin{table}[htbp]", caption, size, *inner, *below, r"\end{table}"]) + "\n"
    inner = list(_longtable(blocks[0], apart, caption))
    for block in blocks[1:]:  # a longtable counts itself, also without a caption
        inner += [*_longtable(block, apart), r"\addtocounter{table}{-1}"]
    return "\n".join(["{" + size, *inner, *below, r"\par}"]) + "\n"


def _blocks(columns: Sequence[TexColumn]) -> Iterator[list[TexColumn]]:
    """The columns in blocks that fit PAGE, each beginning with the labels of rows, all about equally full."""
    labels, values = [each for each in columns if each.left], [each for each in columns if not each.left]
    room = PAGE - sum(each.taken for each in labels)
    number = max(1, math.ceil(sum(each.taken for each in values) / room))
    while number < len(values) and any(sum(each.taken for each in part) > room for part in _parts(values, number)):
        number += 1
    for part in _parts(values, number):
        yield [*labels, *part]


def _parts(values: Sequence[TexColumn], number: int) -> list[Sequence[TexColumn]]:
    size = math.ceil(len(values) / number)
    return [values[start : start + size] for start in range(0, len(values), size)]


def _lines(block: Sequence[TexColumn]) -> int:
    """How many lines a block takes, rules included."""
    rows = zip(*((each.heads[-1], *each.cells) for each in block), strict=True)
    each_row = (max(math.ceil(_width(text) / own.width) for text, own in zip(row, block, strict=True)) for row in rows)
    return sum(each_row) + len(block[0].heads) + 1


def _tabular(block: Sequence[TexColumn], apart: bool) -> list[str]:
    begin = rf"\begin{{tabular}}{{{_spec(block)}}}"
    return [begin, r"\toprule", *_head(block), r"\midrule", *_body(block, apart), r"\bottomrule", r"\end{tabular}"]


def _longtable(block: Sequence[TexColumn], apart: bool, caption: str | None = None) -> Iterator[str]:
    head = [r"\toprule", *_head(block), r"\midrule"]
    yield rf"\begin{{longtable}}{{{_spec(block)}}}"
    if caption:
        yield from (rf"{caption}\\", *head, r"\endfirsthead")
    yield from (*head, r"\endhead", *_body(block, apart), r"\bottomrule", r"\end{longtable}")


def _spec(block: Sequence[TexColumn]) -> str:
    return "".join(_column(each.width, "raggedright" if each.left else "raggedleft") for each in block)


def _column(width: float, align: str) -> str:
    return rf">{{\{align}\arraybackslash}}p{{{width:g}pt}}"


def _head(block: Sequence[TexColumn]) -> Iterator[str]:
    """Headings, each over the columns that share it and all those above it."""
    levels = len(block[0].heads)
    for level in range(levels - 1):
        texts, rules, place = [], [], 1
        for heads, group in itertools.groupby(block, key=lambda each: (each.left, each.heads[: level + 1])):
            members = list(group)
            width = sum(each.taken for each in members) - 2 * GAP
            label = _text(heads[1][level])
            if label:
                texts.append(rf"\multicolumn{{{len(members)}}}{{{_column(width, 'centering')}}}{{{label}}}")
                rules.append(rf"\cmidrule(lr){{{place}-{place + len(members) - 1}}}")
            else:
                texts += [""] * len(members)
            place += len(members)
        yield _row(texts)
        yield "".join(rules)
    yield _row(_text(each.heads[-1]) for each in block)


def _body(block: Sequence[TexColumn], apart: bool) -> list[str]:
    rows = [_row(map(_text, texts)) for texts in zip(*(each.cells for each in block), strict=True)]
    return [*rows[:-1], r"\midrule", rows[-1]] if apart else rows


def _row(texts: Iterable[str]) -> str:
    return " & ".join(texts) + r" \\"


def _text(text: str) -> str:
    """A cell: a number stays with its spread, and long names break where they have marks."""
    kept = escape_tex(text).replace(r" $\pm$ ", r"~$\pm$~")
    return re.sub(r"\\_|/", r"\g<0>\\allowbreak{}", kept)


def _width(text: str) -> float:
    """About how many points a text takes in \\footnotesize."""
    ems = (0.85 if mark in WIDE else 0.36 if mark in SLIM else 0.75 if mark.isupper() else 0.53 for mark in text)
    return EM * sum(ems)
