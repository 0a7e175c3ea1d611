"""What the paper says of its tables and figure, on the paper's own tables and by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from avbalance.analysis.relevance import Metrics
from avbalance.papers.modality_relevance.claims._findings import (
    AUDIO_MODEL,
    ROWS,
    VIDEO_MODEL,
    Finding,
    class_findings,
    kinetics_sounds_findings,
    speech_findings,
    task_contrast,
    urban_rural_findings,
    visual_reliance,
)
from avbalance.papers.modality_relevance.claims.by_seed_finding import ONE_MODEL

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


def table(rows: list[list[float]]) -> dict[str, Metrics]:
    return {
        name: Metrics(*values, precision_zd0=float("nan"), weighted_f1=float("nan"))
        for name, values in zip(ROWS, rows, strict=True)
    }


def changed(rows: list[list[float]], **values: dict[str, float]) -> dict[str, Metrics]:
    """A table with metrics of some rows changed; row names with "_" for "-"."""
    rebuilt = table(rows)
    for name, metric in values.items():
        key = name.replace("_", "-")
        rebuilt[key] = replace(rebuilt[key], **metric)
    return rebuilt


def failing(findings: Iterable[Finding]) -> list[str]:
    return [each.claim for each in findings if not (each.margin > 0 if each.strict else each.margin >= 0)]


def test_the_published_tables_bear_out_what_the_paper_says_with_one_exception() -> None:
    urban_rural, speech = table(URBAN_RURAL), table(SPEECH)
    assert failing(urban_rural_findings(urban_rural)) == []
    assert failing(speech_findings(speech)) == ["between-balanced"]
    assert failing(kinetics_sounds_findings(table(KINETICS_SOUNDS), 26)) == []
    assert visual_reliance(urban_rural) == pytest.approx(9.50) and visual_reliance(speech) == pytest.approx(0.415)
    assert task_contrast(urban_rural, speech).margin == pytest.approx(9.50 - 0.415 - 5)
    assert failing([task_contrast(speech, urban_rural), task_contrast(speech, speech)]) == ["task", "task"]


def test_claims_on_one_model_do_not_look_at_the_models_of_one_modality() -> None:
    urban_rural, speech, sounds = (
        table(rows) | dict.fromkeys((AUDIO_MODEL, VIDEO_MODEL), Metrics(*[float("nan")] * 7))
        for rows in (URBAN_RURAL, SPEECH, KINETICS_SOUNDS)
    )
    findings = [*urban_rural_findings(urban_rural), *speech_findings(speech), *kinetics_sounds_findings(sounds, 26)]
    findings.append(task_contrast(urban_rural, speech))
    told: dict[bool, set[str]] = {True: set(), False: set()}
    for each in findings:
        told[bool(np.isfinite(each.margin))].add(each.claim)
    assert told[True] == ONE_MODEL and not told[False] & ONE_MODEL


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


def test_findings_on_classes_by_hand() -> None:
    findings = class_findings(series())
    assert [(each.claim, each.margin) for each in findings[:6]] == [
        ("unlike-audio", pytest.approx(100 * (3 / 5 - 0.5))),  # 25, 80, 10, 10, 40
        ("best-heard", pytest.approx((80 + 60 + 40) / 3 - 50)),  # of audio 60, 50, 40
        ("rest-unheard", pytest.approx(50.0)),  # audio 5 and 10, silent 80 and 52
        ("video-good", pytest.approx(100 * (4 / 5 - 0.5))),
        ("black-falls", pytest.approx(100 * (2 / 5 - 0.5))),  # 30 (not below), 85, 20, 45, 30
        ("video-beats", pytest.approx(100 * (3 / 5 - 5 / 26))),  # 90 > 85, 70 > 60, 60 > 50
    ]
    both, silent, black = (series()[name][:5] for name in ("both", "silent-audio", "black-video"))
    silent_rho, black_rho = np.corrcoef(both, silent)[0, 1], np.corrcoef(both, black)[0, 1]
    assert [each.margin for each in findings[6:]] == pytest.approx([silent_rho - 0.9, silent_rho - black_rho])
    assert [each.unit for each in findings] == ["points"] * 6 + ["rho"] * 2
    assert [each.strict for each in findings] == [True, False, True, True, True, False, True, True]


def test_findings_on_classes_at_the_edges_and_by_drawing() -> None:
    constant = class_findings({**series(), "silent-audio": np.full(6, 50.0)})
    assert np.isnan(constant[6].margin)
    few = class_findings({name: values[[0, 1, 2, 5]] for name, values in series().items()})
    assert np.isnan([each.margin for each in few[:6]]).all()
    drawn = class_findings({name: np.stack([values, values[[1, 0, 2, 3, 4, 5]]]) for name, values in series().items()})
    assert [each.margin[1] for each in drawn] == pytest.approx([each.margin for each in class_findings(series())])
