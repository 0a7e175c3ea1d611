"""Every run of the paper tier of modality-relevance does two optimiser steps at full size, then meets all conditions.

Settings are those of the paper tier but for three numbers of the protocol, epochs, steps and small batches, and both
widths that a visual feature may have. Clips are random, 10 s of sound each. Teachers are networks as they start, in the
form of finished runs' files.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from full_size import CLASSES, RELEVANCE, make_clips, rows_of, short_trainer, weights_of

from avbalance.analysis.conditions import CONDITIONS, Variant
from avbalance.plan.sheet import Row
from avbalance.training.data import Clips
from avbalance.training.loop import Trainer, parameter_count
from avbalance.training.tasks.base import Place

ROWS = rows_of(RELEVANCE)
RECIPES = {400: "uniform8-k400r50", 2048: "uniform8-imagenetr50"}
# Weights by hand. Sound: convolution 8 * 25 + 8, linear 10,112 * 512 + 512; three-layer head of 400, 512 or 912 values.
SOUND, WIDER = 208 + 10_112 * 512 + 512, 2048 * 400 + 400
HEAD = {width: width * 256 + 256 + 256 * 128 + 128 + 128 * 26 + 26 for width in (400, 512, 912)}
PARAMETERS = {
    "urban-rural-audio": {400: SOUND + 512 * 2 + 2},
    "urban-rural-visual": {400: 400 * 128 + 128 + 258, 2048: 2048 * 128 + 128 + 258},
    "urban-rural-student": {400: 10_419_122, 2048: 11_078_322},
    "ks-audio": {400: SOUND + HEAD[512]},
    "ks-visual": {400: HEAD[400], 2048: WIDER + HEAD[400]},
    "ks-fusion": {400: SOUND + HEAD[912], 2048: WIDER + SOUND + HEAD[912]},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Clips]:
    """(role, width of the visual feature) -> random clips, every class in every part."""
    found = {
        (role, width): make_clips(tmp_path_factory.mktemp(role), RELEVANCE, role, visual=recipe)
        for role in CLASSES[RELEVANCE]
        for width, recipe in RECIPES.items()
    }
    assert {each.audio.shape[1:] for each in found.values()} == {(64, 313)}
    assert all(each.visual.shape[1:] == (width,) for (_, width), each in found.items())
    return found


def trainer_of(row: Row, clips: Clips, width: int) -> Trainer:
    seen = {"model": {"visual_feature": width}} if "visual_feature" in row.settings["model"] else {}
    needs = {
        name: weights_of(trainer_of(next(each for each in ROWS if each.run == need["run"]), clips, width))
        for name, need in row.needs.items()
    }
    return short_trainer(row, clips, needs=needs, **seen)


def labelled(row: Row) -> str:
    return row.run.replace("speech", "urban-rural")


WIDTHS = [(row, width) for row in ROWS for width in PARAMETERS[labelled(row)]]


@pytest.mark.parametrize(("row", "width"), [pytest.param(*each, id=f"{each[0].run}-{each[1]}") for each in WIDTHS])
def test_two_steps_and_all_conditions_at_full_size(row: Row, width: int, clips: dict[tuple[str, int], Clips]) -> None:
    trainer = trainer_of(row, clips[row.role, width], width)
    assert parameter_count(trainer.model) == PARAMETERS[labelled(row)][width]
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    (log,) = trainer.history
    assert all(math.isfinite(value) for value in log.values())
    assert 0 <= log["val_balanced_accuracy"] <= 100
    assert ("loss_visual" in log) == (row.method == "distillation")
    moved = {name: not torch.equal(value, before[name]) for name, value in trainer.states["last"].items()}
    assert all(moved.values()), moved
    check_conditions(row, trainer)


def check_conditions(row: Row, trainer: Trainer) -> None:
    """A multimodal model has a row per condition, none alike but those that are the same by design."""
    indices, classes = trainer.parts["test"], trainer.source.clips.classes
    found: dict[str, Any] = {}
    for name, outputs in trainer.task.conditions(trainer, "test", "selected"):
        table = trainer.task.predictions(trainer.source.clips, indices, Place("test", "selected", name), outputs)
        found[name] = np.array(table["logits"].to_pylist())
        assert found[name].shape == (len(indices), len(classes)) and np.isfinite(found[name]).all()
    if len(trainer.model.modalities) == 1:
        assert list(found) == ["both"]
        return
    variants: dict[str, Variant] = {each.name: each for each in trainer.task.data.variants}  # type: ignore[attr-defined]
    assert list(found) == list(variants) and set(variants) >= set(CONDITIONS)
    level = "fusion" if row.role == "kinetics-sounds" else "input"
    assert {variants[name].level for name in CONDITIONS} == {level}
    assert not any(np.allclose(found[name], found["both"]) for name in found if name != "both")
    assert not np.allclose(found["gaussian-audio"], found["silent-audio"])


def test_every_run_is_here() -> None:
    binary = {f"{labels}-{model}" for labels in ("urban-rural", "speech") for model in ("audio", "visual", "student")}
    assert {row.run for row in ROWS} == binary | {"ks-audio", "ks-visual", "ks-fusion"} and len(ROWS) == 9
    assert {row.role for row in ROWS} == set(CLASSES[RELEVANCE])
    for row in ROWS:
        protocol = row.settings["protocol"]
        assert (protocol["optimiser"], protocol["learning_rate"], protocol["batch_size"]) == ("adam", 1e-4, 32)
        assert (protocol["metric"], protocol["ties"], protocol["patience"]) == ("balanced_accuracy", "earlier", 10)
        assert 0 < protocol["min_delta"] < 100 / 20_000  # a gain of 0 is none, one clip more is one
        assert row.settings["data"].get("labelling") == ("speech" if row.run.startswith("speech") else None)
