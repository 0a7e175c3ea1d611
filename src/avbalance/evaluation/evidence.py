"""What comparisons are made of: scores of every run under every drawing of the test clips, subsets, printed numbers."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.confidence import join_modalities, read_unimodal, stopping_epoch
from avbalance.analysis.relevance import Metrics, Tally, tally
from avbalance.analysis.statistics import DRAWS, LEVEL, Floats, clip_weights, weighted_mean
from avbalance.analysis.subsets import ANNOTATIONS, OVERALL, canonical_subset, read_subsets, subset_mask
from avbalance.errors import UserError
from avbalance.evaluation.clip_scores import USUAL, ClipScores, Place, clip_scores
from avbalance.evaluation.context import load_context
from avbalance.evaluation.measure import read_measurements
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.evaluation.published import load_published, published_key
from avbalance.evaluation.rows import ACCURACY, BOTH, MAJORITY, NO_SUBSET, REPAIRED, is_majority
from avbalance.evaluation.scores import CROSS_FITTED, HALVES, SEED_MATCHED, scorer
from avbalance.frames import read_parquet
from avbalance.stopping import StopRule

MIN_N = 20
ESTIMATED, PLANTED = "estimated", "planted"
LACKING = {
    PLANTED: "the data carry no planted informativeness",
    ANNOTATIONS: "nobody said which clips are heard and seen",
}  # definition -> why a data set has none
UNFIT = {"learned": "did not learn", "converged": "did not converge"}  # metric that is 0 -> what it means


class NotTestable(Exception):
    """A comparison that this tier's data or runs cannot answer; the message says why."""


class Measured(NamedTuple):
    """A value on the clips as they are and on each drawing of them (1 + draws,), and how many clips it rests on."""

    values: Floats
    n: int


