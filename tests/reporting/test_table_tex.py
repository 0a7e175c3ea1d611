"""Tables in LaTeX: blocks of columns that fit the page, and environments by length."""

from __future__ import annotations

import re

import pytest

from avbalance.reporting.table_tex import GAP, PAGE, TexColumn, latex_table


def columns(rows: int, values: int) -> list[TexColumn]:
    labels = TexColumn.of(("", "Method"), [f"Reference: logistic regression, both {row}" for row in range(rows)], True)
    cells = [f"{90 + row / 100:.2f} ± 0.19 (81.20)" for row in range(rows)]
    heads = [("Segment-level" if place < values / 2 else "", f"audio_preferred wide{place}") for place in range(values)]
    return [labels, *(TexColumn.of(head, cells) for head in heads)]


@pytest.mark.parametrize("values", [1, 2, 3, 7, 12])
def test_every_block_fits_and_every_column_is_there(values: int) -> None:
    text = latex_table("slug-table1", "Table II. Parts", ["Data: x."], columns(3, values), ["A note."], False)
    specs = [line for line in text.splitlines() if line.startswith((r"\begin{tabular}", r"\begin{longtable}"))]
    for spec in specs:
        widths = [float(width) for width in re.findall(r"p\{([\d.]+)pt\}", spec)]
        assert sum(widths) + 2 * GAP * len(widths) <= PAGE
    assert list(dict.fromkeys(re.findall(r"wide(\d+) ", text))) == [str(place) for place in range(values)]
    assert text.count("Method") >= len(specs) and "Segment-level" in text
    assert text.count(r"\caption{Parts. Data: x.}\label{tab:slug-table1}") == 1 and r"\par\noindent A note." in text


def test_a_column_too_wide_for_any_page_stands_alone() -> None:
    own = [TexColumn.of(("Method",), ["a"], True), *(TexColumn.of(("x",), ["w" * 40]) for _ in range(2))]
    assert latex_table("a", "T", [], own, [], False).count(r"\toprule") == 2


def test_a_long_table_goes_over_pages_and_counts_once() -> None:
    text = latex_table("slug-table1", "Table 1. Parts", ["Data: x."], columns(40, 6), [], True)
    tables = text.count(r"\begin{longtable}")
    assert tables > 1 and text.count(r"\addtocounter{table}{-1}") == tables - 1 and r"\begin{table}" not in text
    assert text.count(r"\endfirsthead") == text.count(r"\caption{") == 1 and text.count(r"\endhead") == tables
