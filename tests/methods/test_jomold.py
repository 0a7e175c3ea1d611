"""JoMoLD: its objective, denoising of a batch by hand and against plain loops, and when it is done."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tiny_parsing import CLASSES, STEPS, equal, hand_batch, make_clips, parsing_trainer, ratios, weights
from torch import Tensor

from avbalance.errors import UserError
from avbalance.methods import load
from avbalance.methods.base import TrainingStep
from avbalance.methods.jomold import denoised, jomold_nce
from avbalance.methods.parts.parsing import Pair, binary_cross_entropy, targets
from avbalance.models.base import build

JOMOLD = load("jomold")
PLAIN = {"denoise": False}
MODEL = {"visual_dropout": 0.5, "msdu": True}
NEEDS = {"ratios": ratios()}


@pytest.fixture(scope="module")
def clips() -> Any:
    torch.set_num_threads(1)
    return make_clips()


def network(**settings: Any) -> Any:
    return build({"name": "han", "width": 16, "dropout": 0.0, **settings}, CLASSES, torch.Generator().manual_seed(0))


def step(epoch: int = 1, index: int = 0) -> TrainingStep:
    return TrainingStep(epoch, index, STEPS, torch.Generator().manual_seed(9))


def trained(clips: Any, options: dict[str, Any], **settings: Any) -> Any:
    trainer = parsing_trainer("jomold", options, clips=clips, needs=NEEDS, **{"model": MODEL, **settings})
    trainer.train()
    return trainer


@pytest.mark.parametrize("given", [None, [1, 1, 1], [0.5, 3, 2]])
@pytest.mark.parametrize("nce", [1.0, 0.0, 0.25])
def test_the_objective_weighs_audio_visual_video_contrast_and_measuring_heads(given: Any, nce: float) -> None:
    model, batch = network(msdu=True), hand_batch()
    output, target = model(batch), targets(batch.label)
    options = {**PLAIN, "nce_weight": nce, "lambda_ms": 0.5, **({"weights": given} if given else {})}
    audio, visual, video = given or (2, 1, 1)
    expected = audio * binary_cross_entropy(output.p_a, target.audio)
    expected = expected + visual * binary_cross_entropy(output.p_v, target.visual)
    expected = expected + video * binary_cross_entropy(output.P, batch.label)
    expected = expected + nce * jomold_nce(output.f_a, output.f_v)
    expected = expected + 0.5 * audio * binary_cross_entropy(output.s_a, target.audio)
    expected = expected + 0.5 * visual * binary_cross_entropy(output.s_v, target.visual)
    torch.testing.assert_close(JOMOLD(options).loss(model, output, batch, step()), expected)


def denoised_by_loops(label: Tensor, loss: Pair, ratio: Pair) -> Pair:
    """Class by class, with sorted lists."""
    gone = Pair(torch.zeros_like(label, dtype=torch.bool), torch.zeros_like(label, dtype=torch.bool))
    for c in range(label.shape[1]):
        members = [n for n in range(len(label)) if label[n, c] == 1]
        order_a, order_v = (sorted(members, key=lambda n, c=c, each=each: float(each[n, c])) for each in loss)
        n_a, n_v = (math.floor(float(share[c]) * len(members)) for share in ratio)
        for n in set(order_a[:n_v]) & set(order_v[len(members) - n_v :]):
            gone.visual[n, c] = True
        for n in set(order_v[:n_a]) & set(order_a[len(members) - n_a :]):
            gone.audio[n, c] = True
    return gone


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("seed", range(3))
def test_denoising_against_plain_loops(seed: int) -> None:
    label = (rand(40, 12, seed=seed) < 0.4).double()
    label[:, 0], label[:, 1] = 0, 1  # a class that nobody has and one that everybody has
    loss = Pair((rand(40, 12, seed=seed + 10) * 8).round(), (rand(40, 12, seed=seed + 20) * 8).round())  # many ties
    ratio = Pair(rand(12, seed=seed + 30), rand(12, seed=seed + 40))
    found, expected = denoised(label, loss, ratio), denoised_by_loops(label, loss, ratio)
    assert torch.equal(found.audio, expected.audio) and torch.equal(found.visual, expected.visual)
    assert bool(found.audio.any()) and bool(found.visual.any())


def test_the_first_epoch_is_that_of_a_run_without_denoising(clips: Any) -> None:
    assert equal(weights(trained(clips, {}, epochs=1)), weights(trained(clips, PLAIN, epochs=1)))
    assert not equal(weights(trained(clips, {}, epochs=2)), weights(trained(clips, PLAIN, epochs=2)))


def test_missing_or_foreign_ratios_are_an_error(clips: Any) -> None:
    with pytest.raises(UserError, match=r"noise_ratios\.json"):
        parsing_trainer("jomold", clips=clips).train()
    foreign = {"audio": [0.1], "visual": [0.1]}
    with pytest.raises(UserError, match="1 audio and 1 visual ratios"):
        parsing_trainer("jomold", clips=clips, needs={"ratios": foreign}).train()


def test_a_model_that_cannot_do_without_cross_attention_is_refused(clips: Any) -> None:
    with pytest.raises(UserError, match="without cross attention; use han"):
        parsing_trainer("jomold", clips=clips, needs=NEEDS, model={"name": "mm-pyramid", "attention_heads": 4}).train()
