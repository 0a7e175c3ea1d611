"""A cell as the workflow runs it: files, records, the run cache, and a kill -9 in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny_cell
import torch
from safetensors.torch import load_file
from tiny_cell import TinyData, tiny_job, tiny_settings, write_request

from avbalance.digest import CODE
from avbalance.errors import UserError
from avbalance.evaluation.predictions import read_predictions
from avbalance.plan.entries import training_entries
from avbalance.provenance.run_record import PINS
from avbalance.training import cell as cell_module
from avbalance.training.cell import CellOptions, recorded_key, train_cell
from avbalance.training.data import load_clips
from avbalance.training.planned import PlannedRun, run_key
from flowkeeper.files import digest_json, exclusive, read_json, sha256_file

SAME = ("predictions.parquet", "history.csv", "model.safetensors")
RUNS = {
    "baseline": tiny_settings(),
    "gradient-blending": tiny_settings(
        model={"unimodal_heads": True}, data={"estimation_holdout": 0.2}, method={"super_epoch": 2}
    ),
    "greedy": tiny_settings(model={"name": "mmtm-net"}, method={"threshold": 0.0}),
}
# Optimiser steps among which the kill falls. Baseline and Greedy take 6 an epoch: inside the second one.
# Gradient-Blending holds out 20 of 96 clips and takes 5: 3 copies x 2 epochs x 5, 2 epochs x 5, then the second
# estimate from step 40 to step 54.
INSIDE = {"baseline": (7, 12), "gradient-blending": (41, 55), "greedy": (7, 12)}


def options(data: TinyData, folder: Path, jobs: list[dict[str, Any]], every_s: float = 1e9) -> CellOptions:
    return CellOptions(
        jobs, "tiny", data.manifest, data.audio, data.visual, folder / "out", folder / "cache", "cpu", 1, every_s
    )


def run_program(request: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, tiny_cell.__file__, str(request)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def undisturbed(tiny_data: TinyData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a cell of three runs that wrote no states and was never interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    train_cell(options(tiny_data, folder, [tiny_job(method, settings) for method, settings in RUNS.items()]))
    return folder


@pytest.mark.parametrize("method", list(RUNS))
def test_a_run_killed_inside_an_epoch_ends_byte_identical(
    method: str, undisturbed: Path, tiny_data: TinyData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = tiny_job(method, RUNS[method])
    kill = int(np.random.default_rng([7, len(method)]).integers(*INSIDE[method]))
    request = write_request(tmp_path / "request.json", tiny_data, [job], tmp_path / "out", tmp_path / "cache", kill)
    assert run_program(request).returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "cache" / "state").glob("*.pt"))
    train_cell(options(tiny_data, tmp_path, [job], every_s=0.0))
    assert f"resumed at epoch {3 if method == 'gradient-blending' else 2}" in capsys.readouterr().err
    for name in SAME:
        files = [folder / "out" / job["folder"] / name for folder in (tmp_path, undisturbed)]
        assert sha256_file(files[0]) == sha256_file(files[1]), name
    assert list((tmp_path / "cache" / "state").iterdir()) == []


def test_the_closure_of_a_cell_names_every_module_it_loads(tiny_data: TinyData, tmp_path: Path) -> None:
    settings = tiny_settings(model={"name": "mmtm-net"}, protocol={"epochs": 1, "max_steps": 1})
    where = (tmp_path / "out", tmp_path / "cache", -1)
    done = run_program(write_request(tmp_path / "r.json", tiny_data, [tiny_job("greedy", settings)], *where))
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout)["modules"])
    entries = training_entries([("greedy", "mmtm-net", None)])
    assert len(loaded) > 15
    assert loaded - set(CODE.closure(*entries)) == set()


def test_files_of_a_run(undisturbed: Path) -> None:
    folder = undisturbed / "out" / "paper/tiny/baseline/seed0"
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.csv", "model.safetensors", "predictions.parquet", "record.json",
    ]  # fmt: skip
    history = pd.read_csv(folder / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["lr"].tolist() == pytest.approx([0.02, 0.02, 0.002])
    predictions = read_predictions(folder / "predictions.parquet")
    counts = predictions.groupby(["checkpoint", "split"]).size().to_dict()
    assert counts == {(point, split): n for point in ("selected", "last") for split, n in (("val", 32), ("test", 120))}
    for (point, split), part in predictions.groupby(["checkpoint", "split"]):
        assert part["id"].is_unique and part["id"].str.startswith(f"{split}-").all(), point
        assert (part["label"].to_numpy() == part["id"].str[-3:].astype(int).to_numpy() % 4).all()
    logits, audio, visual = (np.stack(predictions[name]) for name in ("logits", "logits_audio", "logits_visual"))
    assert logits.shape == (304, 4)
    # concatenation: the two modalities' logits, each with half the bias, add up to the fused ones
    np.testing.assert_allclose(logits, audio + visual, atol=1e-4)
    # the selected epoch's accuracy in the history is that of the selected predictions
    chosen = predictions[(predictions["checkpoint"] == "selected") & (predictions["split"] == "val")]
    accuracy = 100 * (np.stack(chosen["logits"]).argmax(1) == chosen["label"]).mean()
    assert accuracy == pytest.approx(history["val_accuracy"].max())


def test_the_record_says_how_a_run_came_to_be(undisturbed: Path, tiny_data: TinyData) -> None:
    folder = undisturbed / "out" / "paper/tiny/gradient-blending/seed0"
    record = read_json(folder / "record.json")
    assert record["job"] == {
        "folder": "paper/tiny/gradient-blending/seed0", "run": "gradient-blending", "seed": 0,
        "method": "gradient-blending", "reads": {},
        "writes": ["predictions.parquet", "history.csv", "record.json", "model.safetensors"],
    }  # fmt: skip
    assert record["paths"] == {name: str(getattr(tiny_data, name)) for name in ("manifest", "audio", "visual")}
    assert record["settings"] == RUNS["gradient-blending"]
    assert record["settings_digest"] == digest_json(RUNS["gradient-blending"])
    assert abs((datetime.now(UTC) - datetime.fromisoformat(record["finished"])).total_seconds()) < 3600
    assert record["data"]["clips"] == {"train": 76, "estimation": 20, "train-sample": 20, "val": 32, "test": 120}
    assert set(record["data"]["used_ids"]) == set(record["data"]["clips"])
    assert record["data"]["losses"] == {}
    assert record["data"]["manifest_sha256"] == sha256_file(tiny_data.manifest)
    assert record["code"]["digest"] == "tiny" and {"commit", "dirty"} <= set(record["code"])
    history = pd.read_csv(folder / "history.csv")
    assert record["selected_epoch"] == int(history["val_accuracy"].idxmax()) + 1
    assert record["epochs_run"] == 3
    tensors = load_file(folder / "model.safetensors")
    weights = sum(value.numel() for name, value in tensors.items() if name.rsplit(".", 1)[1] in ("weight", "bias"))
    assert record["parameters"] == weights
    assert record["device"]["kind"] == "cpu" and record["device"]["threads"] == 1
    assert record["wall_s"] > 0 and record["cpu_s"] > 0 and record["peak_memory_mb"] > 50
    assert record["versions"]["torch"].startswith("2.")


def test_the_record_says_whether_a_run_has_learned(undisturbed: Path) -> None:
    folder = undisturbed / "out" / "paper/tiny/baseline/seed0"
    history, found = pd.read_csv(folder / "history.csv"), read_json(folder / "record.json")["learning"]
    assert found["guess_loss"] == pytest.approx(np.log(4)) and found["chance"] == 25.0  # four classes in turn
    assert found["value"] == pytest.approx(history["val_accuracy"].max())
    predictions = read_predictions(folder / "predictions.parquet")
    chosen = predictions[(predictions["checkpoint"] == "selected") & (predictions["split"] == "val")]
    right = np.stack(chosen["logits"]).argmax(1) == chosen["label"]
    assert found["margin"] == pytest.approx(100 * right.mean() - 25.0)
    assert found["margin_error"] == pytest.approx(100 * right.astype(float).std() / np.sqrt(32))
    # one cross-entropy is all that Baseline minimises
    assert found["final_loss"] == pytest.approx(history["train_loss"].iloc[-1])
    assert found["late_rise"] == pytest.approx(history["val_accuracy"].iloc[2] - history["val_accuracy"].iloc[1])
    assert found["selected_share"] == pytest.approx((history["val_accuracy"].idxmax() + 1) / 3)


def test_losses_of_prediction_can_be_compared_whatever_a_method_minimises(undisturbed: Path) -> None:
    greedy = pd.read_csv(undisturbed / "out" / "paper/tiny/greedy/seed0/history.csv")
    assert (greedy["train_prediction_loss"] < 0.8 * greedy["train_loss"]).all()  # a sum over two branches


def test_a_reference_is_not_judged(tiny_data: TinyData, tmp_path: Path) -> None:
    settings = tiny_settings(model={"name": "pooled-linear", "modalities": ["audio"]})
    train_cell(options(tiny_data, tmp_path, [tiny_job("logistic-regression", settings)]))
    folder = tmp_path / "out" / "paper/tiny/logistic-regression/seed0"
    record = read_json(folder / "record.json")
    assert record["learning"]["learned"] is None and record["learning"]["converged"] is None
    assert record["learning"]["margin"] > 0 and record["epochs_run"] == 1
    assert record["parameters"] == 4 * (2 * 16 + 1)  # mean and deviation of 16 bands
    predictions = read_predictions(folder / "predictions.parquet")
    assert set(predictions["checkpoint"]) == {"selected", "last"} and predictions["logits_visual"].isna().all()


def test_of_two_processes_with_the_same_run_one_trains_and_the_other_waits(
    undisturbed: Path, tiny_data: TinyData, tmp_path: Path
) -> None:
    job = tiny_job("greedy", RUNS["greedy"])
    request = write_request(tmp_path / "request.json", tiny_data, [job], tmp_path / "out", tmp_path / "cache", -1)
    command, environment = [sys.executable, tiny_cell.__file__, str(request)], {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(text.count("epoch 3/3") for text in said) == [0, 1], said
    files = [folder / job["folder"] / "predictions.parquet" for folder in (tmp_path / "out", undisturbed / "out")]
    assert sha256_file(files[0]) == sha256_file(files[1])


def test_a_finished_run_is_not_trained_again(
    undisturbed: Path, tiny_data: TinyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(cell_module, "make_trainer", refuse)
    again = CellOptions(**{**options(tiny_data, undisturbed, [tiny_job("greedy", RUNS["greedy"])]).__dict__,
                           "out": tmp_path / "other"})  # fmt: skip
    train_cell(again)
    for name in (*SAME, "record.json"):
        files = [out / "paper/tiny/greedy/seed0" / name for out in (tmp_path / "other", undisturbed / "out")]
        assert files[0].read_bytes() == files[1].read_bytes()
    for changes in ({"seed": 1}, {"settings": tiny_settings(protocol={"epochs": 2})}):
        job = {**tiny_job("baseline", RUNS["baseline"]), **changes}
        with pytest.raises(AssertionError, match="trained again"):
            train_cell(options(tiny_data, undisturbed, [job]))


def test_a_run_that_lies_under_the_key_of_another_is_not_believed(
    undisturbed: Path, tiny_data: TinyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a record that came with another run's key would leave it, see RunCache.adopt."""
    records = {name: read_json(undisturbed / f"out/paper/tiny/{name}/seed0/record.json") for name in RUNS}
    assert all(recorded_key(record) == record["key"] for record in records.values())
    assert recorded_key({**records["greedy"], "versions": {"torch": "0"}}) == recorded_key({}) == recorded_key([]) == ""
    runs, wrong = tmp_path / "cache" / "runs", records["greedy"]["key"]
    shutil.copytree(undisturbed / "cache" / "runs" / records["baseline"]["key"], runs / wrong)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(cell_module, "make_trainer", refuse)
    with pytest.raises(AssertionError, match="trained again"):
        train_cell(options(tiny_data, tmp_path, [tiny_job("greedy", RUNS["greedy"])]))
    assert not (runs / wrong).exists()


