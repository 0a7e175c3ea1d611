"""Accuracy of single classes: the recall of each class on the test part, under the selected checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avbalance.analysis.relevance import per_class_accuracy
from avbalance.errors import UserError
from avbalance.evaluation.clip_scores import ClipScores, clip_scores
from avbalance.evaluation.paper import RunFile


@dataclass(frozen=True)
class ClassAccuracies:
    """A run's answers on the test part by condition of testing."""

    scores: dict[str, ClipScores]

    @property
    def support(self) -> NDArray[np.int64]:
        """Test clips of each class (C,)."""
        first = next(iter(self.scores.values()))
        return np.bincount(first.truth, minlength=first.classes)

    def under(self, condition: str) -> NDArray[np.float64]:
        """Percent (C,), NaN for a class without a clip; raises UserError when the run was not tested so."""
        if condition not in self.scores:
            known = ", ".join(self.scores)
            raise UserError(f"no predictions under condition {condition!r}, only {known}; add it to data.conditions.")
        own = self.scores[condition]
        return per_class_accuracy(own.truth, own.answers[""], own.classes)


def class_accuracies(run: RunFile) -> ClassAccuracies:
    """Accuracies of the classes of one run; raises UserError when nothing of the test part was predicted."""
    places = clip_scores(run).items()
    scores = {place.condition: own for place, own in places if (place.split, place.checkpoint) == ("test", "selected")}
    if not scores:
        raise UserError(f"{run.predictions}: nothing of the test part was predicted; run it again.")
    return ClassAccuracies(scores)