class Evidence:
    """Everything that comparisons ask for, read once.

    statistics (all optional): draws (1000), level (0.95), seed (0) of the drawings; min_n (20): clips that a comparison
    must have. measurements: the paper's measurements.parquet, which says what runs did not learn or not converge;
    UserError where it was made from other runs than the paper's.
    """

    def __init__(self, paper: Paper, declarations: Mapping[str, Any], measurements: str | Path | None = None) -> None:
        self.paper = paper
        self.measures = declarations["measures"]
        self.confidence = declarations.get("confidence") or {}
        self.published = load_published(paper.published, declarations["published"])
        self.context = load_context(paper.published, declarations["published"])
        options = declarations["statistics"]
        self.draws = int(options.get("draws", DRAWS))
        self.level = float(options.get("level", LEVEL))
        self.seed = int(options.get("seed", 0))
        self.min_n = int(options.get("min_n", MIN_N))
        self._unfit = {} if measurements is None else _unfit_runs(paper, measurements)
        self._known: dict[tuple[str, str, str, str], tuple[str, ClipScores]] = {}
        for name in ("scores", "weights", "discrepancies", "mask", "tallies"):
            setattr(self, f"_{name}", cache(getattr(self, f"_{name}")))

    # Data sets, runs and clips

    def info(self, role: str) -> DatasetInfo:
        """The data set in a role; raises NotTestable when the tier leaves it out."""
        info = self.paper.dataset(role)
        if info.data is None:
            raise NotTestable(f"{info.label} is not made in this tier")
        return info

    def runs(self, role: str, run: str) -> list[RunFile]:
        """The seeds of a run on a data set; raises NotTestable when the tier has none."""
        label, found = self.info(role).label, self.paper.run_files(role, run)
        if not found:
            raise NotTestable(f"{run} was not run on {label} in this tier")
        return found

    def weights(self, role: str, clips: int, split: str = "test") -> Floats:
        """How often each clip of a part counts (1 + draws, clips); the same for all comparisons on it."""
        return self._weights(str(self.info(role).data), split, clips)

    def _weights(self, data: str, split: str, clips: int) -> Floats:
        generator = np.random.default_rng([self.seed, zlib.crc32(f"{data} {split}".encode())])
        return clip_weights(clips, self.draws, generator)

    def scores(self, run: RunFile, place: Place) -> ClipScores | None:
        """What a run scores on each clip, None where it was not tested so; UserError for other clips than before."""
        found = self._scores(run).get(place._replace(subset=OVERALL, protocol=_version(place)))
        if found is None:
            return None
        key = (run.dataset, place.split, run.labelling, _version(place))
        path, first = self._known.setdefault(key, (run.predictions, found))
        if not (np.array_equal(first.ids, found.ids) and np.array_equal(first.truth, found.truth)):
            raise UserError(
                f"{run.predictions}: {place.split} has other clips or labels than {path}; a comparison needs the same "
                "data: run one of them again."
            )
        return found

    def _scores(self, run: RunFile) -> dict[Place, ClipScores]:
        return clip_scores(run)

    # Values

    def measured(self, role: str, run: str, metric: str, place: Place = USUAL) -> dict[int, Measured]:
        """Seed -> value of a run, in percent; raises NotTestable when the tier has no such run or the run none.

        Under subsets by estimate each seed has those of its own unimodal models, where there are any.
        """
        parts = []
        for definition in self.definitions(place):
            found = {}
            for each in self.runs(role, scorer(run, definition, self.measures)):
                scores = self.scores(each, place)
                if scores is not None:
                    mask = self.mask(role, place.subset, definition, each.seed)
                    values = self._value(role, each, place, scores, metric, mask)
                    if values is not None:
                        found[each.seed] = Measured(values, len(scores.ids) if mask is None else int(mask.sum()))
            if not found:
                raise NotTestable(self._lacking(role, run, metric, place))
            parts.append(found)
        common = set.intersection(*map(set, parts))
        return {
            seed: Measured(np.mean([part[seed].values for part in parts], axis=0), min(part[seed].n for part in parts))
            for seed in common
        }

    def guessed(self, role: str, run: str, metric: str, place: Place) -> Measured:
        """The value of a row of no run: the most frequent class (of a labelling), or no event."""
        labelling = run.removeprefix(MAJORITY).removeprefix("-") if is_majority(run) else ""
        name = ACCURACY if is_majority(run) else metric
        for each in self.paper.runs_on(self.info(role).data):
            scores = self.scores(each, place) if each.labelling == labelling else None
            if scores is not None and name in scores.guess and is_majority(run) == (name == ACCURACY):
                weights = self.weights(role, len(scores.ids), place.split)
                return Measured(weighted_mean(weights, scores.guess[name]), len(scores.ids))
        raise NotTestable(self._lacking(role, run, metric, place))

    def metrics(self, role: str, run: str, place: Place = USUAL) -> dict[int, tuple[Metrics, int]]:
        """Seed -> all metrics of a run that classifies, as arrays (1 + draws,), and the number of clips."""
        found = {
            each.seed: (self._tallies(role, each, place, "").metrics(), len(scores.ids))
            for each in self.runs(role, run)
            if (scores := self.scores(each, place)) is not None and scores.answers
        }
        if not found:
            raise NotTestable(self._lacking(role, run, ACCURACY, place))
        return found

    def recalls(self, role: str, run: str, condition: str = BOTH) -> dict[int, Floats]:
        """Seed -> accuracy of each class of a run (1 + draws, C), NaN where a drawing has no clip of it."""
        place = Place(condition=condition)
        found = {
            each.seed: self._tallies(role, each, place, "").recalls
            for each in self.runs(role, run)
            if self.scores(each, place) is not None
        }
        if not found:
            raise NotTestable(self._lacking(role, run, ACCURACY, place))
        return found

    def _value(
        self, role: str, run: RunFile, place: Place, scores: ClipScores, metric: str, mask: NDArray[np.bool_] | None
    ) -> Floats | None:
        """One value under every drawing; None for a metric that the run does not have."""
        if metric in scores.of:
            weights = self.weights(role, len(scores.ids), place.split)
            own = scores.of[metric]
            return weighted_mean(weights, own) if mask is None else weighted_mean(weights[:, mask], own[mask])
        head = next((head for head in scores.answers if head and metric.endswith(f"_{head}")), "")
        name = metric.removesuffix(f"_{head}") if head else metric
        if mask is not None or not scores.answers or name not in Metrics.__annotations__:
            return None
        values: Floats = getattr(self._tallies(role, run, place, head).metrics(), name)
        return values

    def _tallies(self, role: str, run: RunFile, place: Place, head: str) -> Tally:
        scores = self.scores(run, place)
        assert scores is not None
        weights = self.weights(role, len(scores.ids), place.split)
        return tally(scores.truth, scores.answers[head], scores.classes, weights)

    def _lacking(self, role: str, run: str, metric: str, place: Place) -> str:
        missing = [] if place.condition in (BOTH, NO_SUBSET) else [place.condition]
        where = ", ".join([place.split, *missing, place.protocol, place.checkpoint])
        return f"{run} has no {metric} on {self.info(role).label} ({where})"

    # Subsets

    @cached_property
    def annotated(self) -> bool:
        """Whether any data set of the paper has subsets by what people heard and saw."""
        return any(ANNOTATIONS in read_subsets(path) for path in self.paper.subsets().values())

    def definitions(self, place: Place) -> list[str]:
        """Subset definitions that a place averages over."""
        if place.subset == OVERALL:
            return [NO_SUBSET]
        return sorted(HALVES) if place.protocol == CROSS_FITTED else [place.protocol]

    def mask(self, role: str, subset: str, definition: str, seed: int) -> NDArray[np.bool_] | None:
        """Test clips (N,) of a subset under a seed, None for all of them; raises NotTestable when there is none."""
        return None if definition == NO_SUBSET else self._mask(role, subset, self.matched(role, definition, seed))

    def _mask(self, role: str, subset: str, definition: str) -> NDArray[np.bool_]:
        if definition == ANNOTATIONS and "dominated" in canonical_subset(subset):
            raise NotTestable("people say heard or seen, not by how much")
        mask = subset_mask(self.discrepancy(role, definition), subset)
        if not mask.any():
            raise NotTestable(f"no test clip of {self.info(role).label} is in {subset} ({definition})")
        return mask

    def matched(self, role: str, definition: str, seed: int) -> str:
        """The definition by a seed's own unimodal models in place of the reference's, where there is one."""
        own = f"{SEED_MATCHED}-{seed}"
        return own if definition == ESTIMATED and own in self._discrepancies(role) else definition

    def matched_seeds(self, role: str, definition: str) -> dict[int, str]:
        """Seed -> definition: all seeds that have subsets by estimate; else the definition itself, under seed 0."""
        prefix = f"{SEED_MATCHED}-"
        own = {int(name.removeprefix(prefix)): name for name in self._discrepancies(role) if name.startswith(prefix)}
        return own if definition == ESTIMATED and own else {0: definition}

    def discrepancy(self, role: str, definition: str) -> Floats:
        """Discrepancy (N,) of the test clips under a definition; raises NotTestable where there is none."""
        found = self._discrepancies(role)
        if definition not in found:
            reason = LACKING.get(definition, "it was not made")
            raise NotTestable(f"no {definition} subsets of {self.info(role).label}: {reason}")
        return found[definition]

    def _discrepancies(self, role: str) -> dict[str, Floats]:
        info = self.info(role)
        if info.subsets is None:
            raise NotTestable(f"no subsets of {info.label} in this tier")
        known = [first for (data, split, *_), (_, first) in self._known.items() if (data, split) == (info.data, "test")]
        found = {}
        for name, frame in read_subsets(info.subsets).items():
            if known and not np.array_equal(frame["id"].to_numpy().astype(str), known[0].ids):
                raise UserError(f"{info.subsets}: {name} covers other test clips than the predictions; make it again.")
            found[name] = frame["discrepancy"].to_numpy(dtype=np.float64)
        return found

    def confidences(self, role: str, split: str, protocol: str) -> dict[int, pd.DataFrame]:
        """Seed -> the two confidences (columns audio, visual) of a part's clips, by unimodal models or as planted."""
        info = self.info(role)
        if protocol == PLANTED:
            if info.confidence is None:
                raise NotTestable(f"no confidences of {info.label}")
            frame = read_parquet(Path(info.confidence) / "confidence.parquet", ("id", "split"), "confidence")
            if "planted_audio" not in frame.columns:
                raise NotTestable(f"{info.label}: {LACKING[PLANTED]}")
            found = {0: frame[frame["split"] == split].sort_values("id", ignore_index=True)}
        elif protocol == ESTIMATED and self.confidence:
            found = self._estimated(role, split)
        else:
            raise NotTestable(f"the map has no {protocol} form")
        if any(frame.empty for frame in found.values()):
            raise NotTestable(f"{info.label} has no {split} samples")
        columns = {f"{name}_{side}": side for name in ("u", "planted") for side in ("audio", "visual")}
        wanted = [name for name in columns if name.startswith("planted") == (protocol == PLANTED)]
        return {seed: frame[wanted].rename(columns=columns) for seed, frame in found.items()}

    def _estimated(self, role: str, split: str) -> dict[int, pd.DataFrame]:
        rule = StopRule(**{name: _plain(value) for name, value in self.confidence["rule"].items()})
        audio, visual = (
            {each.seed: read_unimodal(each.beside("confidence.npz")) for each in self.runs(role, self.confidence[side])}
            for side in ("audio", "visual")
        )
        found = {}
        for seed in audio.keys() & visual.keys():
            pair = audio[seed], visual[seed]
            first, second = (stopping_epoch(each.val_accuracy, rule).estimation_epochs for each in pair)
            found[seed] = join_modalities(*pair, split, (first, second))
        return found

    # What was published, and which trainings count

    def published_value(
        self, role: str, run: str, subset: str, metric: str = ACCURACY, condition: str = BOTH
    ) -> float | None:
        """The paper's own accuracy (or another metric) of a run on a subset, in percent; None when it prints none."""
        labels = self.paper.dataset(role).label, self.paper.label(run)
        return self.published.get(published_key(*labels, subset, metric, condition))

    def estimators(self, protocol: str) -> list[str]:
        """The unimodal runs that choose subsets and draw maps under a protocol; none where no training does."""
        wanted = self.confidence if protocol in (ESTIMATED, CROSS_FITTED) else {}
        whole = [str(wanted[side]) for side in ("audio", "visual") if side in wanted]
        if protocol == ESTIMATED:
            return whole
        halves: Mapping[str, Mapping[str, str]] = self.measures.get("cross_fitted", {})
        return [half for run in whole for half in halves.get(run, {}).values()]

    def refuse_unfit(self, role: str, runs: Iterable[str], seeds: Iterable[int]) -> None:
        """Raise NotTestable when a seed of what a comparison rests on did not learn, or half of its seeds not converge.

        Of all its seeds: to leave out those that failed would be to select. A comparison is about their mean, which one
        seed that still moves leaves at rest; whether one does is itself chance. A run that joins others rests on them.
        """
        data, seeds = str(self.info(role).data), sorted(seeds)
        for run in dict.fromkeys(runs):
            for member in (run, *map(str, self.measures.get("ensembles", {}).get(run, ()))):
                failed = [
                    (seed, self._unfit[data, member, seed]) for seed in seeds if (data, member, seed) in self._unfit
                ]
                lost = [each for each in failed if each[1] == UNFIT["learned"]]
                if lost or (failed and 2 * len(failed) >= len(seeds)):
                    seed, what = (lost or failed)[0]
                    raise NotTestable(f"{self.paper.label(member)} {what} with seed {seed} on {self.info(role).label}")


