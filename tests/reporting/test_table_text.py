"""Tables as text: a small one word by word, cells, and characters that Markdown and LaTeX would read as their own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up_table import DECLARATION, paper_of

from avbalance.reporting.cells import CellValue
from avbalance.reporting.declared_tables import read_table
from avbalance.reporting.escape import escape_markdown, escape_tex
from avbalance.reporting.table_text import BuiltTable, cell_text, latex, long_frame, markdown
from avbalance.reporting.tables import build_table


@pytest.fixture
def table() -> BuiltTable:
    paper, measured = paper_of()
    return build_table(paper, read_table(DECLARATION, (), "tables.yaml"), measured)


def test_markdown_golden(table: BuiltTable) -> None:
    # Mean of 60 and 62 is 61, their standard deviation sqrt(2) = 1.41.
    assert markdown(table) == (
        "# Table 9. Accuracy &amp; more\n"
        "\n"
        "Data: A&lt;B&gt;: stand-in for A\\|B (made-up).\n"
        "\n"
        "Cells: ours, mean ± standard deviation over seeds (published). –: not made.\n"
        "\n"
        "| Method | A&lt;B&gt;, Overall | A&lt;B&gt;, audio\\_preferred |\n"
        "| --- | ---: | ---: |\n"
        "| Base\\_line | 61.00 ± 1.41 (61.50) | 50.00† |\n"
        "| 50% more | 70.00 | – |\n"
        "| Clips | 200 | 40 |\n"
        "\n"
        "- † fewer than 100 clips.\n"
        "- Cells without ± are of one seed; their distance from a mean of several may be due to the seeds.\n"
        "- Cut in this tier: all cut; reason: no time.\n"
    )


def test_latex_golden(table: BuiltTable) -> None:
    left, right = (rf">{{\ragged{side}\arraybackslash}}p" for side in ("right", "left"))
    assert latex(table).splitlines() == [
        r"\begin{table}[htbp]",
        r"\caption{Accuracy \& more. Data: A\textless{}B\textgreater{}: stand-in for A|B (made-up). Cells: ours, mean "
        r"$\pm$ standard deviation over seeds (published). --: not made.}\label{tab:slug-table9}",
        r"\footnotesize\setlength{\tabcolsep}{3pt}\raggedright",
        rf"\begin{{tabular}}{{{left}{{40pt}}{right}{{55pt}}{right}{{35pt}}}}",
        r"\toprule",
        r" & \multicolumn{2}{>{\centering\arraybackslash}p{96pt}}{A\textless{}B\textgreater{}} \\",
        r"\cmidrule(lr){2-3}",
        r"Method & Overall & audio\_\allowbreak{}preferred \\",
        r"\midrule",
        r"Base\_\allowbreak{}line & 61.00~$\pm$~1.41 (61.50) & 50.00$\dagger$ \\",
        r"50\% more & 70.00 & -- \\",
        r"\midrule",
        r"Clips & 200 & 40 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\medskip",
        r"\par\noindent $\dagger$ fewer than 100 clips.",
        r"\par\noindent Cells without $\pm$ are of one seed; their distance from a mean of several may be due to the "
        "seeds.",
        r"\par\noindent Cut in this tier: all cut; reason: no time.",
        r"\end{table}",
    ]


def test_long_frame_keys_and_values(table: BuiltTable) -> None:
    frame = long_frame(table)
    assert list(frame.columns) == [
        "dataset", "subset", "method", "published", "ours_mean", "ours_sd", "seeds", "n", "data", "state"
    ]  # fmt: skip
    assert len(frame) == 4
    first = frame.iloc[0]
    assert (first["published"], first["ours_mean"], first["seeds"], first["n"]) == (61.5, 61.0, 2, 200)


def test_cells_that_are_words_have_a_column_of_the_csv_for_them(table: BuiltTable) -> None:
    worded = replace(table, cells=((CellValue(text="better"), *table.cells[0][1:]), *table.cells[1:]))
    assert long_frame(worded)["text"].fillna("").tolist() == ["better", "", "", ""]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (CellValue(), "–"),
        (CellValue(published=61.5), "– (61.50)"),
        (CellValue(61.5, 60.0, None, 1, 300), "60.00 (61.50)"),
        (CellValue(None, 60.0, 0.5, 3, 99), "60.00 ± 0.50†"),
        (CellValue(None, 60.0, 0.5, 3, 100), "60.00 ± 0.50"),
        (CellValue(61.5, 60.0, 0.5, 3, 99, state="not learned"), "60.00 ± 0.50†‡ (61.50)"),
        (CellValue(None, 60.0, None, 1, 300, state="not converged"), "60.00§"),
        (CellValue(None, 0.0004, None, 1, 30, text="< 0.001"), "< 0.001"),
    ],
)
def test_cell_text(cell: CellValue, text: str) -> None:
    assert cell_text(cell) == text


def test_numbers_without_declared_decimals_are_short() -> None:
    assert [cell_text(CellValue(ours_mean=value), None) for value in (8.0, 0.8125, 0.5)] == ["8", "0.812", "0.5"]


def test_escaping() -> None:
    assert escape_markdown("<script>|`x` & *y*\n") == "&lt;script&gt;\\|\\`x\\` &amp; \\*y\\* "
    assert escape_markdown(r"a_b_ [x](y) \* ~~z~~ $q$") == r"a\_b\_ \[x\](y) \\\* \~\~z\~\~ \$q\$"
    assert escape_tex(r"\input{a_b} 5% $x^2$ ~#") == (
        r"\textbackslash{}input\{a\_b\} 5\% \$x\textasciicircum{}2\$ \textasciitilde{}\#"
    )
