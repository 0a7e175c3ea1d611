"""Trees of declared values: laid over each other, and without their sources."""

from __future__ import annotations

from avbalance.plan.trees import is_sourced, merge, plain


def test_mappings_merge_and_everything_else_is_replaced() -> None:
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": {"z": 1}}
    over = {"a": {"y": [3], "w": {"v": 2}}, "b": {"n": 1}, "c": None}
    merged = merge(base, over)
    assert merged == {"a": {"x": 1, "y": [3], "w": {"v": 2}}, "b": {"n": 1}, "c": None}
    merged["a"]["w"]["v"] = 9
    merged["a"]["x"] = 9
    assert over["a"]["w"]["v"] == 2 and base["a"]["x"] == 1


def test_a_value_with_its_source_is_replaced_whole() -> None:
    sourced = {"value": [1, 2], "source": "paper"}
    assert is_sourced(sourced) and not is_sourced({"value": 1}) and not is_sourced({**sourced, "more": 1})
    for over in (3, {"value": 3, "source": "ours"}, {"v": 1}):
        assert merge({"k": sourced}, {"k": over}) == {"k": over}


def test_plain_takes_the_values() -> None:
    tree = {"a": {"value": {"b": {"value": 1, "source": "s"}}, "source": "s"}, "c": [{"value": 2, "source": "s"}]}
    assert plain(tree) == {"a": {"b": 1}, "c": [2]}
