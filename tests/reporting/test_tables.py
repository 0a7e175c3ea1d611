"""Tables: what is wrong with a declaration, and the cells of small ones and of those that the first paper declares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_up_table import DECLARATION, measurement, paper_of
from paper_files import REPOSITORY, loaded

from avbalance.errors import UserError
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.declared_tables import read_table
from avbalance.reporting.facts import ANNOTATED_NOTE, CROSS_FITTED_NOTE
from avbalance.reporting.table_text import BuiltTable, grid_texts, latex, long_frame, markdown
from avbalance.reporting.tables import COMMON_NOTE, SEEDS_NOTE, build_table, check_tables, render_tables

PAPERS = sorted(path.parent.name for path in REPOSITORY.glob("workflow/papers/*/tables.yaml"))
KNOWN = {"data set": ["set", "other"], "run": ["base_line", "extra"]}
METHODS, SUBSETS = DECLARATION["rows"], DECLARATION["columns"]


def built(numbers: list[dict[str, Any]] | None = None, /, **changes: Any) -> BuiltTable:
    """The small table with some keys changed, of the usual measurements or of these."""
    paper, measured = paper_of()
    own = measured if numbers is None else MeasuredCells(paper, pd.DataFrame(numbers), {})
    return build_table(paper, read_table({**DECLARATION, **changes}, (), "tables.yaml"), own)


@pytest.mark.parametrize("slug", PAPERS)
def test_nothing_is_wrong_with_the_tables_of_the_papers(slug: str) -> None:
    paper = loaded(slug)
    check_tables(paper, {"data set": list(paper["datasets"]), "run": list(paper["runs"])}, "tables.yaml")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sizes": "rowz"}, "table9, sizes: is 'rowz'; use 'columns', 'rows' or 'none'."),
        ({"id": "tabel9"}, "tabel9, id: is 'tabel9'; it must be of the form"),
        ({"rows": [{"key": "run", "vals": []}]}, "table9, rows[1]: unknown key 'vals'; did you mean 'values'"),
        ({"rows": [{"key": "run", "values": ["extre"]}]}, "table9, rows[1]: there is no run 'extre'; did you mean"),
        ({"rows": [{"key": "metric", "values": "*"}]}, "table9, rows[1]: values: '*' stands for all data sets or runs"),
        ({"select": {"dataset": "sett"}, "columns": SUBSETS[1:]},
         "cell (base_line, overall): there is no dataset 'sett'; did you mean 'set'"),
        ({"columns": [SUBSETS[0], {"key": "subset", "values": ["overal"]}]},
         "table9, cell (base_line, set, overal): there is no subset 'overal'; did you mean 'overall'"),
        ({"columns": [SUBSETS[0], {"key": "subset", "values": ["audio_dominated@0.3"]}]}, "no subset 'audio"),
        ({"columns": SUBSETS[:1]}, "table9, cell (base_line, set): nothing says its subset; add"),
        ({"select": {"metric": "acuracy"}}, "there is no metric 'acuracy'; did you mean 'accuracy'"),
        ({"select": {"condition": "silent-audo"}}, "there is no condition 'silent-audo'; did you mean"),
        ({"select": {"checkpoint": "lst"}}, "there is no checkpoint 'lst'; did you mean 'last'"),
        ({"select": {"protocol": "planned"}}, "there is no protocol 'planned'; did you mean 'planted'"),
        ({"select": {"split": "tset"}}, "there is no split 'tset'; did you mean 'test'"),
        ({"select": {"protocl": "planted"}}, "there is no coordinate 'protocl'; did you mean 'protocol'"),
        ({"select": {"metric": "{levl}"}, "columns": [*SUBSETS, {"key": "level", "values": ["accuracy"]}]},
         "table9, select: asks for 'levl', which no axis has; did you mean 'level'."),
        ({"published_where": {"checkpont": "last"}}, "table9, published_where: there is no coordinate 'checkpont'"),
        ({"made_only": {"run": "bse_line"}}, "table9, made_only: there is no run 'bse_line'; did you"),
        ({"requires": "othr"}, "table9, requires: there is no data set 'othr'; did you mean 'other'"),
        ({"context": ["acc"]}, "table9, context[1]: there is no metric 'acc'"),
        ({"source": "subsets"}, "table9, source: must be a mapping of keys to values."),
        ({"source": {"kind": "subset"}}, "table9, source, kind: there is no 'subset' of sources; did you"),
        ({"source": {"kind": "subsets", "subsets": True}}, "table9, source: unknown key 'subsets'; known are kind."),
        ({"source": {"kind": "confidence", "file": "flatnes.csv"}}, "table9, source, file: is 'flatnes.csv'"),
        ({"source": {"kind": "subsets"}, "columns": SUBSETS[:1], "rows": [
            {"key": "definition", "values": ["planted"]}, {"key": "quantity", "values": ["tye"]}]},
         "table9, cell (planted, tye, set): there is no quantity 'tye'; did you mean 'tie'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table_is_told_with_its_place(changes: dict[str, Any], told: str) -> None:
    declared = {"measures": {"thresholds": [0, 0.2]}, "slug": "balanced-audiovisual"}
    check_tables({**declared, "tables": [DECLARATION]}, KNOWN, "tables.yaml")
    with pytest.raises(UserError) as error:
        check_tables({**declared, "tables": [{**DECLARATION, **changes}]}, KNOWN, "tables.yaml")
    assert told in str(error.value) and str(error.value).startswith("tables.yaml, tab")


def test_two_tables_of_one_id_are_told() -> None:
    declared = {"measures": {}, "slug": "x", "tables": [DECLARATION, DECLARATION]}
    with pytest.raises(UserError, match=r"tables\.yaml: the id 'table9' is used twice\."):
        check_tables(declared, KNOWN, "tables.yaml")


def test_rows_of_common_seeds_differ_in_nothing_else() -> None:
    table = built(common_seeds=True)
    first, second = (line[0] for line in table.cells)
    assert (first.ours_mean, first.ours_sd, first.seeds) == (60.0, None, 1)  # of seed 0, which both rows have
    assert (second.ours_mean, second.seeds) == (70.0, 1)
    assert COMMON_NOTE in table.notes and SEEDS_NOTE not in table.notes
    assert built().cells[0][0].seeds == 2 and COMMON_NOTE not in built().notes
    nothing = paper_of()[1].on_common_seeds([{"dataset": "set", "run": "never made"}])
    assert nothing.cell({"dataset": "set", "run": "base_line", "subset": "overall"}).seeds == 2


def verdict(run: str, seed: int, metric: str, value: float, protocol: str = "none") -> dict[str, Any]:
    place = {"split": "val", "condition": "none", "checkpoint": "none", "metric": metric, "protocol": protocol}
    return measurement(run, "overall", seed, value, 40) | place


def test_seeds_that_did_not_learn_or_converge_are_marked_and_named() -> None:
    rows = [
        *(measurement(run, subset, seed, 60.0, 300) for run in ("base_line", "extra") for seed in (0, 1, 2)
          for subset in ("overall", "audio_preferred")),
        *(verdict("base_line", seed, "learned", seed == 1) for seed in (0, 1, 2)),
        *(verdict("base_line", seed, "converged", False) for seed in (0, 1, 2)),
        *(verdict("extra", seed, "learned", True) for seed in (0, 1, 2)),
        *(verdict("extra", seed, "converged", seed < 2) for seed in (0, 1)),  # of seed 2 nothing is known
        verdict("extra", 2, "converged", False),
    ]  # fmt: skip
    table = built(rows)
    assert long_frame(table)["state"].tolist() == ["not learned"] * 2 + ["not converged"] * 2
    of_the_mean = "is part of the mean (seeds in brackets). A&lt;B&gt;:"
    for line in (f"- ‡ a seed that has not learned {of_the_mean} Base\\_line (0, 2).\n",
                 f"- § a seed that has not converged {of_the_mean} 50% more (2).\n"):  # fmt: skip
        assert line in markdown(table)
    assert r"$\ddagger$ a seed that has not learned" in latex(table) and r"\S{} a seed" in latex(table)
    assert [cell.record["state"] for line in built().cells for cell in line] == ["ok", "ok", "ok", None]


def test_a_cross_fitted_cell_rests_on_the_halves() -> None:
    own = {"protocol": "cross-fitted"}
    rows = [
        measurement("base_line", "overall", 0, 42.5, 300) | own, measurement("base_line", "overall", 0, 42.5, 300),
        verdict("base_line", 0, "learned", True), verdict("base_line", 0, "learned", False, "cross-fitted"),
    ]  # fmt: skip
    measured = MeasuredCells(paper_of()[0], pd.DataFrame(rows), {})
    place = {"dataset": "set", "run": "base_line", "subset": "overall"}
    assert [measured.cell({**place, **more}).state for more in ({}, own)] == ["ok", "not learned"]


def test_every_run_stands_in_the_supplement_that_has_numbers() -> None:
    rows = [
        verdict("base_line", 0, "learned", True), verdict("base_line", 1, "learned", False),
        verdict("base_line", 0, "final_loss", 0.25), verdict("base_line", 1, "final_loss", 0.5),
    ]  # fmt: skip
    table = built(
        rows, made_only=True, seed_counts=True, sizes="rows", counted="Validation clips", decimals=None,
        rows=[{"key": "dataset", "values": "*"}, {"key": "run", "values": "*"}],
        columns=[{"key": "metric", "values": ["learned", "final_loss"]}],
        select={"split": "val", "condition": "none", "checkpoint": "none", "subset": "overall", "protocol": "none"},
    )  # fmt: skip
    heads, body = grid_texts(table)
    assert heads == ["learned", "final_loss", "Seeds", "Validation clips"]
    assert [line[2:] for line in body] == [["0.5", "0.375", "2", "40"]]


def test_rows_of_a_definition_appear_where_it_is_made() -> None:
    made = [measurement("base_line", "audio_preferred", 0, 60.0, 200)]
    heard = measurement("base_line", "audio_preferred", 0, 55.0, 20) | {"protocol": "annotated"}
    protocols = {"key": "protocol", "values": ["estimated", "cross-fitted", "annotated"]}
    changes = {
        "rows": [{"key": "subset", "values": ["audio_preferred"]}, protocols], "columns": METHODS, "sizes": "rows",
        "select": {"dataset": "set"}, "made_only": {"protocol": "annotated"},
    }  # fmt: skip
    bare, whole = (built(rows, **changes) for rows in (made, [*made, heard]))
    assert [row[1].name for row in bare.row_keys] == ["estimated", "cross-fitted"]
    assert [row[1].name for row in whole.row_keys] == ["estimated", "cross-fitted", "annotated"]
    assert grid_texts(whole)[1][2][2:] == ["55.00†", "–", "20"]
    assert ANNOTATED_NOTE in whole.notes and ANNOTATED_NOTE not in bare.notes


def test_published_numbers_stand_where_the_declaration_says() -> None:
    for changes, shown in (({}, 61.5), ({"published": False}, None), ({"published_where": {"run": "extra"}}, None)):
        assert built(**changes).cells[0][0].published == shown


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
    assert "Cut in this tier: 6 epochs; reason: a fixture" in text and "no film" not in text
    assert "no film" in (rendered / "table2.md").read_text(encoding="utf-8")
    # What cross-fitting compares stands where it is shown.
    told = [path.stem for path in sorted(rendered.glob("*.md")) if CROSS_FITTED_NOTE in path.read_text("utf-8")]
    assert told == ["tableS1"]


def test_rows_that_the_paper_or_the_tier_lacks_keep_the_other_number(rendered: Path) -> None:
    first, second = (
        pd.read_csv(rendered / f"{name}.csv").set_index(["method", "subset"]) for name in ("table1", "table2")
    )
    ours = first[first["dataset"] == "VGG-Sound"]
    assert pd.isna(ours.loc[("Late ensemble", "overall"), "published"])
    assert ours.loc[("Late ensemble", "overall"), "ours_mean"] > 0
    assert ours.loc[("Baseline", "visual_preferred"), "published"] == 27.50
    left_out = second.loc[("Grad-Blending (offline)", "overall")]
    assert pd.isna(left_out["ours_mean"]) and left_out["seeds"] == 0


def test_generator_seeds_have_rows_of_their_own(rendered: Path) -> None:
    frame = pd.read_csv(rendered / "tableS3.csv")
    assert set(frame["data"]) == {"synthetic-kinetics-sounds", "synthetic-kinetics-sounds-g1"}
    assert frame.loc[frame["data"] == "synthetic-kinetics-sounds-g1", "published"].isna().all()
    assert len(frame) == 2 * 3 * 5


def test_tables_are_the_same_bytes_twice(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path, rendered: Path, tmp_path: Path
) -> None:
    written = render_tables(fabricated_paper, balanced_declarations, measurements, tmp_path)
    assert len(written) == 4 * 9
    for path in written:
        assert path.read_bytes() == (rendered / path.name).read_bytes()
