"""Metrics against worked and published numbers, and the paper's claims on the paper's own tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from avbalance.analysis.relevance import (
    AUDIO_MODEL,
    ROWS,
    VIDEO_MODEL,
    Finding,
    Metrics,
    class_findings,
    class_statements,
    drop,
    kinetics_sounds_findings,
    metrics,
    modality_drop,
    per_class_accuracy,
    representation_gap,
    rows_of,
    speech_findings,
    tally,
    task_contrast,
    unused_audio,
    urban_rural_findings,
    visual_reliance,
)
from avbalance.errors import UserError
from avbalance.evaluation.seed_findings import ONE_MODEL

Confusion = list[list[int]]
# Printed tables: accuracy, balanced accuracy, precision, recall, F1; rows in the order of ROWS.
URBAN_RURAL = [
    [61.62, 61.79, 63.38, 61.69, 60.51],
    [77.72, 77.71, 77.71, 77.71, 77.72],
    [71.66, 71.65, 71.72, 71.69, 71.66],
    [70.84, 70.91, 71.28, 70.91, 70.71],
    [61.76, 61.81, 61.93, 61.81, 61.68],
    [71.66, 71.66, 71.67, 71.67, 71.66],
    [61.76, 61.76, 62.45, 61.87, 61.35],
]
SPEECH = [
    [68.36, 65.32, 66.73, 65.32, 65.64],
    [67.54, 63.67, 65.95, 63.37, 66.31],
    [68.09, 67.28, 66.89, 67.28, 67.02],
    [64.92, 61.63, 62.79, 61.63, 61.80],
    [63.55, 63.46, 62.92, 63.46, 63.92],
    [66.85, 65.53, 65.40, 65.53, 65.46],
    [63.41, 62.87, 62.44, 62.87, 62.47],
]
KINETICS_SOUNDS = [
    [16.22, 16.04, 42.18, 16.04, 11.73],
    [77.20, 76.73, 78.27, 76.73, 76.92],
    [77.35, 76.89, 78.36, 76.89, 77.04],
    [76.65, 76.05, 77.33, 76.05, 76.20],
    [5.94, 6.07, 20.27, 6.07, 4.10],
    [76.65, 76.05, 77.33, 76.05, 76.20],
    [6.29, 6.88, 83.61, 6.88, 2.82],
]
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


def table(rows: list[list[float]]) -> dict[str, Metrics]:
    return {
        name: Metrics(*values, precision_zd0=float("nan"), weighted_f1=float("nan"))
        for name, values in zip(ROWS, rows, strict=True)
    }


def main(found: Metrics) -> list[float]:
    return [found.accuracy, found.balanced_accuracy, found.precision_zd1, found.recall, found.macro_f1]


def test_worked_binary_metrics() -> None:
    found = main(of([[170, 117], [124, 316]]))
    expected = [0.66850069, 0.65525816, 0.65401172, 0.65525816, 0.65456918]
    assert [value / 100 for value in found] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("confusion", "expected"), RECONSTRUCTED)
def test_confusions_behind_the_published_tables(confusion: Confusion, expected: list[float]) -> None:
    found = of(confusion)
    assert [*main(found), found.weighted_f1] == pytest.approx(expected, abs=0.00501)
    assert found.precision_zd0 == pytest.approx(found.precision_zd1)  # both classes are predicted


def test_worked_zero_division() -> None:
    found = of([[3, 1, 0], [2, 2, 0], [0, 4, 0]])
    expected = [0.41666667, 0.41666667, 0.62857143, 0.41666667, 0.34343434]
    assert [value / 100 for value in main(found)] == pytest.approx(expected, abs=1e-7)
    assert found.precision_zd0 / 100 == pytest.approx(0.29523810, abs=1e-7)


def test_never_predicted_classes_explain_the_highest_published_precision() -> None:
    label = np.repeat(np.arange(26), 10)
    predicted = label % 5  # 21 of 26 classes are never predicted
    found = metrics(label, predicted)
    assert found.precision_zd1 >= 100 * 21 / 26 and found.precision_zd0 < 20
    assert found.precision_zd1 - found.precision_zd0 == pytest.approx(100 * 21 / 26)
    assert found.macro_f1 < 20


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


def test_rows_of_predictions() -> None:
    label = np.array([0, 0, 1, 1])
    rows = rows_of(label, {"both": label, "silent-audio": np.array([0, 1, 1, 1]), "black-video": 1 - label})
    assert drop(rows, "silent-audio") == pytest.approx(25) and drop(rows, "black-video") == pytest.approx(100)
    with pytest.raises(UserError, match="no row 'gaussian-audio' among both, silent-audio, black-video"):
        modality_drop(rows, "audio")


# Quantities, on the printed tables


def test_published_drops() -> None:
    urban_rural, speech, sounds = table(URBAN_RURAL), table(SPEECH), table(KINETICS_SOUNDS)
    names = ("gaussian-audio", "silent-audio", "gaussian-video", "black-video")
    assert [drop(urban_rural, name) for name in names] == pytest.approx([0.74, -0.01, 9.84, 9.89])
    assert [drop(speech, name) for name in names] == pytest.approx([5.65, 1.75, 3.82, 4.41])
    assert [drop(sounds, name, "accuracy") for name in names] == pytest.approx([0.7, 0.7, 71.41, 71.06])
    assert visual_reliance(urban_rural) == pytest.approx(9.50) and visual_reliance(speech) == pytest.approx(0.415)
    gaps = [representation_gap(rows, name) for rows in (urban_rural, speech, sounds) for name in ("audio", "visual")]
    assert gaps == pytest.approx([0.75, -0.05, 3.90, -0.59, 0.00, 0.81])
    assert [unused_audio(sounds, name) for name in names[2:]] == pytest.approx([10.28, 9.93])


def failing(found: tuple[Finding, ...]) -> list[str]:
    return [finding.claim for finding in found if not finding.holds]


def test_the_published_tables_bear_out_what_the_paper_says_with_one_exception() -> None:
    urban_rural, speech = table(URBAN_RURAL), table(SPEECH)
    assert failing(urban_rural_findings(urban_rural)) == []
    assert failing(speech_findings(speech)) == ["between-balanced"]
    assert failing(kinetics_sounds_findings(table(KINETICS_SOUNDS), 26)) == []
    assert task_contrast(urban_rural, speech).margin == pytest.approx(9.50 - 0.415 - 5)
    assert not task_contrast(speech, urban_rural).holds and not task_contrast(speech, speech).holds


def test_claims_on_one_model_do_not_look_at_the_models_of_one_modality() -> None:
    without = [table(rows) for rows in (URBAN_RURAL, SPEECH, KINETICS_SOUNDS)]
    for rows in without:
        rows |= dict.fromkeys((AUDIO_MODEL, VIDEO_MODEL), Metrics(*[float("nan")] * 7))
    findings = [*urban_rural_findings(without[0]), *speech_findings(without[1]), task_contrast(*without[:2])]
    findings += kinetics_sounds_findings(without[2], 26)
    told = {bool(np.isfinite(each.margin)): set() for each in findings}
    for each in findings:
        told[bool(np.isfinite(each.margin))].add(each.claim)
    assert told[True] == ONE_MODEL and not told[False] & ONE_MODEL


def test_published_margins() -> None:
    by_text = {finding.text: finding.margin for finding in urban_rural_findings(table(URBAN_RURAL))}
    assert by_text["video teacher at least 5 points above audio teacher"] == pytest.approx(10.92)
    assert by_text["Silent Audio: loses at most 3 points"] == pytest.approx(3.01)
    assert by_text["Black Video: loses at least 5 points"] == pytest.approx(4.89)
    dominates = by_text["mean loss without video at least 1.5 and three times that without audio"]
    assert dominates == pytest.approx(9.865 - 1.5)
    sounds = {finding.text: finding.margin for finding in kinetics_sounds_findings(table(KINETICS_SOUNDS), 26)}
    assert sounds["audio model above twice chance"] == pytest.approx(16.22 - 200 / 26)
    assert sounds["Gaussian Video: within three times chance"] == pytest.approx(300 / 26 - 5.94)
    assert sounds["black and noise as video within 3 points of F1"] == pytest.approx(3 - 1.28)


def changed(rows: list[list[float]], **values: dict[str, float]) -> dict[str, Metrics]:
    """A table with metrics of some rows changed; row names with "_" for "-"."""
    found = table(rows)
    for name, metric in values.items():
        key = name.replace("_", "-")
        found[key] = replace(found[key], **metric)
    return found


@pytest.mark.parametrize(
    ("values", "claims"),
    [
        ({"audio_model": {"balanced_accuracy": 50.0}}, ["teachers"]),
        ({"video_model": {"balanced_accuracy": 66.0}}, ["teachers", "between"]),
        ({"both": {"balanced_accuracy": 78.0}}, ["between", "without-audio", "without-audio", "video-dominates"]),
        ({"silent_audio": {"balanced_accuracy": 68.0}}, ["without-audio"]),
        ({"black_video": {"balanced_accuracy": 67.0}}, ["without-video"]),
    ],
)
def test_what_breaks_the_claims_on_urban_and_rural(values: dict[str, Any], claims: list[str]) -> None:
    assert failing(urban_rural_findings(changed(URBAN_RURAL, **values))) == claims


@pytest.mark.parametrize(
    ("values", "claims"),
    [
        ({"audio_model": {"balanced_accuracy": 68.0}}, ["teachers"]),
        ({"both": {"accuracy": 67.0}}, ["between", "between-balanced"]),
        ({"gaussian_audio": {"balanced_accuracy": 59.0}}, ["between-balanced", "no-catastrophe"]),
        ({"black_video": {"balanced_accuracy": 61.5}}, ["between-balanced", "audio-hurts"]),
        ({"silent_audio": {"balanced_accuracy": 61.63}}, ["between-balanced", "representation"]),
        ({"gaussian_video": {"balanced_accuracy": 62.0}}, ["between-balanced", "representation"]),
    ],
)
def test_what_breaks_the_claims_on_speech(values: dict[str, Any], claims: list[str]) -> None:
    assert failing(speech_findings(changed(SPEECH, **values))) == claims


@pytest.mark.parametrize(
    ("values", "claims"),
    [
        ({"audio_model": {"accuracy": 5.0}}, ["unimodal", "unused-audio", "unused-audio"]),
        ({"audio_model": {"accuracy": 50.0}}, ["unimodal"]),
        ({"video_model": {"accuracy": 79.0}}, ["marginal-gain"]),
        ({"video_model": {"accuracy": 74.0}}, ["marginal-gain"]),
        ({"silent_audio": {"accuracy": 74.0}}, ["without-audio", "without-audio"]),
        ({"gaussian_video": {"accuracy": 12.0}}, ["near-chance", "video-representation"]),
        ({"black_video": {"accuracy": 40.0}}, ["without-video", "near-chance", "unused-audio", "video-representation"]),
        ({"black_video": {"macro_f1": 8.0}}, ["video-representation"]),
        ({"black_video": {"precision_zd1": 3.61}}, []),
    ],
)
def test_what_breaks_the_claims_on_kinetics_sounds(values: dict[str, Any], claims: list[str]) -> None:
    assert failing(kinetics_sounds_findings(changed(KINETICS_SOUNDS, **values), 26)) == claims


def test_a_strict_finding_does_not_hold_at_zero() -> None:
    assert Finding("c", "t", 0.0).holds and not Finding("c", "t", 0.0, strict=True).holds
    assert not Finding("c", "t", float("nan")).holds


# Figure 4


def series() -> dict[str, NDArray[np.float64]]:
    columns = {
        "audio-model": [60, 5, 50, 40, 10, float("nan")],
        "video-model": [90, 80, 70, 60, 40, 99],
        "both": [85, 85, 60, 50, 50, 99],
        "silent-audio": [80, 80, 60, 40, 52, 99],
        "black-video": [55, 0, 40, 5, 20, 99],
    }
    return {name: np.array(values, dtype=np.float64) for name, values in columns.items()}


def test_statements_on_classes_by_hand() -> None:
    found = class_statements(series())
    assert found["audio_differs"] == pytest.approx(3 / 5)  # 25, 80, 10, 10, 40
    assert found["best_heard_silent"] == pytest.approx((80 + 60 + 40) / 3)  # of audio 60, 50, 40
    assert found["rest_unheard"] == 1.0  # audio 5 and 10, silent 80 and 52
    assert found["video_good"] == pytest.approx(4 / 5)
    assert found["black_falls"] == pytest.approx(2 / 5)  # 30 (not below), 85, 20, 45, 30
    assert found["video_beats"] == pytest.approx(3 / 5)  # 90 > 85, 70 > 60, 60 > 50
    both, silent, black = (series()[name][:5] for name in ("both", "silent-audio", "black-video"))
    assert found["correlation_silent"] == pytest.approx(np.corrcoef(both, silent)[0, 1])
    assert found["correlation_black"] == pytest.approx(np.corrcoef(both, black)[0, 1])
    assert found["correlation_silent"] > found["correlation_black"]


def test_findings_on_classes_by_hand() -> None:
    found = {each.text: each for each in class_findings(series())}
    margins = [(each.claim, each.margin, each.unit) for each in found.values()]
    assert margins[:6] == [
        ("unlike-audio", pytest.approx(10.0), "points"),
        ("best-heard", pytest.approx(10.0), "points"),
        ("rest-unheard", pytest.approx(50.0), "points"),
        ("video-good", pytest.approx(30.0), "points"),
        ("black-falls", pytest.approx(-10.0), "points"),
        ("video-beats", pytest.approx(100 * (3 / 5 - 5 / 26)), "points"),  # of five known classes
    ]
    statements = class_statements(series())
    silent, black = statements["correlation_silent"], statements["correlation_black"]
    assert margins[6:] == [
        ("correlation", pytest.approx(silent - 0.9), "rho"),
        ("correlation", pytest.approx(silent - black), "rho"),
    ]
    assert [each.strict for each in found.values()] == [True, False, True, True, True, False, True, True]


def test_statements_on_classes_at_the_edges() -> None:
    constant = {**series(), "silent-audio": np.full(6, 50.0)}
    assert np.isnan(class_statements(constant)["correlation_silent"])
    few = class_statements({name: values[[0, 1, 2, 5]] for name, values in series().items()})
    assert np.isnan([few["video_good"], few["best_heard_silent"], few["rest_unheard"]]).all()


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
    drawn = {name: np.stack([values, values[[1, 0, 2, 3, 4, 5]]]) for name, values in series().items()}
    by_draw = class_statements(drawn)
    assert {name: values[1] for name, values in by_draw.items()} == pytest.approx(class_statements(series()))
