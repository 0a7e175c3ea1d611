"""DGM on late fusion: OGM-GE is its measure "score", what is modulated, the network of CREMA-D."""

from __future__ import annotations

import pytest
import torch
from one_step import CLASSES, gradients, network
from torch.nn.functional import one_hot

from avbalance.methods import ogm_ge
from avbalance.methods.baseline import Baseline
from avbalance.methods.dgm import DGM
from avbalance.methods.ogm_ge import OGMGE, confidence_sum, modulation_coefficients
from avbalance.methods.parts import modulation
from avbalance.methods.parts.modulation import coefficients, imbalance

AS_OGM = {"measure": "score", "gamma": 0.8}


def test_with_the_measure_score_the_coefficients_are_those_of_ogm_ge() -> None:
    rounded_alike = []
    for seed in range(50):
        generator = torch.Generator().manual_seed(seed)
        audio, visual = (torch.randn(64, CLASSES, generator=generator) for _ in range(2))
        label = torch.randint(0, CLASSES, (64,), generator=generator)
        expected = modulation_coefficients(
            confidence_sum(audio, label).item(), confidence_sum(visual, label).item(), 0.8
        )
        omega = imbalance(audio.softmax(1), visual.softmax(1), one_hot(label, CLASSES), "score")
        found = coefficients(omega, 0.8)
        assert found == pytest.approx(expected, rel=1e-5)
        rounded_alike.append(torch.equal(torch.tensor(found), torch.tensor(expected)))
    # sums of float32 and of float64 part at the 8th digit: not always the same float32
    assert any(rounded_alike) and not all(rounded_alike)
    # at exact equality neither is damped, where OGM-GE damps audio
    assert coefficients(1.0, 0.8) == (1.0, 1.0) and modulation_coefficients(2.0, 2.0, 0.8)[0] < 1


@pytest.mark.parametrize("noise", ["added", "none"])
def test_with_equal_coefficients_a_step_is_that_of_ogm_ge_to_the_bit(
    noise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # all that is left between the two is the 8th digit of the coefficients: draws, order and scaling agree
    variant = {"alpha": 0.8, "variant": "ogm-ge" if noise == "added" else "ogm"}
    expected, near = gradients(OGMGE(variant), network()), gradients(DGM({**AS_OGM, "noise": noise}), network())
    for name, value in near.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-7)
    for module, name in ((ogm_ge, "modulation_coefficients"), (modulation, "coefficients")):
        monkeypatch.setattr(module, name, lambda *_: (1.0, 0.25))
    expected, ours = gradients(OGMGE(variant), network()), gradients(DGM({**AS_OGM, "noise": noise}), network())
    assert all(torch.equal(value, expected[name]) for name, value in ours.items())
    plain = gradients(Baseline(), network())
    assert sum(not torch.equal(value, plain[name]) for name, value in ours.items()) == (40 if noise == "added" else 20)
