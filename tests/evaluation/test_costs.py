"""What trainings cost beside another one, from records that were written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avbalance.evaluation.costs import relative_costs
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from flowkeeper.files import write_json


def paper_of(folder: Path, **records: list[dict[str, Any]]) -> Paper:
    """A paper of these runs, one record for each seed.

    `joins` names runs whose predictions a run joins, `needs` those whose models it learns from.
    """
    runs = []
    for run, seeds in records.items():
        for seed, told in enumerate(seeds):
            joined = {name: str(folder / name / f"seed{seed}/predictions.parquet") for name in told.pop("joins", ())}
            place = folder / run / f"seed{seed}"
            place.mkdir(parents=True)
            reads = {name: f"{name}/seed{seed}/model.safetensors" for name in told.pop("needs", ())}
            reads |= {f"candidate {run}-trial": f"{run}-trial/seed100/history.csv"} if reads else {}
            job = {"predictions": joined} if joined else {"folder": f"{run}/seed{seed}", "reads": reads}
            write_json(place / "record.json", {**told, "job": job})
            runs.append(RunFile(run, run, "d", seed, str(place / "predictions.parquet")))
    info = DatasetInfo("set", "D", "d", "made up")
    return Paper("p", "T", "", {"set": info}, {run: run for run in records}, tuple(runs))


def on_cpu(seconds: float, megabytes: float, parameters: int) -> dict[str, Any]:
    told = {"cpu_s": seconds, "wall_s": 99.0, "peak_memory_mb": megabytes, "parameters": parameters}
    return {**told, "device": {"kind": "cpu"}}


def test_costs_are_medians_over_seeds_over_that_of_the_other_run(tmp_path: Path) -> None:
    paper = paper_of(
        tmp_path,
        base=[on_cpu(2, 100, 10), on_cpu(4, 100, 10), on_cpu(90, 100, 10)],
        method=[on_cpu(6, 150, 30)],
    )
    found = relative_costs(paper, "set", ["base", "method", "absent"], "base")
    assert list(found) == ["base", "method"]
    assert found["base"].ratios == {"time": 1, "memory": 1, "parameters": 1} and found["base"].seeds == 3
    assert found["method"].ratios == {"time": 1.5, "memory": 1.5, "parameters": 3} and found["method"].seeds == 1
    assert relative_costs(paper, "set", ["method"], "absent") == {}


def test_on_a_gpu_time_is_that_of_the_clock_and_memory_that_of_its_tensors(tmp_path: Path) -> None:
    def on_gpu(seconds: float, megabytes: float) -> dict[str, Any]:
        return {**on_cpu(1, 1, 1), "wall_s": seconds, "peak_gpu_memory_mb": megabytes, "device": {"kind": "cuda"}}

    paper = paper_of(tmp_path, base=[on_gpu(2, 10)], method=[on_gpu(5, 20)])
    assert relative_costs(paper, "set", ["method"], "base")["method"].ratios["time"] == 2.5
    assert relative_costs(paper, "set", ["method"], "base")["method"].ratios["memory"] == 2.0


def test_what_joins_two_runs_costs_both(tmp_path: Path) -> None:
    joined = {**on_cpu(0, 500, 0), "joins": ["audio", "visual"]}
    paper = paper_of(
        tmp_path, base=[on_cpu(2, 100, 10)], audio=[on_cpu(1, 60, 4)], visual=[on_cpu(2, 80, 5)], ensemble=[joined]
    )
    found = relative_costs(paper, "set", ["ensemble"], "base")["ensemble"].ratios
    assert found == pytest.approx({"time": 1.5, "memory": 0.8, "parameters": 0.9})


def test_what_learns_from_two_runs_costs_their_time_too_but_not_that_of_its_trials(tmp_path: Path) -> None:
    taught = {**on_cpu(3, 100, 10), "needs": ["audio", "visual"]}
    paper = paper_of(
        tmp_path, base=[on_cpu(2, 100, 10)], audio=[on_cpu(1, 60, 4)], visual=[on_cpu(2, 180, 5)], taught=[taught]
    )
    found = relative_costs(paper, "set", ["taught"], "base")["taught"].ratios
    assert found == pytest.approx({"time": 3.0, "memory": 1.8, "parameters": 1.0})
