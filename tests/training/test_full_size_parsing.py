"""Every run of the paper tier of avvp-gradient-modulation does two optimiser steps at full size on random clips.

Settings are those of the paper tier but for three numbers of the protocol: epochs, steps in each, and small batches.
Where an epoch differs from the first, since labels are denoised or videos contrasted, that epoch is reached. Files that
a run needs of another one are made up in the form that their makers write.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from full_size import PARSING, make_clips, rows_of, with_needs

from avbalance.analysis.parsing_scores import METRICS
from avbalance.methods import base as methods
from avbalance.plan.sheet import Row
from avbalance.training.data import Clips
from avbalance.training.loop import Trainer, parameter_count
from avbalance.training.tasks.base import Place

ROWS = rows_of(PARSING)
SHAPES = {
    "llp": ((10, 128), (10, 2560)),
    "cremad": ((257, 188), (1, 256, 256, 3)),
    "ave": ((10, 128), (10, 7, 7, 512)),
}
# Networks by name, published sizes less what nothing uses there (see the networks' own tests).
HAN, HAN_WITH_MSDU = 4_571_723 - 2_048, 4_661_498 - 2_048
PARAMETERS = {
    "twin-han": 2 * HAN,
    "mm-pyramid": 40_827_469,
    "cvcms": 8_005_940,
    "fusion-net": 22_352_902,
    "psp": 1_548_657,
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clips]:
    """Role -> twelve random clips with the shapes and classes of the data set."""
    found = {role: make_clips(tmp_path_factory.mktemp(role), PARSING, role) for role in SHAPES}
    assert {role: (each.audio.shape[1:], each.visual.shape[1:]) for role, each in found.items()} == SHAPES
    return found


def trainer_of(row: Row, clips: dict[str, Clips]) -> Trainer:
    return with_needs(row, ROWS, clips[row.role])


def parameters(rows: list[Row]) -> list[Any]:
    """The first run of each method and network is tested every day, runs that differ in options with the slow tests."""
    first: dict[Any, str] = {}
    for row in rows:
        first.setdefault((row.role, *row.parts), row.run)
    everyday = set(first.values())
    marks = {row.run: [] if row.run in everyday else [pytest.mark.slow] for row in rows}
    return [pytest.param(row, id=f"{row.role}-{row.run}", marks=marks[row.run]) for row in rows]


def expected_parameters(model: dict[str, Any]) -> int | None:
    """Number of weights of a network whose size is published; None for re-implementations without code to follow."""
    if model["name"] == "han":
        separate = model.get("msdu") and model.get("msdu_heads") != "shared"
        return HAN_WITH_MSDU if separate else HAN
    return PARAMETERS.get(model["name"])


def idle(row: Row, name: str) -> bool:
    """Whether a run leaves a tensor alone: cross-modal attention or measuring heads may have no part in the loss."""
    if "cross_attention" in name:
        return row.settings["model"].get("with_ca") is False
    return name.startswith("measuring.") and row.settings["method"].get("lambda_ms") == 0


@pytest.mark.parametrize("row", parameters([row for row in ROWS if row.reports]))
def test_two_steps_and_an_evaluation_at_full_size(row: Row, clips: dict[str, Clips]) -> None:
    trainer = trainer_of(row, clips)
    assert expected_parameters(row.settings["model"]) in (parameter_count(trainer.model), None)
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    assert all(math.isfinite(value) for log in trainer.history for value in log.values())
    after = trainer.states["last"]
    still = {name for name, value in before.items() if torch.equal(after[name], value)}
    assert still == {name for name in before if idle(row, name)}
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    check_log(row, trainer.history[-1], trainer.model.modalities)
    check_predictions(row, trainer, clips[row.role])


def check_log(row: Row, log: dict[str, Any], modalities: tuple[str, ...]) -> None:
    """The history has the metric that selects, the losses of the modalities, and what modulation did."""
    assert 0 <= log[f"val_{row.settings['protocol'].get('metric', 'accuracy')}"] <= 100
    if row.role == "llp":
        assert set(METRICS) <= {name.removeprefix("val_") for name in log}
        assert {f"loss_{name}{what}" for name in modalities for what in ("", "_target")} <= set(log)
        assert ("loss_audio_msdu" in log) == bool(row.settings["model"].get("msdu"))
    assert ("test_accuracy" in log) == (row.role != "llp")  # the test part is watched where the public code does so
    damped = row.settings.get("method", {}).get("dgm", False)
    assert ("omega_va" in log) == damped
    if damped:
        assert min(log["mu_a"], log["mu_v"]) < 1 >= max(log["mu_a"], log["mu_v"])


def check_predictions(row: Row, trainer: Trainer, clips: Clips) -> None:
    indices = trainer.parts["test"]
    table = trainer.task.predictions(clips, indices, Place("test"), trainer.outputs(indices))
    assert table.num_rows == 2
    width = {"llp": 10 * 2 * 25, "cremad": 6, "ave": 10 * 29}[row.role]
    values = np.array(table["frame_prob" if row.role == "llp" else "logits"].to_pylist())
    assert values.shape == (2, width) and np.isfinite(values).all()


@pytest.mark.parametrize("row", parameters([row for row in ROWS if not row.reports]))
def test_a_run_made_for_its_file_writes_it_and_leaves_its_model_alone(row: Row, clips: dict[str, Clips]) -> None:
    trainer = trainer_of(row, clips)
    estimator = trainer_of(next(each for each in ROWS if each.run == row.needs["model"]["run"]), clips)
    trainer.needs["model"] = {name: 1.1 * value for name, value in estimator.model.state_dict().items()}
    trainer.method.prepare(trainer)
    after = trainer.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in trainer.needs["model"].items())
    (written,) = row.artifacts
    content = json.loads(json.dumps(trainer.method.artifacts()[written]))
    assert content["videos"] == len(trainer.parts["train"]) == 8
    readers = [each for each in ROWS if {"run": row.run, "file": written} in each.needs.values()]
    assert readers
    reader = trainer_of(readers[0], clips)
    reader.needs |= {name: content for name, need in readers[0].needs.items() if need["run"] == row.run}
    reader.train()
    assert math.isfinite(reader.history[0]["train_loss"])


def test_every_run_is_here() -> None:
    assert {row.role for row in ROWS} == set(SHAPES) and len(ROWS) == 54
    assert {row.run for row in ROWS if not row.reports} == {"jomold-ratios", "ma-labels", "ma-labels-no-cl"}
    assert all(methods.load(row.method).card.predicts == row.reports for row in ROWS)
