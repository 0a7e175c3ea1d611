"""The paper with made-up runs, and its measurements."""

from __future__ import annotations

from pathlib import Path

import pytest
from gap_runs import declarations, made_up_paper

from avbalance.evaluation.measure import measure, read_measurements
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import MeasuredCells, published_numbers


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paper, Path]:
    folder = tmp_path_factory.mktemp("gap-runs")
    paper = made_up_paper(folder)
    measure(paper, declarations()["measures"], folder / "measurements.parquet")
    return paper, folder / "measurements.parquet"


@pytest.fixture(scope="session")
def measured(made: tuple[Paper, Path]) -> MeasuredCells:
    return MeasuredCells(made[0], read_measurements(made[1]), published_numbers(made[0], declarations()))
