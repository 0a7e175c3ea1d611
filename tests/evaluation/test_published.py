"""Published numbers: keys from templates, precedence, conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gap_runs import REPOSITORY, SLUG, declarations

from avbalance.errors import UserError
from avbalance.evaluation.published import context_lines, load_context, load_published

PAPERS = REPOSITORY / "workflow" / "papers"


def test_threshold_rows_meet_the_tables_at_zero(balanced_declarations: dict[str, Any]) -> None:
    values = load_published(PAPERS / "balanced-audiovisual" / "published", balanced_declarations["published"])
    # The drawing shows 71.40 at T = 0, the table prints 71.41: the table counts.
    assert values["Balanced", "Greedy", "visual_preferred", "accuracy"] == 71.41
    assert values["Balanced", "Greedy", "visual_dominated@0.4", "accuracy"] == 86.83
    # 54 cells of both tables, 30 curve points of which 10 are cells of table 2, and two maps.
    assert len(values) == 54 + 20 + 2


def test_files_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("dataset,method,subset,accuracy\nD,M,overall,50.00\n")
    (tmp_path / "two.csv").write_text("dataset,method,subset,accuracy\nD,M,overall,50.50\n")
    with pytest.raises(UserError, match=r"two.csv, line 2: 50.5"):
        load_published(tmp_path, [{"file": f"{name}.csv", "value": "accuracy"} for name in ("one", "two")])


def test_a_wrong_template_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("dataset,model,subset,accuracy\nD,M,overall,50.00\n")
    with pytest.raises(
        UserError, match=r"one\.csv: has no column 'method', which tables\.yaml names; there are dataset, model"
    ):
        load_published(tmp_path, [{"file": "one.csv", "value": "accuracy"}])


def test_a_column_per_metric_and_names_of_the_paper(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("method,variant,a,b\nHis,with,1.5,\nHers,,2.5,3\n")
    spec = {
        "file": "wide.csv", "dataset": "D", "run": "{method}, {variant}", "subset": "overall",
        "values": {"a": "m1", "b": "m2"}, "names": {"His, with": "Ours"},
    }  # fmt: skip
    assert load_published(tmp_path, [spec]) == {
        ("D", "Ours", "overall", "m1"): 1.5,  # the paper prints no b
        ("D", "Hers", "overall", "m1"): 2.5,
        ("D", "Hers", "overall", "m2"): 3.0,
    }
    with pytest.raises(UserError, match="has no column 'c'"):
        load_published(tmp_path, [{**spec, "values": {"c": "m1"}}])


def test_a_published_row_may_have_a_condition(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("method,condition,a\nM,both,1.5\nM,silent-audio,2.5\n")
    spec: dict[str, Any] = {"file": "t.csv", "dataset": "D", "subset": "overall", "values": {"a": "accuracy"}}
    values = load_published(tmp_path, [{**spec, "condition": "{condition}"}])
    assert values == {("D", "M", "overall", "accuracy"): 1.5, ("D", "M", "overall", "accuracy", "silent-audio"): 2.5}
    with pytest.raises(UserError, match=r"line 3: 2\.5"):
        load_published(tmp_path, [spec])  # both rows would be the same number


def test_what_other_papers_print_is_kept_apart() -> None:
    specs, folder = declarations()["published"], PAPERS / SLUG / "published"
    assert len(load_published(folder, specs)) == 5
    context = load_context(folder, specs)
    assert {each.source for each in context} == {"BalanceBenchmark", "CAL, arXiv:2510.26289"}
    assert len(context) == 80 + 3
    assert ("CREMA-D", "Concat", "macro_f1", 65.07, "BalanceBenchmark") in context
    (line,) = context_lines(context, ["AVE"], ["accuracy"])
    assert line == (
        "Context, from another paper (CAL, arXiv:2510.26289), not numbers of this one: AVE, accuracy (%): CAL 74.21."
    )
