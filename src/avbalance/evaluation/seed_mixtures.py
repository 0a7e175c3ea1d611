"""Comparisons of the mixtures that trainings fitted to their modality gaps: kind by_seed_mixture. Only seeds vary.

Keys: dataset, file (mixtures.json or gaps.json, whichever the measure reads), runs, measure, text (optional). Without
a mixture the two components could not be told apart: their distance and the imbalanced share are then 0. measure:

- bic: after warm-up two Gaussians describe the gaps of runs[0] better than one, by BIC(1) - BIC(2); unit BIC
- nulls: that difference exceeds the largest of as many gaps from unimodal distributions; reads gaps.json; unit BIC
- separation: after warm-up mu_I - mu_B is at least `at_least`; the excess; unit gap
- mean: the mean gap of runs[1] at the end is below (1 - `lower_by`) times that of runs[0]; unit gap
- separation-shrinks, share-shrinks: mu_I - mu_B, or the share of clips with w > 0.5, of runs[0] is smaller at the last
  fit than at the first; units gap, share
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from avbalance.errors import UserError
from avbalance.evaluation.comparisons import Block
from avbalance.evaluation.evidence import Evidence, NotTestable
from avbalance.evaluation.gap_files import GapFit, read_gaps, read_mixtures
from avbalance.evaluation.outcomes import Outcome, Trial, trial_of
from avbalance.evaluation.paper import RunFile

Effects = dict[int, float]
Measure = Callable[[list[list[RunFile]], Block], Effects]


def by_seed_mixture(evidence: Evidence, block: Block, protocol: str) -> list[Trial]:
    """The one comparison of a block of kind by_seed_mixture."""
    role, runs, name = str(block["dataset"]), [str(run) for run in block["runs"]], str(block["measure"])
    if name not in MEASURES:
        raise UserError(f"claims.yaml: measure is {name!r} in by_seed_mixture; use one of {', '.join(MEASURES)}.")
    measure, unit, number, words = MEASURES[name]
    if len(runs) != number:
        raise UserError(f"claims.yaml: measure {name} of by_seed_mixture needs {number} runs, not {len(runs)}.")
    labels = [evidence.paper.label(run) for run in runs]
    said = block.get("text") or words.format(*labels, **_margins(block))
    text = f"{evidence.paper.dataset(role).label}: {said}"
    try:
        effects = measure([evidence.runs(role, run) for run in runs], block)
        evidence.refuse_unfit(role, runs, effects)
        return [trial_of(Outcome(text, unit=unit), {seed: np.array([value]) for seed, value in effects.items()})]
    except NotTestable as error:
        return [Trial(Outcome(text, unit=unit, reason=str(error)))]


def _margins(block: Block) -> dict[str, str]:
    return {
        "at_least": f"{float(block.get('at_least', 0.0)):g}",
        "lower_by": f"{100 * float(block.get('lower_by', 0.0)):g} %",
    }


def _fits(runs: list[RunFile]) -> dict[int, list[GapFit]]:
    return {run.seed: read_mixtures(run)[1] for run in runs}


def _first(runs: list[RunFile]) -> dict[int, GapFit]:
    return {seed: fits[0] for seed, fits in _fits(runs).items()}


def _bic_gain(fit: GapFit) -> float:
    if fit.bic_1 is None or fit.bic_2 is None:
        raise NotTestable(f"nothing could be fitted, because {fit.reason}")
    return fit.bic_1 - fit.bic_2


def _bic(runs: list[list[RunFile]], block: Block) -> Effects:
    return {seed: _bic_gain(fit) for seed, fit in _first(runs[0]).items()}


def _nulls(runs: list[list[RunFile]], block: Block) -> Effects:
    from avbalance.analysis.modality_gap import bimodality, gap

    effects = {}
    for run in runs[0]:
        try:
            observed, nulls = bimodality(gap(read_gaps(run).signed[0]), run.seed)
        except UserError as error:
            raise NotTestable(str(error)) from error
        effects[run.seed] = observed - max(float(null.draws[-1]) for null in nulls)
    return effects


def _separation(runs: list[list[RunFile]], block: Block) -> Effects:
    least = float(block["at_least"])
    return {seed: fit.separation - least for seed, fit in _first(runs[0]).items()}


def _mean(runs: list[list[RunFile]], block: Block) -> Effects:
    before, after = ({seed: fits[-1] for seed, fits in _fits(each).items()} for each in runs)
    if not before.keys() & after.keys():
        raise NotTestable("its runs have no seed in common")
    kept = 1 - float(block["lower_by"])
    return {seed: kept * before[seed].gap_mean - after[seed].gap_mean for seed in before.keys() & after.keys()}


def _shrinks(value: Callable[[GapFit], float]) -> Measure:
    def measure(runs: list[list[RunFile]], block: Block) -> Effects:
        fits = _fits(runs[0])
        for own in fits.values():
            if len(own) < 2:
                raise NotTestable("a training has one fit only")
            if own[0].mixture is None:
                raise NotTestable(f"there was no mixture after warm-up, because {own[0].reason}")
        return {seed: value(own[0]) - value(own[-1]) for seed, own in fits.items()}

    return measure


MEASURES: Mapping[str, tuple[Measure, str, int, str]] = {
    "bic": (_bic, "BIC", 1, "{0}, after warm-up: BIC of one Gaussian > BIC of two"),
    "nulls": (_nulls, "BIC", 1, "{0}, after warm-up: BIC(1) - BIC(2) > that of unimodal distributions"),
    "separation": (_separation, "gap", 1, "{0}, after warm-up: mu_I - mu_B > {at_least}"),
    "mean": (_mean, "gap", 2, "mean gap at the end of training: {1} more than {lower_by} below {0}"),
    "separation-shrinks": (
        _shrinks(lambda fit: fit.separation), "gap", 1, "{0}, mu_I - mu_B: first fit > last fit"
    ),
    "share-shrinks": (
        _shrinks(lambda fit: fit.share), "share", 1, "{0}, share of clips with w > 0.5: first fit > last fit"
    ),
}  # fmt: skip
