"""Short forms of declarations, written out: a run like another, a grid of runs, trials, and runs named by a pattern.

    ours-gamma-{gamma}:
      like: ours
      label: "Ours, gamma={gamma}"
      grid: {gamma: [0.2, 0.3]}
      settings: {method: {gamma: {value: "{gamma}", source: "paper, table VI"}}}

stands for two runs, ours-gamma-0.2 and ours-gamma-0.3.

Trials and searches, which name further runs, are written out in trials.py.

In a tier `leave_out` and `make` name runs by patterns such as grid-*, and the keys of `runs` name several, separated by
commas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import product
from typing import Any

from pydantic import Field

from avbalance.declared import Declared, listed, nearest, read, shown
from avbalance.errors import UserError
from avbalance.plan.trees import is_sourced, merge
from avbalance.plan.trials import Runs, Value, matching, with_candidates, with_trials, word_of

_BLANK = re.compile(r"\{(\w+)\}")


class ShortRun(Declared):
    """Keys of a run that are gone once it is written out."""

    like: str | None = None
    """a run of this paper, or <paper>/<run>, whose keys this one takes over but for those it gives; null drops a key"""
    grid: dict[str, list[Value] | dict[Value, str]] = Field(default_factory=dict)
    """name -> values: a run for each combination; where label and name differ, a mapping from value to its words"""
    without: list[dict[str, Value]] = Field(default_factory=list)
    """combinations of the grid that are no run"""
    trials: dict[str, dict[str, list[Value] | dict[str, Value]]] = Field(default_factory=dict)
    """part of the settings -> option -> values: each combination is tried; a mapping gives values names"""


class ShortChoice(Declared):
    """Keys of what a tier says of one paper that are gone once they are written out."""

    leave_out: list[str] = Field(default_factory=list)
    """runs that are not made, beside those that a tier below leaves out"""
    make: list[str] = Field(default_factory=list)
    """runs that are made although `leave_out` or a tier below leaves them out"""


class Sourced(Declared):
    """A value of the settings with where it comes from."""

    value: Any
    """the value"""
    source: str
    """where it comes from"""


class Group(Declared):
    """Values of a part of the settings that have one source, told once."""

    values: dict[str, Any]
    """option -> value"""
    source: str
    """where all of them come from"""


def paper_in_full(paper: dict[str, Any], where: str, elsewhere: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """A paper's file without short forms, its runs in their order; elsewhere: slug -> another paper in full.

    Raises UserError, with `where` (the file), for what cannot be written out.
    """
    full = _settings(paper, where, elsewhere)
    for kind in ("datasets", "runs"):
        if kind in full and not isinstance(full[kind], dict):
            raise UserError(f"{where}, {kind}: is {shown(full[kind])}; it must be keys with values.")
        for name, entry in _mapping(full, kind).items():
            if not isinstance(entry, dict):
                raise UserError(f"{where}, {kind}.{name}: is {shown(entry)}; it must be a mapping of keys.")
            full[kind] = {**full[kind], name: _settings(entry, f"{where}, {kind}.{name}", elsewhere)}
    given: Runs = {}
    for key, run in _mapping(full, "runs").items():
        for name, one in _of_grid(key, run, f"{where}, runs.{key}"):
            if name in given:
                raise UserError(f"{where}, runs.{key}: there is a run {name!r} already.")
            given[name] = one
    trials = {name: run.pop("trials") for name, run in given.items() if "trials" in run}
    runs = {name: _like(name, given, where, elsewhere) for name in given}
    runs = with_trials(runs, trials)
    runs = {name: with_candidates(run, runs, f"{where}, runs.{name}") for name, run in runs.items()}
    return {**full, "runs": runs} if runs else full


def _settings(entry: dict[str, Any], where: str, elsewhere: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """A paper, data set or run whose settings have a source for each value, and all that they take over."""
    full = dict(entry)
    if isinstance(entry.get("settings"), dict):
        settings = {
            part: _each_with_source(own, f"{where}, settings.{part}") for part, own in entry["settings"].items()
        }
        like = settings.pop("like", None)
        full["settings"] = _without_nulls(merge(elsewhere(like).get("settings", {}), settings)) if like else settings
    if isinstance(entry.get("roles"), dict):
        roles = _mapping(entry, "roles").items()
        full["roles"] = {role: own and _settings(own, f"{where}.roles.{role}", elsewhere) for role, own in roles}
    return full


def _each_with_source(part: Any, where: str) -> Any:
    """A part of settings in which each of the `values` with one `source` has it beside itself."""
    if not isinstance(part, dict):
        return part
    for option, value in part.items():
        # A tier that sets the option too would lay its value over `{valu: 3, source: ...}`, and hide the mistake.
        if isinstance(value, dict) and {"value", "source"} & value.keys():
            read(Sourced, value, f"{where}, {option}")
    if "values" not in part:
        return part
    group = read(Group, {key: part[key] for key in Group.model_fields if key in part}, where)
    each = {option: {"value": value, "source": group.source} for option, value in group.values.items()}
    return each | {option: value for option, value in part.items() if option not in Group.model_fields}


def _of_grid(key: str, run: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and keys of each run that an entry stands for: of itself, where it has no grid."""
    short = read(ShortRun, {name: run[name] for name in ShortRun.model_fields if name in run}, where)
    if set(_BLANK.findall(key)) != set(short.grid):
        raise UserError(f"{where}: the name must have a blank {{...}} for each key of its grid, and no other.")
    combinations = [dict(zip(short.grid, values, strict=True)) for values in product(*short.grid.values())]
    for each in short.without:
        if each not in combinations:
            raise UserError(f"{where}, without: {each} is no combination of the grid.")
    rest = {name: item for name, item in run.items() if name not in ("grid", "without")}
    for values in combinations:
        if values not in short.without:
            words = {name: given[values[name]] for name, given in short.grid.items() if isinstance(given, dict)}
            of_label = {**values, **words}
            one = {name: _filled(item, of_label if name == "label" else values, where) for name, item in rest.items()}
            yield _text(key, values, where), one


