"""OGM-GE: coefficients by hand, window, and what is left alone."""

from __future__ import annotations

import pytest
from one_step import gradients, network

from avbalance.errors import UserError
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


def test_an_empty_modulated_set_is_an_error() -> None:
    model = network()
    for parameter in model.group("visual"):
        parameter.requires_grad_(False)
    with pytest.raises(UserError, match="the visual group has no gradient to modulate"):
        gradients(OGMGE(), model)
    with pytest.raises(UserError, match="no visual scores"):
        gradients(OGMGE(), network("unimodal-net", modality="audio"))
