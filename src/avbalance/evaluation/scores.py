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
from avbalance.evaluation.predictions import logits_array, read_predictions, softmax

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
    """Correctness on one split of one data set: ids (N,) sorted, correct: Key -> (N,) bool."""

    dataset: str
    split: str
    ids: NDArray[np.str_]
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
    if run in measures.get("ensembles", {}):
        return half_ensemble(run, half)
    halves = measures.get("cross_fitted", {}).get(run)
    return run if halves is None else str(halves[half])


def half_ensemble(run: str, half: str) -> str:
    """Name of the ensemble of the unimodal models of one half."""
    return f"{run}-half-{half}"


def all_ensembles(measures: Mapping[str, Any]) -> dict[str, list[str]]:
    """Name -> member runs of every ensemble, those of the half models included."""
    ensembles: dict[str, list[str]] = {}
    halves = measures.get("cross_fitted", {})
    for name, members in measures.get("ensembles", {}).items():
        ensembles[name] = list(members)
        for half in ("a", "b"):
            if all(member in halves for member in members):
                ensembles[half_ensemble(name, half)] = [str(halves[member][half]) for member in members]
    return ensembles


def auxiliary_runs(measures: Mapping[str, Any]) -> set[str]:
    """Runs that only stand in for others under cross-fitting and have no row of their own."""
    halves = {str(run) for pair in measures.get("cross_fitted", {}).values() for run in pair.values()}
    return halves | {name for name in all_ensembles(measures) if name not in measures.get("ensembles", {})}


def load_scores(
    runs: Sequence[RunFile], measures: Mapping[str, Any], splits: Sequence[str] = ("test",)
) -> dict[str, Scores]:
    """Split -> Scores of the runs of one data set, ensembles added.

    An ensemble predicts the class with the highest mean softmax probability of its members under the same
    seed, condition and checkpoint; one that is a run of its own keeps that run's predictions. Raises
    UserError when two runs were scored on different clips or labels.
    """
    frames = {(run.run, run.seed): (run, read_predictions(run.predictions)) for run in runs}
    if len(frames) != len(runs):
        raise UserError(f"{runs[0].dataset}: a run is listed twice with one seed; mend the run sheet.")
    ensembles = all_ensembles(measures)
    members = {member for names in ensembles.values() for member in names}
    return {split: _split_scores(split, frames, ensembles, members) for split in splits}


def _split_scores(
    split: str,
    frames: Mapping[tuple[str, int], tuple[RunFile, pd.DataFrame]],
    ensembles: Mapping[str, list[str]],
    members: set[str],
) -> Scores:
    reference: pd.DataFrame | None = None
    correct: dict[Key, NDArray[np.bool_]] = {}
    probabilities: dict[Key, NDArray[np.float64]] = {}
    data = ""
    for (name, seed), (run, frame) in frames.items():
        data = run.dataset
        chosen = frame[frame["split"] == split]
        for (condition, checkpoint), part in chosen.groupby(["condition", "checkpoint"], sort=True):
            part = part.sort_values("id", ignore_index=True)
            reference = part[["id", "label"]] if reference is None else reference
            if not part[["id", "label"]].equals(reference):
                raise UserError(
                    f"{run.predictions}: {split} has other clips or labels than the other runs; run it again."
                )
            logits = logits_array(part["logits"], run.predictions)
            key = Key(name, seed, str(condition), str(checkpoint))
            correct[key] = logits.argmax(axis=1) == part["label"].to_numpy()
            if name in members:
                probabilities[key] = softmax(logits)
    if reference is None:
        return Scores(data, split, np.array([], dtype=str), {})
    labels = reference["label"].to_numpy()
    for name, names in ensembles.items():
        for key in [key for key in probabilities if key.run == names[0]]:
            keys = [key._replace(run=member) for member in names]
            if key._replace(run=name) not in correct and all(k in probabilities for k in keys):
                mean = np.mean([probabilities[k] for k in keys], axis=0)
                correct[key._replace(run=name)] = mean.argmax(axis=1) == labels
    return Scores(data, split, reference["id"].to_numpy().astype(str), correct)
