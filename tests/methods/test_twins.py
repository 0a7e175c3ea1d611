"""Co-teaching+ and JoCoR: losses by hand, what is left out, gradients between the two networks, and their ratios."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tiny_parsing import CLASSES, equal, hand_batch, make_clips, parsing_trainer, ratios, weights
from torch import Tensor

from avbalance.errors import UserError
from avbalance.methods import load
from avbalance.methods.base import TrainingStep
from avbalance.methods.co_teaching import left_out
from avbalance.methods.jocor import joint_loss, symmetric_divergence
from avbalance.methods.parts.parsing import Pair, elementwise_cross_entropy, parsing_terms, targets
from avbalance.methods.parts.selection import largest_losses
from avbalance.models.base import build

METHODS = ("co-teaching", "jocor")
TWINS = {"name": "twin-han", "width": 8}


@pytest.fixture(scope="module")
def clips() -> Any:
    return make_clips()


def column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def twins() -> Any:
    return build(TWINS, CLASSES, torch.Generator().manual_seed(0)).eval()


def with_ratio(name: str, audio: float, visual: float, **options: Any) -> Any:
    """The method with the same noise ratios in all classes, as after `prepare`."""
    method: Any = load(name)(options)
    method.ratio = Pair(torch.full((CLASSES,), audio).double(), torch.full((CLASSES,), visual).double())
    return method


def step(epoch: int) -> TrainingStep:
    return TrainingStep(epoch, 0, 5, torch.Generator())


def han_loss(output: Any, label: Tensor) -> Tensor:
    return parsing_terms(output.P, output.p_a, output.p_v, label, targets(label)).total()


def test_co_teaching_leaves_out_where_the_peer_finds_it_hard_and_the_two_disagree() -> None:
    # the peer's three largest losses are rows 0, 1 and 2; on row 1 both say no
    peer, own = column(0.2, 0.3, 0.45, 0.9, 0.4), column(0.8, 0.4, 0.6, 0.1, 0.9)
    half = column(0.5, 0.5, 0.5, 0.5, 0.5)
    hard = column(True, True, True, False, False)
    gone = left_out(Pair(hard, hard), Pair(peer, half), Pair(own, half))
    assert gone.audio[:, 0].tolist() == [True, False, True, False, False]
    assert not bool(gone.visual.any())


def test_divergence_and_joint_loss_by_hand() -> None:
    p, q = 0.8, 0.3
    forward = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    backward = q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))
    found = symmetric_divergence(torch.tensor([p, 0.4, 1.0]), torch.tensor([q, 0.4, 0.0]))
    assert float(found[0]) == pytest.approx(forward + backward, rel=1e-5)
    assert float(found[1]) == 0 and math.isfinite(float(found[2])) and float(found[2]) > 20
    joint = joint_loss(torch.tensor([p]), torch.tensor([q]), torch.tensor([1.0]), 0.5)
    assert float(joint) == pytest.approx(-math.log(p) - math.log(q) + 0.5 * (forward + backward), rel=1e-5)


@pytest.mark.parametrize(("epoch", "ratio"), [(0, 0.9), (3, 0.0)])
def test_in_the_first_epoch_and_without_noise_nothing_is_left_out(epoch: int, ratio: float) -> None:
    model, batch = twins(), hand_batch()
    output = model(batch)
    whole = sum(han_loss(each, batch.label) for each in (output, output.peer))
    found = with_ratio("co-teaching", ratio, ratio).loss(model, output, batch, step(epoch))
    torch.testing.assert_close(found, whole)
    agreed = with_ratio("jocor", ratio, ratio, weight=0.4).loss(model, output, batch, step(epoch))
    divergence = sum(
        symmetric_divergence(getattr(output, name), getattr(output.peer, name)).mean() for name in ("P", "p_a", "p_v")
    )
    torch.testing.assert_close(agreed, whole + 0.4 * divergence)


def test_jocor_leaves_out_the_largest_joint_losses_of_each_modality() -> None:
    model, batch = twins(), hand_batch()
    output = model(batch)
    each = joint_loss(output.p_a, output.peer.p_a, batch.label, 0.3)
    gone = largest_losses(each, batch.label, torch.full((CLASSES,), 0.5))
    assert 0 < int(gone.sum()) < int(batch.label.sum())
    whole, found = (
        with_ratio("jocor", ratio, 0.0, weight=0.3).loss(model, output, batch, step(1)) for ratio in (0.0, 0.5)
    )
    torch.testing.assert_close(whole - found, each.mean() - each[~gone].mean())


def test_co_teaching_takes_what_is_left_out_from_the_peer() -> None:
    model, batch = twins(), hand_batch()
    output = model(batch)
    for name in ("p_a", "p_v"):  # opinions that differ on every label
        sure = torch.where(batch.label > 0, 0.9, 0.1) + 0.01 * torch.arange(len(batch.label))[:, None] / 6
        setattr(output, name, sure)
        setattr(output.peer, name, 1 - sure)
    method = with_ratio("co-teaching", 0.5, 0.0)
    expected = torch.zeros(())
    for own, peer in ((output, output.peer), (output.peer, output)):
        hard = largest_losses(elementwise_cross_entropy(peer.p_a, batch.label), batch.label, method.ratio.audio)
        assert bool(hard.any())
        entries = elementwise_cross_entropy(own.p_a, batch.label)
        expected = expected + han_loss(own, batch.label) - entries.mean() + entries[~hard].mean()
    torch.testing.assert_close(method.loss(model, output, batch, step(1)), expected)


@pytest.mark.parametrize(("name", "passes"), [("co-teaching", False), ("jocor", True)])
def test_gradient_passes_between_networks_that_are_to_agree_alone(name: str, passes: bool) -> None:
    gradients = []
    for changed in (False, True):  # the second network changes, the first stays
        model, batch = twins(), hand_batch()
        if changed:
            torch.nn.init.normal_(model.second.audio_heads.prob.weight, generator=torch.Generator().manual_seed(9))
        with_ratio(name, 0.0, 0.0).loss(model, model(batch), batch, step(2)).backward()
        gradients.append([parameter.grad for parameter in model.first.parameters()])
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True)) != passes


@pytest.mark.parametrize("name", METHODS)
def test_ratios_are_read_and_change_the_training(name: str, clips: Any) -> None:
    trained = {}
    for ratio in (0.0, 0.9):
        trainer = parsing_trainer(name, clips=clips, model=TWINS, needs={"ratios": ratios(ratio, ratio)})
        trainer.train()
        trained[ratio] = weights(trainer)
        assert {"loss_audio", "loss_visual_target"} <= set(trainer.history[0])
    assert not equal(trained[0.0], trained[0.9])
    with pytest.raises(UserError, match=f"method {name} reads noise_ratios.json"):
        parsing_trainer(name, clips=clips, model=TWINS).train()
    with pytest.raises(UserError, match="3 audio and 4 visual ratios"):
        parsing_trainer(name, clips=clips, model=TWINS, needs={"ratios": {"audio": [0] * 3, "visual": [0] * 4}}).train()
    with pytest.raises(UserError, match="use the model twin-han"):
        parsing_trainer(name, clips=clips, model={"name": "han"}, needs={"ratios": ratios()}).train()