def _filled(tree: Any, values: Mapping[str, Value], where: str) -> Any:
    """The tree with values in its blanks; a text that is nothing but a blank becomes the value itself."""
    if isinstance(tree, dict):
        return {key: _filled(item, values, where) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_filled(item, values, where) for item in tree]
    if not isinstance(tree, str):
        return tree
    whole = _BLANK.fullmatch(tree)
    return values[whole[1]] if whole and whole[1] in values else _text(tree, values, where)


def _text(text: str, values: Mapping[str, Value], where: str) -> str:
    def word(blank: re.Match[str]) -> str:
        name = blank[1]
        if name not in values:
            raise UserError(f"{where}: {text!r} has the blank {{{name}}}, which its grid lacks{nearest(name, values)}.")
        return word_of(values[name])

    return _BLANK.sub(word, text)


def _like(
    name: str, given: Runs, where: str, elsewhere: Callable[[str], dict[str, Any]], followed: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A run with what it takes over of the run that it is like."""
    run = dict(given[name])
    like = run.pop("like", None)
    if like is None:
        return run
    place = f"{where}, runs.{name}, like"
    slug, _, other = like.rpartition("/")
    known = elsewhere(slug).get("runs", {}) if slug else given
    if other not in known:
        raise UserError(f"{place}: there is no run {like!r}{nearest(other, known)}; there are {listed(known)}.")
    if other in (followed := (*followed, name)) and not slug:
        raise UserError(f"{place}: {' -> '.join([*followed, other])} never ends.")
    base = known[other] if slug else _like(other, given, where, elsewhere, followed)
    return _without_nulls(merge(base, run))


def _without_nulls(entry: dict[str, Any], of_role: bool = False) -> dict[str, Any]:
    """A run or settings without the keys that are not taken over; of_role: nulls count, it is laid over a run later."""
    return {
        key: _without_nulls(item, key == "roles")
        if isinstance(item, dict) and not (is_sourced(item) or of_role)
        else item
        for key, item in entry.items()
        if item is not None
    }


def choice_in_full(choice: dict[str, Any], runs: Collection[str], where: str) -> dict[str, Any]:
    """What a tier says of a paper without short forms: `runs` by name, with `skip` for what is left out or made.

    `make` counts more than `leave_out`, and a run's own name more than a pattern; the order of a file does not count.
    Raises UserError, with `where`, for names that no run has and for patterns that contradict each other.
    """
    short = read(ShortChoice, {key: choice[key] for key in ShortChoice.model_fields if key in choice}, where)
    named = [(name.strip(), change) for names, change in _mapping(choice, "runs").items() for name in names.split(",")]
    full: Runs = {}
    for key, entries in (
        ("leave_out", [(name, {"skip": True}) for name in short.leave_out]),
        ("make", [(name, {"skip": False}) for name in short.make]),
        ("runs", [(name, change) for name, change in named if "*" in name]),
        ("runs", [(name, change) for name, change in named if "*" not in name]),
    ):
        told: Runs = {}
        for name, change in entries:
            if not isinstance(change, dict):
                raise UserError(f"{where}.{key}.{name}: is {shown(change)}; it must be a mapping, such as of seeds.")
            for run in matching(name, runs, f"{where}.{key}"):
                before = told.get(run, {})
                told[run] = merge(before, change)
                if told[run] != merge(change, before):
                    raise UserError(f"{where}.{key}: {name!r} and another entry contradict each other on {run!r}.")
        full = merge(full, told)
    rest = {key: item for key, item in choice.items() if key not in ShortChoice.model_fields}
    return {**rest, "runs": full} if full else rest


def _mapping(given: dict[str, Any], key: str) -> dict[str, Any]:
    """An entry that is a mapping; anything else is told when the whole configuration is checked."""
    item = given.get(key)
    return item if isinstance(item, dict) else {}
