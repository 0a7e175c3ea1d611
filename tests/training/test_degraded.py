"""What a finished model answers with one modality noisy or missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from avbalance.training.degraded import _usual, degraded_outputs

UNIMODAL = {"name": "unimodal-net", "modality": "audio"}


def answers(trainer: Any) -> dict[str, torch.Tensor]:
    told = {
        name: torch.cat([each.logits for _, each in outputs]) for name, outputs in degraded_outputs(trainer, "test")
    }
    return {**told, "both": torch.cat([each.logits for _, each in trainer.outputs(trainer.parts["test"])]).detach()}


def test_the_mean_clip_and_the_spread_are_those_of_the_training_part(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer("baseline")
    sound = trainer.source.batch_of(trainer.parts["train"]).audio.double()
    usual = _usual(trainer, "audio")
    assert torch.allclose(usual.mean, sound.mean(0).float(), atol=1e-5)
    assert np.isclose(usual.deviation, float(sound.std(correction=0)), rtol=1e-6)


def test_without_a_modality_the_mean_training_clip_stands_in(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer("baseline")
    batch = trainer.source.batch_of(trainer.parts["test"])
    batch.visual = _usual(trainer, "visual").mean.expand_as(batch.visual)
    trainer.model.eval()
    with torch.no_grad():
        wanted = trainer.model(batch).logits
    assert torch.allclose(answers(trainer)["without-visual"], wanted, atol=1e-5)


def test_noise_is_that_of_the_seed_and_touches_one_modality(make_trainer: Callable[..., Any]) -> None:
    first, again = answers(make_trainer("baseline")), answers(make_trainer("baseline"))
    assert set(first) == {"noisy-audio", "noisy-visual", "without-audio", "without-visual", "both"}
    for name, logits in first.items():
        assert torch.equal(logits, again[name])
        assert name == "both" or not torch.allclose(logits, first["both"])


def test_noise_is_as_strong_as_its_ratio_says(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer("baseline")
    read = []
    trainer.model.register_forward_pre_hook(lambda _, given: read.append(given[0].audio.clone()))
    for _, outputs in degraded_outputs(trainer, "test", [6, 0, -6]):
        list(outputs)
    clean = trainer.source.batch_of(trainer.parts["test"]).audio
    deviation = _usual(trainer, "audio").deviation
    for audio, level in zip(read, (6, 0, -6), strict=False):
        ratio = deviation / float((audio - clean).std())
        assert 20 * np.log10(ratio) == pytest.approx(level, abs=0.2)


def test_a_model_of_sound_alone_answers_as_ever_when_pictures_are_touched(make_trainer: Callable[..., Any]) -> None:
    told = answers(make_trainer("unimodal", model=UNIMODAL))
    assert torch.equal(told["noisy-visual"], told["both"]) and torch.equal(told["without-visual"], told["both"])
    assert not torch.allclose(told["noisy-audio"], told["both"])
    assert torch.allclose(told["without-audio"], told["without-audio"][:1].expand_as(told["without-audio"]), atol=1e-6)
