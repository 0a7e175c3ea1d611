"""Per-sample correctness, subsets and resampling weights of a paper: what comparisons are made of."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.statistics import DRAWS, LEVEL, Term, resample_counts
from avbalance.analysis.subsets import OVERALL, read_subsets, subset_mask
from avbalance.errors import UserError
from avbalance.evaluation.class_accuracies import class_accuracies
from avbalance.evaluation.context import load_context
from avbalance.evaluation.measure import aligned_discrepancy, read_measurements
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.evaluation.published import load_published, published_key
from avbalance.evaluation.rows import ACCURACY, BOTH, NO_SUBSET
from avbalance.evaluation.scores import CROSS_FITTED, HALVES, Scores, load_scores, scorer
from avbalance.frames import read_parquet

MIN_N = 20
PLACE = ("split", "condition", "protocol", "checkpoint")  # what tells rows of one run, subset and metric apart


class NotTestable(Exception):
    """A comparison that this tier's data or runs cannot answer; the message says why."""


class Evidence:
    """Everything that comparisons ask for, read once per data set.

    statistics (all optional): draws (1000), level (0.95), seed (0) of the bootstrap; min_n (20): clips that
    a subset must have to be compared on. measurements: the paper's measurements.parquet, which comparisons by
    seed read.
    """

    def __init__(self, paper: Paper, declarations: Mapping[str, Any], measurements: str | Path | None = None) -> None:
        self.paper = paper
        self.measures = declarations["measures"]
        self.published = load_published(paper.published, declarations["published"])
        self.context = load_context(paper.published, declarations["published"])
        options = declarations["statistics"]
        self.draws = int(options.get("draws", DRAWS))
        self.level = float(options.get("level", LEVEL))
        self.seed = int(options.get("seed", 0))
        self.min_n = int(options.get("min_n", MIN_N))
        self.scores = cache(self._scores)
        self.discrepancies = cache(self._discrepancies)
        self.counts = cache(self._counts)
        self.class_accuracies = cache(class_accuracies)
        self._measurements = measurements
        self._rows = cache(self._read_rows)

    def generator(self, purpose: str) -> np.random.Generator:
        """A generator that depends on the declared seed and on the purpose only."""
        return np.random.default_rng([self.seed, zlib.crc32(purpose.encode())])

    def info(self, role: str) -> DatasetInfo:
        """The data set in a role; raises NotTestable when the tier leaves it out."""
        info = self.paper.dataset(role)
        if info.data is None:
            raise NotTestable(f"{info.label} is not made in this tier")
        return info

    def terms(
        self, role: str, run: str, subset: str, protocol: str, coefficient: float, seed: int | None = None
    ) -> list[Term]:
        """Accuracy (percent) of a run on a subset under a protocol, as terms; mean of the seeds or one."""
        scores = self.scores(str(self.info(role).data))
        definitions = self._definitions(role, subset, protocol)
        terms = []
        for definition in definitions:
            values = self._correctness(role, scores, scorer(run, definition, self.measures), seed)
            terms.append(Term(values, self.mask(role, subset, definition), coefficient / len(definitions)))
        return terms

    def seeds(self, role: str, run: str, subset: str, protocol: str) -> set[int]:
        """Seeds under which a run was scored."""
        scores = self.scores(str(self.info(role).data))
        names = [scorer(run, name, self.measures) for name in self._definitions(role, subset, protocol)]
        return set.intersection(*(set(scores.seeds(name)) for name in names))

    def mask(self, role: str, subset: str, definition: str) -> NDArray[np.bool_]:
        """Test samples (N,) of a subset; raises NotTestable when there is none."""
        info = self.info(role)
        if definition == NO_SUBSET:
            return np.ones(len(self.scores(str(info.data)).ids), dtype=bool)
        mask = subset_mask(self.discrepancy(role, definition), subset)
        if not mask.any():
            raise NotTestable(f"no test clip of {info.label} is in {subset} ({definition})")
        return mask

    def discrepancy(self, role: str, definition: str) -> NDArray[np.float64]:
        """Discrepancy (N,) of the test samples under a definition; raises NotTestable where there is none."""
        info = self.info(role)
        found = self.discrepancies(role)
        if definition not in found:
            planted = "the data carry no planted informativeness" if definition == "planted" else "it was not made"
            raise NotTestable(f"no {definition} subsets of {info.label}: {planted}")
        return found[definition]

    def definitions(self, protocol: str) -> list[str]:
        """Subset definitions that a protocol averages over."""
        return sorted(HALVES) if protocol == CROSS_FITTED else [protocol]

    def confidence(self, role: str) -> pd.DataFrame:
        """The confidence table of a data set; raises NotTestable when the tier has none."""
        info = self.info(role)
        if info.confidence is None:
            raise NotTestable(f"no confidences of {info.label}")
        columns = ("id", "split", "u_audio", "u_visual", "discrepancy")
        return read_parquet(Path(info.confidence) / "confidence.parquet", columns, "confidence")

    def published_value(
        self, role: str, run: str, subset: str, metric: str = ACCURACY, condition: str = BOTH
    ) -> float | None:
        """The paper's own accuracy (or another metric) of a run on a subset, in percent; None when it prints none."""
        labels = self.paper.dataset(role).label, self.paper.label(run)
        return self.published.get(published_key(*labels, subset, metric, condition))

    def measured(self, role: str, run: str, metric: str, place: Mapping[str, str]) -> dict[int, tuple[float, int]]:
        """Seed -> value and n of a run's overall metric; place: split, condition, protocol and checkpoint.

        Raises NotTestable when the tier has no such run, or the run no such metric.
        """
        data = str(self.info(role).data)
        found = self._rows().get((data, run, OVERALL, metric, *(place[name] for name in PLACE)), {})
        if not found:
            label, made = self.info(role).label, any(key[:2] == (data, run) for key in self._rows())
            missing = [] if place["condition"] in (BOTH, NO_SUBSET) else [place["condition"]]
            where = ", ".join([place["split"], *missing, place["protocol"], place["checkpoint"]])
            raise NotTestable(
                f"{run} has no {metric} on {label} ({where})" if made else f"{run} was not run on {label} in this tier"
            )
        return found

    def _read_rows(self) -> dict[tuple[str, ...], dict[int, tuple[float, int]]]:
        if self._measurements is None:
            raise UserError("claims by seed read measurements.parquet; give it with --measurements.")
        names = ["dataset", "run", "subset", "metric", *PLACE]
        frame = read_measurements(self._measurements)
        found: dict[tuple[str, ...], dict[int, tuple[float, int]]] = {}
        columns = (frame[name] for name in (*names, "seed", "value", "n"))
        for *key, seed, value, n in zip(*columns, strict=True):
            found.setdefault(tuple(map(str, key)), {})[int(seed)] = (float(value), int(n))
        return found

    def _definitions(self, role: str, subset: str, protocol: str) -> list[str]:
        return [NO_SUBSET] if protocol == NO_SUBSET or subset == OVERALL else self.definitions(protocol)

    def _correctness(self, role: str, scores: Scores, run: str, seed: int | None) -> NDArray[np.float64]:
        vectors = [
            correct
            for key, correct in scores.correct.items()
            if (key.run, key.condition, key.checkpoint) == (run, "both", "selected") and seed in (None, key.seed)
        ]
        if not vectors:
            raise NotTestable(f"{run} was not run on {self.info(role).label} in this tier")
        share: NDArray[np.float64] = np.mean(vectors, axis=0, dtype=np.float64)
        return 100.0 * share

    def _scores(self, data: str) -> Scores:
        runs = self.paper.runs_on(data)
        if not runs:
            raise NotTestable(f"no run has predictions on {data}")
        return load_scores(runs)["test"]

    def _discrepancies(self, role: str) -> dict[str, NDArray[np.float64]]:
        info = self.info(role)
        if info.subsets is None:
            raise NotTestable(f"no subsets of {info.label} in this tier")
        scores = self.scores(str(info.data))
        return {
            name: aligned_discrepancy(scores, name, frame, info.subsets)
            for name, frame in read_subsets(info.subsets).items()
        }

    def _counts(self, data: str) -> NDArray[np.uint16]:
        samples = len(self.scores(data).ids)
        if samples == 0:
            raise UserError(f"{data}: no test clip was predicted; run it again.")
        return resample_counts(samples, self.draws, self.generator(data))
