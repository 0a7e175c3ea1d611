from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from avbalance.analysis.conditions import PUBLISHED
from avbalance.analysis.relevance import Metrics, Tally
from avbalance.analysis.subsets import OVERALL
from avbalance.declared import Condition, Declared, Run, nearest, refusal
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import OnOneSet
from avbalance.evaluation.measure import METRICS
from avbalance.evaluation.outcomes import NotTestable, Outcome, Trial, attempt, trial_of
from avbalance.evaluation.rows import BOTH
from avbalance.papers.modality_relevance.claims import _findings as findings
from avbalance.papers.modality_relevance.claims._findings import Finding

# Claims that compare the multimodal model with itself alone, whatever the models of one modality have learnt
ONE_MODEL = frozenset({
    "task", "no-catastrophe", "audio-hurts", "representation", "without-audio", "without-video", "video-dominates",
    "near-chance", "video-representation",
})  # fmt: skip
WORDS = {"urban-rural": "urban/rural", "task": "urban/rural against speech"}  # table -> its name in reports
CLASSES = "classes"
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
        return {findings.AUDIO_MODEL: (self.audio, BOTH), findings.VIDEO_MODEL: (self.visual, BOTH), **conditions}


class BySeedFinding(OnOneSet):
    """Each finding of a table, or of figure 4 on single classes, is one comparison.

    Its margin is made again for every drawing of the test clips. The paper prints no number of classes.
    """

    kind: Literal["by_seed_finding"]
    """margin by which a finding is right"""
    table: Literal["urban-rural", "speech", "task", "kinetics-sounds", "classes"]
    """which findings; task: those of urban-rural against those of speech; classes: those of figure 4"""
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
        self._without_numbers()  # refuses a claim that the table has not
        return self

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        groups = [self.runs] if self.against is None else [self.runs, self.against]
        printed = self._without_numbers()
        if self.table != CLASSES and not self.stand_ins:
            printed = self._findings([self._published(evidence, models) for models in groups], self.classes or 0)
        label, words = evidence.label(self.dataset), WORDS.get(self.table, self.table)
        where = f"{label}, {words}" if words.casefold() != self.dataset else label
        outcomes = [
            Outcome(
                f"{where}: {each.text}",
                published=None if math.isnan(each.margin) else float(each.margin),
                tie_agrees=not each.strict,
                unit=each.unit,
            )
            for each in printed
        ]
        alone = {each.claim for each in printed} <= ONE_MODEL
        try:
            of_seed, n = self._measured(evidence, groups, alone)
        except NotTestable as error:
            return [Trial(replace(each, reason=str(error))) for each in outcomes]

        def trial(place: int, bare: Outcome) -> Trial:
            margins = {seed: np.atleast_1d(own[place].margin) for seed, own in of_seed.items()}
            if any(math.isnan(values[0]) for values in margins.values()):
                raise NotTestable("the accuracies of the classes do not vary")
            return trial_of(bare, margins, n, evidence.statistics.min_n, f"of {label}")

        return [attempt(bare, partial(trial, place, bare)) for place, bare in enumerate(outcomes)]

    def _findings(self, tables: Sequence[Mapping[str, Any]], classes: int) -> Findings:
        return findings.of_claim(findings.table_findings(self.table, tables, classes), self.claim)

    def _without_numbers(self) -> Findings:
        """The findings, whose margins are NaN."""
        # Findings are made from any numbers; only their names, texts and units are wanted here.
        zeros = np.zeros(findings.FEWEST_CLASSES) if self.table == CLASSES else Metrics(*[0.0] * len(METRICS))
        table = dict.fromkeys(findings.ROWS, zeros)
        return [replace(each, margin=math.nan) for each in self._findings([table, table], 2)]

    def _published(self, evidence: Evidence, models: Models) -> findings.Table:
        """The printed table; NaN where it has no number."""
        table = {}
        for row, (run, condition) in models.rows({}).items():
            values = [evidence.published_value(self.dataset, run, OVERALL, name, condition) for name in METRICS]
            table[row] = Metrics(*(math.nan if value is None else value for value in values))
        return table

    def _measured(self, evidence: Evidence, groups: Sequence[Models], alone: bool) -> tuple[dict[int, Findings], int]:
        """Seed -> our findings, of the seeds that all rows have; the smallest number of clips.

        alone: whether only the multimodal models must have learned.
        """
        series = [
            {row: evidence.tallies(self.dataset, *place) for row, place in models.rows(self.stand_ins).items()}
            for models in groups
        ]
        every = [of_seed for rows in series for of_seed in rows.values()]
        n = min(int(own.true[0].sum()) for of_seed in every for own in of_seed.values())
        first = next(iter(series[0][BOTH].values()))
        classes = first.true.shape[1]
        if self.table == CLASSES and np.isfinite(first.recalls[0]).sum() < findings.FEWEST_CLASSES:
            raise NotTestable(f"the test part has fewer than {findings.FEWEST_CLASSES} classes")
        common = set.intersection(*map(set, every))
        runs = [run for each in groups for run in ([each.both] if alone else dict(each).values())]
        evidence.failed.check(self.dataset, runs, common)
        return {seed: self._findings([self._table(rows, seed) for rows in series], classes) for seed in common}, n

    def _table(self, rows: Mapping[str, Mapping[int, Tally]], seed: int) -> dict[str, Any]:
        """Row -> its metrics, or the accuracies of its classes, under every drawing."""
        return {
            row: of_seed[seed].recalls if self.table == CLASSES else of_seed[seed].metrics()
            for row, of_seed in rows.items()
        }
