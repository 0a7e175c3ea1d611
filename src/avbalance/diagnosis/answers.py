"""What the trained models of a diagnosis answered, as arrays: by run, condition and part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.errors import UserError
from avbalance.evaluation.paper import RunFile
from avbalance.evaluation.predictions import matrix, read_predictions
from flowkeeper.files import read_json

JOINT, GATED, ENSEMBLE = "baseline", "baseline-gated", "late-ensemble"  # runs
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """A run's answers under all its seeds.

    ids (N,), labels (N,) of the test clips; logits: condition -> (S, N, C); validation: labels (V,) and logits (S, V,
    C); records: of each seed, see provenance/run_record.py.
    """

    run: str
    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    logits: dict[str, Floats]
    validation_labels: NDArray[np.int64]
    validation: Floats
    records: list[dict[str, object]]

    @property
    def both(self) -> Floats:
        """Logits (S, N, C) of the test clips as they are."""
        return self.logits["both"]


def read_answers(runs: Sequence[RunFile]) -> Answers:
    """The answers of one run's seeds; raises UserError where they differ in their clips."""
    frames = [read_predictions(run.predictions).query("checkpoint == 'selected'") for run in runs]
    parts = [_by_part(frame, run.predictions) for frame, run in zip(frames, runs, strict=True)]
    first = parts[0]
    for run, part in zip(runs, parts, strict=True):
        if any(part[place][0] != first[place][0] for place in first if place in part) or set(part) != set(first):
            raise UserError(f"{run.predictions}: answers for other clips than {runs[0].predictions}; train both again.")
    stacked = {place: np.stack([part[place][2] for part in parts]) for place in first}
    ids, labels, _ = first["test", "both"]
    return Answers(
        run=runs[0].run,
        ids=np.array(ids),
        labels=labels,
        logits={condition: values for (split, condition), values in stacked.items() if split == "test"},
        validation_labels=first["val", "both"][1],
        validation=stacked["val", "both"],
        records=[read_json(run.beside("record.json")) for run in runs],
    )


def _by_part(frame: pd.DataFrame, path: str) -> dict[tuple[str, str], tuple[list[str], NDArray[np.int64], Floats]]:
    """(part, condition) -> ids, labels and logits (N, C), in the order of the ids."""
    return {
        (str(split), str(condition)): (
            rows["id"].tolist(),
            rows["label"].to_numpy(np.int64),
            matrix(rows, "logits", path).astype(np.float64),
        )
        for (split, condition), rows in frame.sort_values("id").groupby(["split", "condition"])
    }
