"""DGM on late fusion: OGM-GE is its measure "score", what is modulated, the network of CREMA-D."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import one_hot

from avbalance.errors import UserError
from avbalance.methods import ogm_ge
from avbalance.methods.baseline import Baseline
from avbalance.methods.dgm import DGM
from avbalance.methods.ogm_ge import OGMGE, confidence_sum, modulation_coefficients
from avbalance.methods.parts import modulation
from avbalance.methods.parts.modulation import OFF, coefficients, imbalance
from avbalance.models.base import build

AS_OGM = {"measure": "score", "gamma": 0.8}
CLASSES = 3


def test_the_network_of_crema_d_has_the_published_size() -> None:
    settings = {"name": "fusion-net", "width": 64, "stem": "imagenet", "fusion": "concat"}
    with torch.device("meta"):
        model = build(settings, 6, torch.Generator())
    assert sum(parameter.numel() for parameter in model.parameters()) == 22_352_902
    kernels = [parameter for name in ("audio", "visual") for parameter in model.group(name) if parameter.ndim == 4]
    assert len(kernels) == 2 * 20


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


def test_the_measure_and_the_window_matter(make_trainer: Any, same_weights: Any) -> None:
    options = (AS_OGM, {**AS_OGM, "measure": "fusion"}, {**AS_OGM, "gamma": 0.1}, {**AS_OGM, "end_epoch": 0}, OFF)
    trainers = [make_trainer(DGM(each), epochs=2) for each in options]
    trainers.append(make_trainer(Baseline(), epochs=2))
    for trainer in trainers:
        trainer.fit()
    for first in range(4):
        for second in range(first):
            assert not same_weights(trainers[first].model, trainers[second].model)
    assert same_weights(trainers[4].model, trainers[5].model)


def test_nothing_to_measure_or_to_modulate_is_an_error(make_trainer: Any) -> None:
    with pytest.raises(UserError, match="no visual scores; use fusion-net"):
        make_trainer(DGM(), "unimodal-net", modality="audio").fit()
    trainer = make_trainer(DGM())
    for parameter in trainer.model.group("visual"):
        parameter.requires_grad_(False)
    with pytest.raises(UserError, match="visual group has no gradient"):
        trainer.fit()
