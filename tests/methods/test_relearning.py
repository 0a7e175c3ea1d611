"""Diagnosing and re-learning: purity and the way back by hand; when encoders go back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from contract_data import easy_clips, tiny_settings

from avbalance.errors import UserError
from avbalance.methods.relearning import Relearning, clustered, purity, way_back
from avbalance.training.cell import make_trainer


def test_purity_by_hand() -> None:
    # cluster 0 has labels 0, 0, 1: 2 right; cluster 1 has 1, 1, 1, 0: 3 right; cluster 2 has 2: 1 right; 6 of 8
    clusters, labels = np.array([0, 0, 0, 1, 1, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 1, 0, 2])
    assert purity(clusters, labels) == 0.75
    assert purity(labels, labels) == 1.0
    assert purity(np.zeros(8, dtype=np.int64), labels) == 0.5  # four of eight have label 1


def test_clusters_are_of_scaled_values() -> None:
    # the first value spreads evenly over 1000, the second one, of 0 or 1, makes two groups once both are scaled
    spread = np.tile(np.linspace(0, 1000, 8), 2)
    features = np.stack([spread, np.repeat([0, 1], 8)], 1).astype(np.float32)
    assert purity(clustered(features, 2), np.repeat([0, 1], 8)) == 1.0


def test_the_way_back_by_hand() -> None:
    assert way_back(0.0, 3.0) == 0.0
    assert way_back(0.2, 3.0) == way_back(-0.2, 3.0) == pytest.approx(math.tanh(0.6))


def _trainer(folder: Any, options: dict[str, Any], epochs: int) -> Any:
    settings = tiny_settings(method=options, protocol={"epochs": epochs})
    return make_trainer("relearning", settings, 0, easy_clips(folder)["classification"], torch.device("cpu"))


def test_encoders_go_back_by_their_gaps_every_few_epochs_and_so_often(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = _trainer(tmp_path, {"every": 2, "times": 2, "strength": 1.0}, 1)
    method = trainer.method
    assert isinstance(method, Relearning)
    method.prepare(trainer)
    start = {name: value.clone() for name, value in trainer.model.named_parameters()}
    found = {"train": {"audio": 0.9, "visual": 0.5}, "val": {"audio": 0.4, "visual": 0.5}}
    monkeypatch.setattr(Relearning, "_purities", lambda _, __, part: found[part])
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter += 1.0
    tau = math.tanh(0.5)  # of audio; visual has no gap and stays
    left = 1.0
    for epoch in range(8):
        method.epoch_start(trainer, epoch)
        left *= 1 - tau if epoch in (2, 4) else 1
        for name, value in trainer.model.named_parameters():
            expected = start[name] + (left if name.startswith("encoders.audio") else 1.0)
            assert torch.allclose(value, expected, atol=1e-6)
        log: dict[str, Any] = {}
        method.epoch_end(trainer, epoch, log)
        assert log == (pytest.approx(LOG) if epoch in (2, 4) else {})


LOG = {"purity_gap_audio": 0.5, "way_back_audio": math.tanh(0.5), "purity_gap_visual": 0.0, "way_back_visual": 0.0}


def test_features_of_sound_get_purer_in_training(tmp_path: Any) -> None:
    trainer = _trainer(tmp_path, {"times": 0}, 3)
    before = trainer.method._purities(trainer, "train")
    trainer.train()
    after = trainer.method._purities(trainer, "train")
    assert before["audio"] < 0.8 and after["audio"] > 0.95  # pictures of these data are told apart untrained, too


def test_too_few_clips_for_the_clusters_is_one_sentence(tmp_path: Any) -> None:
    trainer = _trainer(tmp_path, {"every": 1}, 2)
    trainer.parts["val"] = trainer.parts["val"][:3]
    with pytest.raises(UserError, match="the part val has 3 clips, too few for 4 clusters"):
        trainer.train()
