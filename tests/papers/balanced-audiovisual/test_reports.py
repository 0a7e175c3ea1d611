"""Figures, and sources of tables, of balanced-audiovisual on the fabricated paper."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_figures import drawn_figure

from avbalance.analysis.subsets import read_subsets
from avbalance.evaluation.measure import read_measurements
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import MeasuredCells, published_numbers
from avbalance.reporting.kinds import read_kind


@pytest.fixture(scope="module")
def measured(fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path) -> MeasuredCells:
    numbers = published_numbers(fabricated_paper, balanced_declarations)
    return MeasuredCells(fabricated_paper, read_measurements(measurements), numbers)


def test_the_map_holds_every_sample_and_its_bars_the_table(
    balanced_declarations: dict[str, Any], measured: MeasuredCells
) -> None:
    drawing = drawn_figure(balanced_declarations, "figure1", measured.paper, measured)
    figure, frame = drawing.figure, drawing.numbers
    maps = frame[frame["panel"] == "map"]
    assert (maps.groupby("dataset")["count"].sum() == 160).all()
    assert np.isclose(maps.groupby("dataset")["share"].sum(), 1).all()
    bars = frame[(frame["panel"] == "bar") & (frame["dataset"] == "VGG-Sound")]
    assert len(bars) == 10
    assert bars.set_index(["method", "subset"])["published"]["Visual unimodal", "visual_preferred"] == 51.67
    assert "synthetic stand-in for VGG-Sound (synthetic-vggsound)" in drawing.caption[0]
    # Three maps, accuracies below each, and one colour bar.
    assert len(figure.axes) == 7
    assert [axis.get_xlabel() for axis in figure.axes[:3]] == ["mean visual confidence"] * 3


def test_curves_hold_published_and_own_numbers(balanced_declarations: dict[str, Any], measured: MeasuredCells) -> None:
    drawing = drawn_figure(balanced_declarations, "figure2", measured.paper, measured)
    assert len({axis.get_ylim() for axis in drawing.figure.axes}) == 1
    frame = drawing.numbers.set_index(["subset", "method", "threshold_T"])
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
    lookup = source.lookup(fabricated_paper, None)  # reads no measurements
    cell = lookup({"dataset": "balanced", "definition": "planted", "quantity": "tie"})
    assert (cell.ours_mean, cell.n, cell.data) == (0.0, 120, "synthetic-balanced")
    absent = lookup({"dataset": "pool", "definition": "planted", "quantity": "tie"})
    assert (absent.ours_mean, absent.data) == (None, "")


def test_numbers_about_subsets_name_the_runs_that_estimate_them(fabricated_paper: Paper) -> None:
    folders, info = fabricated_paper.folders, fabricated_paper.dataset("balanced")
    half = [("audio-half-a", 3), ("visual-half-a", 3)]
    info = replace(info, estimators={"estimated": [("audio", 0), ("visual", 0)], "cross-fitted-a": half})
    subsets = read_kind("sources", folders, {"kind": "subsets"}, "tableS7", None).numbers(fabricated_paper, info)
    behind = {key: [(each.run, each.seed) for each in cell.behind] for key, cell in subsets.items()}
    assert behind["cross-fitted-a", "audio"] == half and behind["planted", "audio"] == []
    assert behind["cross-fitted-a", "kappa"] == [*half, ("audio", 0), ("visual", 0)]
    declared = {"kind": "confidence", "file": "flatness.csv"}
    maps = read_kind("sources", folders, declared, "tableS8", None).numbers(fabricated_paper, info)
    named = {key[0]: [each.run for each in cell.behind] for key, cell in maps.items()}
    assert named == {"estimated": ["audio", "visual"], "planted": []}
