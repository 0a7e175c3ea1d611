"""Short forms of tables, figures and claims, written out."""

from __future__ import annotations

from typing import Any

import pytest

from avbalance.errors import UserError
from avbalance.plan.short_reports import reports_in_full

OTHER = {
    "tables": {
        "tables": [{"id": "table1", "title": "One", "rows": [{"key": "run", "values": ["a"]}], "sizes": "rows"}]
    },
    "figures": {"figures": [{"id": "figure1", "like": "other/figure1"}]},
}


def written_out(**declared: Any) -> dict[str, Any]:
    return reports_in_full(declared, "mine.yaml", lambda slug: OTHER if slug == "other" else {})


def test_axes_say_labels_where_they_are_not_the_names_and_need_no_usual_heading() -> None:
    table = {
        "rows": [{"key": "dataset", "values": ["set"]}, {"key": "run", "title": "Loss", "values": ["a", {"b": "B"}]}],
        "columns": [{"key": "subset", "values": {"overall": "Overall"}}, {"key": "dataset", "values": "*"}],
    }
    rows, columns = (written_out(tables=[table])["tables"][0][part] for part in ("rows", "columns"))
    assert rows[0] == {"key": "dataset", "title": "Data set", "values": ["set"]}
    assert rows[1] == {"key": "run", "name": "method", "title": "Loss", "values": ["a", {"value": "b", "label": "B"}]}
    assert columns[0]["values"] == [{"value": "overall", "label": "Overall"}]
    assert columns[1] == {"key": "dataset", "values": "*"}


def test_a_table_is_like_one_of_another_paper_but_for_its_own_keys() -> None:
    (table,) = written_out(tables=[{"id": "tableS1", "like": "other/table1", "title": "Mine"}])["tables"]
    rows = [{"key": "run", "name": "method", "title": "Method", "values": ["a"]}]
    assert table == {"id": "tableS1", "title": "Mine", "rows": rows, "sizes": "rows"}


@pytest.mark.parametrize(
    ("kind", "like", "told"),
    [
        ("tables", "other/tabel1", "mine.yaml, tables, like: there is no 'other/tabel1'; did you mean 'table1'"),
        (
            "tables",
            "table1",
            "mine.yaml, tables, like: is 'table1'; write <paper>/<id>, such as balanced-audiovisual/t",
        ),
        ("tables", "absent/table1", "there is no 'absent/table1'; 'absent' has none."),
        ("figures", "other/figure1", "other/figure1 -> other/figure1 never ends"),
    ],
)
def test_what_is_like_nothing_is_told(kind: str, like: str, told: str) -> None:
    with pytest.raises(UserError) as error:
        written_out(**{kind: [{"id": "x", "like": like}]})
    assert told in str(error.value)


def test_a_figure_names_the_files_of_each_run_that_it_reads() -> None:
    (figure,) = written_out(figures=[{"id": "figure1", "runs": {"a": "x.csv", "b": ["y.json", "z.json"]}}])["figures"]
    assert [tuple(each.values()) for each in figure["runs"]] == [("a", "x.csv"), ("b", "y.json"), ("b", "z.json")]
    (figure,) = written_out(figures=[{"id": "figure1", "runs": ["a", "b"], "file": "x.csv"}])["figures"]
    assert figure == {"id": "figure1", "runs": [{"run": "a", "file": "x.csv"}, {"run": "b", "file": "x.csv"}]}


def test_tests_of_claims_share_keys_unless_they_name_a_kind_and_are_made_on_each_data_set() -> None:
    full = written_out(
        each_test={"kind": "by_seed", "dataset": "one", "metrics": ["accuracy"]},
        claims=[
            {"id": "A", "tests": [{"left": ["a"]}, {"kind": "other", "dataset": ["one", "two"]}]},
            {"id": "B", "each_test": {"dataset": "two"}, "tests": [{"metrics": ["recall"]}]},
        ],
    )
    first, second = full["claims"]
    assert first["tests"] == [
        {"kind": "by_seed", "dataset": "one", "metrics": ["accuracy"], "left": ["a"]},
        {"kind": "other", "dataset": "one"},
        {"kind": "other", "dataset": "two"},
    ]
    assert second == {"id": "B", "tests": [{"kind": "by_seed", "dataset": "two", "metrics": ["recall"]}]}
    assert "each_test" not in full


def test_what_tests_share_is_a_mapping_and_what_is_wrong_otherwise_is_left_to_the_check() -> None:
    for declared, place in (
        ({"each_test": 3}, "mine.yaml, each_test: is 3"),
        ({"claims": [{"id": "A", "each_test": ["x"]}]}, r"mine.yaml, claims\[1\], each_test: is \['x'\]"),
    ):
        with pytest.raises(UserError, match=f"{place}; it must be a mapping of keys that tests share"):
            written_out(**declared)
    wrong = {
        "tables": [3, {"rows": 3, "columns": [3, {"key": ["run"], "values": 3}]}],
        "figures": [None, {"runs": {"a": 3}}],
        "claims": [3, {"tests": [3]}, {"tests": 3}],
    }
    full = written_out(**wrong)
    assert {**full, "figures": [None]} == {**wrong, "figures": [None]}
    assert full["figures"][1]["runs"] == [{"run": "a", "file": 3}]