def test_a_run_under_a_pinned_instruction_set_is_no_other_run(
    tiny_data: TinyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tiny_job("baseline", tiny_settings(protocol={"epochs": 1, "max_steps": 1}))
    for name in PINS:
        monkeypatch.delenv(name, raising=False)
    records = []
    for pins in ({}, {"ATEN_CPU_CAPABILITY": "avx2"}, {}):
        for name in PINS:
            monkeypatch.delenv(name, raising=False)
        for name, value in pins.items():
            monkeypatch.setenv(name, value)
        train_cell(options(tiny_data, tmp_path, [job]))
        records.append(read_json(tmp_path / "out" / job["folder"] / "record.json"))
    native, pinned, again = records
    assert native["key"] != pinned["key"] and again == native  # the last one is linked, the second was trained
    known = torch.backends.cpu.get_cpu_capability()
    assert native["device"]["instruction_set"] == {"torch": known, "pinned": {}}
    assert pinned["device"]["instruction_set"]["pinned"] == {"ATEN_CPU_CAPABILITY": "avx2"}


def test_a_run_with_the_settings_of_another_keeps_its_own_name(undisturbed: Path, tiny_data: TinyData) -> None:
    job = tiny_job("baseline", RUNS["baseline"], run="twin")
    train_cell(options(tiny_data, undisturbed, [job]))
    twin, first = (
        read_json(undisturbed / "out" / f"paper/tiny/{run}/seed0/record.json") for run in ("twin", "baseline")
    )
    assert (twin["job"]["run"], twin["made_as"]["run"]) == ("twin", "baseline")
    assert first["job"]["run"] == "baseline" and "made_as" not in first
    assert twin["key"] == first["key"]


def test_while_another_process_trains_a_run_the_next_one_is_trained(
    tiny_data: TinyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny_settings(protocol={"epochs": 1, "max_steps": 1})
    jobs = [tiny_job("baseline", settings, run=run, seed=seed) for run, seed in (("first", 0), ("second", 1))]
    reads = {"inputs": {"facts": f"{jobs[0]['folder']}/record.json"}}
    jobs.insert(1, tiny_job("baseline", settings, run="reads the first", seed=2) | reads)
    chosen = options(tiny_data, tmp_path, jobs)
    digest = load_clips(chosen.manifest, chosen.audio, chosen.visual).digest
    key = run_key(PlannedRun(**jobs[0], code=chosen.code), {}, digest, torch.device("cpu"))
    trained: list[str] = []
    whole = cell_module._train

    def noted(run: PlannedRun, *rest: Any) -> None:
        trained.append(run.run)
        whole(run, *rest)

    monkeypatch.setattr(cell_module, "_train", noted)
    with ThreadPoolExecutor(1) as pool:
        with exclusive(tmp_path / "cache" / "locks" / f"run-{key[:32]}.lock", "holds the first run"):
            done = pool.submit(train_cell, chosen)
            while not (tmp_path / "out" / jobs[2]["folder"] / "record.json").exists() and not done.done():
                time.sleep(0.05)
            assert trained == ["second"] and not done.done()
        done.result()
    assert trained == ["second", "first", "reads the first"]


def test_a_run_may_read_files_of_one_before_it_in_its_cell(tiny_data: TinyData, tmp_path: Path) -> None:
    settings = tiny_settings(protocol={"epochs": 1, "max_steps": 1})
    first = tiny_job("baseline", settings, run="first")
    second = tiny_job("baseline", settings, run="second", seed=1)
    second["inputs"] = {"facts": f"{first['folder']}/record.json"}
    with pytest.raises(UserError, match="missing, and run second"):
        train_cell(options(tiny_data, tmp_path, [second, first]))
    assert not (tmp_path / "out").exists()
    train_cell(options(tiny_data, tmp_path, [first, second]))
    record = read_json(tmp_path / "out" / second["folder"] / "record.json")
    assert record["inputs"] == {"facts": sha256_file(tmp_path / "out" / first["folder"] / "record.json")}


def test_confidences_are_those_of_the_true_class_on_all_parts(tiny_data: TinyData, tmp_path: Path) -> None:
    settings = tiny_settings(
        model={"name": "unimodal-net", "modality": "visual"}, protocol={"record_confidence": True, "epochs": 2}
    )
    train_cell(options(tiny_data, tmp_path, [tiny_job("unimodal", settings)]))
    folder = tmp_path / "out" / "paper/tiny/unimodal/seed0"
    predictions = read_predictions(folder / "predictions.parquet").query("checkpoint == 'last'")
    with np.load(folder / "confidence.npz", allow_pickle=False) as archive:
        assert archive["confidence_train"].shape == (2, 96)
        for split in ("val", "test"):
            part = predictions[predictions["split"] == split]
            assert archive[f"ids_{split}"].tolist() == part["id"].tolist()
            assert archive[f"labels_{split}"].tolist() == part["label"].tolist()
            logits = np.stack(part["logits"]).astype(np.float64)
            shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            wanted = shares[np.arange(len(part)), part["label"]]
            np.testing.assert_allclose(archive[f"confidence_{split}"][-1], wanted, atol=1e-5)
        assert archive["val_accuracy"].shape == (2,)
    assert predictions["logits_audio"].isna().all()


def test_a_missing_gpu_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="torch sees no GPU; use --device cpu"):
        cell_module.prepare_torch("cuda", 1)


def test_a_joined_cell_keeps_the_digest_of_each_run(tiny_data: TinyData, tmp_path: Path) -> None:
    settings = tiny_settings()
    jobs = [{**tiny_job("baseline", settings), "code": "own"}, tiny_job("ogm-ge", settings)]
    train_cell(options(tiny_data, tmp_path, jobs))
    digests = {path.parts[-3]: read_json(path)["code"]["digest"] for path in (tmp_path / "out").rglob("record.json")}
    assert sorted(digests.values()) == ["own", "tiny"]
    again = [{**jobs[0]}, {**jobs[1], "code": "changed"}]
    runs = set((tmp_path / "cache" / "runs").iterdir())
    train_cell(options(tiny_data, tmp_path, again))
    assert len(set((tmp_path / "cache" / "runs").iterdir()) - runs) == 1  # only the run whose code changed
