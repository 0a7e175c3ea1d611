from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from avbalance.declared import Run, refusal
from avbalance.errors import UserError
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.gap_files import GAPS, MIXTURES, GapFit, read_gaps, read_mixtures
from avbalance.evaluation.kinds import OnOneSet
from avbalance.evaluation.outcomes import NotTestable, Outcome, Trial, attempt, trial_of
from avbalance.evaluation.paper import RunFile

WORDS = {  # measure -> unit, sentence
    "bic": ("BIC", "{0}, after warm-up: BIC of one Gaussian > BIC of two"),
    "nulls": ("BIC", "{0}, after warm-up: BIC(1) - BIC(2) > that of unimodal distributions"),
    "separation": ("gap", "{0}, after warm-up: mu_I - mu_B > {at_least:g}"),
    "mean": ("gap", "mean gap at the end of training: {1} more than {percent:g} % below {0}"),
    "separation-shrinks": ("gap", "{0}, mu_I - mu_B: first fit > last fit"),
    "share-shrinks": ("share", "{0}, share of clips with w > 0.5: first fit > last fit"),
}


class BySeedMixture(OnOneSet):
    """What the mixtures that trainings fitted to their modality gaps say. No test clip enters: only seeds vary.

    Without a mixture the two components could not be told apart: their distance and the imbalanced share are then 0.
    """

    kind: Literal["by_seed_mixture"]
    """what `measure` says"""
    measure: Literal["bic", "nulls", "separation", "mean", "separation-shrinks", "share-shrinks"]
    """bic: after warm-up, how much better two Gaussians describe the gaps than one, BIC(1) - BIC(2); nulls: the same
    less the largest of as many gaps from unimodal distributions; separation: after warm-up, mu_I - mu_B - at_least;
    mean: (1 - lower_by) of the first run's mean gap at the end - that of the second; separation-shrinks, share-shrinks:
    mu_I - mu_B, or the share of clips with w > 0.5, at the first fit - at the last"""
    file: Literal["mixtures.json", "gaps.json"]
    """file of the runs that the measure reads: gaps.json for nulls, else mixtures.json"""
    runs: Annotated[list[Run], Field(min_length=1, max_length=2)]
    """the run; of measure mean the run before and the run after"""
    at_least: float | None = None
    """of measure separation: what the distance of the means must exceed"""
    lower_by: Annotated[float, Field(gt=0, lt=1)] | None = None
    """of measure mean: share by which the gap must fall"""
    text: str = ""
    """what is said of it in reports, in place of a made sentence"""

    @model_validator(mode="after")
    def _fits(self) -> BySeedMixture:
        number, file = (2 if self.measure == "mean" else 1), (GAPS if self.measure == "nulls" else MIXTURES)
        if len(self.runs) != number:
            raise refusal(f"measure {self.measure} needs {number} run{'s' * (number > 1)}, not {len(self.runs)}")
        if self.file != file:
            raise refusal(f"measure {self.measure} reads {file}, not {self.file}")
        for key, measure in (("at_least", "separation"), ("lower_by", "mean")):
            if (getattr(self, key) is not None) != (self.measure == measure):
                raise refusal(f"{key} belongs to measure {measure}, which needs it")
        return self

    def run_files(self, estimators: Sequence[str]) -> list[tuple[str, str, str]]:
        return [(self.dataset, run, self.file) for run in self.runs]

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        unit, words = WORDS[self.measure]
        labels = [evidence.paper.label(run) for run in self.runs]
        said = self.text or words.format(*labels, at_least=self.at_least or 0.0, percent=100 * (self.lower_by or 0.0))
        bare = Outcome(f"{evidence.label(self.dataset)}: {said}", unit=unit)

        def trial() -> Trial:
            effects = self._effects([evidence.runs(self.dataset, run) for run in self.runs])
            evidence.failed.check(self.dataset, self.runs, effects)
            return trial_of(bare, {seed: np.array([value]) for seed, value in effects.items()})

        return [attempt(bare, trial)]

    def _effects(self, runs: list[list[RunFile]]) -> dict[int, float]:
        """Seed -> effect."""
        if self.measure == "nulls":
            return {run.seed: _above_nulls(run) for run in runs[0]}
        fits = [{run.seed: read_mixtures(run)[1] for run in each} for each in runs]
        return {seed: self._effect([own[seed] for own in fits]) for seed in set.intersection(*map(set, fits))}

    def _effect(self, fits: Sequence[Sequence[GapFit]]) -> float:
        """The effect under one seed, from the fits of each run in their order."""
        first, last = fits[0][0], fits[-1][-1]
        if self.measure == "bic":
            if first.bic_1 is None or first.bic_2 is None:
                raise NotTestable(f"nothing could be fitted, because {first.reason}")
            return first.bic_1 - first.bic_2
        if self.measure == "separation":
            return first.separation - (self.at_least or 0.0)
        if self.measure == "mean":
            # Multiplied out rather than a ratio of gaps, so that a gap of 0 before needs no case of its own.
            return (1 - (self.lower_by or 0.0)) * fits[0][-1].gap_mean - last.gap_mean
        if len(fits[0]) < 2:
            raise NotTestable("a training has one fit only")
        if first.mixture is None:
            raise NotTestable(f"there was no mixture after warm-up, because {first.reason}")
        return first.separation - last.separation if self.measure == "separation-shrinks" else first.share - last.share


def _above_nulls(run: RunFile) -> float:
    """BIC(1) - BIC(2) of the gaps after warm-up less the largest of samples from unimodal distributions."""
    from avbalance.analysis.modality_gap import bimodality, gap

    try:
        observed, nulls = bimodality(gap(read_gaps(run).signed[0]), run.seed)
    except UserError as error:
        raise NotTestable(str(error)) from error
    # Beyond every draw of every null: the strictest reading, since the draws are few.
    return observed - max(float(null.draws[-1]) for null in nulls)
