"""Metrics of classification from class indices: those of modality-relevance, section 5, and what they rest on.

In percent. The zero-division policy of precision is read off the paper's published numbers: a macro precision of 83.61
at 6.29 % accuracy is only possible when a class that is never predicted counts as 1. Numbers may be arrays, a value for
each drawing of the test clips. Importing this module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import UserError

INTACT = "both"  # the condition in which no modality is withheld
BALANCED = "balanced_accuracy"

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]
Value = Any  # a number, or an array of them


@dataclass(frozen=True)
class Metrics:
    """Metrics of one row in percent. Precision, recall and F1 are means over the classes that occur in the truth.

    precision_zd1: a class that is never predicted counts as 1, as in the paper; precision_zd0: as 0. weighted_f1:
    mean weighted by the clips of each class, which is what the paper printed as F1 in four cells. The first five are
    those of the paper.
    """

    accuracy: Value
    balanced_accuracy: Value
    precision_zd1: Value
    recall: Value
    macro_f1: Value
    precision_zd0: Value
    weighted_f1: Value


def metrics(label: Labels, predicted: Labels) -> Metrics:
    """Metrics of predicted class indices (N,) against the true ones (N,); raises UserError without a clip."""
    if len(label) == 0:
        raise UserError("no clip was predicted; evaluate on a part that is not empty.")
    whole = tally(label, predicted, int(max(label.max(), predicted.max())) + 1, np.ones((1, len(label)))).metrics()
    return Metrics(**{name: float(value[0]) for name, value in vars(whole).items()})


@dataclass(frozen=True)
class Tally:
    """Clips counted by class under D weightings, each (D, C): named rightly, named so at all, and true."""

    hits: Floats
    predicted: Floats
    true: Floats

    @property
    def recalls(self) -> Floats:
        """Accuracy of each class in percent (D, C); NaN for a class that does not occur in the truth."""
        return _share(100 * self.hits, self.true)

    def metrics(self) -> Metrics:
        """Metrics whose values are arrays (D,)."""
        precision = _share(100 * self.hits, self.predicted)  # NaN for a class that is never predicted
        f1 = _share(200 * self.hits, self.predicted + self.true)
        occurs, total = self.true > 0, self.true.sum(axis=1)
        # Of the classes that occur: a bootstrap draw may miss a rare one, which then has no recall.
        balanced = np.nanmean(self.recalls, axis=1)

        def macro(values: Floats) -> Floats:
            return np.where(occurs, values, 0).sum(axis=1) / occurs.sum(axis=1)

        return Metrics(
            accuracy=100 * self.hits.sum(axis=1) / total,
            balanced_accuracy=balanced,
            precision_zd1=macro(np.nan_to_num(precision, nan=100.0)),
            recall=balanced,
            macro_f1=macro(f1),
            precision_zd0=macro(np.nan_to_num(precision, nan=0.0)),
            weighted_f1=np.where(occurs, f1 * self.true, 0).sum(axis=1) / total,
        )


def tally(label: Labels, predicted: Labels, classes: int, weights: Floats) -> Tally:
    """Count predicted class indices (N,) against the true ones (N,) under weights (D, N)."""
    # As matrices, so that a thousand weightings of the clips are one product.
    true, named = np.eye(classes)[label], np.eye(classes)[predicted]
    return Tally(weights @ (true * named), weights @ named, weights @ true)


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def per_class_accuracy(label: Labels, predicted: Labels, classes: int) -> Floats:
    """Recall of each class in percent, (C,); NaN for a class that does not occur in the truth."""
    return tally(label, predicted, classes, np.ones((1, len(label)))).recalls[0]
