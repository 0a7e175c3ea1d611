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
from avbalance.training.probe import encoder_features, probe_logits

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


def test_a_probe_is_the_logistic_regression_of_standardised_features(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer()
    trainer.train()
    logits = probe_logits(trainer, "test")
    labels = trainer.source.clips.labels
    train, test = (encoder_features(trainer, trainer.parts[part])["audio"].double() for part in ("train", "test"))
    assert train.shape == (SIZES["train"], trainer.model.encoders["audio"].dimension)
    mean, deviation = train.mean(0), train.std(0, unbiased=False)
    known = (train - mean) / torch.where(deviation > 0, deviation, 1.0)
    # gradient of sum of cross-entropies + |W|^2 / 2 at the solution is 0: then W = X^T (Y - P)
    truth = torch.nn.functional.one_hot(torch.as_tensor(labels[trainer.parts["train"]]), CLASSES).double()
    at_train = probe_logits(trainer, "train")["audio"].double().softmax(1)
    weights = known.T @ (truth - at_train)
    asked = (test - mean) / torch.where(deviation > 0, deviation, 1.0)
    scores = asked @ weights
    found = logits["audio"].double()
    gap = found - scores
    offset = gap.mean(0) - gap.mean()  # the intercept, which is not penalised
    assert torch.allclose(found.softmax(1), (scores + offset).softmax(1), atol=0.02)


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
