"""Runs of the paper tier of gmm-adaptive-loss do two optimiser steps at full size on random clips, one in each stage.

Settings are those of the paper tier but for the protocol's epochs and steps, batches of two clips, and a warm-up of one
epoch, so that the adaptive stage is reached. Eight clips are too few for a fit: a made-up one stands in its place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from full_size import GAPS, made_up_fits, make_clips, rows_of, with_needs

from avbalance.plan.sheet import Row
from avbalance.training.data import Clips
from avbalance.training.loop import Trainer, parameter_count

ROWS = rows_of(GAPS)
CLASSES = {"cremad": 6, "ave": 28, "kinetics-sounds": 31}
SHAPES = {
    "cremad": ((257, 188), (3, 256, 256, 3)),
    "ave": ((1024, 128), (10, 256, 256, 3)),
    "kinetics-sounds": ((1024, 128), (10, 256, 256, 3)),
}
EVERY_DAY = {("cremad", "heads"), ("cremad", "ours"), ("cremad", "fine-ours-high-quality")}
ELSEWHERE = {"unimodal", "baseline", "ogm-ge", "gradient-blending", "greedy", "dgm"}  # every day in other papers' tests
ON_AVE = {"heads", "ours", "fine-heads-full"}  # its clips have the shapes of Kinetics-Sounds, its runs are CREMA-D's


# Weights of a ResNet-18 without classifier (audio: one input channel), and of the MMTM blocks of Greedy's network.
ENCODER = {"audio": 11_170_240, "visual": 11_176_512}
MMTM = 65_920 + 262_912 + 1_050_112


def expected_parameters(row: Row) -> int:
    """Number of weights by hand: encoders, linear heads with a bias, MMTM blocks."""
    classes, model = CLASSES[row.role], row.settings["model"]
    linear, joint = 512 * classes + classes, 1024 * classes + classes
    if model["name"] == "unimodal-net":
        return ENCODER[model["modality"]] + linear
    both = sum(ENCODER.values())
    if model["name"] == "mmtm-net":
        return both + MMTM + 2 * linear
    return both + joint + (2 * linear if model.get("unimodal_heads") else 0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clips]:
    """Role -> eight random clips with the shapes and the number of classes of the data set."""
    found = {role: make_clips(tmp_path_factory.mktemp(role), GAPS, role) for role in CLASSES}
    assert {role: (each.audio.shape[1:], each.visual.shape[1:]) for role, each in found.items()} == SHAPES
    return found


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Other tests run beside this one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def parameters(row: Row) -> Any:
    marks = [] if (row.role, row.run) in EVERY_DAY else [pytest.mark.slow]
    return pytest.param(row, id=f"{row.role}-{row.run}", marks=marks)


def chosen(row: Row) -> bool:
    """Whether a run is tested: of the grid one stands for all, which differ in two weights alone."""
    return row.run in ON_AVE if row.role == "ave" else not row.run.startswith("grid-") or row.run == "grid-2-2"


CHOSEN = [row for row in ROWS if chosen(row)]


def test_what_is_left_out_differs_from_a_tested_run_in_numbers_or_classes_alone() -> None:
    tested = {(row.role, row.run): row for row in CHOSEN}
    grid = [row for row in ROWS if row.run.startswith("grid-")]
    assert len(grid) == 15
    for row in grid:
        weights = {name: row.settings["method"][name] for name in ("lambda_gap", "lambda_align")}
        full = tested["cremad", "ours"].settings
        assert row.settings == {**full, "method": {**full["method"], **weights}}
    for row in (row for row in ROWS if row.role == "ave"):
        other = next(each for each in ROWS if (each.role, each.run) == ("cremad", row.run))
        assert row.settings["model"] == other.settings["model"] and row.method == other.method
    assert {row.method for row in ROWS} == {
        row.method for row in CHOSEN if (row.role, row.run) in EVERY_DAY
    } | ELSEWHERE


@pytest.mark.parametrize("row", [parameters(row) for row in CHOSEN])
def test_two_steps_at_full_size(row: Row, clips: dict[str, Clips]) -> None:
    trainer = with_needs(row, ROWS, clips[row.role])
    assert parameter_count(trainer.model) == expected_parameters(row)
    groups = {name: trainer.model.group(name) for name in (*trainer.model.modalities, "head")}
    before = {name: [each.detach().clone() for each in group] for name, group in groups.items()}
    with made_up_fits():
        trainer.train()
    for log in trainer.history:
        assert all(math.isfinite(value) for value in log.values() if isinstance(value, float))
    # Guessing costs ln C a head; a loss near 0 or far above would mean that labels leak or that scales are off.
    first = trainer.history[0]["train_loss"] / math.log(CLASSES[row.role])
    assert 0.3 < first < 15
    for name, group in groups.items():
        moved = [not torch.equal(new, old) for new, old in zip(group, before[name], strict=True)]
        assert all(moved), f"{name}: {moved.count(False)} of {len(moved)} tensors did not move"
    check_artifacts(trainer, row)


def check_artifacts(trainer: Trainer, row: Row) -> None:
    """What the run must leave for tables, figures and claims."""
    found = trainer.method.artifacts()
    assert set(found) == set(row.artifacts)
    if "mixtures.json" in found:
        warm_up = trainer.method.options["warm_up_epochs"]
        last = trainer.protocol.epochs
        fitted = list(range(warm_up, last + 1)) if row.method == "adaptive-loss" else [last]
        assert [fit["epoch"] for fit in found["mixtures.json"]["fits"]] == fitted
        assert {len(scores) for scores in found["gaps.json"]["audio"]} == {len(trainer.parts["train"])}
    if row.method == "adaptive-loss":
        assert {"loss_gap", "loss_align"} <= set(trainer.history[-1])
    if row.method == "fine-tuning":
        record = found["fine_tuning.json"]
        assert record["kept"] == len(trainer.parts["train"]) and 0 < record["kept"] <= record["samples"]
