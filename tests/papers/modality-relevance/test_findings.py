"""What the paper says of single classes, by hand; and which findings are about the multimodal model alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from avbalance.analysis.relevance import Metrics
from avbalance.papers.modality_relevance.claims._findings import (
    AUDIO_MODEL,
    ROWS,
    VIDEO_MODEL,
    class_findings,
    table_findings,
)
from avbalance.papers.modality_relevance.claims.by_seed_finding import ONE_MODEL

# What the printed tables come to stands in test_claims.py.


def test_claims_on_one_model_do_not_look_at_the_models_of_one_modality() -> None:
    alone = {row: Metrics(*[float("nan") if row in (AUDIO_MODEL, VIDEO_MODEL) else 50.0] * 7) for row in ROWS}
    told: dict[bool, set[str]] = {True: set(), False: set()}
    for name in ("urban-rural", "speech", "task", "kinetics-sounds"):
        for each in table_findings(name, [alone, alone], 26):
            told[bool(np.isfinite(each.margin))].add(each.claim)
    assert told[True] == ONE_MODEL and not told[False] & ONE_MODEL


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
