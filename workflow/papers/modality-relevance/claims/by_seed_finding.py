from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from avbalance.analysis.conditions import PUBLISHED
from avbalance.analysis.relevance import Metrics
from avbalance.analysis.subsets import OVERALL
from avbalance.declared import Condition, Declared, Run, nearest, refusal
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import OnOneSet
from avbalance.evaluation.measure import METRICS
from avbalance.evaluation.outcomes import NotTestable, Outcome, Trial, attempt, trial_of
from avbalance.evaluation.rows import BOTH
from avbalance.papers.modality_relevance.claims._findings import (
    AUDIO_MODEL,
    ROWS,
    VIDEO_MODEL,
    Finding,
    Table,
    of_claim,
    table_findings,
)

# Claims that compare the multimodal model with itself alone, whatever the models of one modality have learnt
ONE_MODEL = frozenset({
    "task", "no-catastrophe", "audio-hurts", "representation", "without-audio", "without-video", "video-dominates",
    "near-chance", "video-representation",
})  # fmt: skip
WORDS = {"urban-rural": "urban/rural", "task": "urban/rural against speech"}  # table -> its name in reports
Findings = Sequence[Finding]


class Models(Declared):
    """The three models of a table."""

    audio: Run
    """the audio model"""
    visual: Run
    """the video model"""
    both: Run
    """the multimodal model, which is tested with a modality withheld too"""

    def rows(self, stand_ins: Mapping[str, str]) -> dict[str, tuple[str, str]]:
        """Row of a table -> run and condition of testing."""
        conditions = {name: (self.both, stand_ins.get(name, name)) for name in PUBLISHED}
        return {AUDIO_MODEL: (self.audio, BOTH), VIDEO_MODEL: (self.visual, BOTH), **conditions}


class BySeedFinding(OnOneSet):
    """Each finding of a table is one comparison; its margin is made again for every drawing of the test clips."""

    kind: Literal["by_seed_finding"]
    """margin by which a finding is right"""
    table: Literal["urban-rural", "speech", "task", "kinetics-sounds"]
    """which findings; task: those of urban-rural against those of speech"""
    runs: Models
    """models of the table; of task, those of urban-rural"""
    claim: str = ""
    """name of the findings that are compared; all of the table where none is named"""
    against: Models | None = None
    """of table task: the models of speech"""
    stand_ins: dict[Condition, Condition] = Field(default={})
    """condition of the paper -> condition that takes its place; nothing published is compared then"""
    classes: Annotated[int, Field(ge=2)] | None = None
    """of table kinetics-sounds: classes of the published data; ours are counted"""

    @model_validator(mode="after")
    def _fits(self) -> BySeedFinding:
        for key, table in (("against", "task"), ("classes", "kinetics-sounds")):
            if (getattr(self, key) is not None) != (self.table == table):
                raise refusal(f"{key} belongs to table {table}, which needs it")
        for name in self.stand_ins:
            if name not in PUBLISHED:
                raise refusal(f"stand_ins: the tables have no condition {name!r}{nearest(name, PUBLISHED)}")
        zeros = dict.fromkeys(ROWS, Metrics(*[0.0] * len(METRICS)))
        self._findings([zeros, zeros], 2)  # refuses a claim that the table has not
        return self

    def _findings(self, tables: Sequence[Table], classes: int) -> Findings:
        return of_claim(table_findings(self.table, tables, classes), self.claim)

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        groups = [self.runs] if self.against is None else [self.runs, self.against]
        printed = self._findings([self._published(evidence, models) for models in groups], self.classes or 0)

        def measured() -> tuple[dict[int, Findings], int]:
            series = [self._measured(evidence, models) for models in groups]
            common = set.intersection(*(set(of_seed) for of_seed, _ in series))
            alone = {each.claim for each in printed} <= ONE_MODEL
            runs = [run for models in groups for run in ([models.both] if alone else dict(models).values())]
            evidence.failed.check(self.dataset, runs, common)
            counts, _ = next(iter(evidence.tallies(self.dataset, self.runs.both).values()))
            classes = counts.true.shape[1]
            of_seed = {seed: self._findings([tables[seed] for tables, _ in series], classes) for seed in common}
            return of_seed, min(n for _, n in series)

        return finding_trials(evidence, self.dataset, WORDS.get(self.table, self.table), printed, measured)

    def _published(self, evidence: Evidence, models: Models) -> Table:
        """The printed table; NaN where it has no number, and throughout where other stand-ins are compared."""
        table = {}
        for row, (run, condition) in models.rows({}).items():
            values = [evidence.published_value(self.dataset, run, OVERALL, name, condition) for name in METRICS]
            table[row] = Metrics(*(math.nan if value is None or self.stand_ins else value for value in values))
        return table

    def _measured(self, evidence: Evidence, models: Models) -> tuple[dict[int, Table], int]:
        """Seed -> our table, of the seeds that all rows have; the smallest n."""
        rows = models.rows(self.stand_ins)
        series = {row: evidence.tallies(self.dataset, run, condition) for row, (run, condition) in rows.items()}
        common = set.intersection(*map(set, series.values()))
        n = min(n for of_seed in series.values() for _, n in of_seed.values())
        return {seed: {row: of_seed[seed][0].metrics() for row, of_seed in series.items()} for seed in common}, n


def finding_trials(
    evidence: Evidence,
    role: str,
    words: str,
    printed: Findings,
    measured: Callable[[], tuple[Mapping[int, Findings], int]],
) -> list[Trial]:
    """One comparison for each finding.

    printed: findings of the published numbers, NaN where there are none; measured: makes seed -> the same findings of
    ours, and the number of clips; may raise NotTestable.
    """
    label = evidence.label(role)
    where = f"{label}, {words}" if words.casefold() != role else label
    outcomes = [
        Outcome(
            f"{where}: {each.text}",
            published=None if math.isnan(each.margin) else float(each.margin),
            tie_agrees=not each.strict,
            unit=each.unit,
        )
        for each in printed
    ]
    try:
        of_seed, n = measured()
    except NotTestable as error:
        return [Trial(replace(each, reason=str(error))) for each in outcomes]

    def trial(place: int, bare: Outcome) -> Trial:
        margins = {seed: np.atleast_1d(own[place].margin) for seed, own in of_seed.items()}
        if any(math.isnan(values[0]) for values in margins.values()):
            raise NotTestable("the accuracies of the classes do not vary")
        return trial_of(bare, margins, n, evidence.statistics.min_n, f"of {label}")

    return [attempt(bare, partial(trial, place, bare)) for place, bare in enumerate(outcomes)]
