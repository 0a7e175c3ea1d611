"""Per-sample correctness of every run on one data set, aligned by clip id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.errors import UserError
from avbalance.evaluation.paper import RunFile
from avbalance.evaluation.predictions import logits_array, read_predictions

CROSS_FITTED = "cross-fitted"
SEED_MATCHED = "seed-matched"
HALVES = {"cross-fitted-a": "b", "cross-fitted-b": "a"}


class Key(NamedTuple):
    """What identifies one vector of correctness on a split."""

    run: str
    seed: int
    condition: str
    checkpoint: str


@dataclass(frozen=True)
class Scores:
    """Correctness on one split of one data set: ids (N,) sorted, correct: Key -> (N,) bool.

    labels: labelling -> (N,), for every labelling that a run was scored on.
    """

    dataset: str
    split: str
    ids: NDArray[np.str_]
    labels: dict[str, NDArray[np.integer[Any]]]
    correct: dict[Key, NDArray[np.bool_]]

    def runs(self) -> list[str]:
        """Names of the runs, in the order in which they were given."""
        return list(dict.fromkeys(key.run for key in self.correct))

    def seeds(self, run: str, condition: str = "both", checkpoint: str = "selected") -> list[int]:
        """Seeds of a run under one condition and checkpoint."""
        return sorted(
            k.seed for k in self.correct if (k.run, k.condition, k.checkpoint) == (run, condition, checkpoint)
        )


def scorer(run: str, definition: str, measures: Mapping[str, Any]) -> str:
    """The run that is scored for `run` under a subset definition.

    Subsets chosen by the unimodal models of one half of the training set are scored with the unimodal
    models of the other half, so that no model is scored on a subset that its own confidence chose. Other
    runs and definitions: `run` itself.
    """
    half = HALVES.get(definition)
    if half is None:
        return run
    halves = measures.get("cross_fitted", {}).get(run)
    return run if halves is None else str(halves[half])


def auxiliary_runs(measures: Mapping[str, Any]) -> set[str]:
    """Runs that only stand in for others under cross-fitting and have no row of their own."""
    return {str(run) for pair in measures.get("cross_fitted", {}).values() for run in pair.values()}


def load_scores(runs: Sequence[RunFile], splits: Sequence[str] = ("test",)) -> dict[str, Scores]:
    """Split -> Scores of the runs of one data set.

    Raises UserError when a run is listed twice, or two runs were scored on different clips or, of one
    labelling, on different labels.
    """
    frames = {(run.run, run.seed): (run, read_predictions(run.predictions)) for run in runs}
    if len(frames) != len(runs):
        raise UserError(f"{runs[0].dataset}: a run is listed twice with one seed; mend the run sheet.")
    return {split: _split_scores(split, frames) for split in splits}


def _split_scores(split: str, frames: Mapping[tuple[str, int], tuple[RunFile, pd.DataFrame]]) -> Scores:
    ids: pd.Series | None = None
    labels: dict[str, pd.Series] = {}
    correct: dict[Key, NDArray[np.bool_]] = {}
    data = ""
    for (name, seed), (run, frame) in frames.items():
        data = run.dataset
        chosen = frame[frame["split"] == split]
        for (condition, checkpoint), part in chosen.groupby(["condition", "checkpoint"], sort=True):
            part = part.sort_values("id", ignore_index=True)
            ids = part["id"] if ids is None else ids
            if not part["id"].equals(ids) or not part["label"].equals(labels.setdefault(run.labelling, part["label"])):
                raise UserError(
                    f"{run.predictions}: {split} has other clips or labels than the other runs; run it again."
                )
            logits = logits_array(part["logits"], run.predictions)
            key = Key(name, seed, str(condition), str(checkpoint))
            correct[key] = logits.argmax(axis=1) == part["label"].to_numpy()
    known = np.array([], dtype=str) if ids is None else ids.to_numpy().astype(str)
    return Scores(data, split, known, {name: column.to_numpy() for name, column in labels.items()}, correct)
