"""Every run of the paper tier does two optimiser steps at full model size on eight random clips.

Settings are those of the paper tier but for three numbers of the protocol: one epoch, two steps, and batches of two
clips, because a step of the joint network on one clip (three frames of 224 x 224, 257 x 1091 spectrogram bins) takes a
processor core about a second. Two is the smallest batch that is one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from full_size import BALANCED, make_clips, rows_of, with_needs

from avbalance.methods.base import Method
from avbalance.plan.sheet import Row
from avbalance.training.data import Clips
from avbalance.training.loop import Trainer, parameter_count

CLASSES = {"kinetics-sounds": 31, "vggsound": 309, "balanced": 30}
ROWS = rows_of(BALANCED)
ALL_OF = (
    "balanced"  # the other data sets have the same runs; where they differ in a setting, or in the classes, see below
)

# Weights of a ResNet-18 without classifier. Audio: one input channel.
# Stem 7*7*1*64 = 3,136; batch norms and blocks 11,167,104; together 11,170,240. Visual: 7*7*2*64 = 6,272 more.
ENCODER = {"audio": 11_170_240, "visual": 11_176_512}
MMTM = 65_920 + 262_912 + 1_050_112  # 4 C^2 + 3 C for 128, 256 and 512 channels


def expected_parameters(row: Row, classes: int) -> int:
    """Number of weights by hand: encoders, heads of 512 or 1024 columns and a bias, MMTM blocks."""
    linear, joint = 512 * classes + classes, 1024 * classes + classes
    model = row.settings["model"]
    if model["name"] == "unimodal-net":
        return ENCODER[model["modality"]] + linear
    both = ENCODER["audio"] + ENCODER["visual"]
    if model["name"] == "mmtm-net":
        return both + MMTM + 2 * linear
    return both + joint + (2 * linear if model.get("unimodal_heads") else 0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clips]:
    """Role -> eight random clips with as many classes as the data set has."""
    found = {role: make_clips(tmp_path_factory.mktemp(role), BALANCED, role) for role in CLASSES}
    shapes = {(each.audio.shape[1:], each.visual.shape[1:]) for each in found.values()}
    assert shapes == {((257, 1091), (10, 256, 256, 3))}
    return found


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Other tests run beside this one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trainer_of(row: Row, clips: dict[str, Clips]) -> Trainer:
    return with_needs(row, ROWS, clips[row.role])


def differs_by_role(row: Row) -> bool:
    """Whether the row has other settings than the same run of the role that is tested wholly."""
    same = [other for other in ROWS if other.role == ALL_OF and other.run == row.run]
    return not same or replace(row, role="", dataset="") != replace(same[0], role="", dataset="")


def parameters(row: Row) -> Any:
    """Candidates of the search differ from the run that they serve in one number only: that run is enough every day."""
    marks = [pytest.mark.slow] if row.run.startswith("ogm-ge-alpha") else []
    return pytest.param(row, id=f"{row.role}-{row.run}", marks=marks)


CHOSEN = [row for row in ROWS if row.role == ALL_OF or differs_by_role(row)]
CHOSEN += [row for row in ROWS if (row.role, row.run) == ("kinetics-sounds", "visual")]


def test_the_chosen_rows_cover_every_run_and_every_number_of_classes() -> None:
    assert {row.run for row in CHOSEN} == {row.run for row in ROWS}
    assert {row.role for row in CHOSEN} == set(CLASSES)
    assert ("vggsound", "ogm-ge") in {(row.role, row.run) for row in CHOSEN}


@pytest.mark.parametrize("row", [parameters(row) for row in CHOSEN if row.reports])
def test_two_steps_at_full_size(row: Row, clips: dict[str, Clips]) -> None:
    trainer = trainer_of(row, clips)
    model = trainer.model
    assert parameter_count(model) == expected_parameters(row, CLASSES[row.role])
    groups = {name: model.group(name) for name in (*model.modalities, "head")}
    before = {name: [each.detach().clone() for each in group] for name, group in groups.items()}
    trainer.train()
    (log,) = trainer.history
    assert math.isfinite(log["train_loss"])
    # Random guessing costs ln C; a loss near 0 or far above would mean that labels leak or that scales are off.
    heads = 2 if row.settings["model"]["name"] == "mmtm-net" else 1
    assert 0.5 < log["train_loss"] / (heads * math.log(CLASSES[row.role])) < 4
    for name, group in groups.items():
        moved = [not torch.equal(new, old) for new, old in zip(group, before[name], strict=True)]
        assert all(moved), f"{name}: {moved.count(False)} of {len(moved)} tensors did not move"
        assert all(bool(torch.isfinite(each).all()) for each in group)
    if row.settings["protocol"]["record_confidence"]:
        assert {name: rows[0].shape for name, rows in trainer.confidence.items()} == {
            name: (len(trainer.parts[name]),) for name in ("train", "val", "test")
        }
    check_method(trainer.method, row)


def check_method(method: Method, row: Row) -> None:
    """What the run must leave behind besides weights."""
    if row.run == "gradient-blending":
        (estimate,) = method.artifacts()["blending.json"]["trajectory"]
        assert estimate["epochs"] == 1
        check_estimate(estimate)
    if row.method == "greedy":
        assert all(value > 0 for value in method.state_dict()["speeds"]["main"].values())


def check_estimate(estimate: dict[str, Any]) -> None:
    """Weights that sum to one, from losses that the training of the copies has changed."""
    assert sum(estimate["weights"].values()) == pytest.approx(1.0)
    for head in estimate["heads"].values():
        assert np.isfinite([*head["train_loss"], *head["held_out_loss"]]).all()
        assert head["train_loss"][0] != head["train_loss"][1]


@pytest.mark.parametrize("row", [parameters(row) for row in CHOSEN if not row.reports])
def test_a_run_made_for_its_weights_estimates_them_and_leaves_its_model_alone(
    row: Row, clips: dict[str, Clips]
) -> None:
    trainer = trainer_of(row, clips)
    assert parameter_count(trainer.model) == expected_parameters(row, CLASSES[row.role])
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.method.prepare(trainer)
    estimate = trainer.method.artifacts()["weights.json"]
    # The option epochs is null: as many as the protocol has.
    assert (row.settings["method"]["epochs"], estimate["epochs"]) == (None, 1)
    check_estimate(estimate)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[name]), name
