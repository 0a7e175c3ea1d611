"""Figures exist, hold the numbers they draw, name their data, and are the same bytes twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from avbalance.errors import UserError
from avbalance.evaluation.measure import read_measurements
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import Measured, published_numbers
from avbalance.reporting.figures import discrepancy_map, kind_module, render_figures


def only(declarations: dict[str, Any], *ids: str) -> dict[str, Any]:
    return declarations | {"figures": [item for item in declarations["figures"] if item["id"] in ids]}


def test_figures_are_the_same_bytes_twice(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path, tmp_path: Path
) -> None:
    chosen = only(balanced_declarations, "figure2", "figureS1")
    written = [render_figures(fabricated_paper, chosen, measurements, tmp_path / name) for name in "ab"]
    assert [path.name for path in written[0]] == [
        f"{name}.{suffix}" for name in ("figure2", "figureS1") for suffix in ("png", "pdf", "csv")
    ]
    for first, second in zip(*written, strict=True):
        assert first.stat().st_size > 500
        assert first.read_bytes() == second.read_bytes()
        assert b"CreationDate" not in first.read_bytes()


def test_the_map_holds_every_sample_and_its_bars_the_table(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path
) -> None:
    numbers = published_numbers(fabricated_paper, balanced_declarations)
    measured = Measured(fabricated_paper, read_measurements(measurements), numbers)
    declaration = only(balanced_declarations, "figure1")["figures"][0]
    figure, frame = discrepancy_map.draw(declaration, fabricated_paper, measured)
    maps = frame[frame["panel"] == "map"]
    assert (maps.groupby("dataset")["count"].sum() == 160).all()
    assert np.isclose(maps.groupby("dataset")["share"].sum(), 1).all()
    bars = frame[(frame["panel"] == "bar") & (frame["dataset"] == "VGG-Sound")]
    assert len(bars) == 10
    published = bars.set_index(["method", "subset"])["published"]
    assert published["Visual unimodal", "visual_preferred"] == 51.67
    assert "synthetic stand-in for VGG-Sound (synthetic-vggsound)" in figure.get_suptitle()
    # Three maps, three bar charts, and one colour bar per map.
    assert len(figure.axes) == 9
    assert [axis.get_xlabel() for axis in figure.axes[:3]] == ["mean visual confidence"] * 3


def test_curves_hold_published_and_own_numbers(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path, tmp_path: Path
) -> None:
    render_figures(fabricated_paper, only(balanced_declarations, "figure2"), measurements, tmp_path)
    frame = pd.read_csv(tmp_path / "figure2.csv").set_index(["subset", "method", "threshold_T"])
    assert len(frame) == 30
    assert frame.loc[("visual_dominated", "Greedy", 0.0), "published"] == 71.41
    assert frame.loc[("audio_dominated", "Audio unimodal", 0.4), "published"] == 94.92
    assert frame["ours_mean"].notna().all()


def test_unknown_kinds_are_told() -> None:
    with pytest.raises(
        UserError,
        match=r"unknown kind 'pie'; known are class_bars, discrepancy_map, .*, loss_curves, .*, training_curves\.",
    ):
        kind_module("pie")
