"""OGM-GE: coefficients by hand, window, and what is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from avbalance.errors import UserError
from avbalance.methods.baseline import Baseline
from avbalance.methods.ogm_ge import OGMGE, modulation_coefficients


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


@pytest.mark.parametrize("fusion", ["sum", "concat", "film", "gated"])
def test_alpha_zero_without_noise_is_the_baseline(fusion: str, make_trainer: Any, same_weights: Any) -> None:
    off = OGMGE({"alpha": 0.0, "variant": "ogm"})
    ours, baseline = (make_trainer(method, epochs=2, fusion=fusion) for method in (off, Baseline()))
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
    with pytest.raises(UserError, match="the visual group has no gradient to modulate"):
        trainer.fit()
    with pytest.raises(UserError, match="no visual scores"):
        make_trainer(OGMGE(), "unimodal-net", modality="audio").fit()
