"""Runs of balanced-audiovisual and gmm-adaptive-loss do two optimiser steps at full size on a few random clips.

Settings are those of the paper tier but for the protocol's epochs and steps, batches of two clips, because a step of
the joint network on one clip takes a processor core about a second, and a warm-up of one epoch, so that the adaptive
stage is reached. Six clips are too few for a fit of the gaps: a made-up one stands in its place.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from full_size import BALANCED, CLASSES, GAPS, made_up_fits, make_clips, rows_of, with_needs

from avbalance.plan.sheet import Row
from avbalance.training.data import Clips
from avbalance.training.loop import Trainer, parameter_count

ROWS = {slug: rows_of(slug) for slug in (BALANCED, GAPS)}
SHAPES = {
    BALANCED: dict.fromkeys(CLASSES[BALANCED], ((257, 1091), (10, 256, 256, 3))),
    GAPS: {
        "cremad": ((257, 188), (3, 256, 256, 3)),
        "ave": ((1024, 128), (10, 256, 256, 3)),
        "kinetics-sounds": ((1024, 128), (10, 256, 256, 3)),
    },
}
ALL_OF = "balanced"  # the other data sets of that paper have the same runs, but for a setting, or the classes
EVERY_DAY = {("cremad", "heads"), ("cremad", "ours"), ("cremad", "fine-ours-high-quality")}  # of GAPS
ELSEWHERE = {"unimodal", "baseline", "ogm-ge", "gradient-blending", "greedy", "dgm"}  # every day in other papers' tests
ON_AVE = {"heads", "ours", "fine-heads-full"}  # its clips have the shapes of Kinetics-Sounds, its runs are CREMA-D's

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
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Clips]:
    """(paper, role) -> eight random clips with the shapes and the number of classes of the data set."""
    found = {}
    for slug, shapes in SHAPES.items():
        for role, shape in shapes.items():
            made = found[slug, role] = make_clips(tmp_path_factory.mktemp(role), slug, role)
            assert (made.audio.shape[1:], made.visual.shape[1:]) == shape
    return found


def differs_by_role(row: Row) -> bool:
    """Whether the row has other settings than the same run of the role that is tested wholly."""
    same = [other for other in ROWS[BALANCED] if (other.role, other.run) == (ALL_OF, row.run)]
    return not same or replace(row, role="", dataset="") != replace(same[0], role="", dataset="")


def of_gaps(row: Row) -> bool:
    """Whether a run is tested: of the grid one stands for all, which differ in two weights alone."""
    return row.run in ON_AVE if row.role == "ave" else not row.run.startswith("grid-") or row.run == "grid-2-2"


CHOSEN = {
    BALANCED: [
        row for row in ROWS[BALANCED]
        if row.role == ALL_OF or differs_by_role(row) or (row.role, row.run) == ("kinetics-sounds", "visual")
    ],
    GAPS: [row for row in ROWS[GAPS] if of_gaps(row)],
}  # fmt: skip


def parameters(reports: bool) -> list[Any]:
    """The chosen runs; a few are tested every day, all others with the slow tests."""
    found = []
    for slug, rows in CHOSEN.items():
        for row in rows:
            slow = (row.role, row.run) not in ([(ALL_OF, "baseline")] if slug == BALANCED else EVERY_DAY)
            if row.reports == reports:
                marks = [pytest.mark.slow] if slow else []
                found.append(pytest.param(slug, row, id=f"{slug}-{row.role}-{row.run}", marks=marks))
    return found


def test_the_chosen_rows_cover_every_run_and_every_number_of_classes() -> None:
    chosen, rows = CHOSEN[BALANCED], ROWS[BALANCED]
    assert {row.run for row in chosen} == {row.run for row in rows}
    assert {row.role for row in chosen} == set(CLASSES[BALANCED])
    assert ("vggsound", "ogm-ge") in {(row.role, row.run) for row in chosen}
    tested = {(row.role, row.run): row for row in CHOSEN[GAPS]}
    grid = [row for row in ROWS[GAPS] if row.run.startswith("grid-")]
    assert len(grid) == 15
    for row in grid:
        weights = {name: row.settings["method"][name] for name in ("lambda_gap", "lambda_align")}
        full = tested["cremad", "ours"].settings
        assert row.settings == {**full, "method": {**full["method"], **weights}}
    for row in (row for row in ROWS[GAPS] if row.role == "ave"):
        other = next(each for each in ROWS[GAPS] if (each.role, each.run) == ("cremad", row.run))
        assert row.settings["model"] == other.settings["model"] and row.method == other.method
    every_day = {tested[key].method for key in EVERY_DAY}
    assert {row.method for row in ROWS[GAPS]} == every_day | ELSEWHERE


@pytest.mark.parametrize(("slug", "row"), parameters(reports=True))
def test_two_steps_at_full_size(slug: str, row: Row, clips: dict[tuple[str, str], Clips]) -> None:
    trainer = with_needs(row, ROWS[slug], clips[slug, row.role])
    model, classes = trainer.model, len(trainer.source.clips.classes)
    assert parameter_count(model) == expected_parameters(row, classes)
    groups = {name: model.group(name) for name in (*model.modalities, "head")}
    before = {name: [each.detach().clone() for each in group] for name, group in groups.items()}
    with made_up_fits():
        trainer.train()
    for log in trainer.history:
        assert all(math.isfinite(value) for value in log.values() if isinstance(value, float))
    # Guessing costs ln C a head; a loss near 0 or far above would mean that labels leak or that scales are off.
    low, high = (0.5, 8) if slug == BALANCED else (0.3, 15)
    assert low < trainer.history[0]["train_loss"] / math.log(classes) < high
    for name, group in groups.items():
        moved = [not torch.equal(new, old) for new, old in zip(group, before[name], strict=True)]
        assert all(moved), f"{name}: {moved.count(False)} of {len(moved)} tensors did not move"
        assert all(bool(torch.isfinite(each).all()) for each in group)
    if row.settings["protocol"].get("record_confidence"):
        assert {name: rows[0].shape for name, rows in trainer.course.confidence.items()} == {
            name: (len(trainer.parts[name]),) for name in ("train", "val", "test")
        }
    check_method(trainer, row)


def check_method(trainer: Trainer, row: Row) -> None:
    """What the run must leave for tables, figures and claims besides weights."""
    found = trainer.method.artifacts()
    if row.method == "greedy":
        assert all(value > 0 for value in trainer.method.state_dict()["speeds"]["main"].values())
    if "blending.json" in found:
        (estimate,) = found["blending.json"]["trajectory"]
        assert estimate["epochs"] == 1
        check_estimate(estimate)
    if "mixtures.json" in found:
        first, last = trainer.method.options.warm_up_epochs, trainer.protocol.epochs
        fitted = list(range(first, last + 1)) if row.method == "adaptive-loss" else [last]
        assert [fit["epoch"] for fit in found["mixtures.json"]["fits"]] == fitted
        assert {len(scores) for scores in found["gaps.json"]["audio"]} == {len(trainer.parts["train"])}
    if row.method == "adaptive-loss":
        assert {"loss_gap", "loss_align"} <= set(trainer.history[-1])
    if row.method == "fine-tuning":
        record = found["fine_tuning.json"]
        assert record["kept"] == len(trainer.parts["train"]) and 0 < record["kept"] <= record["samples"]


def check_estimate(estimate: dict[str, Any]) -> None:
    """Weights that sum to one, from losses that the training of the copies has changed."""
    assert sum(estimate["weights"].values()) == pytest.approx(1.0)
    for head in estimate["heads"].values():
        assert np.isfinite([*head["train_loss"], *head["held_out_loss"]]).all()
        assert head["train_loss"][0] != head["train_loss"][1]


@pytest.mark.parametrize(("slug", "row"), parameters(reports=False))
def test_a_run_made_for_its_weights_estimates_them_and_leaves_its_model_alone(
    slug: str, row: Row, clips: dict[tuple[str, str], Clips]
) -> None:
    trainer = with_needs(row, ROWS[slug], clips[slug, row.role])
    assert parameter_count(trainer.model) == expected_parameters(row, len(trainer.source.clips.classes))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.method.prepare(trainer)
    estimate = trainer.method.artifacts()["weights.json"]
    # The option epochs is null: as many as the protocol has.
    assert (row.settings["method"]["epochs"], estimate["epochs"]) == (None, 1)
    check_estimate(estimate)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[name]), name