def _version(place: Place) -> str:
    """The version of the truth: protocols that choose subsets leave the first one."""
    return REPAIRED if place.protocol == REPAIRED else NO_SUBSET


def _plain(setting: Any) -> Any:
    """A setting without its source."""
    return setting["value"] if isinstance(setting, Mapping) else setting


def _unfit_runs(paper: Paper, path: str | Path) -> dict[tuple[str, str, int], str]:
    """(data set, run, seed) -> what went wrong with the training, from its own rows of the metrics in UNFIT.

    Its rows under cross-fitting are about the two runs that stand in for it, which have rows of their own.

    Raises UserError when the file lacks a run of the paper or has one that the paper has not.
    """
    frame = read_measurements(path)
    keys = list(zip(frame["dataset"].astype(str), frame["run"].astype(str), frame["seed"].astype(int), strict=True))
    known = {(run.dataset, run.run, run.seed) for run in paper.runs}
    lacking = sorted(known - set(keys))
    if lacking:
        data, run, seed = lacking[0]
        raise UserError(
            f"{path}: holds nothing of {run} with seed {seed} on {data}; it was made from other runs or another tier: "
            "measure again."
        )
    return {
        key: UNFIT[str(metric)]
        for wanted in reversed(UNFIT)  # of a run that neither learned nor converged: it did not learn
        for key, metric, value, protocol in zip(keys, frame["metric"], frame["value"], frame["protocol"], strict=True)
        if metric == wanted and value == 0 and protocol == NO_SUBSET
    }
