"""DGM on late fusion: OGM-GE is its measure "score", what is modulated, the network of CREMA-D."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import one_hot

from avbalance.methods import ogm_ge
from avbalance.methods.baseline import Baseline
from avbalance.methods.dgm import DGM
from avbalance.methods.ogm_ge import OGMGE, confidence_sum, modulation_coefficients
from avbalance.methods.parts import modulation
from avbalance.methods.parts.modulation import coefficients, imbalance

AS_OGM = {"measure": "score", "gamma": 0.8}
CLASSES = 3


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
    # at exact equality nobody is damped, where OGM-GE damps audio
    assert coefficients(1.0, 0.8) == (1.0, 1.0) and modulation_coefficients(2.0, 2.0, 0.8)[0] < 1


@pytest.mark.parametrize("noise", ["added", "none"])
def test_with_equal_coefficients_it_is_ogm_ge_bit_for_bit(
    noise: str, make_trainer: Any, same_weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All that is left between the two is the 8th digit of the coefficients: with those of one in both, draws, order,
    # scaling and the modulated tensors are the same for the same seed.
    mu = (1.0, 0.25)
    monkeypatch.setattr(ogm_ge, "modulation_coefficients", lambda *_: mu)
    monkeypatch.setattr(modulation, "coefficients", lambda *_: mu)
    reference = make_trainer(OGMGE({"alpha": 0.8, "variant": "ogm-ge" if noise == "added" else "ogm"}), epochs=2)
    ours = make_trainer(DGM({**AS_OGM, "noise": noise}), epochs=2)
    plain = make_trainer(Baseline(), epochs=2)
    for trainer in (reference, ours, plain):
        trainer.fit()
    assert same_weights(ours.model, reference.model)
    assert not same_weights(ours.model, plain.model)


def test_with_its_own_coefficients_a_step_is_that_of_ogm_ge_to_rounding(make_trainer: Any) -> None:
    reference, ours = (make_trainer(method, epochs=1) for method in (OGMGE({"alpha": 0.8}), DGM(AS_OGM)))
    for trainer in (reference, ours):
        trainer.step(0, 0)
        trainer.logs.append({})
        trainer.method.epoch_end(trainer, 0, trainer.logs[0])
    states = (trainer.model.state_dict() for trainer in (ours, reference))
    for value, other in zip(*(state.values() for state in states), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-5, atol=1e-7)
    found, expected = ours.logs[0], reference.logs[0]
    assert found["mu_a"] == pytest.approx(expected["coefficient_audio"], rel=1e-5)
    assert found["mu_v"] == pytest.approx(expected["coefficient_visual"], rel=1e-5)
