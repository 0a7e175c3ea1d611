"""What modality-relevance says of its tables and of Figure 4: kinds by_seed_finding and by_seed_classes.

Each finding of analysis/relevance.py is one comparison. Its effect is its margin, by how much a threshold is met, made
again for every drawing of the test clips; thresholds are decisions, the paper states none. Keys:

- by_seed_finding: dataset; table (urban-rural, speech, task or kinetics-sounds); claim (which findings of that table;
  all without it); runs: {audio, visual, both: run}; against (task only: the runs of speech, those of urban/rural being
  `runs`); stand_ins: {condition of the paper: condition that takes its place} (then nothing published is compared);
  classes (kinetics-sounds only: of the published data; ours are counted)
- by_seed_classes: dataset, claim, runs
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from avbalance.analysis.conditions import PUBLISHED
from avbalance.analysis.relevance import (
    AUDIO_MODEL,
    FEWEST_CLASSES,
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
from avbalance.evaluation.clip_scores import Place
from avbalance.evaluation.comparisons import Block
from avbalance.evaluation.evidence import Evidence, NotTestable
from avbalance.evaluation.outcomes import Outcome, Trial, trial_of
from avbalance.evaluation.rows import BOTH

METRICS = tuple(each.name for each in fields(Metrics))
SIDES = {"audio": AUDIO_MODEL, "visual": VIDEO_MODEL, "both": INTACT}
# Claims that compare the multimodal model with itself alone, whatever the models of one modality have learnt
ONE_MODEL = frozenset({
    "task", "no-catastrophe", "audio-hurts", "representation", "without-audio", "without-video", "video-dominates",
    "near-chance", "video-representation",
})  # fmt: skip
Findings = Sequence[Finding]
Found = tuple[dict[int, Findings], int]  # seed -> findings; clips


def by_seed_finding(evidence: Evidence, block: Block, protocol: str) -> list[Trial]:
    """One comparison per finding of a table; raises UserError for a table or claim that does not exist."""
    role, table = str(block["dataset"]), str(block["table"])
    groups = [block["runs"], *([block["against"]] if table == "task" else [])]
    stand_ins = {str(old): str(new) for old, new in block.get("stand_ins", {}).items()}
    printed = [_published_rows(evidence, role, runs, stand_ins) for runs in groups]
    expected = _chosen(block, _tabled(table, printed, int(block.get("classes", 0))))

    def found() -> Found:
        measured = [_measured_rows(evidence, role, runs, stand_ins) for runs in groups]
        both = str(block["runs"]["both"])
        classes = _classes(evidence, role, both) if table == "kinetics-sounds" else 0
        common = set.intersection(*(set(rows) for rows, _ in measured))
        sides = ["both"] if {each.claim for each in expected} <= ONE_MODEL else list(SIDES)
        evidence.refuse_unfit(role, [str(runs[side]) for runs in groups for side in sides], common)
        of_seed = {
            seed: _chosen(block, _tabled(table, [rows[seed] for rows, _ in measured], classes)) for seed in common
        }
        return of_seed, min(n for _, n in measured)

    return _tested(evidence, role, _words(table), expected, found)


def by_seed_classes(evidence: Evidence, block: Block, protocol: str) -> list[Trial]:
    """One comparison per statement on single classes; the paper prints no number of them."""
    role, runs = str(block["dataset"]), {side: str(run) for side, run in block["runs"].items()}
    nothing = np.linspace(0.0, 1.0, FEWEST_CLASSES)
    names = (*SIDES.values(), "silent-audio", "black-video")
    expected = [
        Finding(each.claim, each.text, math.nan, each.strict, each.unit)
        for each in _chosen(block, class_findings(dict.fromkeys(names, nothing)))
    ]

    def found() -> Found:
        series, n = _class_series(evidence, role, runs)
        evidence.refuse_unfit(role, runs.values(), series)
        return {seed: _chosen(block, class_findings(values)) for seed, values in series.items()}, n

    return _tested(evidence, role, "classes", expected, found)


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


def _tested(evidence: Evidence, role: str, words: str, expected: Findings, found: Callable[[], Found]) -> list[Trial]:
    """One comparison per finding: `expected` of the published numbers (NaN where there are none), `found` by seed."""
    label = evidence.paper.dataset(role).label
    bare = [
        Outcome(
            f"{label}, {words}: {each.text}" if words.casefold() != role else f"{label}: {each.text}",
            published=None if math.isnan(each.margin) else float(each.margin),
            tie_agrees=not each.strict,
            unit=each.unit,
        )
        for each in expected
    ]
    try:
        of_seed, n = found()
    except NotTestable as error:
        return [Trial(replace(each, reason=str(error))) for each in bare]
    return [
        _one(evidence, each, {seed: own[place].margin for seed, own in of_seed.items()}, n, f"of {label}")
        for place, each in enumerate(bare)
    ]


def _one(evidence: Evidence, bare: Outcome, effects: Mapping[int, Any], n: int, where: str) -> Trial:
    try:
        if any(math.isnan(np.atleast_1d(values)[0]) for values in effects.values()):
            raise NotTestable("the accuracies of the classes do not vary")
        return trial_of(bare, effects, n, evidence.min_n, where)
    except NotTestable as error:
        return Trial(replace(bare, reason=str(error)))


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
    series = {
        row: evidence.metrics(role, run, Place(condition=condition))
        for row, (run, condition) in _rows_of(runs, stand_ins).items()
    }
    common = set.intersection(*map(set, series.values()))
    n = min(n for of_seed in series.values() for _, n in of_seed.values())
    return {seed: {row: of_seed[seed][0] for row, of_seed in series.items()} for seed in common}, n


def _class_series(evidence: Evidence, role: str, runs: Mapping[str, str]) -> tuple[dict[int, dict[str, Any]], int]:
    """Seed -> row -> accuracy of each class (1 + draws, C), of the seeds that all have; the number of clips."""
    series = {SIDES[side]: evidence.recalls(role, run) for side, run in runs.items()}
    series |= {name: evidence.recalls(role, runs["both"], name) for name in ("silent-audio", "black-video")}
    common = set.intersection(*map(set, series.values()))
    known = next(iter(series[INTACT].values()))[0]
    if int(np.isfinite(known).sum()) < FEWEST_CLASSES:
        raise NotTestable(f"the test part has fewer than {FEWEST_CLASSES} classes")
    n = next(iter(evidence.metrics(role, runs["both"]).values()))[1]
    return {seed: {row: of_seed[seed] for row, of_seed in series.items()} for seed in common}, n


def _classes(evidence: Evidence, role: str, run: str) -> int:
    """Number of classes that a run tells apart."""
    return next(iter(evidence.recalls(role, run).values())).shape[1]
