"""Co-teaching+ and JoCoR: what is left out, by hand; losses, gradients, ratios, warm-up, resuming."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from avbalance.analysis.parsing_losses import Pair, denoised, elementwise_cross_entropy, han_loss
from tiny_parsing import CLASSES, equal, hand_batch, make_clips, parsing_trainer, ratios, weights
from torch import Tensor

from avbalance.errors import UserError
from avbalance.methods.base import Step
from avbalance.methods.co_teaching import CoTeaching, left_out
from avbalance.methods.jocor import JoCoR, joint_loss, symmetric_divergence
from avbalance.methods.parts.selection import RATIO_VIDEOS, RecentVideos, largest_losses, mean_kept
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
    # the peer's three largest losses are rows 0, 1 and 2; on row 1 both say no
    peer, own = column(0.2, 0.3, 0.45, 0.9, 0.4), column(0.8, 0.4, 0.6, 0.1, 0.9)
    half = column(0.5, 0.5, 0.5, 0.5, 0.5)
    hard = column(True, True, True, False, False)
    gone = left_out(Pair(hard, hard), Pair(peer, half), Pair(own, half))
    assert gone.audio[:, 0].tolist() == [True, False, True, False, False]
    assert not bool(gone.visual.any())


LLP_LABELS = 1.64  # mean number of a video's labels in LLP; classes are as unequal as there


def fabricated(videos: int = 10_000, classes: int = 25) -> tuple[Tensor, Pair]:
    """Labels of videos and their losses: a part of the labels is heard only, a part is seen only, the rest both."""
    generator = torch.Generator().manual_seed(5)
    share = 1 / torch.arange(1, classes + 1)
    share = (share * LLP_LABELS / share.sum()).clamp_max(0.6)
    label = (torch.rand(videos, classes, generator=generator) < share).float()
    kind = torch.rand(videos, classes, generator=generator)
    wrong = torch.stack([kind < 0.06, kind > 0.74]).float()  # not heard, not seen
    noise = 0.2 * torch.randn(2, videos, classes, generator=generator)
    return label, Pair(*(1.0 + wrong - wrong.flip(0) + noise))  # who misses an event is unsure, the other is sure


def touched(size: int, joined: bool, rule: Any) -> tuple[Tensor, list[float]]:
    """What `rule(label, losses)` removes in an epoch in batches of `size`, as (modalities, N, C), and its shares."""
    label, loss = fabricated()
    recent, found = RecentVideos(), []
    for start in range(0, len(label), size):
        now = tuple(each[start : start + size] for each in (label, *loss))
        known, audio, visual = recent.joined(*now) if joined else now
        found.append(torch.stack([each[-len(now[0]) :] for each in rule(known, Pair(audio, visual))]))
    gone = torch.cat(found, 1)
    return gone, (gone.sum((1, 2)) / label.sum()).tolist()


def jomold_rule(label: Tensor, loss: Pair) -> Pair:
    return denoised(label, loss, Pair(torch.full((25,), 0.08).double(), torch.full((25,), 0.3).double()))


def small_loss_rule(label: Tensor, loss: Pair) -> Pair:
    audio, visual = (
        largest_losses(each, label, torch.full((25,), ratio).double())
        for each, ratio in zip(loss, (0.08, 0.3), strict=True)
    )
    return Pair(audio, visual)


@pytest.mark.parametrize("rule", [jomold_rule, small_loss_rule])
def test_the_share_of_labels_touched_is_that_of_batches_of_128_at_any_size(rule: Any) -> None:
    whole, shares = touched(RATIO_VIDEOS, False, rule)
    assert min(shares) > 0.008
    for size in (128, 32, 16):
        gone, found = touched(size, True, rule)
        assert found == pytest.approx(shares, rel=0.1), size
        assert torch.equal(gone, whole) == (size == RATIO_VIDEOS)  # the last batch is short: 10,000 = 78 * 128 + 16
    alone = touched(16, False, rule)[1]
    assert alone[0] < shares[0] / 4 and alone[1] < shares[1] / 2  # what the batch alone would leave of it


@pytest.mark.parametrize(("sizes", "expected"), [([128, 128, 16, 128], [128, 128, 16, 128]), ([200, 40], [200, 40]),
    ([16] * 9, [16, 32, 48, 64, 80, 96, 112, 128, 128]), ([50, 50, 50, 20], [50, 100, 100, 120])])  # fmt: skip
def test_as_many_whole_batches_as_fit_into_128_videos(sizes: list[int], expected: list[int]) -> None:
    recent, first, found = RecentVideos(), 0, []
    for size in sizes:
        (joined,) = recent.joined(torch.arange(first, first + size)[:, None])
        first += size
        assert joined[:, 0].tolist() == list(range(first - len(joined), first))
        found.append(len(joined))
    assert found == expected


def test_recent_videos_keep_no_gradient_and_are_taken_up_again() -> None:
    recent, resumed = RecentVideos(), RecentVideos()
    recent.joined(torch.ones(4, 2, requires_grad=True) * 3)
    resumed.load_state_dict(recent.state_dict())
    now = torch.zeros(2, 2)
    assert not recent.joined(now)[0].requires_grad
    assert torch.equal(resumed.joined(now)[0], torch.cat([3 * torch.ones(4, 2), now]))


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
