"""What changed between two states of a step, in words: its settings, path by path, and the modules of its code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowkeeper.words import listed

_SHOWN = 48  # characters of one value
_MODULES = 6
_NAMES = 4
# What tells the items of a list apart, the first that fits: runs of a cell, runs of a paper, tables and claims, cuts.
_IDENTITIES = (("run", "seed"), ("run", "dataset", "seed"), ("id",), ("name",), ("what",))
_ABSENT = object()


@dataclass(frozen=True)
class Change:
    """One change, and which runs of the step it concerns ("" when the step has no runs)."""

    what: str
    where: str = ""


def code_change(old: Mapping[str, str] | None, new: Mapping[str, str]) -> str:
    """Which modules differ between two closures (module -> token digest); old: None when it is not known."""
    if old is None:
        return "code changed (what it was before is not recorded here)"
    parts = {
        "": [name for name in new if name in old and old[name] != new[name]],
        "new: ": [name for name in new if name not in old],
        "no longer used: ": [name for name in old if name not in new],
    }
    told = "; ".join(word + listed(names, _MODULES) for word, names in parts.items() if names)
    return f"code changed: {told or 'how code is compared'}"


def settings_changes(old: str, new: str) -> list[Change]:
    """Differences between two settings, given as JSON texts."""
    before, now = json.loads(old), json.loads(new)
    if _are_runs(before) and _are_runs(now):
        return list(_run_changes(_by_name(before, _IDENTITIES[0]), _by_name(now, _IDENTITIES[0])))
    return [Change(what) for what in differences(before, now)]


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Differences of two JSON values, "path: old -> new" each; items of lists are matched by what names them."""
    if old == new:
        return
    if isinstance(old, list) and isinstance(new, list):
        old, new = _as_mappings(old, new)
        if isinstance(old, dict):
            for word, these, others in (("new", new, old), ("gone", old, new)):
                names = [str(key) for key in these if key not in others]
                if names:
                    yield f"{path}: {word}: {listed(names, _NAMES)}"
            old, new = {key: old[key] for key in old if key in new}, {key: new[key] for key in new if key in old}
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            inner = f"{path}.{key}" if path else str(key)
            yield from differences(old.get(key, _ABSENT), new.get(key, _ABSENT), inner)
    elif old is _ABSENT:
        yield f"{path or 'all'}: new, {_shown(new)}"
    else:
        yield f"{path or 'all'}: {_shown(old)}" + (", now gone" if new is _ABSENT else f" -> {_shown(new)}")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _as_mappings(old: list[Any], new: list[Any]) -> tuple[Any, Any]:
    """Lists of named items as mappings from their names; short or different lists as they are."""
    for keys in _IDENTITIES:
        if _fits(old, keys) and _fits(new, keys):
            return _by_name(old, keys), _by_name(new, keys)
    if len(old) == len(new) and len(json.dumps([old, new])) > 2 * _SHOWN:
        return dict(enumerate(old)), dict(enumerate(new))
    return old, new


def _fits(items: list[Any], keys: Sequence[str]) -> bool:
    """Whether the values of `keys` tell the items apart."""
    named = all(isinstance(item, dict) and all(isinstance(item.get(key), str | int) for key in keys) for item in items)
    return named and len(_by_name(items, keys)) == len(items)


def _by_name(items: list[Any], keys: Sequence[str]) -> dict[Any, Any]:
    return {" ".join(f"{key} {item[key]}" if key == "seed" else str(item[key]) for key in keys): item for item in items}


def _are_runs(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and _fits(value, _IDENTITIES[0])


def _run_changes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    """Changes of a cell: runs and seeds that came or went, then settings, each with the runs that it concerns."""
    common = [name for name in new if name in old]
    concerned: dict[str, list[str]] = {}
    for word, these, others in (("new", new, old), ("no longer wanted:", old, new)):
        known = {item["run"] for item in others.values()}
        for run, seed in ((these[name]["run"], these[name]["seed"]) for name in these if name not in others):
            concerned.setdefault(f"{word} seed {seed}" if run in known else f"{word} run {run}", []).append(run)
    for name in common:
        for what in differences(old[name], new[name]):
            concerned.setdefault(what, []).append(name)
    for what, names in concerned.items():
        everywhere = len(names) == len(common) > 1 and names == common
        yield Change(what, f"all {len(common)} runs" if everywhere else listed(list(dict.fromkeys(names)), _NAMES))
