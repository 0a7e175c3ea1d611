"""The run sheet: rows, and the order of overrides."""

from __future__ import annotations

from typing import Any

import pytest

from avbalance.errors import UserError
from avbalance.plan.sheet import Row, rows_of_paper


def sourced(value: Any) -> dict[str, Any]:
    return {"value": value, "source": "paper"}


def paper(**runs: dict[str, Any]) -> dict[str, Any]:
    base = {"one": {"label": "One", "method": "baseline"}}
    return {
        "slug": "paper",
        "datasets": {"first": {"label": "First"}, "second": {"label": "Second"}},
        "settings": {"protocol": {"epochs": sourced(100), "rate": sourced(0.1), "momentum": sourced(0.9)}},
        "runs": {**base, **runs},
    }


def config(**chosen: Any) -> dict[str, Any]:
    datasets = {"first": "set-a", "second": "set-b"}
    return {"seeds": [0, 1], "papers": {"paper": {"datasets": datasets, **chosen}}}


def by_name(rows: list[Row]) -> dict[tuple[str, str], Row]:
    return {(row.dataset, row.run): row for row in rows}


def test_one_row_per_run_and_data_set() -> None:
    rows = rows_of_paper(config(), paper(two={"label": "Two", "method": "greedy"}))
    assert [(row.role, row.dataset, row.run, row.method, row.label) for row in rows] == [
        ("first", "set-a", "one", "baseline", "One"), ("first", "set-a", "two", "greedy", "Two"),
        ("second", "set-b", "one", "baseline", "One"), ("second", "set-b", "two", "greedy", "Two"),
    ]  # fmt: skip
    assert rows[0].settings == {"protocol": {"epochs": 100, "rate": 0.1, "momentum": 0.9}}
    assert rows[0].seeds == (0, 1)


def test_later_layers_win_paper_run_tier_and_the_tiers_run() -> None:
    run = {"label": "One", "method": "baseline", "settings": {"protocol": {"rate": sourced(0.2), "epochs": 90}}}
    chosen = {"settings": {"protocol": {"epochs": 10}}, "runs": {"one": {"settings": {"protocol": {"epochs": 5}}}}}
    deepest = {"settings": {"protocol": {"epochs": 2}}}
    steps: list[tuple[dict[str, Any], int]] = [
        ({}, 90), ({"settings": chosen["settings"]}, 10), (chosen, 5),
        ({**chosen, "runs": {"one": {**chosen["runs"]["one"], "roles": {"first": deepest}}}}, 2),
    ]  # fmt: skip
    for own, epochs in steps:
        row = rows_of_paper(config(**own), paper(one=run))[0]
        assert row.settings["protocol"] == {"epochs": epochs, "rate": 0.2, "momentum": 0.9}


def test_roles_change_a_run_on_one_data_set_only() -> None:
    run = {
        "label": "One", "method": "ogm-ge", "choose": {"option": "alpha", "candidates": {"a": 1}},
        "settings": {"method": {"alpha": sourced(0.3)}},
        "roles": {"second": {"choose": None, "settings": {"method": {"alpha": sourced(0.1)}}}},
    }  # fmt: skip
    rows = by_name(rows_of_paper(config(), paper(one=run)))
    first, second = rows["set-a", "one"], rows["set-b", "one"]
    assert first.settings["method"] == {"alpha": 0.3} and first.choose == {"option": "alpha", "candidates": {"a": 1}}
    assert second.settings["method"] == {"alpha": 0.1} and second.choose is None
    off = rows_of_paper(config(runs={"one": {"choose": None}}), paper(one=run))
    assert off[0].choose is None


def test_skip_only_and_seeds() -> None:
    declared = paper(two={"label": "Two", "method": "greedy", "only": ["first"], "seeds": [7]})
    rows = by_name(rows_of_paper(config(), declared))
    assert set(rows) == {("set-a", "one"), ("set-b", "one"), ("set-a", "two")}
    assert rows["set-a", "two"].seeds == (7,)
    tier = {"one": {"skip": True}, "two": {"only": ["second"], "seeds": [0]}}
    rows = by_name(rows_of_paper(config(runs=tier), declared))
    assert set(rows) == {("set-b", "two")}
    assert rows["set-b", "two"].seeds == (0,)


def test_a_data_set_set_to_null_is_left_out() -> None:
    rows = rows_of_paper(config(datasets={"first": "set-a", "second": None}), paper())
    assert [row.dataset for row in rows] == ["set-a"]


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"datasets": {"third": "x"}}, r"papers.paper.datasets: the paper has no 'third'; it has first, second"),
        ({"runs": {"noe": {}}}, r"papers.paper.runs: the paper has no 'noe'; did you mean 'one'; it has one"),
    ],
)
def test_names_that_the_paper_lacks_are_refused(own: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        rows_of_paper(config(**own), paper())


def test_robustness_rows_repeat_a_few_runs_on_further_data() -> None:
    robustness = {"datasets": {"second": ["set-b1", "set-b2"]}, "runs": ["one"], "seeds": [0]}
    rows = rows_of_paper(config(robustness=robustness), paper(two={"label": "Two", "method": "greedy"}))
    extra = [row for row in rows if row.robustness]
    assert [(row.dataset, row.run, row.role, row.seeds) for row in extra] == [
        ("set-b1", "one", "second", (0,)), ("set-b2", "one", "second", (0,)),
    ]  # fmt: skip
    assert len(rows) == 6 and extra[0].settings == rows[2].settings
    assert rows_of_paper(config(robustness=None), paper()) == rows_of_paper(config(), paper())


def test_runs_of_few_seeds_are_left_out_unless_others_read_them() -> None:
    declared = {
        "few": {"label": "F", "method": "greedy", "seeds": [0]},
        "late": {"label": "L", "method": "late-ensemble", "combine": {"audio": "one", "visual": "read"}},
        "read": {"label": "R", "method": "baseline", "seeds": [0], "needs": {"w": {"run": "deep", "file": "w.json"}}},
        "deep": {"label": "D", "method": "baseline", "seeds": [0]},
    }
    wanted = {
        "datasets": {"first": "set-a"},
        "robustness": {"datasets": {"first": ["b"]}, "runs": ["one"], "seeds": [0]},
    }
    found = {
        least: sorted(
            (row.dataset, row.run) for row in rows_of_paper({**config(**wanted), **least_seeds}, paper(**declared))
        )
        for least, least_seeds in ((1, {}), (2, {"least_seeds": 2}), (3, {"least_seeds": 3}))
    }
    own = [("set-a", run) for run in ("deep", "few", "late", "one", "read")]
    assert found == {1: [("b", "one"), *own], 2: [each for each in own if each[1] != "few"], 3: []}
