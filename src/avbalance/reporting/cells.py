"""One number of a table or figure: ours over seeds, the published one, and the data it was made from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avbalance.analysis.learning import QUANTITIES, VERDICTS
from avbalance.analysis.subsets import OUTSIDE, SIDES, TIE, agreement, canonical_subset, read_subsets
from avbalance.errors import UserError
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.evaluation.published import load_published, published_key
from avbalance.evaluation.rows import ACCURACY, BOTH, NO_SUBSET

SELECT = {
    "split": "test",
    "condition": BOTH,
    "protocol": "estimated",
    "checkpoint": "selected",
    "metric": ACCURACY,
}
COORDINATES = ("dataset", "run", "subset", *SELECT)
TRAINING = (*VERDICTS, *QUANTITIES)  # metrics about how a run was trained
SMALL = 100
OK, NOT_LEARNED, NOT_CONVERGED = "ok", "not learned", "not converged"  # states of a cell, the worst one counts
STATES = {"learned": NOT_LEARNED, "converged": NOT_CONVERGED}  # by the metric that has 0 for them


@dataclass(frozen=True)
class Cell:
    """published and ours_mean are None when there is no such number, ours_sd for fewer than two seeds.

    state: OK, or what a seed that is part of ours did not do; culprits: those seeds.
    """

    published: float | None = None
    ours_mean: float | None = None
    ours_sd: float | None = None
    seeds: int = 0
    n: int | None = None
    data: str = ""
    state: str = OK
    culprits: tuple[int, ...] = ()

    @property
    def record(self) -> dict[str, Any]:
        """What a CSV file says of the cell; nothing has no state."""
        known = {name: value for name, value in vars(self).items() if name != "culprits"}
        return known if self.ours_mean is not None else {**known, "state": None}

    @property
    def small(self) -> bool:
        """True when ours rests on fewer than 100 clips."""
        return self.ours_mean is not None and self.n is not None and self.n < SMALL


class Measured:
    """Cells looked up in a paper's measurements and its published files."""

    def __init__(self, paper: Paper, measurements: pd.DataFrame, published: Mapping[tuple[str, ...], float]) -> None:
        self.paper = paper
        self.published = published
        grouped = measurements.groupby(list(COORDINATES), sort=True)
        table = grouped.agg(mean=("value", "mean"), sd=("value", "std"), seeds=("seed", "nunique"), n=("n", "min"))
        self._culprits = _culprits(measurements)
        self._ours = dict(zip(table.index, table.to_numpy(dtype=float).tolist(), strict=True))
        self._rows = measurements

    def on_common_seeds(self, places: Iterable[Mapping[str, str]]) -> Measured:
        """The same over the seeds alone that, on a data set, all runs of `places` have of which there is any."""
        named = {(self.paper.dataset(place["dataset"]).data, place["run"]) for place in places}
        seeds: dict[str, set[int]] = {}
        for key, rows in self._rows.groupby(["dataset", "run"], sort=False):
            data, run = (str(part) for part in key)
            if (data, run) in named:
                found = set(rows["seed"].astype(int))
                seeds[data] = seeds[data] & found if data in seeds else found
        columns = (self._rows[name] for name in ("dataset", "run", "seed"))
        kept = [
            (data, run) not in named or int(seed) in seeds[str(data)] for data, run, seed in zip(*columns, strict=True)
        ]
        rows = self._rows[np.array(kept, dtype=bool)]
        return Measured(self.paper, rows, self.published)

    def by_seed(self, coordinates: Mapping[str, str]) -> dict[int, float]:
        """Seed -> value at {dataset: role, run, subset, ...}; coordinates left out take their defaults (SELECT)."""
        place: dict[str, str | None] = {**SELECT, **coordinates}
        place["dataset"] = self.paper.dataset(coordinates["dataset"]).data
        chosen = self._rows
        for name in COORDINATES:
            chosen = chosen[chosen[name] == place[name]]
        return dict(zip(chosen["seed"].astype(int), chosen["value"].astype(float), strict=True))

    def cell(self, coordinates: Mapping[str, str]) -> Cell:
        """The cell at {dataset: role, run, subset, ...}; coordinates left out take their defaults (SELECT).

        `generator` (a name on disk) replaces the role's own data set. Published numbers stand beside the
        paper's own definition on the role's own data set only; where a data set has no subsets, protocol "none"
        is that definition.
        """
        place = {**SELECT, **coordinates}
        info = self.paper.dataset(place["dataset"])
        subset = canonical_subset(place["subset"])
        data = place.get("generator") or info.data
        key = (data, place["run"], subset, *(place[name] for name in SELECT))
        ours = self._ours.get(key)
        published = None
        own = {SELECT["protocol"]} if info.subsets else {SELECT["protocol"], NO_SUBSET}
        if place["protocol"] in own and "generator" not in place:
            names = info.label, self.paper.label(place["run"])
            published = self.published.get(published_key(*names, subset, place["metric"], place["condition"]))
        if ours is None:
            return Cell(published=published, data=data or "")
        mean, sd, seeds, n = ours
        state, culprits = self._state(str(data), place)
        spread = None if math.isnan(sd) else sd
        return Cell(published, mean, spread, int(seeds), int(n), data or "", state, culprits)

    def _state(self, data: str, place: Mapping[str, str]) -> tuple[str, tuple[int, ...]]:
        """The state of a cell and the seeds behind it; numbers about training itself are never marked."""
        if place["metric"] in TRAINING:
            return OK, ()
        for metric, state in STATES.items():
            for protocol in (place["protocol"], NO_SUBSET):
                if seeds := self._culprits.get((data, place["run"], protocol, metric)):
                    return state, seeds
        return OK, ()


