"""UMT: distances by hand, whose gradient they change, and teachers that do not fit."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from contract_data import stand_in
from one_step import gradients, network
from three_head_runs import easy_clips, make

from avbalance.errors import UserError
from avbalance.methods.base import TrainingStep
from avbalance.methods.baseline import Baseline
from avbalance.methods.umt import UMT, feature_distances
from avbalance.models.base import Batch, ModelOutput


def test_distances_by_hand() -> None:
    """Audio: (1 + 9 + 0 + 4) / 4 = 3.5; visual: 16 / 2 = 8."""
    features = {"audio": torch.tensor([[1.0, 3.0], [0.0, -2.0]]), "visual": torch.tensor([[5.0, 2.0]])}
    targets = {"audio": torch.zeros(2, 2), "visual": torch.tensor([[1.0, 2.0]])}
    assert feature_distances(features, targets).tolist() == [3.5, 8.0]


def test_the_loss_of_a_step_by_hand() -> None:
    """Even odds of two classes, ln 2; distances of 3.5 and 8, both ten times."""
    label = torch.tensor([0, 1])
    own = {"audio": torch.tensor([[1.0, 3.0], [0.0, -2.0]]), "visual": torch.tensor([[5.0, 2.0], [1.0, 6.0]])}
    targets = {"audio": torch.zeros(2, 2), "visual": torch.tensor([[1.0, 2.0], [1.0, 2.0]])}
    method = UMT({"weight": 10.0})
    method.teachers = {name: lambda _: ModelOutput(label, {}, targets) for name in targets}  # type: ignore[misc]
    output, step = ModelOutput(torch.zeros(2, 2), {}, own), TrainingStep(0, 0, 1, torch.Generator())
    found = method.loss(network(), output, Batch(None, None, label, label), step)
    assert found.item() == pytest.approx(math.log(2) + 10 * (3.5 + 8))


def with_teachers(**options: Any) -> UMT:
    method = UMT(options)
    method.teachers = {name: network("unimodal-net", modality=name).eval() for name in ("audio", "visual")}
    return method


def test_distances_reach_both_encoders_and_nothing_else() -> None:
    plain, drawn = gradients(Baseline(), network()), gradients(with_teachers(), network())
    off = gradients(with_teachers(weight=0.0), network())
    assert set(drawn) == set(plain)
    for name, gradient in plain.items():
        assert torch.equal(drawn[name], gradient) != name.startswith("encoders."), name
        assert torch.equal(off[name], gradient), name


def test_teachers_must_be_of_one_modality_and_of_the_same_width(tmp_path_factory: pytest.TempPathFactory) -> None:
    clips = easy_clips(tmp_path_factory.mktemp("teachers"))
    trainer = make(clips, "umt", {})
    with pytest.raises(UserError, match="name the run that makes it in the run's needs, as teacher_audio"):
        trainer.method.prepare(trainer)
    trainer.needs = {f"teacher_{name}": stand_in(f"teacher_{name}", "", trainer) for name in ("audio", "visual")}
    trainer.method.prepare(trainer)
    assert not any(teacher.training for teacher in trainer.method.teachers.values())
    swapped = dict(zip(trainer.needs, reversed(trainer.needs.values()), strict=True))
    trainer.needs, right = swapped, trainer.needs
    with pytest.raises(UserError, match="teacher_audio is a unimodal-net that does not read audio alone"):
        trainer.method.prepare(trainer)
    wider = make(clips, "umt", {}, {"dimension": 20})
    wider.needs = right
    with pytest.raises(UserError, match="teacher_audio makes 16 values where this network makes 20"):
        wider.method.prepare(wider)
    wider.model = network("unimodal-net", modality="audio")
    with pytest.raises(UserError, match="method umt: the model reads one modality alone"):
        wider.method.prepare(wider)
