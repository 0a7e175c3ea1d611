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


def test_an_empty_modulated_set_is_an_error(make_trainer: Any) -> None:
    trainer = make_trainer(OGMGE())
    for parameter in trainer.model.group("visual"):
        parameter.requires_grad_(False)
    with pytest.raises(UserError, match="the visual group has no gradient to modulate"):
        trainer.fit()
    with pytest.raises(UserError, match="no visual scores"):
        make_trainer(OGMGE(), "unimodal-net", modality="audio").fit()
