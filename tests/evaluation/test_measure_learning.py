"""Rows about training: read from the records of runs, and those of runs that others stand in for or that join them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from avbalance.evaluation.combine import combine_runs
from avbalance.evaluation.measure import Measures
from avbalance.evaluation.measure_learning import rows
from avbalance.evaluation.paper import RunFile
from avbalance.evaluation.predictions import write_predictions
from flowkeeper.files import read_json, write_json

BLOCK = {
    "metric": "accuracy", "validation_clips": 40, "value": 60.0, "chance": 25.0, "margin": 35.0, "margin_error": 5.0,
    "final_loss": 0.1, "guess_loss": 1.4, "late_rise": -0.5, "late_rise_error": 0.2, "late_fall": 0.0,
    "selected_epoch": 3, "selected_share": 0.75, "learned": True, "converged": True, "reason": "fine",
}  # fmt: skip


def finished(tmp_path: Path, run: str, block: dict[str, Any] | None) -> RunFile:
    folder = tmp_path / run
    folder.mkdir()
    write_json(folder / "record.json", {} if block is None else {"learning": block})
    return RunFile(run, run, "d", 0, str(folder / "predictions.parquet"))


def test_what_a_record_says_becomes_rows(tmp_path: Path) -> None:
    found = list(rows([finished(tmp_path, "audio", {**BLOCK, "converged": False})], Measures()))
    assert {row["metric"]: row["value"] for row in found} == {
        "learned": 1.0, "converged": 0.0, "late_rise": -0.5, "final_loss": 0.1, "guess_loss": 1.4, "margin": 35.0,
        "margin_error": 5.0, "selected_share": 0.75,
    }  # fmt: skip
    for row in found:
        assert {name: row[name] for name in row if name not in ("metric", "value")} == {
            "dataset": "d", "run": "audio", "seed": 0, "split": "val", "subset": "overall", "condition": "none",
            "protocol": "none", "checkpoint": "none", "n": 40,
        }  # fmt: skip


def test_of_an_old_record_and_of_a_reference_nothing_is_judged(tmp_path: Path) -> None:
    assert list(rows([finished(tmp_path, "old", None)], Measures())) == []
    reference = {"validation_clips": 40, "margin": 9.0, "learned": None, "converged": None, "reason": "a reference"}
    assert [row["metric"] for row in rows([finished(tmp_path, "reference", reference)], Measures())] == ["margin"]


def test_cross_fitted_numbers_rest_on_the_worse_half(tmp_path: Path) -> None:
    runs = [finished(tmp_path, "audio", BLOCK), finished(tmp_path, "a", BLOCK)]
    runs.append(finished(tmp_path, "b", {**BLOCK, "learned": False}))
    found = [
        row for row in rows(runs, Measures(cross_fitted={"audio": {"a": "a", "b": "b"}})) if row["protocol"] != "none"
    ]
    assert [(row["run"], row["protocol"], row["metric"], row["value"]) for row in found] == [
        ("audio", "cross-fitted", "learned", 0.0), ("audio", "cross-fitted", "converged", 1.0),
    ]  # fmt: skip


def test_a_combination_is_as_the_runs_that_it_joins(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["x"], "label": 0, "split": "test", "condition": "both", "checkpoint": "selected"})
    paths = {}
    for part, block in (("audio", BLOCK), ("visual", {**BLOCK, "learned": False, "reason": "guesses"})):
        paths[part] = finished(tmp_path, part, block).predictions
        write_predictions(Path(paths[part]), frame.assign(logits=[[1.0, 0.0]]))
    job = {"run": "late-ensemble", "seed": 0, "method": "late-ensemble", "folder": "joined", "predictions": paths}
    combine_runs([job], "code", tmp_path)
    assert read_json(tmp_path / "joined" / "record.json")["learning"] == {
        "validation_clips": 40, "learned": False, "converged": True, "reason": "audio: fine; visual: guesses",
    }  # fmt: skip
