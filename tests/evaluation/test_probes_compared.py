"""Rows of probes reach measurements and comparisons as rows of any condition do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from avbalance.evaluation.claims import assess
from avbalance.evaluation.measure import measure, read_measurements
from avbalance.evaluation.paper import Paper, RunFile
from avbalance.evaluation.predictions import read_predictions, write_predictions

PROBED = {"visual": ["visual"], "audio": ["audio"], "baseline": ["audio", "visual"]}
# which of the 120 test clips the probe of an encoder names rightly: the first ones of each hundred
RIGHT = {("kinetics-sounds", "visual"): 60, ("kinetics-sounds", "baseline"): 40,
         ("balanced", "visual"): 60, ("balanced", "baseline"): 57}  # fmt: skip


def probed(run: RunFile, folder: Path) -> RunFile:
    """The run with rows of probes added to its predictions."""
    frame = read_predictions(run.predictions)
    test = frame[frame["split"] == "test"].reset_index(drop=True)
    share = RIGHT.get((run.dataset.removeprefix("synthetic-"), run.run), 50)
    shown = np.where(np.arange(len(test)) % 100 < share, test["label"], (test["label"] + 1) % 4)
    logits = [np.eye(4, dtype=np.float32)[each] for each in shown]
    rows = [
        test.assign(condition=f"probe-{name}", logits=logits, logits_audio=None, logits_visual=None)
        for name in PROBED[run.run]
    ]
    path = folder / run.dataset / run.run / f"{run.seed}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_predictions(path, pd.concat([frame, *rows]))
    return replace(run, predictions=str(path))


@pytest.fixture(scope="module")
def measured(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Paper, Path]:
    folder = tmp_path_factory.mktemp("probed")
    runs = tuple(probed(run, folder) if run.run in PROBED else run for run in fabricated_paper.runs)
    paper = replace(fabricated_paper, runs=runs)
    measure(paper, balanced_declarations["measures"], folder / "measurements.parquet")
    return paper, folder / "measurements.parquet"


def test_probes_are_measured_and_other_rows_stay(
    measured: tuple[Paper, Path], fabricated_paper: Paper, measurements: Path
) -> None:
    found, before = read_measurements(measured[1]), read_measurements(measurements)
    rows = found["condition"].str.startswith("probe-")
    assert found[~rows].reset_index(drop=True).equals(before)
    assert set(found.loc[rows, "split"]) == {"test"}
    seen = {run: sorted(set(part["condition"])) for run, part in found[rows].groupby("run")}
    assert seen == {run: [f"probe-{name}" for name in names] for run, names in PROBED.items()}


def test_the_check_compares_probes_seed_by_seed(
    measured: tuple[Paper, Path], balanced_declarations: dict[str, Any]
) -> None:
    checks = [entry for entry in balanced_declarations["checks"] if entry["id"] == "K4"]
    report = assess(measured[0], {**balanced_declarations, "checks": checks, "claims": []}, measured[1])
    ((result,),) = [list(entry["results"].values()) for entry in report["checks"]]
    # 80 less 60 of 120 clips, less 10 points; 77 less 80 of 120 clips, plus 5 points
    assert [outcome["effect"] for outcome in result["outcomes"]] == pytest.approx([20 / 1.2 - 10, 5 - 3 / 1.2])
    assert "(probe of the visual encoder)" in result["outcomes"][0]["text"]
