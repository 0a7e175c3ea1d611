"""Metrics of classification against worked and published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from avbalance.analysis.relevance import Metrics, metrics, per_class_accuracy, tally
from avbalance.errors import UserError

Confusion = list[list[int]]
# Confusions of the 727 test clips of the binary tasks that fit the printed accuracies, and what follows from them:
# accuracy, balanced accuracy, macro precision, recall and F1, weighted F1.
RECONSTRUCTED = [
    ([[285, 75], [204, 163]], [61.62, 61.79, 63.38, 61.79, 60.51, 60.45]),
    ([[279, 81], [81, 286]], [77.72, 77.71, 77.71, 77.71, 77.71, 77.72]),
    ([[266, 94], [112, 255]], [71.66, 71.69, 71.72, 71.69, 71.66, 71.65]),
    ([[280, 80], [132, 235]], [70.84, 70.91, 71.28, 70.91, 70.73, 70.71]),
    ([[241, 119], [159, 208]], [61.76, 61.81, 61.93, 61.81, 61.68, 61.66]),
    ([[260, 100], [106, 261]], [71.66, 71.67, 71.67, 71.67, 71.66, 71.66]),
    ([[262, 98], [180, 187]], [61.76, 61.87, 62.45, 61.87, 61.35, 61.31]),
    ([[146, 141], [89, 351]], [68.36, 65.32, 66.73, 65.32, 65.63, 67.67]),
    ([[130, 157], [79, 361]], [67.54, 63.67, 65.95, 63.67, 63.89, 66.31]),
    ([[182, 105], [127, 313]], [68.09, 67.28, 66.89, 67.28, 67.02, 68.27]),
    ([[132, 155], [100, 340]], [64.92, 61.63, 62.79, 61.63, 61.80, 64.10]),
    ([[181, 106], [159, 281]], [63.55, 63.46, 62.92, 63.46, 62.85, 63.92]),
    ([[170, 117], [124, 316]], [66.85, 65.53, 65.40, 65.53, 65.46, 66.92]),
    ([[173, 114], [152, 288]], [63.41, 62.87, 62.44, 62.87, 62.47, 63.72]),
]


def clips(confusion: Confusion) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels and predictions with this confusion, rows truth."""
    counts = np.array(confusion)
    label, predicted = np.indices(counts.shape)
    return np.repeat(label.ravel(), counts.ravel()), np.repeat(predicted.ravel(), counts.ravel())


def of(confusion: Confusion) -> Metrics:
    return metrics(*clips(confusion))


def main(found: Metrics) -> list[float]:
    return [found.accuracy, found.balanced_accuracy, found.precision_zd1, found.recall, found.macro_f1]


@pytest.mark.parametrize(("confusion", "expected"), RECONSTRUCTED)
def test_confusions_behind_the_published_tables(confusion: Confusion, expected: list[float]) -> None:
    found = of(confusion)
    assert [*main(found), found.weighted_f1] == pytest.approx(expected, abs=0.00501)
    assert found.precision_zd0 == pytest.approx(found.precision_zd1)  # both classes are predicted


def test_a_class_without_clip_is_left_out_of_the_means() -> None:
    with_gap = of([[3, 1, 1], [0, 0, 0], [0, 2, 2]])  # class 1 is predicted, but never true
    assert [with_gap.recall, with_gap.balanced_accuracy] == pytest.approx([55, 55])
    assert with_gap.precision_zd1 == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert per_class_accuracy(*clips([[3, 1, 1], [0, 0, 0], [0, 2, 2]]), 4).tolist() == pytest.approx(
        [60, float("nan"), 50, float("nan")], nan_ok=True
    )
    with pytest.raises(UserError, match="no clip was predicted"):
        metrics(np.array([], dtype=np.int64), np.array([], dtype=np.int64))


@settings(deadline=None, max_examples=40)
@given(classes=st.integers(2, 7), number=st.integers(1, 80), seed=st.integers(0, 10_000))
def test_what_metrics_must_be(classes: int, number: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    label, predicted = generator.integers(0, classes, (2, number))
    found = metrics(label, predicted)
    assert found.recall == pytest.approx(found.balanced_accuracy, abs=1e-7)
    assert found.precision_zd0 <= found.precision_zd1 + 1e-9
    assert all(-1e-9 <= value <= 100 + 1e-9 for value in vars(found).values())
    each, support = per_class_accuracy(label, predicted, classes), np.bincount(label, minlength=classes)
    assert np.nanmean(each) == pytest.approx(found.balanced_accuracy, abs=1e-9)
    assert np.average(np.nan_to_num(each), weights=support) == pytest.approx(found.accuracy, abs=1e-9)
    renamed = generator.permutation(classes)
    again = metrics(renamed[label], renamed[predicted])
    assert list(vars(again).values()) == pytest.approx(list(vars(found).values()), abs=1e-9)
    assert main(metrics(label, label)) == pytest.approx([100.0] * 5)


def test_drawings_of_clips_are_scored_as_if_clips_stood_as_often() -> None:
    generator = np.random.default_rng(0)
    label, predicted = generator.integers(0, 4, 60), generator.integers(0, 4, 60)
    weights = generator.multinomial(60, np.full(60, 1 / 60), 5).astype(float)
    found = tally(label, predicted, 4, weights)
    for draw, row in enumerate(weights.astype(int)):
        alone = metrics(np.repeat(label, row), np.repeat(predicted, row))
        assert {name: values[draw] for name, values in vars(found.metrics()).items()} == pytest.approx(vars(alone))
        support = np.repeat(label, row)
        precision, recall, f1, _ = precision_recall_fscore_support(
            support, np.repeat(predicted, row), labels=np.unique(support), average="macro", zero_division=1
        )
        assert (alone.precision_zd1, alone.recall, alone.macro_f1) == pytest.approx((
            100 * precision, 100 * recall, 100 * f1
        ))  # fmt: skip
