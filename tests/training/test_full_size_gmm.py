"""Runs of the paper tier of gmm-adaptive-loss do two optimiser steps at full size on random clips, one in each stage.

Settings are those of the paper tier but for the protocol's epochs and steps, batches of two clips, and a warm-up of one
epoch, so that the adaptive stage is reached. Eight clips are too few for a fit: a made-up one stands in its place.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from avbalance.analysis import modality_gap
from avbalance.analysis.gap_mixture import Mixture
from avbalance.analysis.modality_gap import Fit
from avbalance.data.manifest import make_manifest, write_manifest
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe
from avbalance.features.store import StoreWriter
from avbalance.methods import base as methods
from avbalance.plan.plan import load_plan
from avbalance.plan.sheet import Row
from avbalance.training.cell import Tensors, make_trainer
from avbalance.training.data import Clips, load_clips
from avbalance.training.loop import Trainer, parameter_count

REPOSITORY = Path(__file__).parents[2]
SLUG = "gmm-adaptive-loss"
ROWS = [
    row
    for row in load_plan(REPOSITORY, {"tier": "paper", "papers": {SLUG: {}}}).rows[SLUG]
    if not row.combine and not methods.load(row.method).card.fits  # references: tests/methods/test_references.py
]
CLASSES = {"cremad": 6, "ave": 28, "kinetics-sounds": 31}
SHAPES = {
    "cremad": ((257, 188), (3, 256, 256, 3)),
    "ave": ((1024, 128), (10, 256, 256, 3)),
    "kinetics-sounds": ((1024, 128), (10, 256, 256, 3)),
}
LABELS = (3, 3, 3, 3, 3, 3, 5, 5)
SPLITS = ("train",) * 6 + ("val", "test")
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


def write_store(folder: Path, recipe: Any, ids: list[str]) -> Path:
    generator = np.random.default_rng(len(recipe.name))
    writer = StoreWriter(folder.with_name(f"draft-{folder.name}"), recipe)
    for _ in ids:
        pictures = recipe.dtype == np.uint8
        values = generator.integers(0, 256, recipe.shape) if pictures else generator.normal(-6, 3, recipe.shape)
        writer.append(values.astype(recipe.dtype))
    index = pd.DataFrame(
        {"id": ids, "row": range(len(ids)), "status": "ok", "reason": "", "n_frames": recipe.shape[0]}
        | {"width": 480, "height": 360, "duration": 3.0}
    )
    writer.publish(folder, index, writer.seal(index, {"dataset": "random"}))
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clips]:
    """Role -> eight random clips with the shapes and the number of classes of the data set."""
    found = {}
    for role, count in CLASSES.items():
        folder = tmp_path_factory.mktemp(role)
        data = next(row.settings["data"] for row in ROWS if row.role == role)
        recipes = (get_audio_recipe(data["audio_recipe"]), get_visual_recipe(data["visual_recipe"]))
        assert tuple(recipe.shape for recipe in recipes) == SHAPES[role]
        names = [f"class{number:02d}" for number in range(count)]
        card = {"dataset": role, "kind": role, "stands_for": None, "describe": "random", "classes": names}
        rows = [
            {"id": f"clip{number}", "audio": "a", "visual": "v", "label": names[label], "split": split}
            for number, (label, split) in enumerate(zip(LABELS, SPLITS, strict=True))
        ]
        write_manifest(make_manifest(rows, {**card, "media_root": ".", "options": {}}, role), folder / "m.parquet")
        stores = [write_store(folder / recipe.modality, recipe, [row["id"] for row in rows]) for recipe in recipes]
        found[role] = load_clips(folder / "m.parquet", *stores)
    return found


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Other tests run beside this one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made_up_fit(values: Any, seed: int, kind: str = "abs", start: Any = None) -> Fit:
    """A mixture that takes the clips with the larger gaps for imbalanced."""
    low, high = float(np.min(values)), float(np.max(values))
    spread = (high - low) / 4 + 1e-6
    return Fit(Mixture(0.5, low, spread, 0.5, high, spread), "", len(values), True, 1.0, 0.0)


def trainer_of(row: Row, clips: dict[str, Clips]) -> Trainer:
    settings = copy.deepcopy(row.settings)
    stages = 2 if row.method == "adaptive-loss" else 1
    settings["protocol"] |= {"epochs": stages, "max_steps": 2 // stages, "batch_size": 2}
    if "warm_up_epochs" in settings.get("method", {}):
        settings["method"]["warm_up_epochs"] = min(1, settings["method"]["warm_up_epochs"])
    trainer = make_trainer(row.method, settings, row.seeds[0], clips[row.role], torch.device("cpu"))
    if row.needs:
        weights = Tensors({name: value.clone() for name, value in trainer.model.state_dict().items()})
        weights.facts = dict(trainer.facts)
        trainer.needs = {"checkpoint": weights}
    return trainer


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
def test_two_steps_at_full_size(row: Row, clips: dict[str, Clips], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modality_gap, "fit", made_up_fit)
    trainer = trainer_of(row, clips)
    assert parameter_count(trainer.model) == expected_parameters(row)
    groups = {name: trainer.model.group(name) for name in (*trainer.model.modalities, "head")}
    before = {name: [each.detach().clone() for each in group] for name, group in groups.items()}
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
