"""Tables: golden text of a small one, escaping, and the tables that the first paper declares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from avbalance.analysis.subsets import read_subsets
from avbalance.errors import UserError
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.reporting.cells import Cell, Measured
from avbalance.reporting.escape import escape_markdown, escape_tex
from avbalance.reporting.facts import ANNOTATED_NOTE, CROSS_FITTED_NOTE
from avbalance.reporting.tables import (
    COMMON_NOTE,
    SEEDS_NOTE,
    build_table,
    cell_text,
    grid_texts,
    latex,
    long_frame,
    markdown,
    render_tables,
)

DECLARATION = {
    "id": "table9",
    "title": "Table 9. Accuracy & more",
    "rows": [{"key": "run", "name": "method", "title": "Method", "values": ["base_line", "extra"]}],
    "columns": [
        {"key": "dataset", "values": ["set"]},
        {"key": "subset", "values": [{"value": "overall", "label": "Overall"}, "audio_preferred"]},
    ],
}


def measurement(run: str, subset: str, seed: int, value: float, n: int) -> dict[str, Any]:
    fixed = {"split": "test", "condition": "both", "protocol": "estimated", "checkpoint": "selected"}
    own = {"run": run, "seed": seed, "subset": subset, "value": value, "n": n}
    return {"dataset": "made-up", "metric": "accuracy", **fixed, **own}


@pytest.fixture
def small() -> tuple[Paper, Measured]:
    paper = Paper(
        "slug", "title", "", {"set": DatasetInfo("set", "A<B>", "made-up", "stand-in for A|B")},
        {"base_line": "Base_line", "extra": "50% more"}, (),
        ({"what": "all cut", "reason": "no time"}, {"what": "elsewhere", "reason": "-", "tables": ["table1"]}),
    )  # fmt: skip
    frame = pd.DataFrame(
        [
            measurement("base_line", "overall", 0, 60.0, 200),
            measurement("base_line", "overall", 1, 62.0, 200),
            measurement("base_line", "audio_preferred", 0, 50.0, 40),
            measurement("extra", "overall", 0, 70.0, 200),
        ]
    )
    return paper, Measured(paper, frame, {("A<B>", "Base_line", "overall", "accuracy"): 61.5})


def test_markdown_golden(small: tuple[Paper, Measured]) -> None:
    # Mean of 60 and 62 is 61, their standard deviation sqrt(2) = 1.41.
    assert markdown(build_table(small[0], DECLARATION, small[1])) == (
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


def test_rows_of_common_seeds_differ_in_nothing_else(small: tuple[Paper, Measured]) -> None:
    paper, measured = small
    table = build_table(paper, {**DECLARATION, "common_seeds": True}, measured)
    first, second = (line[0] for line in table.cells)
    assert (first.ours_mean, first.ours_sd, first.seeds) == (60.0, None, 1)  # of seed 0, which both rows have
    assert (second.ours_mean, second.seeds) == (70.0, 1)
    assert COMMON_NOTE in table.notes and SEEDS_NOTE not in table.notes
    nothing = measured.on_common_seeds([{"dataset": "set", "run": "never made"}])
    assert nothing.cell({"dataset": "set", "run": "base_line", "subset": "overall"}).seeds == 2
    without = build_table(paper, DECLARATION, measured)
    assert without.cells[0][0].seeds == 2 and COMMON_NOTE not in without.notes


def scored(run: str, seed: int, subset: str, value: float, n: int, protocol: str = "none") -> dict[str, Any]:
    return measurement(run, subset, seed, value, n) | {"protocol": protocol}


def verdict(run: str, seed: int, metric: str, value: float, protocol: str = "none") -> dict[str, Any]:
    place = {"split": "val", "condition": "none", "checkpoint": "none", "metric": metric}
    return scored(run, seed, "overall", value, 40, protocol) | place


def test_seeds_that_did_not_learn_or_converge_are_marked_and_named(small: tuple[Paper, Measured]) -> None:
    rows = [
        *(scored(run, seed, subset, 60.0, 300, "estimated") for run in ("base_line", "extra") for seed in (0, 1, 2)
          for subset in ("overall", "audio_preferred")),
        *(verdict("base_line", seed, "learned", seed == 1) for seed in (0, 1, 2)),
        *(verdict("base_line", seed, "converged", False) for seed in (0, 1, 2)),
        *(verdict("extra", seed, "learned", True) for seed in (0, 1, 2)),
        *(verdict("extra", seed, "converged", seed < 2) for seed in (0, 1)),  # of seed 2 nothing is known
        verdict("extra", 2, "converged", False),
    ]  # fmt: skip
    table = build_table(small[0], DECLARATION, Measured(small[0], pd.DataFrame(rows), {}))
    assert [[cell.state for cell in line] for line in table.cells] == [["not learned"] * 2, ["not converged"] * 2]
    assert long_frame(table)["state"].tolist() == ["not learned"] * 2 + ["not converged"] * 2
    text = markdown(table)
    assert (
        "- ‡ a seed that has not learned is part of the mean (seeds in brackets). A&lt;B&gt;: Base\\_line (0, 2).\n"
        in text
    )
    assert (
        "- § a seed that has not converged is part of the mean (seeds in brackets). A&lt;B&gt;: 50% more (2).\n" in text
    )
    assert r"$\ddagger$ a seed that has not learned" in latex(table) and r"\S{} a seed" in latex(table)


def test_without_verdicts_no_cell_is_marked(small: tuple[Paper, Measured]) -> None:
    table = build_table(small[0], DECLARATION, small[1])
    states = [cell.record["state"] for line in table.cells for cell in line]
    assert states == ["ok" if cell.ours_mean is not None else None for line in table.cells for cell in line]


def test_a_cross_fitted_cell_rests_on_the_halves(small: tuple[Paper, Measured]) -> None:
    rows = [
        scored("base_line", 0, "overall", 42.5, 300, "cross-fitted"),
        scored("base_line", 0, "overall", 42.5, 300, "estimated"),
        verdict("base_line", 0, "learned", True),
        verdict("base_line", 0, "learned", False, "cross-fitted"),
    ]
    measured = Measured(small[0], pd.DataFrame(rows), {})
    place = {"dataset": "set", "run": "base_line", "subset": "overall"}
    assert measured.cell(place).state == "ok"
    assert measured.cell({**place, "protocol": "cross-fitted"}).state == "not learned"


def test_every_run_stands_in_the_supplement_that_has_numbers(small: tuple[Paper, Measured]) -> None:
    rows = [
        verdict("base_line", 0, "learned", True), verdict("base_line", 1, "learned", False),
        verdict("base_line", 0, "final_loss", 0.25), verdict("base_line", 1, "final_loss", 0.5),
    ]  # fmt: skip
    declaration = {
        "id": "tableS9", "title": "Training", "made_only": True, "seed_counts": True, "sizes": "rows",
        "counted": "Validation clips", "decimals": None,
        "rows": [{"key": "dataset", "values": "*"}, {"key": "run", "values": "*"}],
        "columns": [{"key": "metric", "values": ["learned", "final_loss"]}],
        "select": {"split": "val", "condition": "none", "checkpoint": "none", "subset": "overall", "protocol": "none"},
    }  # fmt: skip
    table = build_table(small[0], declaration, Measured(small[0], pd.DataFrame(rows), {}))
    heads, body = grid_texts(table)
    assert heads == ["learned", "final_loss", "Seeds", "Validation clips"]
    assert [line[2:] for line in body] == [["0.5", "0.375", "2", "40"]]


def test_latex_golden(small: tuple[Paper, Measured]) -> None:
    assert latex(build_table(small[0], DECLARATION, small[1])).splitlines() == [
        r"\begin{table}",
        r"\caption{Table 9. Accuracy \& more. Data: A\textless{}B\textgreater{}: stand-in for A|B (made-up).}",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r" & \multicolumn{2}{c}{A\textless{}B\textgreater{}} \\",
        r"Method & Overall & audio\_preferred \\",
        r"\midrule",
        r"Base\_line & 61.00 $\pm$ 1.41 (61.50) & 50.00$\dagger$ \\",
        r"50\% more & 70.00 & -- \\",
        r"\midrule",
        r"Clips & 200 & 40 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\\ {\footnotesize $\dagger$ fewer than 100 clips.}",
        r"\\ {\footnotesize Cells without $\pm$ are of one seed; their distance from a mean of several may be due "
        "to the seeds.}",
        r"\\ {\footnotesize Cut in this tier: all cut; reason: no time.}",
        r"\end{table}",
    ]


def test_long_frame_keys_and_values(small: tuple[Paper, Measured]) -> None:
    frame = long_frame(build_table(small[0], DECLARATION, small[1]))
    assert list(frame.columns) == [
        "dataset", "subset", "method", "published", "ours_mean", "ours_sd", "seeds", "n", "data", "state"
    ]  # fmt: skip
    assert len(frame) == 4
    first = frame.iloc[0]
    assert (first["published"], first["ours_mean"], first["seeds"], first["n"]) == (61.5, 61.0, 2, 200)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(), "–"),
        (Cell(published=61.5), "– (61.50)"),
        (Cell(61.5, 60.0, None, 1, 300), "60.00 (61.50)"),
        (Cell(None, 60.0, 0.5, 3, 99), "60.00 ± 0.50†"),
        (Cell(None, 60.0, 0.5, 3, 100), "60.00 ± 0.50"),
        (Cell(61.5, 60.0, 0.5, 3, 99, state="not learned"), "60.00 ± 0.50†‡ (61.50)"),
        (Cell(None, 60.0, None, 1, 300, state="not converged"), "60.00§"),
    ],
)
def test_cell_text(cell: Cell, text: str) -> None:
    assert cell_text(cell) == text


def test_numbers_without_declared_decimals_are_short() -> None:
    assert [cell_text(Cell(ours_mean=value), None) for value in (8.0, 0.8125, 0.5)] == ["8", "0.812", "0.5"]


def test_escaping() -> None:
    assert escape_markdown("<script>|`x` & *y*\n") == "&lt;script&gt;\\|\\`x\\` &amp; \\*y\\* "
    assert escape_markdown(r"a_b_ [x](y) \* ~~z~~ $q$") == r"a\_b\_ \[x\](y) \\\* \~\~z\~\~ \$q\$"
    assert escape_tex(r"\input{a_b} 5% $x^2$ ~#") == (
        r"\textbackslash{}input\{a\_b\} 5\% \$x\textasciicircum{}2\$ \textasciitilde{}\#"
    )


def test_unknown_keys_and_runs_are_told(small: tuple[Paper, Measured]) -> None:
    with pytest.raises(UserError, match="table table9: unknown key 'colour'"):
        build_table(small[0], {**DECLARATION, "colour": 1}, small[1])
    rows = [{"key": "run", "values": ["no-such-run"]}]
    with pytest.raises(UserError, match="no run 'no-such-run' is declared"):
        build_table(small[0], {**DECLARATION, "rows": rows}, small[1])


@pytest.fixture(scope="module")
def rendered(
    fabricated_paper: Paper,
    balanced_declarations: dict[str, Any],
    measurements: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    out = tmp_path_factory.mktemp("tables")
    render_tables(fabricated_paper, balanced_declarations, measurements, out)
    return out


def test_declared_tables_name_their_data_and_losses(rendered: Path) -> None:
    text = (rendered / "table1.md").read_text(encoding="utf-8")
    assert "synthetic stand-in for Kinetics-Sounds (synthetic-kinetics-sounds)" in text
    assert "320 of 321 used (train 160, val 40, test 120), 1 lost (manifest missing 1)" in text
    assert "epochs averaged: audio 6, visual 6" in text
    assert "Cut in this tier: 6 epochs; reason: a fixture" in text
    assert "no film" not in text
    assert "no film" in (rendered / "table2.md").read_text(encoding="utf-8")


def test_rows_that_the_paper_lacks_are_ours_only(rendered: Path) -> None:
    frame = pd.read_csv(rendered / "table1.csv").set_index(["dataset", "method", "subset"])
    assert pd.isna(frame.loc[("VGG-Sound", "Late ensemble", "overall"), "published"])
    assert frame.loc[("VGG-Sound", "Late ensemble", "overall"), "ours_mean"] > 0
    assert frame.loc[("VGG-Sound", "Baseline", "visual_preferred"), "published"] == 27.50


def test_runs_left_out_keep_their_published_number(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path, rendered: Path
) -> None:
    frame = pd.read_csv(rendered / "table2.csv").set_index(["method", "subset"])
    row = frame.loc[("Grad-Blending (offline)", "overall")]
    assert pd.isna(row["ours_mean"])
    assert row["seeds"] == 0


def test_what_cross_fitting_compares_stands_where_it_is_shown(rendered: Path) -> None:
    shown = [path.stem for path in sorted(rendered.glob("*.md")) if CROSS_FITTED_NOTE in path.read_text("utf-8")]
    assert shown == ["tableS1"]


def test_definitions_are_counted_side_by_side(rendered: Path, fabricated_paper: Paper) -> None:
    frame = pd.read_csv(rendered / "tableS7.csv").set_index(["dataset", "definition", "quantity"])["ours_mean"]
    names = [key[1] for key in frame.index if key[0] == "Balanced" and key[2] == "kappa"]
    assert names == ["estimated", "cross-fitted-a", "cross-fitted-b", "planted"]  # nobody annotated these clips
    subsets = read_subsets(str(fabricated_paper.dataset("balanced").subsets))
    estimated, planted = (subsets[name]["preferred"] for name in ("estimated", "planted"))
    assert frame["Balanced", "estimated", "audio"] == (estimated == "audio").sum()
    assert frame["Balanced", "planted", "visual_denied"] == ((planted == "visual") & (estimated == "audio")).sum()
    assert frame["Balanced", "planted", "outside"] == 0 and 0.5 < frame["Balanced", "planted", "kappa"] < 1
    assert pd.isna(frame["Balanced", "estimated", "kappa"])


def test_rows_of_a_definition_appear_where_it_is_made(small: tuple[Paper, Measured]) -> None:
    made = [measurement("base_line", "audio_preferred", 0, 60.0, 200)]
    people = scored("base_line", 0, "audio_preferred", 55.0, 20, "annotated")
    axis = {"key": "protocol", "values": ["estimated", "cross-fitted", "annotated"]}
    declaration = {
        "id": "tableS9", "title": "Definitions", "rows": [{"key": "subset", "values": ["audio_preferred"]}, axis],
        "columns": DECLARATION["rows"], "select": {"dataset": "set"}, "made_only": {"protocol": "annotated"},
        "sizes": "rows",
    }  # fmt: skip
    bare, whole = (
        build_table(small[0], declaration, Measured(small[0], pd.DataFrame(rows), {}))
        for rows in (made, [*made, people])
    )
    assert [row[1].name for row in bare.row_keys] == ["estimated", "cross-fitted"]
    assert [row[1].name for row in whole.row_keys] == ["estimated", "cross-fitted", "annotated"]
    assert grid_texts(whole)[1][2][2:] == ["55.00†", "–", "20"]
    assert ANNOTATED_NOTE in whole.notes and ANNOTATED_NOTE not in bare.notes


def test_generator_seeds_have_rows_of_their_own(rendered: Path) -> None:
    frame = pd.read_csv(rendered / "tableS3.csv")
    assert set(frame["data"]) == {"synthetic-kinetics-sounds", "synthetic-kinetics-sounds-g1"}
    assert frame.loc[frame["data"] == "synthetic-kinetics-sounds-g1", "published"].isna().all()
    assert len(frame) == 2 * 3 * 5


def test_tables_are_the_same_bytes_twice(
    fabricated_paper: Paper,
    balanced_declarations: dict[str, Any],
    measurements: Path,
    rendered: Path,
    tmp_path: Path,
) -> None:
    written = render_tables(fabricated_paper, balanced_declarations, measurements, tmp_path)
    assert len(written) == 3 * 9
    for path in written:
        assert path.read_bytes() == (rendered / path.name).read_bytes()
