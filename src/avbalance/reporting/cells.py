"""One number of a table or figure: ours over seeds, the published one, and the data it was made from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.subsets import OVERALL, canonical_subset
from avbalance.errors import UserError
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.evaluation.published import load_published, published_key
from avbalance.evaluation.rows import ACCURACY, BOTH, CHANCE, NO_SUBSET, majority
from avbalance.evaluation.scores import CROSS_FITTED, HALVES

SELECT = {
    "split": "test",
    "condition": BOTH,
    "protocol": "estimated",
    "checkpoint": "selected",
    "metric": ACCURACY,
}
COORDINATES = ("dataset", "run", "subset", *SELECT)
SCORED = ["dataset", "run", "seed", "split", "condition", "protocol", "checkpoint"]
SMALL = 100
CHANCE_ERRORS = 3  # binomial standard errors above the share of the most frequent label


@dataclass(frozen=True)
class Cell:
    """published and ours_mean are None when there is no such number, ours_sd for fewer than two seeds.

    chance: a seed whose overall accuracy is at chance level is part of ours.
    """

    published: float | None = None
    ours_mean: float | None = None
    ours_sd: float | None = None
    seeds: int = 0
    n: int | None = None
    data: str = ""
    chance: bool = False

    @property
    def record(self) -> dict[str, Any]:
        """What a CSV file says of the cell."""
        return {name: value for name, value in vars(self).items() if name != "chance"}

    @property
    def small(self) -> bool:
        """True when ours rests on fewer than 100 clips."""
        return self.ours_mean is not None and self.n is not None and self.n < SMALL


class Measured:
    """Cells looked up in a paper's measurements and its published files."""

    def __init__(self, paper: Paper, measurements: pd.DataFrame, published: Mapping[tuple[str, ...], float]) -> None:
        self.paper = paper
        self.published = published
        labellings = {run.run: run.labelling for run in paper.runs}
        chance = _at_chance(measurements, labellings)
        grouped = measurements.assign(chance=chance).groupby(list(COORDINATES), sort=True)
        table = grouped.agg(
            mean=("value", "mean"), sd=("value", "std"), seeds=("seed", "nunique"), n=("n", "min"),
            chance=("chance", "max"),
        )  # fmt: skip
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
        mean, sd, seeds, n, chance = ours
        return Cell(published, mean, None if math.isnan(sd) else sd, int(seeds), int(n), data or "", bool(chance))


def _at_chance(measurements: pd.DataFrame, labellings: Mapping[str, str]) -> NDArray[np.bool_]:
    """Rows (N,) of runs and seeds whose overall accuracy, as scored for that row, is at chance level.

    At chance level: at most the share of the most frequent label, under the run's labelling, plus three
    binomial standard errors. A cross-fitted row is, when either of the two models behind it is.
    """
    chance = measurements[measurements["metric"] == CHANCE].set_index(["dataset", "split", "run"])["value"]
    overall = measurements[(measurements["metric"] == ACCURACY) & (measurements["subset"] == OVERALL)]
    named = overall[["dataset", "split"]].assign(run=[majority(labellings.get(str(run), "")) for run in overall["run"]])
    level = chance.reindex(pd.MultiIndex.from_frame(named)).to_numpy(dtype=float)
    error = np.sqrt(level * (100.0 - level) / overall["n"].to_numpy(dtype=float))
    low = overall.loc[overall["value"].to_numpy() <= level + CHANCE_ERRORS * error, SCORED]
    averaged = low[low["protocol"].isin(list(HALVES))].assign(protocol=CROSS_FITTED)
    found = pd.MultiIndex.from_frame(pd.concat([low, averaged]))
    rows: NDArray[np.bool_] = pd.MultiIndex.from_frame(measurements[SCORED]).isin(found)
    return rows & (measurements["metric"] == ACCURACY).to_numpy()


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


def published_numbers(paper: Paper, declarations: Mapping[str, Any]) -> dict[tuple[str, ...], float]:
    """The paper's published numbers as its declarations map them."""
    return load_published(paper.published, declarations["published"])
