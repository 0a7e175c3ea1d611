"""One number of a table or figure: ours over seeds, the published one, and the data it was made from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from avbalance.analysis.subsets import OVERALL, canonical_subset
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.published import load_published, published_key
from avbalance.evaluation.rows import CHANCE, MAJORITY, NO_SUBSET
from avbalance.reporting.coordinates import COORDINATES, SELECT, TRAINING

SMALL = 100
NOT_STATED = "not stated"  # in the place of what rests on models that cannot be relied on
OK, NOT_LEARNED, NOT_CONVERGED = "ok", "not learned", "not converged"  # states of a cell, the worst one counts
STATES = {"learned": NOT_LEARNED, "converged": NOT_CONVERGED}  # by the metric that has 0 for them


class Behind(NamedTuple):
    """A run behind a number that no measurement holds; value: what it alone gives, None where several give one."""

    run: str
    seed: int
    value: float | None = None


@dataclass(frozen=True)
class CellValue:
    """published and ours_mean are None when there is no such number, ours_sd for fewer than two seeds.

    state: OK, or what a seed that is part of ours did not do; culprits: those seeds. text: what is printed instead.
    behind: the runs of a number that a `source` gives, none for one that is of the data alone, None where the source
    does not say.
    """

    published: float | None = None
    ours_mean: float | None = None
    ours_sd: float | None = None
    seeds: int = 0
    n: int | None = None
    data: str = ""
    state: str = OK
    culprits: tuple[int, ...] = ()
    text: str = ""
    behind: tuple[Behind, ...] | None = None

    @property
    def made(self) -> bool:
        """Whether there is anything of ours."""
        return self.ours_mean is not None or bool(self.text)

    @property
    def record(self) -> dict[str, Any]:
        """What a CSV file says of the cell; nothing has no state."""
        hidden = {"culprits", "behind"} | (set() if self.text else {"text"})
        known = {name: value for name, value in vars(self).items() if name not in hidden}
        return known if self.ours_mean is not None else {**known, "state": None}

    @property
    def small(self) -> bool:
        """True when ours rests on fewer than 100 clips."""
        return self.ours_mean is not None and self.n is not None and self.n < SMALL


class MeasuredCells:
    """Cells looked up in a paper's measurements and its published files."""

    def __init__(self, paper: Paper, measurements: pd.DataFrame, published: Mapping[tuple[str, ...], float]) -> None:
        self.paper = paper
        self.published = published
        grouped = measurements.groupby(list(COORDINATES), sort=True)
        # The fewest clips of any seed: a cell must not look better supported than its weakest seed.
        table = grouped.agg(mean=("value", "mean"), sd=("value", "std"), seeds=("seed", "nunique"), n=("n", "min"))
        self._culprits = _culprits(measurements)
        self._ours = dict(zip(table.index, table.to_numpy(dtype=float).tolist(), strict=True))
        self._rows = measurements

    def on_common_seeds(self, places: Iterable[Mapping[str, str]]) -> MeasuredCells:
        """The same over the seeds alone that, on a data set, all runs of `places` have of which there is any."""
        named = {(self.paper.dataset(place["dataset"]).data, place["run"]) for place in places}
        seeds: dict[str, set[int]] = {}
        for key, rows in self._rows.groupby(["dataset", "run"], sort=False):
            data, run = (str(part) for part in key)
            if (data, run) in named:
                own = set(rows["seed"].astype(int))
                # Per data set, since a table may join data sets whose runs were repeated under different seeds.
                seeds[data] = seeds[data] & own if data in seeds else own
        columns = (self._rows[name] for name in ("dataset", "run", "seed"))
        kept = [(data, run) not in named or int(seed) in seeds[data] for data, run, seed in zip(*columns, strict=True)]
        return MeasuredCells(self.paper, self._rows[np.array(kept, dtype=bool)], self.published)

    def by_seed(self, coordinates: Mapping[str, str]) -> dict[int, float]:
        """Seed -> value at {dataset: role, run, subset, ...}; coordinates left out take their defaults (SELECT).

        Nothing where it is withheld.
        """
        return {} if self._withheld({**SELECT, **coordinates}) else self._by_seed.get(self.key(coordinates), {})

    @cached_property
    def _by_seed(self) -> dict[tuple[str | None, ...], dict[int, float]]:
        values: dict[tuple[str | None, ...], dict[int, float]] = {}
        for *key, seed, value in self._rows[[*COORDINATES, "seed", "value"]].itertuples(index=False):
            values.setdefault(tuple(key), {})[int(seed)] = float(value)
        return values

    def key(self, coordinates: Mapping[str, str]) -> tuple[str | None, ...]:
        """What a place is called in the measurements, in the order of COORDINATES; see `cell`."""
        place = {**SELECT, **coordinates}
        data = place.get("generator") or self.paper.dataset(place["dataset"]).data
        return (data, place["run"], canonical_subset(place["subset"]), *(place[name] for name in SELECT))

    def chance(self, role: str) -> float | None:
        """Share of the most frequent class among a data set's test clips, in per cent; None where it has no classes."""
        place = {"dataset": role, "run": MAJORITY, "subset": OVERALL, "condition": "none", "protocol": NO_SUBSET}
        return next(iter(self.by_seed({**place, "checkpoint": "none", "metric": CHANCE}).values()), None)

    def cell(self, coordinates: Mapping[str, str]) -> CellValue:
        """The cell at {dataset: role, run, subset, ...}; coordinates left out take their defaults (SELECT).

        `generator` (a name on disk) replaces the role's own data set. Published numbers stand beside the
        paper's own definition on the role's own data set only; where a data set has no subsets, protocol "none"
        is that definition.
        """
        place = {**SELECT, **coordinates}
        info = self.paper.dataset(place["dataset"])
        if self._withheld(place):
            return CellValue(data=info.data or "", text=NOT_STATED)
        key = self.key(coordinates)
        data, subset = key[0], canonical_subset(place["subset"])
        ours = self._ours.get(key)
        published = None
        own = {SELECT["protocol"]} if info.subsets else {SELECT["protocol"], NO_SUBSET}
        # A published number was measured on the paper's own data and definition; beside any other it would mislead.
        if place["protocol"] in own and "generator" not in place:
            names = info.label, self.paper.label(place["run"])
            published = self.published.get(published_key(*names, subset, place["metric"], place["condition"]))
        if ours is None:
            return CellValue(published=published, data=data or "")
        mean, sd, seeds, n = ours
        state, culprits = self._state(str(data), place)
        # pandas gives NaN for the standard deviation of a single seed.
        spread = None if math.isnan(sd) else sd
        return CellValue(published, mean, spread, int(seeds), int(n), data or "", state, culprits)

    def _withheld(self, place: Mapping[str, str]) -> bool:
        """Whether a place is a subset that models have chosen which cannot be relied on."""
        withheld = self.paper.dataset(place["dataset"]).withheld
        return place["protocol"] in withheld and canonical_subset(place["subset"]) != OVERALL

    def _state(self, data: str, place: Mapping[str, str]) -> tuple[str, tuple[int, ...]]:
        """The state of a cell and the seeds behind it; numbers about training itself are never marked."""
        # These numbers say themselves whether a run learned; a mark beside them would say it twice.
        if place["metric"] in TRAINING:
            return OK, ()
        for metric, state in STATES.items():
            for protocol in (place["protocol"], NO_SUBSET):
                if seeds := self._culprits.get((data, place["run"], protocol, metric)):
                    return state, seeds
        return OK, ()


def _culprits(measurements: pd.DataFrame) -> dict[tuple[str, ...], tuple[int, ...]]:
    """(data set, run, protocol, verdict) -> the seeds that have the verdict 0, where there are any.

    Protocol "none" speaks of the run itself, "cross-fitted" of the two that stand in for it.
    """
    failed = measurements[measurements["metric"].isin(list(STATES)) & (measurements["value"] == 0)]
    grouped = failed.groupby(["dataset", "run", "protocol", "metric"], sort=True)["seed"]
    return {tuple(map(str, key)): tuple(sorted(set(seeds.astype(int)))) for key, seeds in grouped}


def published_numbers(paper: Paper, declarations: Mapping[str, Any]) -> dict[tuple[str, ...], float]:
    """The paper's published numbers as its declarations map them."""
    return load_published(paper.published, declarations.get("published", ()))
