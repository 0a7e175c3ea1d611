"""Parts of a data set: stratified, disjoint, and the official ones respected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avbalance.errors import UserError
from avbalance.training.data_settings import DataSettings
from avbalance.training.partition import partition, stratified_part

LABELS = np.array([0] * 20 + [1] * 10 + [2] * 30 + [0, 1, 2, 0, 1, 2])
SPLIT = np.array(["train"] * 60 + ["val"] * 3 + ["test"] * 3)
NO_VAL = np.where(SPLIT == "val", "train", SPLIT)


def parts_of(split: Any = SPLIT, labels: Any = LABELS, **settings: Any) -> dict[str, Any]:
    return partition(split, labels, DataSettings(**settings))


def counts(indices: Any) -> list[int]:
    return np.bincount(LABELS[indices], minlength=3).tolist()


def test_a_stratified_part_takes_the_same_share_of_each_class_and_at_least_one() -> None:
    labels = np.array([0] * 20 + [1] * 3 + [2])
    marked = stratified_part(labels, 0.1, purpose=0)
    # a tenth of 20 is 2; of 3 it is 0.3, raised to one; a class of a single clip keeps it in training
    assert np.bincount(labels[marked], minlength=3).tolist() == [2, 1, 0]
    assert np.array_equal(marked, stratified_part(labels, 0.1, purpose=0))
    assert not np.array_equal(marked, stratified_part(labels, 0.1, purpose=2))


def test_official_parts_are_kept() -> None:
    parts = parts_of()
    assert [list(parts[name]) for name in ("train", "val", "test")] == [
        list(range(60)), [60, 61, 62], [63, 64, 65],
    ]  # fmt: skip


def test_without_an_official_one_a_tenth_of_train_validates() -> None:
    parts = parts_of(NO_VAL)
    # train holds 21, 11 and 31 clips of the classes: a tenth is 2, 1 and 3
    assert counts(parts["val"]) == [2, 1, 3]
    assert sorted([*parts["train"], *parts["val"]]) == list(range(63))
    assert list(parts["test"]) == [63, 64, 65]


def test_halves_are_stratified_disjoint_and_complete() -> None:
    first, second = (parts_of(train_part=f"half-{half}") for half in "ab")
    assert counts(first["train"]) == counts(second["train"]) == [10, 5, 15]
    assert sorted([*first["train"], *second["train"]]) == list(range(60))
    for name in ("val", "test"):
        assert np.array_equal(first[name], second[name])


def test_estimation_and_train_sample_are_equally_large_and_disjoint() -> None:
    parts = parts_of(estimation_holdout=0.2)
    assert counts(parts["estimation"]) == [4, 2, 6]
    assert len(parts["train-sample"]) == len(parts["estimation"]) == 12
    assert set(parts["train-sample"]) <= set(parts["train"])
    assert set(parts["train"]).isdisjoint(parts["estimation"])
    assert sorted([*parts["train"], *parts["estimation"]]) == list(range(60))
    again = parts_of(estimation_holdout=0.2)
    assert all(np.array_equal(parts[name], again[name]) for name in parts)
    held = set(parts["estimation"]) | set(parts["train-sample"])
    assert held.isdisjoint({*parts["val"], *parts["test"]})


@pytest.mark.parametrize("missing", ["train", "test"])
def test_an_empty_part_is_one_sentence(missing: str) -> None:
    kept = missing != SPLIT
    with pytest.raises(UserError, match=f"the {missing} part has no usable clip"):
        parts_of(SPLIT[kept], LABELS[kept])