def _culprits(measurements: pd.DataFrame) -> dict[tuple[str, str, str, str], tuple[int, ...]]:
    """(data set, run, protocol, verdict) -> the seeds that have the verdict 0, where there are any.

    Protocol "none" speaks of the run itself, "cross-fitted" of the two that stand in for it.
    """
    found = measurements[measurements["metric"].isin(list(STATES)) & (measurements["value"] == 0)]
    grouped = found.groupby(["dataset", "run", "protocol", "metric"], sort=True)["seed"]
    return {
        (str(data), str(run), str(protocol), str(metric)): tuple(sorted(set(seeds.astype(int))))
        for (data, run, protocol, metric), seeds in grouped
    }


class FromFiles:
    """Cells looked up in one CSV file per data set in its confidence folder, melted to one quantity per row.

    spec: {file: name, keys: [columns], quantities: [columns], n: column}. Coordinates are dataset, the
    keys, quantity.
    """

    def __init__(self, paper: Paper, spec: Mapping[str, Any]) -> None:
        self.paper = paper
        self.keys = [str(key) for key in spec["keys"]]
        self._values: dict[tuple[str, ...], tuple[float, int]] = {}
        for info in paper.datasets.values():
            if info.data is not None and info.confidence is not None:
                self._read(info, Path(info.confidence) / str(spec["file"]), spec)

    def _read(self, info: DatasetInfo, path: Path, spec: Mapping[str, Any]) -> None:
        try:
            frame = pd.read_csv(path)
            for row in frame.to_dict("records"):
                for quantity in spec["quantities"]:
                    key = (info.role, *(str(row[name]) for name in self.keys), str(quantity))
                    self._values[key] = (float(row[quantity]), int(row[spec["n"]]))
        except (FileNotFoundError, KeyError, ValueError) as error:
            raise UserError(
                f"{path}: does not hold what the table asks for ({error}); run confidence again."
            ) from error

    def cell(self, coordinates: Mapping[str, str]) -> Cell:
        """The cell at {dataset: role, <keys>, quantity}."""
        info = self.paper.dataset(coordinates["dataset"])
        key = (info.role, *(coordinates[name] for name in self.keys), coordinates["quantity"])
        if key not in self._values or pd.isna(self._values[key][0]):
            return Cell(data=info.data or "")
        value, n = self._values[key]
        return Cell(None, value, None, 1, n, info.data or "")


class FromSubsets:
    """Cells looked up in the subsets files: clips per definition, and how far it agrees with the estimate.

    Coordinates are dataset, definition and quantity: audio, visual, tie, outside (clips), and of the clips for which
    the definition and "estimated" both name a side, see `agreement` in analysis/subsets.py. n is the number of test
    clips; the agreement of a definition with itself is no number.
    """

    def __init__(self, paper: Paper) -> None:
        self.paper = paper
        self._values: dict[tuple[str, str, str], float] = {}
        self._clips: dict[str, int] = {}
        for info in paper.datasets.values():
            if info.data is not None and info.subsets is not None:
                self._read(info, read_subsets(info.subsets))

    def _read(self, info: DatasetInfo, found: Mapping[str, pd.DataFrame]) -> None:
        reference = found[SELECT["protocol"]]["preferred"]
        self._clips[info.role] = len(reference)
        for definition, frame in found.items():
            own = frame["preferred"]
            quantities = {name: float((own == name).sum()) for name in (*SIDES, TIE, OUTSIDE)}
            quantities |= agreement(own, reference) if definition != SELECT["protocol"] else {}
            self._values |= {(info.role, definition, name): value for name, value in quantities.items()}

    def cell(self, coordinates: Mapping[str, str]) -> Cell:
        """The cell at {dataset: role, definition, quantity}."""
        info = self.paper.dataset(coordinates["dataset"])
        value = self._values.get((info.role, coordinates["definition"], coordinates["quantity"]), math.nan)
        if math.isnan(value):
            return Cell(data=info.data or "")
        return Cell(None, value, None, 1, self._clips[info.role], info.data or "")


def published_numbers(paper: Paper, declarations: Mapping[str, Any]) -> dict[tuple[str, ...], float]:
    """The paper's published numbers as its declarations map them."""
    return load_published(paper.published, declarations["published"])
