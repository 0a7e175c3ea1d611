"""Frozen encoders: they stay what the unimodal runs left, the head learns, and what does not fit is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from three_head_runs import easy_clips, weights_of
from tiny_cell import tiny_settings

from avbalance.errors import UserError
from avbalance.training.loop import parameter_count

MODALITIES = ("audio", "visual")
ENCODER = {"encoder": "convolutional", "width": 4, "dimension": 16}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return easy_clips(tmp_path_factory.mktemp("frozen"))


def make(clips: Any, method: str, needs: Any = None, **model: Any) -> Any:
    """A trainer at the start of a run of two epochs."""
    from avbalance.training.cell import make_trainer

    torch.set_num_threads(1)
    settings = tiny_settings(protocol={"epochs": 2}) | {"model": {**ENCODER, **model}}
    return make_trainer(method, settings, 0, clips, torch.device("cpu"), needs)


@pytest.fixture(scope="module")
def unimodal(clips: Any) -> dict[str, Any]:
    """Need -> weights of a network of one modality, as its run leaves them."""
    trainers = {name: make(clips, "unimodal", name="unimodal-net", modality=name) for name in MODALITIES}
    for trainer in trainers.values():
        trainer.train()
    return {f"encoder_{name}": weights_of(trainer) for name, trainer in trainers.items()}


def test_encoders_stay_and_the_head_learns(clips: Any, unimodal: dict[str, Any]) -> None:
    trainer = make(clips, "frozen-encoders", unimodal, name="fusion-net")
    start = {name: value.clone() for name, value in trainer.model.fusion.state_dict().items()}
    trainer.train()
    for modality in MODALITIES:
        known = {name: value for name, value in unimodal[f"encoder_{modality}"].items() if "encoders." in name}
        assert any("running_mean" in name for name in known)  # the statistics of batch norm stay, too
        for name, value in known.items():
            assert torch.equal(trainer.states["last"][name], value)
    assert all(not torch.equal(trainer.states["last"][f"fusion.{name}"], value) for name, value in start.items())
    assert trainer.history[-1]["train_loss"] < trainer.history[0]["train_loss"]
    assert parameter_count(trainer.model) == (2 * 16 + 1) * 4


def test_what_does_not_fit_is_one_sentence(clips: Any, unimodal: dict[str, Any]) -> None:
    for needs, model, told in (
        ({}, {}, "reads model.safetensors of a run on audio alone; name the run .* as encoder_audio"),
        (unimodal, {"width": 8}, "encoder_audio is another network's"),
        ({**unimodal, "encoder_visual": unimodal["encoder_audio"]}, {}, "encoder_visual is another network's"),
    ):
        with pytest.raises(UserError, match=told):
            make(clips, "frozen-encoders", needs, name="fusion-net", **model).train()
    trainer = make(clips, "frozen-encoders", unimodal, name="fusion-net")
    trainer.facts = trainer.facts | {"train_ids": "others"}
    with pytest.raises(UserError, match="encoder_audio was trained with other train_ids than this run has"):
        trainer.train()
