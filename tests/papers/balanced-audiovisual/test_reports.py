"""Figures, and sources of tables, of balanced-audiovisual on the fabricated paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from avbalance.analysis.subsets import read_subsets
from avbalance.evaluation.measure import read_measurements
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import MeasuredCells, published_numbers
from avbalance.reporting.kinds import read_kind


@pytest.fixture(scope="module")
def measured(fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path) -> MeasuredCells:
    numbers = published_numbers(fabricated_paper, balanced_declarations)
    return MeasuredCells(fabricated_paper, read_measurements(measurements), numbers)


def drawn(name: str, declarations: dict[str, Any], measured: MeasuredCells) -> tuple[Any, pd.DataFrame]:
    given = next(entry for entry in declarations["figures"] if entry["id"] == name)
    return read_kind("figures", measured.paper.folders, given, name, None).draw(measured.paper, measured)


def test_the_map_holds_every_sample_and_its_bars_the_table(
    balanced_declarations: dict[str, Any], measured: MeasuredCells
) -> None:
    figure, frame = drawn("figure1", balanced_declarations, measured)
    maps = frame[frame["panel"] == "map"]
    assert (maps.groupby("dataset")["count"].sum() == 160).all()
    assert np.isclose(maps.groupby("dataset")["share"].sum(), 1).all()
    bars = frame[(frame["panel"] == "bar") & (frame["dataset"] == "VGG-Sound")]
    assert len(bars) == 10
    assert bars.set_index(["method", "subset"])["published"]["Visual unimodal", "visual_preferred"] == 51.67
    assert "synthetic stand-in for VGG-Sound (synthetic-vggsound)" in figure.get_suptitle()
    # Three maps, three bar charts, and one colour bar per map.
    assert len(figure.axes) == 9
    assert [axis.get_xlabel() for axis in figure.axes[:3]] == ["mean visual confidence"] * 3


def test_curves_hold_published_and_own_numbers(balanced_declarations: dict[str, Any], measured: MeasuredCells) -> None:
    _, frame = drawn("figure2", balanced_declarations, measured)
    frame = frame.set_index(["subset", "method", "threshold_T"])
    assert len(frame) == 30
    assert frame.loc[("visual_dominated", "Greedy", 0.0), "published"] == 71.41
    assert frame.loc[("audio_dominated", "Audio unimodal", 0.4), "published"] == 94.92
    assert frame["ours_mean"].notna().all()


def test_definitions_are_counted_side_by_side(fabricated_paper: Paper) -> None:
    source = read_kind("sources", fabricated_paper.folders, {"kind": "subsets"}, "tableS7", None)
    info = fabricated_paper.dataset("balanced")
    found = {key: cell.ours_mean for key, cell in source.numbers(fabricated_paper, info).items()}
    names = {"estimated", "cross-fitted-a", "cross-fitted-b", "planted"}  # nobody annotated these clips
    assert {definition for definition, _ in found} >= names and "annotated" not in {name for name, _ in found}
    subsets = read_subsets(str(info.subsets))
    estimated, planted = (subsets[name]["preferred"] for name in ("estimated", "planted"))
    assert found["estimated", "audio"] == (estimated == "audio").sum()
    assert found["planted", "visual_denied"] == ((planted == "visual") & (estimated == "audio")).sum()
    assert found["planted", "outside"] == 0 and 0.5 < found["planted", "kappa"] < 1
    assert ("estimated", "kappa") not in found
    lookup = source.lookup(fabricated_paper)
    cell = lookup({"dataset": "balanced", "definition": "planted", "quantity": "tie"})
    assert (cell.ours_mean, cell.n, cell.data) == (0.0, 120, "synthetic-balanced")
    absent = lookup({"dataset": "pool", "definition": "planted", "quantity": "tie"})
    assert (absent.ours_mean, absent.data) == (None, "")
