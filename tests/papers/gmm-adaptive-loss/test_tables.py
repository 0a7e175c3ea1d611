"""Tables of the modality gap, from made-up runs, and the clips of fine-tuning."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from gap_runs import CLIPS, declarations

from avbalance.evaluation.paper import Paper
from avbalance.papers.gmm_adaptive_loss.sources.fine_tuning import quantity_of
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.declared_tables import read_table
from avbalance.reporting.table_data import table_data
from avbalance.reporting.table_text import BuiltTable, markdown
from avbalance.reporting.tables import build_table, render_tables

OURS = "Adaptive loss (our formulation)"


def built(measured: MeasuredCells, name: str) -> BuiltTable:
    given = next(entry for entry in declarations()["tables"] if entry["id"] == name)
    return build_table(measured.paper, read_table(given, measured.paper.folders, name), measured)


def test_every_declared_table_is_made(made: tuple[Paper, Path], tmp_path: Path) -> None:
    paths = render_tables(made[0], declarations(), made[1], tmp_path)
    assert len(paths) == 9 * 4
    first = (tmp_path / "table1.md").read_text(encoding="utf-8")
    assert "Context, from another paper (BalanceBenchmark), not numbers of this one: CREMA-D, accuracy (%)" in first
    assert "written from the paper's abstracts alone" in first and "80.65" in first
    assert not any("79.97" in line for line in first.splitlines() if line.startswith("|"))  # a note, and no cell
    heads = pd.read_csv(tmp_path / "tableS1.csv")
    own = heads[(heads["dataset"] == "CREMA-D") & (heads["method"] == OURS)].set_index("metric")["ours_mean"]
    expected = [pytest.approx(100 * right / 120) for right in (68, 61)]
    assert [own["accuracy_audio"], own["accuracy_visual"]] == expected
    assert own["macro_f1"] > 0 and heads["published"].isna().all()


def test_clips_of_fine_tuning_by_hand(measured: MeasuredCells) -> None:
    table = built(measured, "tableS2")
    cells = {
        (row[0].name, row[1].coordinates["run"], column[0].name): cell
        for row, line in zip(table.row_keys, table.cells, strict=True)
        for column, cell in zip(table.column_keys, line, strict=True)
    }
    kept = cells["CREMA-D", "fine-heads-high-quality", "kept"]
    assert (kept.ours_mean, kept.ours_sd, kept.seeds, kept.n) == (121.0, 1.0, 3, CLIPS)
    assert [(each.run, each.seed) for each in kept.behind] == [("fine-heads-high-quality", seed) for seed in range(3)]
    assert sum(each.value for each in kept.behind) == 3 * 121
    assert cells["CREMA-D", "fine-heads-high-quality", "share"].ours_mean == pytest.approx(100 * 121 / 240)
    assert cells["AVE", "fine-heads-high-quality", "kept"].ours_mean is None
    told = next(cell for row in table_data(table, measured)["behind"] for cell in row if cell and cell["n"] == CLIPS)
    assert "values" not in told and [seed for _, seed, _ in told["runs"]] == [0, 1, 2]
    assert "121.0 ± 1.0" in markdown(table)
    record = {"kept": 30, "samples": 120, "high_quality": 60, "retention": {"a": 0.0, "b": 0.25, "c": None, "d": 1.0}}
    expected = {"kept": 30, "share": 25, "high_quality_share": 50, "least_retention": 0, "largest_retention": 100}
    assert {name: quantity_of(record, name) for name in expected} == expected
    assert quantity_of(record, "lost_classes") == 1
