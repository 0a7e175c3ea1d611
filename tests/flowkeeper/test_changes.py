"""Differences in words: of settings, path by path, and of code, module by module."""

from __future__ import annotations

import json
from typing import Any

from flowkeeper.changes import Change, code_change, differences, settings_changes


def run(name: str, seed: int, **settings: Any) -> dict[str, Any]:
    return {"run": name, "seed": seed, "method": "m", "settings": settings}


def changes(old: Any, new: Any) -> list[Change]:
    return settings_changes(json.dumps(old), json.dumps(new))


def test_modules_that_changed_came_and_went() -> None:
    old = {"steps": "0", "steps.a": "1", "steps.b": "2", "steps.c": "3"}
    new = {"steps": "0", "steps.a": "9", "steps.b": "2", "steps.d": "4"}
    assert code_change(old, new) == "code changed: steps.a; new: steps.d; no longer used: steps.c"
    assert code_change(None, new) == "code changed (what it was before is not recorded here)"
    assert code_change(new, new) == "code changed: how code is compared"
    many = {f"steps.m{number}": "1" for number in range(9)}
    changed = {name: "2" for name in many}
    assert code_change(many, changed).endswith("steps.m4, steps.m5 and 3 more")


def test_a_setting_is_named_by_its_path_with_both_values() -> None:
    old = {"spec": {"options": {"seed": 103, "gone": True, "same": [1, 2]}}}
    new = {"spec": {"options": {"seed": 5, "same": [1, 2], "came": {"a": None}}}}
    assert changes(old, new) == [
        Change("spec.options.seed: 103 -> 5"),
        Change("spec.options.gone: true, now gone"),
        Change('spec.options.came: new, {"a": null}'),
    ]


def test_long_values_are_cut() -> None:
    (told,) = differences({"text": "a" * 100}, {"text": "b" * 100})
    assert told == f'text: "{"a" * 44}... -> "{"b" * 44}...'


def test_items_of_lists_are_matched_by_their_names_not_by_their_places() -> None:
    old = {"tables": [{"id": "t1", "title": "One"}, {"id": "t2", "title": "Two"}]}
    new = {"tables": [{"id": "t0", "title": "None"}, {"id": "t2", "title": "Due"}, {"id": "t1", "title": "One"}]}
    assert list(differences(old, new)) == ["tables: new: t0", 'tables.t2.title: "Two" -> "Due"']
    assert list(differences(new, old)) == ["tables: gone: t0", 'tables.t2.title: "Due" -> "Two"']


def test_short_lists_are_shown_whole_and_long_ones_item_by_item() -> None:
    assert list(differences({"seeds": [0]}, {"seeds": [0, 1]})) == ["seeds: [0] -> [0, 1]"]
    old = [f"results/a/very/long/path/{number}" for number in range(9)]
    new = [*old[:3], "elsewhere", *old[4:]]
    assert list(differences({"files": old}, {"files": new})) == ['files.3: "results/a/very/long/path/3" -> "elsewhere"']


def test_a_setting_of_some_runs_says_of_which() -> None:
    old = [run("a", 0, lr=1), run("a", 1, lr=1), run("b", 0, lr=1)]
    new = [run("a", 0, lr=1), run("a", 1, lr=2), run("b", 0, lr=2)]
    assert changes(old, new) == [Change("settings.lr: 1 -> 2", "a seed 1, b seed 0")]
    new = [run("a", 0, lr=2), run("a", 1, lr=2), run("b", 0, lr=2)]
    assert changes(old, new) == [Change("settings.lr: 1 -> 2", "all 3 runs")]
    assert changes(old[:1], new[:1]) == [Change("settings.lr: 1 -> 2", "a seed 0")]


def test_runs_and_seeds_that_came_and_went() -> None:
    old = [run("a", 0), run("b", 0)]
    new = [run("a", 0), run("a", 1), run("a", 2), run("b", 0), run("b", 1), run("b", 2), run("c", 0)]
    assert changes(old, new) == [Change("new seed 1", "a, b"), Change("new seed 2", "a, b"), Change("new run c", "c")]
    assert changes(new, old)[1:] == [
        Change("no longer wanted: seed 2", "a, b"),
        Change("no longer wanted: run c", "c"),
    ]
