"""What modality-relevance says of its tables and of Figure 4, seed by seed: kinds by_seed_finding and by_seed_classes.

Each finding of analysis/relevance.py is one comparison. Its effect is its margin, by how much a threshold is met, which
is 0 or more where the finding holds; thresholds are decisions, the paper states none. Keys:

- by_seed_finding: dataset; table (urban-rural, speech, task or kinetics-sounds); claim (which findings of that table;
  all without it); runs: {audio, visual, both: run}; against (task only: the runs of speech, those of urban/rural being
  `runs`); stand_ins: {condition of the paper: condition that takes its place} (then nothing published is compared);
  classes (kinetics-sounds only: of the published data; ours are counted)
- by_seed_classes: dataset, claim, runs
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from avbalance.analysis.conditions import PUBLISHED
from avbalance.analysis.relevance import (
    AUDIO_MODEL,
    INTACT,
    VIDEO_MODEL,
    Finding,
    Metrics,
    Rows,
    class_findings,
    kinetics_sounds_findings,
    speech_findings,
    task_contrast,
    urban_rural_findings,
)
from avbalance.analysis.subsets import OVERALL
from avbalance.errors import UserError
from avbalance.evaluation.class_accuracies import ClassAccuracies
from avbalance.evaluation.comparisons import UNTESTABLE, Block, Outcome
from avbalance.evaluation.evidence import Evidence, NotTestable
from avbalance.evaluation.rows import BOTH
from avbalance.evaluation.seed_comparisons import PLACE, SeedOutcome, judged

METRICS = tuple(each.name for each in fields(Metrics))
SIDES = {"audio": AUDIO_MODEL, "visual": VIDEO_MODEL, "both": INTACT}
FEWEST_CLASSES = 4  # of which statements on classes can be made
Findings = Sequence[Finding]


def by_seed_finding(evidence: Evidence, block: Block) -> list[Outcome]:
    """One comparison per finding of a table; raises UserError for a table or claim that does not exist."""
    role, table = str(block["dataset"]), str(block["table"])
    groups = [block["runs"], *([block["against"]] if table == "task" else [])]
    stand_ins = {str(old): str(new) for old, new in block.get("stand_ins", {}).items()}
    printed = [_published_rows(evidence, role, runs, stand_ins) for runs in groups]
    expected = _chosen(block, _tabled(table, printed, int(block.get("classes", 0))))
    try:
        measured = [_measured_rows(evidence, role, runs, stand_ins) for runs in groups]
        n = min(n for _, n in measured)
        _check_size(evidence, role, n)
        classes = _classes(evidence, role, str(block["runs"]["both"])) if table == "kinetics-sounds" else 0
        common = set.intersection(*(set(rows) for rows, _ in measured))
        found = {seed: _chosen(block, _tabled(table, [rows[seed] for rows, _ in measured], classes)) for seed in common}
    except NotTestable as error:
        return _outcomes(evidence, role, _words(table), expected, reason=str(error))
    return _outcomes(evidence, role, _words(table), expected, found, n)


def by_seed_classes(evidence: Evidence, block: Block) -> list[Outcome]:
    """One comparison per statement on single classes; the paper prints no number of them."""
    role, runs = str(block["dataset"]), {side: str(run) for side, run in block["runs"].items()}
    nothing = np.linspace(0.0, 1.0, FEWEST_CLASSES)
    names = (*SIDES.values(), "silent-audio", "black-video")
    expected = [
        Finding(each.claim, each.text, math.nan, each.strict, each.unit)
        for each in _chosen(block, class_findings(dict.fromkeys(names, nothing)))
    ]
    try:
        series, n = _class_series(evidence, role, runs)
        _check_size(evidence, role, n)
        found = {seed: _chosen(block, class_findings(values)) for seed, values in series.items()}
    except NotTestable as error:
        return _outcomes(evidence, role, "classes", expected, reason=str(error))
    return _outcomes(evidence, role, "classes", expected, found, n)


def _tabled(table: str, rows: Sequence[Rows], classes: int) -> Findings:
    known: Mapping[str, Callable[[], Findings]] = {
        "urban-rural": lambda: urban_rural_findings(rows[0]),
        "speech": lambda: speech_findings(rows[0]),
        "task": lambda: (task_contrast(rows[0], rows[1]),),
        "kinetics-sounds": lambda: kinetics_sounds_findings(rows[0], classes),
    }
    if table not in known:
        raise UserError(f"claims.yaml: by_seed_finding has no table {table!r}; known are {', '.join(known)}.")
    return known[table]()


def _words(table: str) -> str:
    return {"urban-rural": "urban/rural", "task": "urban/rural against speech"}.get(table, table)


def _chosen(block: Block, found: Findings) -> Findings:
    wanted = block.get("claim")
    chosen = [each for each in found if wanted in (None, each.claim)]
    if not chosen:
        known = ", ".join(dict.fromkeys(each.claim for each in found))
        raise UserError(f"claims.yaml: no finding is of the claim {wanted!r}; known are {known}.")
    return chosen


def _outcomes(
    evidence: Evidence,
    role: str,
    words: str,
    expected: Findings,
    found: Mapping[int, Findings] | None = None,
    n: int | None = None,
    reason: str = "",
) -> list[Outcome]:
    """One outcome per finding: `expected` of the published numbers (NaN where there are none), `found` by seed."""
    label = evidence.paper.dataset(role).label
    outcomes: list[Outcome] = []
    for place, finding in enumerate(expected):
        text = f"{label}, {words}: {finding.text}" if words.casefold() != role else f"{label}: {finding.text}"
        published = None if math.isnan(finding.margin) else finding.margin
        bare: dict[str, Any] = {"published": published, "tie_agrees": not finding.strict, "unit": finding.unit}
        effects = {seed: own[place].margin for seed, own in (found or {}).items()}
        why = reason
        if not why and any(map(math.isnan, effects.values())):
            why = "the accuracies of the classes do not vary"
        try:
            if why:
                raise NotTestable(why)
            outcomes.append(judged(text, effects, n, **bare))
        except NotTestable as error:
            outcomes.append(SeedOutcome(text, UNTESTABLE, **bare, reason=str(error)))
    return outcomes


def _rows_of(runs: Mapping[str, Any], stand_ins: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Row of a table -> the run that is scored and the condition under which it is."""
    both = {name: (str(runs["both"]), stand_ins.get(name, name)) for name in PUBLISHED}
    return {AUDIO_MODEL: (str(runs["audio"]), BOTH), VIDEO_MODEL: (str(runs["visual"]), BOTH), **both}


