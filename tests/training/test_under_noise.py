"""What models answer for clips with noise in one modality, or without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from avbalance.training.tasks.classification_under_noise import SNR_DB, disturbed

UNIMODAL = {"name": "unimodal-net", "modality": "audio"}


def right(trainer: Any) -> dict[str, float]:
    """Condition -> share of the test clips that are told right, "both" of clips as they are."""
    part = trainer.parts["test"]
    labels = trainer.source.targets[torch.as_tensor(part)]
    conditions = {"both": trainer.outputs(part), **dict(disturbed(trainer, part))}
    answers = {
        name: torch.cat([output.logits for _, output in outputs]).argmax(1) for name, outputs in conditions.items()
    }
    return {name: float((answer == labels).float().mean()) for name, answer in answers.items()}


def test_noise_costs_more_the_louder_it_is_and_a_missing_modality_what_it_alone_knows(
    make_trainer: Callable[..., Any],
) -> None:
    trainer = make_trainer("baseline")
    trainer.train()
    found = right(trainer)
    assert set(found) == {"both"} | {
        f"{name}-{modality}{level}"
        for modality in ("audio", "visual")
        for name, levels in (("noise", [f"{each:+d}" for each in SNR_DB]), ("without", [""]))
        for level in levels
    }
    assert found["both"] > 0.9 and found["both"] >= found["noise-audio+6"] >= found["noise-audio-6"]
    assert min(found["without-audio"], found["without-visual"]) < found["both"] - 0.05


def test_a_lone_model_is_asked_under_noise_alone_and_the_same_noise_comes_again(
    make_trainer: Callable[..., Any],
) -> None:
    trainer = make_trainer("unimodal", model=UNIMODAL)
    trainer.train()
    found = right(trainer)
    assert set(found) == {"both", *(f"noise-audio{level:+d}" for level in SNR_DB)}
    assert right(trainer) == found and found["noise-audio-6"] < found["both"]
