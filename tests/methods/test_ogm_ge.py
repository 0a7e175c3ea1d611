"""OGM-GE: coefficients by hand, noise, window, and what is left alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from avbalance.errors import UserError
from avbalance.methods.baseline import Baseline
from avbalance.methods.ogm_ge import OGMGE, confidence_sum, modulate, modulation_coefficients


def test_confidence_is_a_sum_over_the_batch() -> None:
    # softmax [1/2, 1/2] of class 0 and [3/4, 1/4] of class 1: 1/2 + 1/4
    scores = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]], requires_grad=True)
    total = confidence_sum(scores, torch.tensor([0, 1]))
    assert total.item() == pytest.approx(0.75)
    assert not total.requires_grad


@pytest.mark.parametrize(
    ("audio", "visual", "alpha", "expected"),
    [
        (2.0, 4.0, 0.5, (1.0, 0.2384058)),  # rho_v = 2: 1 - tanh(1)
        (4.0, 2.0, 0.5, (0.2384058, 1.0)),  # rho_a = 2: 1 - tanh(1)
        (3.0, 3.0, 0.5, (0.5378828, 1.0)),  # equal: audio is damped by 1 - tanh(0.5)
        (3.0, 3.000001, 0.5, (1.0, 0.5378828)),  # just above 1 the coefficient jumps to 1 - tanh(0.5)
        (1.0, 5.0, 0.0, (1.0, 1.0)),  # alpha 0: 1 - tanh(0)
        (0.0, 1.0, 0.3, (1.0, 0.0)),  # infinite lead
        (1.0, 0.0, 0.3, (0.0, 1.0)),
    ],
)
def test_coefficient_table(audio: float, visual: float, alpha: float, expected: tuple[float, float]) -> None:
    assert modulation_coefficients(audio, visual, alpha) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("lead", [0.01, 0.5, 1.0, 1.5, 80.0])
def test_exactly_one_side_is_damped(lead: float) -> None:
    coefficients = modulation_coefficients(1.0, lead, 0.3)
    assert max(coefficients) == 1.0
    assert min(coefficients) < 1.0


def test_noise_has_the_deviation_of_the_unscaled_gradient() -> None:
    gradient = 0.1 * torch.randn(64, 64, 3, 3, generator=torch.Generator().manual_seed(0)) + 0.5
    deviation = gradient.std().item()
    noised = gradient.clone()
    modulate(noised, 0.25, torch.Generator().manual_seed(1))
    noise = noised - 0.25 * gradient
    assert noise.std().item() == pytest.approx(deviation, rel=0.03)
    assert noise.mean().item() == pytest.approx(0.0, abs=5 * deviation / math.sqrt(noise.numel()))


def test_without_generator_there_is_only_scaling() -> None:
    gradient = torch.arange(16.0).reshape(1, 1, 4, 4)
    expected = gradient * 0.25
    modulate(gradient, 0.25, None)
    assert torch.equal(gradient, expected)


@pytest.mark.parametrize("fusion", ["sum", "concat", "film", "gated"])
def test_alpha_zero_without_noise_is_the_baseline(fusion: str, make_trainer: Any, same_weights: Any) -> None:
    method = OGMGE({"alpha": 0.0, "variant": "ogm"})
    ours, baseline = (
        make_trainer(method, epochs=2, fusion=fusion),
        make_trainer(Baseline(), epochs=2, fusion=fusion),
    )
    ours.fit()
    baseline.fit()
    assert same_weights(ours.model, baseline.model)


def test_other_settings_are_not_the_baseline(make_trainer: Any, same_weights: Any) -> None:
    trainers = [
        make_trainer(method, epochs=1)
        for method in (Baseline(), OGMGE({"alpha": 0.0}), OGMGE({"variant": "ogm"}), OGMGE())
    ]
    for trainer in trainers:
        trainer.fit()
    for first in range(4):
        for second in range(first):
            assert not same_weights(trainers[first].model, trainers[second].model)


def test_outside_the_window_nothing_happens(make_trainer: Any, same_weights: Any) -> None:
    ours, baseline = (
        make_trainer(method, epochs=2) for method in (OGMGE({"start_epoch": 2, "end_epoch": 5}), Baseline())
    )
    ours.fit()
    baseline.fit()
    assert same_weights(ours.model, baseline.model)
    assert ours.logs == [{"coefficient_audio": 1.0, "coefficient_visual": 1.0}] * 2
    ours.step(2, 0)
    baseline.step(2, 0)
    assert not same_weights(ours.model, baseline.model)


def test_an_empty_modulated_set_is_an_error(make_trainer: Any) -> None:
    trainer = make_trainer(OGMGE())
    for parameter in trainer.model.group("visual"):
        parameter.requires_grad_(False)
    with pytest.raises(UserError, match="visual encoder has no convolution gradient"):
        trainer.fit()
    with pytest.raises(UserError, match="no visual scores"):
        make_trainer(OGMGE(), "unimodal-net", modality="audio").fit()


def test_mean_coefficients_are_logged_and_survive_a_restore(make_trainer: Any) -> None:
    trainer = make_trainer(OGMGE({"alpha": 0.5}), epochs=1)
    trainer.fit()
    log = trainer.logs[0]
    assert 0 <= min(log.values()) < 1 and set(log) == {"coefficient_audio", "coefficient_visual"}
    trainer.step(1, 0)
    restored = OGMGE()
    restored.load_state_dict(trainer.method.state_dict())
    expected: dict[str, Any] = {}
    found: dict[str, Any] = {}
    trainer.method.epoch_end(trainer, 1, expected)
    restored.epoch_end(trainer, 1, found)
    assert found == expected
    assert min(found.values()) < 1


def test_bad_options_are_refused() -> None:
    with pytest.raises(UserError, match="option alpha is -1"):
        OGMGE({"alpha": -1})
    with pytest.raises(UserError, match="option variant is 'normal'"):
        OGMGE({"variant": "normal"})
