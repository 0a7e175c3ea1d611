"""Which clips train, validate and test: the official parts, and the parts that this project carves out of training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import UserError
from avbalance.methods.base import Indices
from avbalance.training.data_settings import DataSettings

PARTITION_SEED = 0  # the same for all methods and seeds: only initialisation and order differ between seeds


def stratified_part(labels: Indices, fraction: float, purpose: int) -> NDArray[np.bool_]:
    """Mark a stratified random `fraction` of the clips, at least one of each class with two or more clips.

    `labels` (N,) class indices; returns (N,) booleans. `purpose` separates the draws of different uses.
    """
    generator = np.random.default_rng([PARTITION_SEED, purpose])
    marked = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = round(fraction * len(members)) if len(members) < 2 else max(1, round(fraction * len(members)))
        marked[generator.permutation(members)[:count]] = True
    return marked


def partition(split: NDArray[np.str_], labels: Indices, settings: DataSettings) -> dict[str, Indices]:
    """Indices of the parts of one data set, of whose usable clips `split` (N,) and `labels` (N,) are.

    Returns train, val, test and, with `estimation_holdout` > 0, estimation (held out of train) and train-sample (as
    many of the others; the two sets of Gradient-Blending). Without an official val a stratified `validation_fraction`
    of train becomes one. `train_part` keeps one stratified half of train. Raises UserError when a part is empty.
    """
    train, val, test = (np.flatnonzero(split == name) for name in ("train", "val", "test"))
    if len(val) == 0:
        held = stratified_part(labels[train], settings.validation_fraction, purpose=0)
        train, val = train[~held], train[held]
    # After validation was taken out: both halves are validated on the same clips.
    if settings.train_part != "all":
        first = stratified_part(labels[train], 0.5, purpose=1)
        train = train[first if settings.train_part == "half-a" else ~first]
    parts = {"train": train, "val": val, "test": test}
    if settings.estimation_holdout > 0:
        held = stratified_part(labels[train], settings.estimation_holdout, purpose=2)
        parts["train"], parts["estimation"] = train[~held], train[held]
        order = np.random.default_rng([PARTITION_SEED, 3]).permutation(len(parts["train"]))
        parts["train-sample"] = np.sort(parts["train"][order[: len(parts["estimation"])]])
    for name, indices in parts.items():
        if len(indices) == 0:
            raise UserError(f"the {name} part has no usable clip; look at the losses in the feature store's card.json.")
    return parts
