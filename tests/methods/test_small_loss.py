"""Co-teaching+ and JoCoR: what is left out, by hand; losses, gradients, ratios, warm-up, resuming."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tiny_parsing import CLASSES, equal, hand_batch, make_clips, parsing_trainer, ratios, weights
from torch import Tensor

from avbalance.analysis.parsing_losses import Pair, elementwise_cross_entropy, han_loss
from avbalance.errors import UserError
from avbalance.methods.base import Step
from avbalance.methods.co_teaching import CoTeaching, left_out
from avbalance.methods.jocor import JoCoR, joint_loss, symmetric_divergence
from avbalance.methods.parts.selection import largest_losses, mean_kept
from avbalance.models.base import load

METHODS = {"co-teaching": CoTeaching, "jocor": JoCoR}
TWINS = {"name": "twin-han", "width": 8}


@pytest.fixture(scope="module")
def clips() -> Any:
    return make_clips()


def column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def twins() -> Any:
    return load("twin-han")({"width": 8}, CLASSES, torch.Generator().manual_seed(0)).eval()


def with_ratio(name: str, audio: float, visual: float, **options: Any) -> Any:
    """The method with the same noise ratios in all classes, as after `prepare`."""
    method: Any = METHODS[name](options)
    method._ratio = Pair(torch.full((CLASSES,), audio).double(), torch.full((CLASSES,), visual).double())
    return method


def step(epoch: int) -> Step:
    return Step(epoch, 0, 5, torch.Generator())


def test_largest_losses_by_hand() -> None:
    loss, label = column(0.1, 0.9, 0.5, 3.0, 0.7, 0.5), column(1, 1, 1, 0, 1, 1)
    for ratio, expected in ((0.4, {1, 4}), (0.39, {1}), (0.0, set()), (1.0, {0, 1, 2, 4, 5}), (0.6, {1, 4, 5})):
        found = largest_losses(loss, label, torch.tensor([ratio]))
        assert set(found[:, 0].nonzero()[:, 0].tolist()) == expected
    assert not bool(largest_losses(loss, torch.zeros(6, 1), torch.tensor([1.0])).any())


def test_classes_are_ranked_apart() -> None:
    loss = torch.tensor([[1.0, 9.0], [2.0, 8.0]])
    found = largest_losses(loss, torch.ones(2, 2), torch.tensor([0.5, 0.5]))
    assert found.tolist() == [[False, True], [True, False]]


def test_mean_over_what_is_kept() -> None:
    values = torch.tensor([1.0, 2.0, 6.0])
    assert float(mean_kept(values, torch.tensor([False, True, False]))) == 3.5
    assert float(mean_kept(values, torch.ones(3, dtype=torch.bool))) == 0.0


def test_co_teaching_leaves_out_where_the_peer_finds_it_hard_and_the_two_disagree() -> None:
    label = column(1, 1, 1, 1, 0)
    # the peer's three largest losses are rows 0, 1 and 2; on row 1 both say no
    peer, own = column(0.2, 0.3, 0.45, 0.9, 0.4), column(0.8, 0.4, 0.6, 0.1, 0.9)
    half = column(0.5, 0.5, 0.5, 0.5, 0.5)
    gone = left_out(Pair(peer, half), Pair(own, half), label, Pair(torch.tensor([0.75]), torch.tensor([0.75])))
    assert gone.audio[:, 0].tolist() == [True, False, True, False, False]
    assert not bool(gone.visual.any())
    # and the other way round: rows 3 and 1 are this one's hardest, it disagrees on the former
    back = left_out(Pair(own, half), Pair(peer, half), label, Pair(torch.tensor([0.5]), torch.tensor([0.5])))
    assert back.audio[:, 0].tolist() == [False, False, False, True, False]


def test_divergence_of_bernoulli_variables() -> None:
    p, q = 0.8, 0.3
    forward = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    backward = q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))
    found = symmetric_divergence(torch.tensor([p, 0.4, 1.0]), torch.tensor([q, 0.4, 0.0]))
    assert float(found[0]) == pytest.approx(forward + backward, rel=1e-5)
    assert float(found[1]) == 0 and math.isfinite(float(found[2])) and float(found[2]) > 20


def test_joint_loss_by_hand() -> None:
    found = joint_loss(torch.tensor([0.8]), torch.tensor([0.3]), torch.tensor([1.0]), 0.5)
    expected = -math.log(0.8) - math.log(0.3) + 0.5 * (0.8 - 0.3) * (math.log(4) - math.log(3 / 7))
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("epoch", "ratio"), [(0, 0.9), (3, 0.0)])
def test_in_the_first_epoch_and_without_noise_nothing_is_left_out(epoch: int, ratio: float) -> None:
    model, batch = twins(), hand_batch()
    output = model(batch)
    pair = (output, output.peer)
    whole = sum(han_loss(each.P, each.p_a, each.p_v, batch.label) for each in pair)
    found = with_ratio("co-teaching", ratio, ratio).loss(model, output, batch, step(epoch))
    torch.testing.assert_close(found, whole)
    found = with_ratio("jocor", ratio, ratio, weight=0.0).loss(model, output, batch, step(epoch))
    torch.testing.assert_close(found, whole)
    agreed = with_ratio("jocor", ratio, ratio, weight=0.4).loss(model, output, batch, step(epoch))
    divergence = sum(
        symmetric_divergence(getattr(output, name), getattr(output.peer, name)).mean() for name in ("P", "p_a", "p_v")
    )
    torch.testing.assert_close(agreed, whole + 0.4 * divergence)


def test_jocor_leaves_out_the_largest_joint_losses_of_each_modality() -> None:
    model, batch = twins(), hand_batch()
    output = model(batch)
    method = with_ratio("jocor", 0.5, 0.0, weight=0.3)
    each = joint_loss(output.p_a, output.peer.p_a, batch.label, 0.3)
    gone = largest_losses(each, batch.label, torch.full((CLASSES,), 0.5))
    assert 0 < int(gone.sum()) < int(batch.label.sum())
    whole = with_ratio("jocor", 0.0, 0.0, weight=0.3).loss(model, output, batch, step(1))
    found = method.loss(model, output, batch, step(1))
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
        hard = largest_losses(elementwise_cross_entropy(peer.p_a, batch.label), batch.label, method._ratio.audio)
        assert bool(hard.any())
        entries = elementwise_cross_entropy(own.p_a, batch.label)
        expected = expected + han_loss(own.P, own.p_a, own.p_v, batch.label) - entries.mean() + entries[~hard].mean()
    torch.testing.assert_close(method.loss(model, output, batch, step(1)), expected)


def test_no_gradient_passes_between_networks_that_teach_and_some_between_those_that_agree() -> None:
    for name, expected in (("co-teaching", False), ("jocor", True)):
        gradients = []
        for seed in (0, 1):  # the second network changes, the first stays
            model, batch = twins(), hand_batch()
            if seed:
                torch.nn.init.normal_(model.second.audio_heads.prob.weight, generator=torch.Generator().manual_seed(9))
            with_ratio(name, 0.0, 0.0).loss(model, model(batch), batch, step(2)).backward()
            gradients.append([parameter.grad for parameter in model.first.parameters()])
        same = all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
        assert same == (not expected)


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


def test_bad_options_are_refused() -> None:
    with pytest.raises(UserError, match="option weight is -1"):
        JoCoR({"weight": -1})
    for method in METHODS.values():
        with pytest.raises(UserError, match="option warmup is 'slow'"):
            method({"warmup": "slow"})
