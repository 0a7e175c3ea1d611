from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import model_validator

from avbalance.analysis.relevance import INTACT
from avbalance.analysis.statistics import Floats
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import OnOneSet
from avbalance.evaluation.outcomes import NotTestable, Trial
from avbalance.evaluation.rows import BOTH
from avbalance.papers.modality_relevance.claims._findings import (
    AUDIO_MODEL,
    FEWEST_CLASSES,
    VIDEO_MODEL,
    Finding,
    class_findings,
    of_claim,
)
from avbalance.papers.modality_relevance.claims.by_seed_finding import Models, finding_trials

WITHHELD = ("silent-audio", "black-video")


class BySeedClasses(OnOneSet):
    """Each statement of figure 4 on the accuracies of classes is one comparison; the paper prints no number of them."""

    kind: Literal["by_seed_classes"]
    """margin by which a statement on classes is right"""
    runs: Models
    """models whose accuracies of classes are compared"""
    claim: str = ""
    """name of the statements that are compared; all where none is named"""

    @model_validator(mode="after")
    def _fits(self) -> BySeedClasses:
        self._printed()  # refuses a claim that there is not
        return self

    def _printed(self) -> list[Finding]:
        """The statements, without a margin."""
        nothing = dict.fromkeys((AUDIO_MODEL, VIDEO_MODEL, INTACT, *WITHHELD), np.linspace(0.0, 1.0, FEWEST_CLASSES))
        return [replace(each, margin=math.nan) for each in of_claim(class_findings(nothing), self.claim)]

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        def measured() -> tuple[Mapping[int, list[Finding]], int]:
            accuracies, n = self._accuracies(evidence)
            evidence.failed.check(self.dataset, dict(self.runs).values(), accuracies)
            return {seed: of_claim(class_findings(rows), self.claim) for seed, rows in accuracies.items()}, n

        return finding_trials(evidence, self.dataset, "classes", self._printed(), measured)

    def _accuracies(self, evidence: Evidence) -> tuple[dict[int, dict[str, Floats]], int]:
        """Seed -> row -> accuracy of each class (1 + draws, C), of the seeds that all have; the number of clips."""
        rows = {AUDIO_MODEL: (self.runs.audio, BOTH), VIDEO_MODEL: (self.runs.visual, BOTH)}
        rows |= {name: (self.runs.both, name) for name in (INTACT, *WITHHELD)}
        series = {row: evidence.tallies(self.dataset, *place) for row, place in rows.items()}
        common = set.intersection(*map(set, series.values()))
        counts, n = next(iter(series[INTACT].values()))
        if int(np.isfinite(counts.recalls[0]).sum()) < FEWEST_CLASSES:
            raise NotTestable(f"the test part has fewer than {FEWEST_CLASSES} classes")
        return {seed: {row: of_seed[seed][0].recalls for row, of_seed in series.items()} for seed in common}, n
