"""Trials and searches of declared runs, written out: a run for each setting that is tried, and the choice among them.

    agm:
      trials: {protocol: {learning_rate: {fast: 0.05, slow: 0.02}}, method: {alpha: [0.5, 1.0]}}

tries four settings, as the runs agm-trial-fast-0.5, agm-trial-fast-1, agm-trial-slow-0.5 and agm-trial-slow-1 with a
seed that no result has, and agm has the settings of the best. What a trial needs of another run with trials comes from
<run>-trial-best: the best settings of that one, under the trials' seed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

from avbalance.declared import listed, nearest
from avbalance.errors import UserError
from avbalance.plan.trees import merge, plain

Value = bool | int | float | str
Runs = dict[str, dict[str, Any]]
TRIAL_SEED = 100  # of all trials: no run that is reported has it
_OF_A_TRIAL = {"seeds": [TRIAL_SEED], "reports": False}


def with_trials(runs: Runs, trials: Mapping[str, Any]) -> Runs:
    """All runs, and behind each that has `trials` the run of each trial; see the top of this module."""
    full: Runs = {}
    for name, run in runs.items():
        full[name] = run
        if name not in trials:
            continue
        needs = {
            key: {**need, "run": f"{need['run']}-trial-best"} if need["run"] in trials else need
            for key, need in run.get("needs", {}).items()
        }
        label = run.get("label", name)
        shared = {**run, **_OF_A_TRIAL, "needs": needs, "artifacts": ["history.csv"]}
        own = {f"{name}-trial-{word}": (word, settings) for word, settings in _combinations(trials[name])}
        full[name] = {**run, "choose": {"candidates": dict.fromkeys(own)}}
        for trial, (word, settings) in own.items():
            full[trial] = {**merge(shared, {"settings": settings}), "label": f"{label}, trial {word}"}
            full[trial].pop("choose", None)
        asked = [need for other in trials for need in runs[other].get("needs", {}).values() if need["run"] == name]
        if asked:
            files = ["history.csv", *dict.fromkeys(need["file"] for need in asked)]
            best = {**full[name], **_OF_A_TRIAL, "needs": needs, "artifacts": files}
            full[f"{name}-trial-best"] = {**best, "label": f"{label}, best trial"}
    return full


def _combinations(trials: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and settings of each trial."""
    options = [(part, option, values) for part, own in trials.items() for option, values in own.items()]
    named = [
        values if isinstance(values, dict) else {word_of(value): value for value in values} for *_, values in options
    ]
    for words in product(*named):
        settings: dict[str, Any] = {}
        for (part, option, _), values, word in zip(options, named, words, strict=True):
            settings.setdefault(part, {})[option] = {"value": values[word], "source": "ours: a trial of equal tuning"}
        yield "-".join(words), settings


def with_candidates(run: dict[str, Any], runs: Runs, where: str) -> dict[str, Any]:
    """A run whose search names its candidates by a pattern, with each candidate and its value of the option."""
    choose = run.get("choose")
    if not isinstance(choose, dict) or not isinstance(choose.get("candidates"), str):
        return run
    candidates: dict[str, Any] = {}
    for name in matching(choose["candidates"], runs, f"{where}, choose.candidates"):
        if choose.get("option") is None:
            candidates[name] = None
            continue
        options = plain(runs[name]).get("settings", {}).get("method", {})
        if choose.get("option") not in options:
            raise UserError(
                f"{where}, choose: its candidate {name!r} does not set the option {choose.get('option')!r}."
            )
        candidates[name] = options[choose["option"]]
    return {**run, "choose": {**choose, "candidates": candidates}}


def word_of(value: Value) -> str:
    """A value as it stands in a name: 0.5, and 1 for 1.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def matching(pattern: str, known: Collection[str], where: str) -> list[str]:
    """The `known` names that a name or a pattern with * means; raises UserError, with `where`, when there are none."""
    meant = [name for name in known if fnmatchcase(name, pattern)]
    if not meant:
        raise UserError(f"{where}: there is no run {pattern!r}{nearest(pattern, known)}; there are {listed(known)}.")
    return meant
