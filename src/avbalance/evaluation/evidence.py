"""What comparisons are made of: scores of every run under every drawing of the test clips, subsets, printed numbers."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avbalance.analysis.relevance import Metrics, Tally, tally
from avbalance.analysis.statistics import Floats, clip_weights, weighted_mean
from avbalance.analysis.subsets import ANNOTATIONS, OVERALL, canonical_subset, read_subsets, subset_mask
from avbalance.evaluation import rows
from avbalance.evaluation.clip_scores import ClipScores, SameClips, clip_scores, read_discrepancies
from avbalance.evaluation.failed_trainings import FailedTrainings
from avbalance.evaluation.outcomes import NotTestable
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.evaluation.published import load_context, load_published, published_key

if TYPE_CHECKING:
    from avbalance.evaluation.declarations import Declarations

LACKING = {
    rows.PLANTED: "the data carry no planted informativeness",
    ANNOTATIONS: "no annotations say which clips are heard and seen",
}  # definition -> why a data set has none


class DrawnValue(NamedTuple):
    """A value on the clips as they are and on each drawing of them (1 + draws,), and how many clips it rests on."""

    values: Floats
    n: int


def mean_of(series: Sequence[Mapping[int, DrawnValue]]) -> dict[int, DrawnValue]:
    """Mean of several values of each seed that all have, and the smallest n."""
    return {
        seed: DrawnValue(np.mean([each[seed].values for each in series], axis=0), min(each[seed].n for each in series))
        for seed in set.intersection(*map(set, series))
    }


class Evidence:
    """Everything that comparisons ask for, read once.

    measurements: the paper's measurements.parquet, which says which trainings failed.
    """

    def __init__(self, paper: Paper, declared: Declarations, measurements: str | Path | None = None) -> None:
        self.paper = paper
        self.measures, self.statistics, self.confidence = declared.measures, declared.statistics, declared.confidence
        self.published = load_published(paper.published, declared.published)
        self.context = load_context(paper.published, declared.published)
        self.failed = FailedTrainings(paper, measurements)
        self._same = SameClips()
        self._clip_scores = cache(clip_scores)
        for name in ("weights", "mask", "_discrepancies", "_tally"):
            # Cached per object, not per class: a cache on the class would keep every Evidence alive.
            setattr(self, name, cache(getattr(self, name)))

    # Data sets, runs and clips

    def label(self, role: str) -> str:
        """The paper's name of the data set in a role."""
        return self.paper.dataset(role).label

    def info(self, role: str) -> DatasetInfo:
        """The data set in a role; raises NotTestable when the tier leaves it out."""
        info = self.paper.dataset(role)
        if info.data is None:
            raise NotTestable(f"{info.label} is not made in this tier")
        return info

    def runs(self, role: str, run: str) -> list[RunFile]:
        """The seeds of a run on a data set; raises NotTestable when the tier has none."""
        label, files = self.info(role).label, self.paper.run_files(role, run)
        if not files:
            raise NotTestable(f"{run} was not run on {label} in this tier")
        return files

    def weights(self, role: str, clips: int, split: str = "test") -> Floats:
        """How often each clip of a part counts (1 + draws, clips); the same for all comparisons on it."""
        # The drawings depend on data set and part alone: all comparisons on them see the same clips, so that pairing
        # holds.
        place = f"{self.info(role).data} {split}"
        # crc32, since Python's own hash of a text differs from process to process.
        generator = np.random.default_rng([self.statistics.seed, zlib.crc32(place.encode())])
        return clip_weights(clips, self.statistics.draws, generator)

    def scores(self, run: RunFile, place: rows.Coordinates) -> ClipScores | None:
        """What a run scores on each clip, None where it was not tested so; UserError for other clips than before."""
        # Protocols that choose subsets are about the first version of the truth.
        version = place.protocol if place.protocol == rows.REPAIRED else rows.NO_SUBSET
        whole = place._replace(subset=OVERALL, protocol=version)
        scores = self._clip_scores(run).get(whole)
        if scores is not None:
            self._same.check(run, whole, ("ids",), scores.ids)
            self._same.check(run, whole, ("truth", run.labelling), scores.truth)
        return scores

    # Values

    def measured(self, role: str, run: str, metric: str, place: rows.Coordinates = rows.USUAL) -> dict[int, DrawnValue]:
        """Seed -> value of a run, in percent; raises NotTestable when the tier has no such run or the run none.

        Under subsets by estimate each seed has those of its own unimodal models, where there are any.
        """
        parts = []
        for definition in self.definitions(place):
            files = self.runs(role, self.measures.scorer(run, definition))
            values = {each.seed: self._value(role, each, place, metric, definition) for each in files}
            parts.append({seed: value for seed, value in values.items() if value is not None})
            if not parts[-1]:
                raise NotTestable(self._lacking(role, run, metric, place))
        return mean_of(parts)

    def guessed(self, role: str, run: str, metric: str, place: rows.Coordinates) -> DrawnValue:
        """The value of a row of no run: the most frequent class (of a labelling), or no event."""
        labelling = run.removeprefix(rows.MAJORITY).removeprefix("-") if rows.is_majority(run) else ""
        name = rows.ACCURACY if rows.is_majority(run) else metric
        for each in self.paper.runs_on(self.info(role).data):
            scores = self.scores(each, place) if each.labelling == labelling else None
            if scores is not None and name in scores.guess and rows.is_majority(run) == (name == rows.ACCURACY):
                weights = self.weights(role, len(scores.ids), place.split)
                return DrawnValue(weighted_mean(weights, scores.guess[name]), len(scores.ids))
        raise NotTestable(self._lacking(role, run, metric, place))

    def tallies(self, role: str, run: str, condition: str = rows.BOTH) -> dict[int, Tally]:
        """Seed -> the test clips of a run that classifies, counted as they are and under every drawing."""
        place = rows.Coordinates(condition=condition)
        of_seed = {
            each.seed: self._tally(role, each, place, "")
            for each in self.runs(role, run)
            if (scores := self.scores(each, place)) is not None and scores.classes
        }
        if not of_seed:
            raise NotTestable(self._lacking(role, run, rows.ACCURACY, place))
        return of_seed

    def _value(
        self, role: str, run: RunFile, place: rows.Coordinates, metric: str, definition: str
    ) -> DrawnValue | None:
        """One value on the clips of a subset; None for a metric that the run does not have there."""
        scores = self.scores(run, place)
        if scores is None:
            return None
        mask = self.mask(role, place.subset, definition, run.seed)
        n = len(scores.ids) if mask is None else int(mask.sum())
        if metric in scores.of:
            weights, own = self.weights(role, len(scores.ids), place.split), scores.of[metric]
            # Weights are cut, not drawn anew: a subset's clips count as often as they do overall.
            inside = slice(None) if mask is None else mask
            return DrawnValue(weighted_mean(weights[:, inside], own[inside]), n)
        head = next((head for head in scores.answers if head and metric.endswith(f"_{head}")), "")
        name = metric.removesuffix(f"_{head}") if head else metric
        # Such metrics are no means over clips: on a subset other classes may be missing, and they would not compare.
        if mask is not None or not scores.classes or name not in Metrics.__annotations__:
            return None
        return DrawnValue(getattr(self._tally(role, run, place, head).metrics(), name), n)

    def _tally(self, role: str, run: RunFile, place: rows.Coordinates, head: str) -> Tally:
        scores = self.scores(run, place)
        assert scores is not None
        weights = self.weights(role, len(scores.ids), place.split)
        return tally(scores.truth, scores.answers[head], scores.classes, weights)

    def _lacking(self, role: str, run: str, metric: str, place: rows.Coordinates) -> str:
        missing = [] if place.condition in (rows.BOTH, rows.NO_SUBSET) else [place.condition]
        where = ", ".join([place.split, *missing, place.protocol, place.checkpoint])
        return f"{run} has no {metric} on {self.info(role).label} ({where})"

    # Subsets

    @cached_property
    def annotated(self) -> bool:
        """Whether any data set of the paper has subsets by what people heard and saw."""
        return any(ANNOTATIONS in read_subsets(path) for path in self.paper.subsets().values())

    def definitions(self, place: rows.Coordinates) -> list[str]:
        """Subset definitions that a place averages over."""
        if place.subset == OVERALL:
            return [rows.NO_SUBSET]
        return list(rows.HALVES) if place.protocol == rows.CROSS_FITTED else [place.protocol]

    def mask(self, role: str, subset: str, definition: str, seed: int) -> NDArray[np.bool_] | None:
        """Test clips (N,) of a subset under a seed, None for all of them; raises NotTestable when there is none."""
        if definition == rows.NO_SUBSET:
            return None
        own = f"{rows.SEED_MATCHED}-{seed}"  # by the seed's own unimodal models, in place of the reference's
        if definition == rows.ESTIMATED and own in self._discrepancies(role):
            definition = own
        if definition == ANNOTATIONS and "dominated" in canonical_subset(subset):
            raise NotTestable("annotations say heard or seen, not by how much")
        mask = subset_mask(self.discrepancy(role, definition), subset)
        if not mask.any():
            raise NotTestable(f"no test clip of {self.info(role).label} is in {subset} ({definition})")
        return mask

    def matched_seeds(self, role: str, definition: str) -> dict[int, str]:
        """Seed -> definition: all seeds that have subsets by estimate; else the definition itself, under seed 0."""
        prefix = f"{rows.SEED_MATCHED}-"
        own = {int(name.removeprefix(prefix)): name for name in self._discrepancies(role) if name.startswith(prefix)}
        return own if definition == rows.ESTIMATED and own else {0: definition}

    def discrepancy(self, role: str, definition: str) -> Floats:
        """Discrepancy (N,) of the test clips under a definition; raises NotTestable where there is none."""
        known = self._discrepancies(role)
        if definition not in known:
            reason = LACKING.get(definition, "it was not made")
            raise NotTestable(f"no {definition} subsets of {self.info(role).label}: {reason}")
        return known[definition]

    def _discrepancies(self, role: str) -> dict[str, Floats]:
        info = self.info(role)
        if info.subsets is None:
            raise NotTestable(f"no subsets of {info.label} in this tier")
        _, ids = self._same.first.get((info.data, "test", rows.NO_SUBSET, "ids"), ("", None))
        return read_discrepancies(info.subsets, ids)

    # What was published, and which trainings choose subsets

    def published_value(
        self, role: str, run: str, subset: str, metric: str = rows.ACCURACY, condition: str = rows.BOTH
    ) -> float | None:
        """The paper's own accuracy (or another metric) of a run on a subset, in percent; None when it prints none."""
        return self.published.get(published_key(self.label(role), self.paper.label(run), subset, metric, condition))

    def context_value(self, role: str, run: str, metric: str) -> float | None:
        """The first number of another paper for a run, in percent; None when none prints one."""
        place = self.label(role), self.paper.label(run), metric
        return next((each.value for each in self.context if each[:3] == place), None)

    def estimators(self, protocol: str) -> list[str]:
        """The unimodal runs that choose subsets and draw maps under a protocol; none where no training does."""
        whole = [self.confidence.audio, self.confidence.visual] if self.confidence else []
        if protocol == rows.CROSS_FITTED:
            pairs = [self.measures.cross_fitted[run] for run in whole if run in self.measures.cross_fitted]
            return [run for pair in pairs for run in (pair.a, pair.b)]
        return whole if protocol == rows.ESTIMATED else []
