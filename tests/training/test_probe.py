"""Linear probes of the encoders: their rows, and what they can and cannot read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_cell import CLASSES, SIZES, TinyData, tiny_job, tiny_settings

from avbalance.evaluation.predictions import read_predictions
from avbalance.training.cell import CellOptions, train_cell
from avbalance.training.probe import probe_logits

UNIMODAL = {"name": "unimodal-net", "modality": "visual"}


@pytest.fixture(scope="module")
def runs(tiny_data: TinyData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probes")
    probed = {"data": {"probes": True}}
    jobs = [
        tiny_job("baseline", tiny_settings(**probed)),
        tiny_job("baseline", tiny_settings(), run="plain"),
        tiny_job("greedy", tiny_settings(model={"name": "mmtm-net"}, **probed)),
        tiny_job("unimodal", tiny_settings(model=UNIMODAL, **probed)),
    ]
    data = tiny_data
    train_cell(CellOptions(jobs, "tiny", data.manifest, data.audio, data.visual, folder, folder / "cache", "cpu", 1))
    return folder / "paper" / "tiny"


@pytest.mark.parametrize(
    ("run", "modalities"),
    [("baseline", ["audio", "visual"]), ("greedy", ["audio", "visual"]), ("unimodal", ["visual"]), ("plain", [])],
)
def test_the_selected_model_leaves_a_row_per_test_clip_and_encoder(runs: Path, run: str, modalities: list[str]) -> None:
    frame = read_predictions(runs / run / "seed0" / "predictions.parquet")
    probed = frame[frame["condition"] != "both"]
    assert sorted(probed["condition"].unique()) == [f"probe-{name}" for name in modalities]
    assert set(probed["split"]) <= {"test"} and set(probed["checkpoint"]) <= {"selected"}
    assert len(probed) == len(modalities) * SIZES["test"]
    assert probed["logits_audio"].isna().all() and probed["logits_visual"].isna().all()


def test_probes_change_nothing_else(runs: Path) -> None:
    with_probes, without = (
        read_predictions(runs / run / "seed0" / "predictions.parquet").query("condition == 'both'")
        for run in ("baseline", "plain")
    )
    assert np.array_equal(np.stack(list(with_probes["logits"])), np.stack(list(without["logits"])))
    weights = [(runs / run / "seed0" / "model.safetensors").read_bytes() for run in ("baseline", "plain")]
    assert weights[0] == weights[1]


def test_an_encoder_that_is_constant_tells_nothing(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer()
    for parameter in trainer.model.encoders["visual"].parameters():
        torch.nn.init.zeros_(parameter)
    labels = trainer.source.clips.labels[trainer.parts["test"]]
    accuracy = {
        name: float((rows.argmax(1).numpy() == labels).mean()) for name, rows in probe_logits(trainer, "test").items()
    }
    assert accuracy["visual"] == pytest.approx(1 / CLASSES, abs=0.01)
    assert accuracy["audio"] > 0.4  # even a random encoder keeps much of these patterns
