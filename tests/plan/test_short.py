"""Short forms of declarations: what they stand for, and one sentence for each wrong use."""

from __future__ import annotations

from typing import Any

import pytest

from avbalance.errors import UserError
from avbalance.plan.short import choice_in_full, paper_in_full

ELSEWHERE = {
    "settings": {"data": {"crop": 224, "flip": 0.5}, "protocol": {"epochs": 100}},
    "runs": {"greedy": {"label": "Greedy", "method": "greedy", "settings": {"method": {"window": 5, "guide": "on"}}}},
}


def full(runs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return paper_in_full({"runs": runs, **more}, "paper.yaml", lambda slug: ELSEWHERE)


def of(runs: dict[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = full(runs)["runs"]
    return written


BASE = {
    "label": "Base", "method": "m", "only": ["a"], "choose": {"option": "x", "candidates": {"c": 1}},
    "settings": {"method": {"x": {"value": None, "source": "s"}, "y": 2}, "model": {"name": "net"}},
    "roles": {"a": {"choose": None}},
}  # fmt: skip


def test_a_run_takes_over_what_it_does_not_say_itself() -> None:
    like = {"like": "base", "label": "Like", "settings": {"method": {"y": 3}}}
    assert of({"one": like, "base": BASE})["one"] == {
        **BASE, "label": "Like", "settings": {**BASE["settings"], "method": {**BASE["settings"]["method"], "y": 3}},
    }  # fmt: skip
    again = of({"two": {"like": "one", "only": ["b"]}, "one": like, "base": BASE})
    assert list(again) == ["two", "one", "base"] and again["two"] == {**again["one"], "only": ["b"]}


def test_null_drops_a_key_but_no_value_that_is_null_and_none_of_a_role() -> None:
    run = of(
        {"base": BASE, "one": {"like": "base", "choose": None, "settings": {"method": {"y": None}, "model": None}}}
    )
    assert run["one"] == {
        **{key: BASE[key] for key in ("label", "method", "only", "roles")},
        "settings": {"method": {"x": {"value": None, "source": "s"}}},
    }


def test_a_run_and_settings_are_taken_over_from_another_paper() -> None:
    run = {"like": "other/greedy", "settings": {"method": {"guide": None}}}
    assert of({"greedy": run})["greedy"] == {
        "label": "Greedy",
        "method": "greedy",
        "settings": {"method": {"window": 5}},
    }
    own = {"like": "other", "data": {"crop": None}, "model": {"width": 8}}
    datasets = {"set": {"label": "Set", "settings": own}}
    written = full({}, settings=own, datasets=datasets)
    assert written["settings"] == {"data": {"flip": 0.5}, "protocol": {"epochs": 100}, "model": {"width": 8}}
    assert written["datasets"]["set"] == {"label": "Set", "settings": written["settings"]}


def test_values_with_one_source_are_told_together() -> None:
    model = {"values": {"width": 8, "stem": [1]}, "source": "paper", "name": "net"}
    assert of({"one": {"settings": {"model": model}}})["one"]["settings"]["model"] == {
        "width": {"value": 8, "source": "paper"}, "stem": {"value": [1], "source": "paper"}, "name": "net",
    }  # fmt: skip


def test_a_grid_is_a_run_for_each_combination() -> None:
    grid = {
        "label": "{net} of {size}", "grid": {"net": {"a": "A", "b": "B"}, "size": [1.0, 0.5]},
        "without": [{"net": "b", "size": 1.0}], "needs": {"model": {"run": "{net}", "file": "{net}.bin"}},
        "settings": {"method": {"size": {"value": "{size}", "source": "s"}, "all": ["{size}"]}},
    }  # fmt: skip
    runs = of({"net-{net}-{size}": grid})
    assert {name: run["label"] for name, run in runs.items()} == {
        "net-a-1": "A of 1", "net-a-0.5": "A of 0.5", "net-b-0.5": "B of 0.5",
    }  # fmt: skip
    assert runs["net-a-1"] == {
        "label": "A of 1", "needs": {"model": {"run": "a", "file": "a.bin"}},
        "settings": {"method": {"size": {"value": 1.0, "source": "s"}, "all": [1.0]}},
    }  # fmt: skip


GRID = {"grid": {"x": [1]}}


@pytest.mark.parametrize(
    ("runs", "sentence"),
    [
        ({"a": 3}, "runs.a: is 3; it must be a mapping of keys"),
        ({"a": {"like": "bse"}, "base": {}}, "runs.a, like: there is no run 'bse'; did you mean 'base'"),
        ({"a": {"like": "other/gredy"}}, "runs.a, like: there is no run 'other/gredy'; did you mean 'greedy'"),
        ({"a": {"like": "b"}, "b": {"like": "a"}}, "runs.b, like: a -> b -> a never ends"),
        ({"a": {"like": 3}}, "runs.a, like: is 3; it must be a valid string"),
        ({"a": GRID}, "runs.a: the name must have a blank .* for each key of its grid"),
        ({"a-{y}": {}}, "runs.a-{y}: the name must have a blank"),
        ({"a-{x}": {**GRID, "label": "{X}"}}, r"'{X}' has the blank {X}, which its grid lacks"),
        ({"a-{x}": {"grid": {"x": 3}}}, "runs.a-{x}, grid.x"),
        ({"a-{x}": {**GRID, "without": [{"x": 2}]}}, r"without: {'x': 2} is no combination of the grid"),
        ({"a": {"trials": {"method": {"x": 3}}}}, "runs.a, trials.method.x"),
        ({"a-1": {}, "a-{x}": GRID}, "runs.a-{x}: there is a run 'a-1' already"),
        ({"a": {"choose": {"option": "x", "candidates": "b-*"}}}, r"choose.candidates: there is no run 'b-\*'"),
        ({"a": {"settings": {"model": {"values": {"x": 1}}}}}, "runs.a, settings.model: lacks the key 'source'"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_out_is_one_sentence(runs: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=rf"^paper\.yaml, .*{sentence}"):
        full(runs)


RUNS = ("a", "b-1", "b-2", "c")


def test_a_tier_names_runs_by_patterns() -> None:
    choice = {
        "cells": "method", "leave_out": ["b-*", "c"], "make": ["b-2"],
        "runs": {"b-1": {"seeds": [2], "settings": {"y": 2}}, "*": {"seeds": [0]}, "a, b-*": {"settings": {"x": 1}}},
    }  # fmt: skip
    assert choice_in_full(choice, RUNS, "tier") == {
        "cells": "method",
        "runs": {
            "a": {"seeds": [0], "settings": {"x": 1}},
            "b-1": {"skip": True, "seeds": [2], "settings": {"x": 1, "y": 2}},
            "b-2": {"skip": False, "seeds": [0], "settings": {"x": 1}},
            "c": {"skip": True, "seeds": [0]},
        },
    }
    assert choice_in_full({"datasets": {}}, RUNS, "tier") == {"datasets": {}}


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"leave_out": ["d"]}, "tier.leave_out: there is no run 'd'"),
        ({"make": ["d-*"]}, r"tier.make: there is no run 'd-\*'"),
        ({"runs": {"a, b_1": {}}}, "tier.runs: there is no run 'b_1'; did you mean 'b-1'; there are a, b-1, b-2, c"),
        ({"runs": {"a": 3}}, "tier.runs.a: is 3; it must be a mapping"),
        ({"runs": {"b-*": {"seeds": [1]}, "*": {"seeds": [0]}}}, r"tier.runs: '\*' and .* contradict .* on 'b-1'"),
        ({"leave_out": "a"}, "tier, leave_out: is 'a'; it must be a valid list"),
    ],
)
def test_names_that_no_run_has_are_one_sentence(choice: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=f"^{sentence}"):
        choice_in_full(choice, RUNS, "tier")
