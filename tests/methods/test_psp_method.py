"""PSP's training: pair similarity by hand, the loss, modulation of the paths alone, learning, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from avbalance.analysis.dgm import coefficients, imbalance
from tiny_localisation import CLASSES, EVENTS, SMALL, localisation_trainer, make_clips
from torch.nn.functional import cross_entropy, one_hot

from avbalance.errors import UserError
from avbalance.methods.base import Step
from avbalance.methods.parts.modulation import OFF
from avbalance.methods.psp import PSP, pair_similarity_loss, similarity_targets
from avbalance.models.base import Batch, load

DGM = {"dgm": True, "gamma": 0.1}


@pytest.fixture(scope="module")
def clips() -> Any:
    return make_clips()


def hand_batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    audio, visual = torch.randn(4, 10, 128, generator=generator), torch.randn(4, 10, 7, 7, 6, generator=generator)
    return Batch(audio, visual, torch.randint(0, CLASSES, (4, 10), generator=generator), torch.arange(4))


def model() -> Any:
    return load("psp")(SMALL, CLASSES, torch.Generator().manual_seed(0)).eval()


def step(epoch: int = 0) -> Step:
    return Step(epoch, 0, 4, torch.Generator().manual_seed(3))


def test_targets_share_one_among_the_seconds_of_the_event() -> None:
    found = similarity_targets(torch.tensor([[3, 1, 1, 3, 1], [3, 3, 3, 3, 3]]), background=3)
    torch.testing.assert_close(found[0], torch.tensor([0, 1 / 3, 1 / 3, 0, 1 / 3]))
    assert not bool(found[1].any())


def test_pair_similarity_by_hand() -> None:
    audio = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]])
    visual = torch.tensor([[[2.0, 0.0], [-1.0, 0.0], [3.0, 3.0]]])  # cosines 1, -1, 1 / sqrt 2
    share = torch.tensor([1.0, 0.0, 0.5**0.5]) / (1 + 0.5**0.5)
    target = torch.tensor([[1.0, 0.0, 0.0]])
    torch.testing.assert_close(pair_similarity_loss(audio, visual, target), (share - target[0]).square().mean())
    assert float(pair_similarity_loss(audio, -audio, torch.zeros(1, 3))) == 0.0


@pytest.mark.parametrize("weight", [100.0, 0.0])
def test_loss_counts_every_second_and_the_similarity(weight: float) -> None:
    network, batch = model(), hand_batch()
    output = network(batch)
    expected = cross_entropy(output.logits.transpose(1, 2), batch.label)
    target = similarity_targets(batch.label, EVENTS)
    expected = expected + weight * pair_similarity_loss(output.features["audio"], output.features["visual"], target)
    method = PSP({"similarity_weight": weight})
    torch.testing.assert_close(method.loss(network, output, batch, step()), expected)


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


def test_scores_have_no_gradient_of_their_own() -> None:
    plain, network, _, _ = gradients({})
    assert all(gradient is not None for gradient in plain.values())
    assert all(not scores.requires_grad for scores in network(hand_batch()).scores.values())


def test_modulated_by_one_it_is_the_unmodulated_run(clips: Any) -> None:
    plain, off, on = (localisation_trainer(clips, options) for options in ({}, OFF, DGM))
    for trainer in (plain, off, on):
        trainer.train()
    same = [torch.equal(value, off.states["last"][name]) for name, value in plain.states["last"].items()]
    assert all(same)
    assert not all(torch.equal(value, on.states["last"][name]) for name, value in plain.states["last"].items())
    assert {"omega_va", "mu_a", "mu_v", "share_visual_damped"} <= set(on.history[0]) - set(plain.history[0])


def test_it_learns(clips: Any) -> None:
    trainer = localisation_trainer(clips, {"similarity_weight": 10.0}, epochs=14)
    trainer.train()
    background = float((trainer.source.targets[trainer.parts["test"]] == EVENTS).float().mean())
    assert trainer.evaluate("test").accuracy["logits"] > 100 * background + 10
    assert trainer.history[-1]["val_accuracy"] > trainer.history[0]["val_accuracy"]


def test_it_resumes_bit_for_bit(clips: Any, tmp_path: Path) -> None:
    whole = localisation_trainer(clips, DGM)
    whole.train()
    killed = localisation_trainer(clips, DGM, state=tmp_path)
    original = killed._step

    def step(batch: Any, where: Any) -> Any:
        if (where.epoch, where.index) == (1, 2):
            raise KeyboardInterrupt
        return original(batch, where)

    killed._step = step  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    again = localisation_trainer(clips, DGM, state=tmp_path)
    again.train()
    assert all(torch.equal(value, whole.states["last"][name]) for name, value in again.states["last"].items())
    assert again.history == whole.history


def test_bad_options_are_refused() -> None:
    with pytest.raises(UserError, match="option similarity_weight is -1"):
        PSP({"similarity_weight": -1})
