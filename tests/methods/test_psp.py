"""PSP's training: pair similarity by hand, and modulation of the paths alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from contract_data import SMALL
from torch.nn.functional import one_hot

from avbalance.methods.base import TrainingStep
from avbalance.methods.parts.modulation import coefficients, imbalance
from avbalance.methods.psp import PSP, similarity_targets
from avbalance.models.base import Batch, build

DGM = {"dgm": True, "gamma": 0.1}
CLASSES = 4


def hand_batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    audio, visual = torch.randn(4, 10, 128, generator=generator), torch.randn(4, 10, 7, 7, 4, generator=generator)
    return Batch(audio, visual, torch.randint(0, CLASSES, (4, 10), generator=generator), torch.arange(4))


def model() -> Any:
    return build({"name": "psp", **SMALL["localisation"]}, CLASSES, torch.Generator().manual_seed(0)).eval()


def step(epoch: int = 0) -> TrainingStep:
    return TrainingStep(epoch, 0, 4, torch.Generator().manual_seed(3))


def test_targets_share_one_among_the_seconds_of_the_event() -> None:
    found = similarity_targets(torch.tensor([[3, 1, 1, 3, 1], [3, 3, 3, 3, 3]]), background=3)
    torch.testing.assert_close(found[0], torch.tensor([0, 1 / 3, 1 / 3, 0, 1 / 3]))
    assert not bool(found[1].any())


def gradients(options: dict[str, Any]) -> tuple[dict[str, torch.Tensor], Any, Any, Any]:
    network, batch, method = model(), hand_batch(), PSP(options)
    output = network(batch)
    method.loss(network, output, batch, step()).backward()
    method.gradients(network, output, batch, step())
    return {name: each.grad for name, each in network.named_parameters()}, network, output, batch


@pytest.mark.parametrize("noise", ["added", "none"])
def test_only_the_paths_are_modulated_by_the_imbalance_over_all_seconds(noise: str) -> None:
    before, _, _, _ = gradients({})
    after, _, output, batch = gradients({**DGM, "noise": noise})
    scores = {name: logits.softmax(-1).reshape(40, CLASSES) for name, logits in output.scores.items()}
    omega = imbalance(scores["audio"], scores["visual"], one_hot(batch.label.reshape(40), CLASSES))
    mu = dict(zip(("audio", "visual"), coefficients(omega, 0.1), strict=True))
    assert min(mu.values()) < 1
    for name, gradient in after.items():
        part, modality = name.split(".")[:2]
        if part != "encoders":
            assert torch.equal(gradient, before[name]), name
        elif noise == "none":
            torch.testing.assert_close(gradient, mu[modality] * before[name])
        else:
            assert not torch.equal(gradient, before[name]), name
