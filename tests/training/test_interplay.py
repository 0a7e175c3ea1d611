"""What a joint model answers with one modality of other clips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from avbalance.errors import UserError
from avbalance.training.interplay import interplay_logits

UNIMODAL = {"name": "unimodal-net", "modality": "audio"}


def trainer_of(make_trainer: Callable[..., Any], fusion: str) -> Any:
    trainer = make_trainer("baseline", model={"fusion": fusion})
    trainer.train()
    return trainer


def whole(trainer: Any) -> torch.Tensor:
    return torch.cat([output.logits for _, output in trainer.outputs(trainer.parts["test"])]).detach()


def test_a_network_that_adds_is_its_own_additive_projection(make_trainer: Callable[..., Any]) -> None:
    trainer = trainer_of(make_trainer, "concat")
    logits = interplay_logits(trainer, "test")
    assert set(logits) == {"given-audio", "given-visual", "additive"}
    assert torch.allclose(logits["additive"], whole(trainer).float(), atol=1e-4)


def test_a_network_that_gates_is_not(make_trainer: Callable[..., Any]) -> None:
    trainer = trainer_of(make_trainer, "gated")
    assert not torch.allclose(interplay_logits(trainer, "test")["additive"], whole(trainer).float(), atol=1e-3)


def test_answers_with_exchanged_clips_are_means_over_all_pairs(make_trainer: Callable[..., Any]) -> None:
    trainer = trainer_of(make_trainer, "gated")
    part = trainer.parts["test"]
    told = interplay_logits(trainer, "test")["given-audio"][3].exp()
    trainer.model.eval()
    with torch.no_grad():
        batch = trainer.source.batch_of(np.repeat(part[3:4], len(part)), part)
        wanted = trainer.model(batch).logits.softmax(1).mean(0)
    assert torch.allclose(told, wanted.float(), atol=1e-5)


def test_a_network_without_a_fusion_of_two_is_refused(make_trainer: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="does not join two features"):
        interplay_logits(make_trainer("unimodal", model=UNIMODAL), "test")
