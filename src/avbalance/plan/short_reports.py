"""Short forms of tables, figures and claims, written out: what several have in common is said once.

    - {id: table6, like: other-paper/table3, title: "Table 6"}    a table or figure of another paper, but for these keys
    - {key: run, values: [baseline, {ours: "gamma 0.1"}]}         run -> label, where it is not the name in paper.yaml
    - {id: figure1, runs: {ours: [gaps.json, history.csv]}}       run -> the files of it that the figure reads
    - {id: figure1, runs: [ours, baseline], file: record.json}    runs of which it reads the same file
    - {id: C1, each_test: {kind: by_seed, dataset: [a, b]}, tests: [{left: [ours], right: [baseline]}]}

`each_test` holds for the tests of a claim, or at the top of claims.yaml for those of all claims, that name no kind of
their own; a `dataset` of several names is a test for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from avbalance.declared import listed, nearest, shown
from avbalance.errors import UserError

Entry = dict[str, Any]
Elsewhere = Callable[[str], dict[str, Entry]]
EXAMPLE = {"tables": "balanced-audiovisual/table2", "figures": "balanced-audiovisual/figure1"}  # shown in sentences
CLAIMS = ("claims", "checks", "illustrations")
_HEADINGS = {"run": {"name": "method", "title": "Method"}, "dataset": {"title": "Data set"}}


def reports_in_full(declared: Entry, where: str, elsewhere: Elsewhere) -> Entry:
    """A file of tables, figures or claims without short forms; elsewhere: slug -> the files of another paper, by name.

    Raises UserError, with `where` (the file), for what cannot be written out; what is wrong otherwise is told when the
    whole is checked.
    """
    full = dict(declared)
    for kind, write_out in (("tables", _table), ("figures", _figure)):
        if isinstance(declared.get(kind), list):
            entries = [_like(entry, kind, where, elsewhere) for entry in declared[kind]]
            full[kind] = [write_out(entry) if isinstance(entry, dict) else entry for entry in entries]
    of_all = _shared(full.pop("each_test", {}), where)
    for kind in CLAIMS:
        if isinstance(declared.get(kind), list):
            full[kind] = [
                _claim(entry, of_all, f"{where}, {kind}[{number}]") if isinstance(entry, dict) else entry
                for number, entry in enumerate(declared[kind], start=1)
            ]
    return full


def _shared(given: Any, where: str) -> Entry:
    if not isinstance(given, dict):
        raise UserError(f"{where}, each_test: is {shown(given)}; it must be a mapping of keys that tests share.")
    return given


def _like(entry: Any, kind: str, where: str, elsewhere: Elsewhere, followed: tuple[str, ...] = ()) -> Any:
    if not isinstance(entry, dict) or "like" not in entry:
        return entry
    like = entry["like"]
    if not isinstance(like, str) or "/" not in like:
        raise UserError(f"{where}, {kind}, like: is {shown(like)}; write <paper>/<id>, such as {EXAMPLE[kind]}.")
    slug, _, name = like.rpartition("/")
    theirs = elsewhere(slug).get(kind, {}).get(kind, [])
    known = {str(each["id"]): each for each in theirs if isinstance(each, dict) and "id" in each}
    if name not in known:
        there = f"{slug!r} has {listed(known) or 'none'}"
        raise UserError(f"{where}, {kind}, like: there is no {like!r}{nearest(name, known)}; {there}.")
    if like in followed:
        raise UserError(f"{where}, {kind}, like: {' -> '.join([*followed, like])} never ends.")
    full = {**_like(known[name], kind, where, elsewhere, (*followed, like)), **entry}
    return {key: value for key, value in full.items() if key != "like"}


def _table(table: Entry) -> Entry:
    axes = {
        part: [_axis(axis, _HEADINGS if part == "rows" else {"run": _HEADINGS["run"]}) for axis in table[part]]
        for part in ("rows", "columns")
        if isinstance(table.get(part), list)
    }
    return {**table, **axes}


def _axis(axis: Any, headings: dict[str, Entry]) -> Any:
    if not isinstance(axis, dict):
        return axis
    heading = headings.get(str(axis.get("key")), {}) if "name" not in axis else {}
    full, values = {**heading, **axis}, axis.get("values")
    if isinstance(values, dict | list):
        each = [values] if isinstance(values, dict) else values
        full["values"] = [one for value in each for one in _labelled(value)]
    return full


def _labelled(value: Any) -> list[Any]:
    if not isinstance(value, dict) or "value" in value:
        return [value]
    return [{"value": name, "label": label} for name, label in value.items()]


def _figure(figure: Entry) -> Entry:
    runs = figure.get("runs")
    if isinstance(runs, list) and "file" in figure:
        rest = {key: value for key, value in figure.items() if key != "file"}
        return {**rest, "runs": [{"run": run, "file": figure["file"]} for run in runs]}
    if not isinstance(runs, dict):
        return figure
    pairs = [(run, files if isinstance(files, list) else [files]) for run, files in runs.items()]
    return {**figure, "runs": [{"run": run, "file": file} for run, files in pairs for file in files]}


def _claim(claim: Entry, of_all: Entry, where: str) -> Entry:
    shared = {**of_all, **_shared(claim.get("each_test", {}), where)}
    full = {key: value for key, value in claim.items() if key != "each_test"}
    if isinstance(claim.get("tests"), list):
        full["tests"] = [one for test in claim["tests"] for one in _tests(test, shared)]
    return full


def _tests(test: Any, shared: Entry) -> Iterator[Any]:
    if not isinstance(test, dict):
        yield test
        return
    full = test if "kind" in test else {**shared, **test}
    datasets = full.get("dataset")
    for dataset in datasets if isinstance(datasets, list) else [datasets]:
        yield {**full, "dataset": dataset} if dataset is not None else full
