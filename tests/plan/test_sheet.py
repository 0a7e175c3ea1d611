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
    candidate = {"label": "A", "method": "ogm-ge", "only": ["first"], "seeds": [7, 8]}
    rows = by_name(rows_of_paper(config(), paper(one=run, a=candidate)))
    first, second = rows["set-a", "one"], rows["set-b", "one"]
    assert first.settings["method"] == {"alpha": 0.3}
    assert first.choose == {"option": "alpha", "candidates": {"a": 1}, "seeds": {"a": 7}}
    assert second.settings["method"] == {"alpha": 0.1} and second.choose is None
    off = rows_of_paper(config(runs={"one": {"choose": None}}), paper(one=run))
    assert off[0].choose is None


TRIED = {"label": "T", "method": "baseline", "seeds": [100], "settings": {"protocol": {"rate": sourced(0.5)}}}


def test_a_run_that_chooses_whole_settings_knows_those_of_its_candidates() -> None:
    run = {"label": "One", "method": "baseline", "choose": {"candidates": {"t": None}}}
    row = rows_of_paper(config(settings={"protocol": {"epochs": 5}}), paper(one=run, t=TRIED))[0]
    settings = {"protocol": {"epochs": 5, "rate": 0.5, "momentum": 0.9}}
    assert row.choose == {"candidates": {"t": settings}, "seeds": {"t": 100}} and row.settings != settings


def test_a_tier_that_leaves_out_a_candidate_narrows_the_choice_and_without_its_run_none_is_made() -> None:
    run = {"label": "One", "method": "baseline", "only": ["first"], "choose": {"candidates": {"t": None, "u": None}}}
    declared = paper(one=run, t={**TRIED, "reports": False}, u={**TRIED, "reports": False})
    rows = by_name(rows_of_paper(config(runs={"u": {"skip": True}}), declared))
    assert set(rows) == {("set-a", "one"), ("set-a", "t")}
    choose = rows["set-a", "one"].choose
    assert choose and list(choose["candidates"]) == ["t"] and choose["seeds"] == {"t": 100}
    assert rows_of_paper(config(runs={"one": {"skip": True}}), declared) == []
    with pytest.raises(UserError, match="its candidate t is not made there"):
        rows_of_paper(config(runs={"t": {"skip": True}, "u": {"skip": True}}), declared)


@pytest.mark.parametrize(
    ("candidate", "sentence"),
    [
        ({**TRIED, "only": ["second"]}, "run one on set-a: its candidate t is not made there; make it"),
        (
            {**TRIED, "seeds": [1]},
            "trains baseline with seed 1; it must train baseline with a seed that is none of 0, 1",
        ),
        ({**TRIED, "method": "greedy"}, "its candidate t trains greedy with seed 100; it must train baseline"),
    ],
)
def test_a_candidate_that_makes_the_choice_unfair_is_refused(candidate: dict[str, Any], sentence: str) -> None:
    run = {"label": "One", "method": "baseline", "only": ["first"], "choose": {"candidates": {"t": None}}}
    with pytest.raises(UserError, match=sentence):
        rows_of_paper(config(), paper(one=run, t=candidate))


def test_skip_only_seeds_and_data_sets_that_are_left_out() -> None:
    declared = paper(two={"label": "Two", "method": "greedy", "only": ["first"], "seeds": [7]})
    tier = {"one": {"skip": True}, "two": {"only": ["second"], "seeds": [0]}}
    for own, seeds in (
        ({}, {("set-a", "one"): (0, 1), ("set-b", "one"): (0, 1), ("set-a", "two"): (7,)}),
        ({"runs": tier}, {("set-b", "two"): (0,)}),
        ({"datasets": {"first": None, "second": "set-b"}}, {("set-b", "one"): (0, 1)}),
    ):
        assert {name: row.seeds for name, row in by_name(rows_of_paper(config(**own), declared)).items()} == seeds


@pytest.mark.parametrize("key", ["datasets", "roles"])
def test_names_that_the_paper_lacks_are_refused(key: str) -> None:
    sentence = rf"papers.paper.{key}: the paper has no 'thirst'; did you mean 'first'; it has first, second"
    with pytest.raises(UserError, match=sentence):
        rows_of_paper(config(**{key: {"thirst": "x"}}), paper())


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"runs": {"one": {"only": ["thirst"]}}}, r"runs.one.only: the paper has no 'thirst'; did you mean 'first'"),
        ({"runs": {"one": {"roles": {"thirst": {}}}}}, r"runs.one.roles: the paper has no 'thirst'"),
        ({"robustness": {"datasets": {"thirst": []}}}, r"robustness.datasets: the paper has no 'thirst'"),
        ({"robustness": {"runs": ["once"]}}, r"robustness.runs: the paper has no 'once'; did you mean 'one'"),
    ],
)
def test_names_inside_of_what_a_tier_says_are_checked_too(chosen: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        rows_of_paper(config(**chosen), paper())


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
    further = {"datasets": {"first": ["b"]}, "runs": ["one"], "seeds": [0]}
    wanted = config(datasets={"first": "set-a"}, robustness=further)
    own = [("set-a", run) for run in ("deep", "few", "late", "one", "read")]
    for least, kept in ((1, [*own, ("b", "one")]), (2, [each for each in own if each[1] != "few"])):
        rows = rows_of_paper({**wanted, "least_seeds": least}, paper(**declared))
        assert set(by_name(rows)) == set(kept)
    with pytest.raises(UserError, match="least_seeds: is 3; runs of paper have 2 at the most"):
        rows_of_paper({**wanted, "least_seeds": 3}, paper(**declared))
