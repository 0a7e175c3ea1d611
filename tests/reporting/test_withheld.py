"""What rests on lone models that cannot be relied on is stated nowhere: not in tables, figures, nor under them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from drawn_figures import drawn_figure, written
from paper_files import loaded

from avbalance.evaluation.measure import read_measurements
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import MeasuredCells, published_numbers
from avbalance.reporting.declared_tables import read_table
from avbalance.reporting.facts import notes
from avbalance.reporting.kinds import read_kind
from avbalance.reporting.table_text import BuiltTable, long_frame, markdown
from avbalance.reporting.tables import build_table
from flowkeeper.files import write_json

ROLE, LABEL = "balanced", "Balanced"
WHY = "Which modality clips prefer is not stated. The picture model learnt nothing."
CHOSEN = ("estimated", "seed-matched", "cross-fitted", "cross-fitted-a", "cross-fitted-b")


@pytest.fixture
def told(fabricated_paper: Paper, tmp_path: Path) -> Paper:
    """The fabricated paper, with a verdict on one data set."""
    write_json(tmp_path / "verdict.json", {"withheld": dict.fromkeys(CHOSEN, WHY)})
    info = replace(fabricated_paper.dataset(ROLE), verdict=str(tmp_path / "verdict.json"))
    return replace(fabricated_paper, datasets={**fabricated_paper.datasets, ROLE: info})


@pytest.fixture
def measured(told: Paper, balanced_declarations: dict[str, Any], measurements: Path) -> MeasuredCells:
    return MeasuredCells(told, read_measurements(measurements), published_numbers(told, balanced_declarations))


def built(declarations: dict[str, Any], name: str, measured: MeasuredCells) -> BuiltTable:
    given = next(entry for entry in declarations["tables"] if entry["id"] == name)
    return build_table(measured.paper, read_table(given, measured.paper.folders, name), measured)


def test_cells_of_preferred_subsets_are_not_stated_and_the_note_says_why(
    balanced_declarations: dict[str, Any], measured: MeasuredCells
) -> None:
    table = built(balanced_declarations, "table2", measured)
    frame = long_frame(table)
    preferred = frame["subset"] != "overall"
    assert set(frame[preferred]["text"]) == {"not stated"} and frame[preferred]["ours_mean"].isna().all()
    assert frame[preferred]["n"].isna().all()  # how many clips prefer which is not stated either
    assert frame[~preferred]["ours_mean"].notna().sum() == 7 and frame[~preferred]["text"].isna().all()
    assert WHY in table.notes and "Audio-preferred share" not in markdown(table)
    place = {"dataset": ROLE, "run": "audio", "subset": "audio_preferred"}
    assert measured.by_seed(place) == {} and measured.by_seed({**place, "protocol": "planted"})


def test_subsets_that_no_model_chose_and_other_data_sets_are_stated(
    balanced_declarations: dict[str, Any], measured: MeasuredCells, fabricated_paper: Paper
) -> None:
    frame = long_frame(built(balanced_declarations, "tableS1", measured))
    own = (frame["dataset"] == LABEL) & frame["protocol"].isin(CHOSEN)
    assert set(frame[own]["text"]) == {"not stated"} and frame[~own]["text"].isna().all()
    assert frame[(frame["dataset"] == LABEL) & (frame["protocol"] == "planted")]["ours_mean"].notna().all()
    assert WHY not in notes(fabricated_paper, [ROLE], "table2")


def test_shares_by_confidence_are_not_stated(balanced_declarations: dict[str, Any], measured: MeasuredCells) -> None:
    frame = long_frame(built(balanced_declarations, "tableS2", measured))
    assert set(frame[frame["dataset"] == LABEL]["text"]) == {"not stated"}
    assert frame[frame["dataset"] == "VGG-Sound"]["ours_mean"].notna().all()
    source = read_kind("sources", measured.paper.folders, {"kind": "confidence", "file": "flatness.csv"}, "", None)
    cells = source.numbers(measured.paper, measured.paper.dataset(ROLE))
    assert {key[0]: cell.text for key, cell in cells.items()} == {"estimated": "not stated", "planted": ""}


def test_maps_and_accuracies_of_a_figure_are_not_stated(told: Paper, measured: MeasuredCells) -> None:
    figures = loaded("balanced-audiovisual")
    drawing = drawn_figure(figures, "figure1", told, measured, datasets=[ROLE])
    texts, frame = written(drawing.figure), drawing.numbers
    assert "not stated" in texts and texts.count("not stated") == 11  # the map, and ten models
    assert not any("prefer" in text and "%" in text for text in texts) and "not made" not in texts
    assert WHY in drawing.caption and frame[["count", "share", "ours_mean", "n"]].isna().all(axis=None)
    both = drawn_figure(figures, "figure1", told, measured)
    assert sum("prefer audio" in text for text in written(both.figure)) == 2  # the other data sets
