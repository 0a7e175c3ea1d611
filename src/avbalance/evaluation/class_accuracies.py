"""Accuracy of single classes: the recall of each class on the test part, under the selected checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avbalance.analysis.relevance import per_class_accuracy
from avbalance.errors import UserError
from avbalance.evaluation.paper import RunFile
from avbalance.evaluation.predictions import logits_array, read_predictions


@dataclass(frozen=True)
class ClassAccuracies:
    """support (C,): test clips of each class; of_condition: condition -> percent (C,), NaN for a class without one."""

    support: NDArray[np.int64]
    of_condition: dict[str, NDArray[np.float64]]

    def under(self, condition: str) -> NDArray[np.float64]:
        """Accuracies (C,) under a condition; raises UserError when the run was not tested under it."""
        if condition not in self.of_condition:
            known = ", ".join(self.of_condition)
            raise UserError(f"no predictions under condition {condition!r}, only {known}; add it to data.conditions.")
        return self.of_condition[condition]


def class_accuracies(run: RunFile) -> ClassAccuracies:
    """Accuracies of the classes of one run; raises UserError when nothing of the test part was predicted."""
    frame = read_predictions(run.predictions)
    chosen = frame[(frame["split"] == "test") & (frame["checkpoint"] == "selected")]
    if chosen.empty:
        raise UserError(f"{run.predictions}: nothing of the test part was predicted; run it again.")
    support, of_condition = np.empty(0, dtype=np.int64), {}
    for condition, part in chosen.groupby("condition", sort=True):
        logits = logits_array(part["logits"], run.predictions)
        label, classes = part["label"].to_numpy(), logits.shape[1]
        support = np.bincount(label, minlength=classes)
        of_condition[str(condition)] = per_class_accuracy(label, logits.argmax(axis=1), classes)
    return ClassAccuracies(support, of_condition)
