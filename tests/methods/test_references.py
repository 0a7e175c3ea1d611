"""Reference runs: pooled features and logistic regression, strong supervision of seconds, and when there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny_parsing
import torch
from contract_data import easy_clips, vector_settings

from avbalance.errors import UserError
from avbalance.methods.logistic_regression import fitted
from avbalance.models.base import Batch, build
from avbalance.models.pooled_linear import pool_audio, pool_visual
from avbalance.models.strong_reference import fit_seconds
from avbalance.training.cell import make_trainer


def test_pooling_by_hand() -> None:
    sound = torch.tensor([[[[1.0, 3.0], [5.0, 5.0]]]])  # two bands of two moments
    assert pool_audio(sound).tolist() == [[2.0, 5.0, 1.0, 0.0]]
    frames = torch.zeros(1, 3, 2, 16, 16)
    frames[0, 0, 1, :2, :2] = 4.0  # the first area of the second frame: 4 of it, 2 over both
    pooled = pool_visual(frames)
    assert pooled.shape == (1, 192) and pooled[0, 0] == 2.0 and pooled.sum() == 2.0
    assert pool_visual(torch.tensor([[7.0, 8.0]])).tolist() == [[7.0, 8.0]]
    assert pool_audio(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist() == [[2.0, 3.0]]


def test_features_that_cannot_be_pooled_are_one_sentence() -> None:
    model = build({"name": "pooled-linear", "modalities": ["audio"]}, 2, torch.Generator())
    with pytest.raises(UserError, match="there are no features to pool; leave the reference runs out"):
        model(Batch(torch.zeros(3), None, torch.zeros(3), torch.arange(3)))
    with pytest.raises(UserError, match="carries no audio"):
        model(Batch(None, torch.zeros(3, 2), torch.zeros(3), torch.arange(3)))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_penalty_of_the_least_validation_loss_is_chosen(classes: int) -> None:
    generator = np.random.default_rng(0)
    labels = {"train": np.arange(90) % classes, "val": np.arange(60) % classes}
    told = {part: np.eye(3)[label] + 0.3 * generator.normal(size=(len(label), 3)) for part, label in labels.items()}
    penalty, weight, bias = fitted(told, labels, 3)
    predicted = (told["val"] @ weight.T + bias).argmax(1)
    assert penalty == 1.0 and weight.shape == (3, 3) and (predicted == labels["val"]).mean() > 0.9
    assert set(predicted) == set(range(classes))  # a class without a clip is never predicted
    noise = {part: generator.normal(size=(len(label), 30)) for part, label in labels.items()}
    assert fitted(noise, labels, 3)[0] == 0.001  # where nothing is told, the strongest one
    with pytest.raises(UserError, match="of one class only"):
        fitted(told, {**labels, "train": np.zeros(90, dtype=np.int64)}, 3)


def test_one_modality_is_read_and_both_are_tested_under_conditions(tmp_path: Any) -> None:
    clips = easy_clips(tmp_path)["relevance"]
    for modalities in (["visual"], ["audio", "visual"]):
        model = {"name": "pooled-linear", "modalities": modalities}
        settings = vector_settings() | {"model": model}
        trainer = make_trainer("logistic-regression", settings, 0, clips, torch.device("cpu"))
        trainer.train()
        assert trainer.history[0]["val_accuracy"] > 80
        found = {name for name, _ in trainer.task.conditions(trainer, "test", "selected")}
        assert ("silent-audio" in found) == (len(modalities) == 2)


def test_strong_supervision_parses_and_locates(tmp_path: Any) -> None:
    parsed = tiny_parsing.parsing_trainer(
        "strong-reference", clips=tiny_parsing.make_clips(), model={"name": "strong-reference", "hidden": 32}
    )
    parsed.train()
    assert parsed.history[0]["val_segment_A"] > 80 and parsed.history[0]["val_event_V"] > 60
    clips = easy_clips(tmp_path)["localisation"]
    settings = {
        "data": {"task": "localisation"},
        "model": {"name": "strong-reference", "exclusive": True, "hidden": 32},
        "protocol": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "weight_decay": 0.0, "decay_every": 1,
                     "decay_factor": 1.0},
    }  # fmt: skip
    located = make_trainer("strong-reference", settings, 0, clips, torch.device("cpu"))
    located.train()
    assert located.history[0]["val_accuracy"] > 80


def test_without_truth_per_second_there_is_no_strong_supervision() -> None:
    clips = tiny_parsing.make_clips()
    clips.truth["events_visual"][clips.split == "train"] = False
    trainer = tiny_parsing.parsing_trainer("strong-reference", clips=clips, model={"name": "strong-reference"})
    with pytest.raises(UserError, match="no second of the training part has a true visual event"):
        trainer.train()


def test_fitting_leaves_the_random_stream_alone_and_repeats_itself() -> None:
    features = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    truth = (features[:, :2] > 0).float()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = (fit_seconds(features, truth, 4, seed=2)(features) for _ in range(2))
    assert torch.equal(torch.rand(3), expected) and torch.equal(first, second)