def _published_rows(evidence: Evidence, role: str, runs: Mapping[str, Any], stand_ins: Mapping[str, str]) -> Rows:
    """The printed table; NaN where it has no number, and throughout where other stand-ins are compared."""
    found = {}
    for row, (run, condition) in _rows_of(runs, stand_ins).items():
        values = {name: evidence.published_value(role, run, OVERALL, name, condition) for name in METRICS}
        found[row] = Metrics(**{
            name: math.nan if value is None or stand_ins else value for name, value in values.items()
        })  # fmt: skip
    return found


def _measured_rows(
    evidence: Evidence, role: str, runs: Mapping[str, Any], stand_ins: Mapping[str, str]
) -> tuple[dict[int, Rows], int]:
    """Seed -> our table, of the seeds that all rows have; the smallest n."""
    series, sizes = {}, []
    for row, (run, condition) in _rows_of(runs, stand_ins).items():
        place = {**PLACE, "condition": condition}
        of_metric = {name: evidence.measured(role, run, name, place) for name in METRICS}
        sizes += [n for values in of_metric.values() for _, n in values.values()]
        seeds = set.intersection(*map(set, of_metric.values()))
        series[row] = {seed: Metrics(**{name: values[seed][0] for name, values in of_metric.items()}) for seed in seeds}
    common = set.intersection(*map(set, series.values()))
    return {seed: {row: values[seed] for row, values in series.items()} for seed in common}, min(sizes)


def _check_size(evidence: Evidence, role: str, n: int) -> None:
    if n < evidence.min_n:
        raise NotTestable(f"too few clips: {n} of {evidence.info(role).label}, fewer than {evidence.min_n}")


def _class_series(
    evidence: Evidence, role: str, runs: Mapping[str, str]
) -> tuple[dict[int, dict[str, np.ndarray[Any, np.dtype[np.float64]]]], int]:
    """Seed -> row -> accuracy of each class (C,), of the seeds that all runs have; the number of test clips."""
    of_run = {side: _by_seed(evidence, role, run) for side, run in runs.items()}
    common = set.intersection(*map(set, of_run.values()))
    if not common:
        raise NotTestable("its runs have no seed in common")
    known = [values.support for values in of_run["both"].values()]
    if int((known[0] > 0).sum()) < FEWEST_CLASSES:
        raise NotTestable(f"the test part has fewer than {FEWEST_CLASSES} classes")
    series = {}
    for seed in common:
        both = of_run["both"][seed]
        series[seed] = {
            AUDIO_MODEL: of_run["audio"][seed].under(BOTH),
            VIDEO_MODEL: of_run["visual"][seed].under(BOTH),
            **{name: both.under(name) for name in (BOTH, "silent-audio", "black-video")},
        }
    return series, int(known[0].sum())


def _by_seed(evidence: Evidence, role: str, run: str) -> dict[int, ClassAccuracies]:
    info = evidence.info(role)
    found = {each.seed: evidence.class_accuracies(each) for each in evidence.paper.run_files(role, run)}
    if not found:
        raise NotTestable(f"{run} was not run on {info.label} in this tier")
    return found


def _classes(evidence: Evidence, role: str, run: str) -> int:
    """Number of classes that a run tells apart."""
    return len(evidence.class_accuracies(evidence.paper.run_files(role, run)[0]).support)
