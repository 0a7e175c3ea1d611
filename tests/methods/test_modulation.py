"""Dynamic gradient modulation: measure, coefficients, noise, window, update, log and state.

Worked numbers, and what is modulated on the networks: tests/fidelity/test_avvp_gradient_modulation.py.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from avbalance.errors import UserError
from avbalance.methods.base import TrainingStep
from avbalance.methods.parts.modulation import (
    COLUMNS,
    Modulation,
    ModulationOptions,
    coefficients,
    imbalance,
    modulate,
    side,
)

LABEL = torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 0]])
AUDIO = torch.tensor([[0.8, 0.2, 0.6, 0.1], [0.3, 0.5, 0.2, 0.4]])
VISUAL = torch.tensor([[0.5, 0.1, 0.3, 0.2], [0.2, 0.8, 0.1, 0.3]])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# The measure and its coefficients.


def test_samples_with_labels_of_one_kind_only_do_not_count() -> None:
    label = torch.cat([LABEL, torch.zeros(1, 4), torch.ones(1, 4)])
    extra = torch.tensor([[0.9, 0.9, 0.9, 0.9], [0.7, 0.1, 0.2, 0.3]])
    for measure in ("score", "discrepancy", "fusion"):
        assert side(torch.cat([AUDIO, extra]), label, measure) == side(AUDIO, LABEL, measure)  # type: ignore[arg-type]
    assert imbalance(extra, extra / 2, label[2:]) == 1


def test_coefficients_at_the_edges() -> None:
    assert coefficients(1.0, 0.1) == coefficients(5.0, 0.0) == (1.0, 1.0)
    assert coefficients(1e6, 0.1) == (1.0, 0.0) and coefficients(1e-6, 0.1) == (0.0, 1.0)


# Noise.


@pytest.mark.parametrize(
    ("noise", "kept", "spread"), [("added", 0.25, 1.0), ("literal", 1.0, math.sqrt(1 + 0.25**2)), ("none", 0.25, 0.0)]
)
def test_noise_has_the_deviation_of_the_unmodulated_gradient(noise: Any, kept: float, spread: float) -> None:
    gradient = 0.1 * torch.randn(200, 150, generator=generator()) + 0.5
    changed = gradient.clone()
    modulate(changed, 0.25, noise, generator(1))
    rest = changed - kept * gradient
    deviation = float(gradient.std())
    assert float(rest.std()) == pytest.approx(spread * deviation, rel=0.02, abs=1e-7)
    assert float(rest.mean()) == pytest.approx(0, abs=5 * spread * deviation / math.sqrt(rest.numel()) + 1e-7)
    correlation = torch.corrcoef(torch.stack([rest.flatten(), gradient.flatten()]))[0, 1]
    assert noise == "none" or abs(float(correlation)) < 0.03


def test_noise_at_the_edges() -> None:
    single = torch.tensor([2.0])
    modulate(single, 0.5, "added", generator())
    assert float(single) == pytest.approx(1.0, abs=1e-6)  # one element does not deviate
    equal = torch.full((50,), 3.0)
    modulate(equal, 1.0, "added", generator())
    torch.testing.assert_close(equal, torch.full((50,), 3.0), atol=1e-6, rtol=0)


# As a part of methods.


class TwoGroups(nn.Module):
    """One weight per modality, and one that belongs to neither."""

    def __init__(self, size: int = 6) -> None:
        super().__init__()
        self.own = nn.ParameterDict({name: torch.randn(size, generator=generator(6)) for name in ("audio", "visual")})
        self.shared = nn.Parameter(torch.randn(size, generator=generator(7)))

    def group(self, name: str) -> list[nn.Parameter]:
        return [self.own[name]]

    def backward(self) -> dict[str, Tensor]:
        """Fill the gradients; returns copies by name."""
        self.zero_grad()
        torch.autograd.backward(sum((parameter**3).sum() for parameter in self.parameters()))
        return self.gradients()

    def gradients(self) -> dict[str, Tensor]:
        return {name: each.grad.clone() for name, each in self.named_parameters() if each.grad is not None}


def modulation(**options: Any) -> Modulation:
    return Modulation(ModulationOptions(**{"dgm": True, **options}))


def step(epoch: int = 0, index: int = 0, seed: int = 5) -> TrainingStep:
    return TrainingStep(epoch, index, 3, generator(seed))


def apply(part: Modulation, model: Any, where: TrainingStep | None = None, audio: Tensor = AUDIO) -> dict[str, float]:
    """Modulate the model's gradients; returns what the epoch logs."""
    part.gradients(model, (audio, VISUAL), LABEL, None, where or step())
    return part.means.close()


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_outside_the_window_it_measures_only() -> None:
    part = modulation(start_epoch=1, end_epoch=2)
    for epoch, modulated in enumerate([False, True, True, False]):
        model = TwoGroups()
        before = model.backward()
        log = apply(part, model, step(epoch))
        assert (log["mu_a"] < 1, log["mu_v"], log["share_visual_damped"]) == (modulated, 1.0, 0.0)
        assert log["omega_va"] == pytest.approx(0.924528, abs=1e-6)
        assert equal(model.gradients(), before) != modulated


def test_noise_comes_from_the_step_s_generator_alone() -> None:
    found = []
    for seed in (5, 5, 6):
        model = TwoGroups()
        model.backward()
        state = torch.get_rng_state()
        apply(modulation(), model, step(seed=seed))
        assert torch.equal(torch.get_rng_state(), state)
        found.append(model.gradients())
    assert equal(found[0], found[1]) and not equal(found[0], found[2])


def test_update_scales_the_optimiser_s_step_and_not_the_gradient() -> None:
    plain, ours = TwoGroups(), TwoGroups()
    start = {name: value.clone() for name, value in plain.state_dict().items()}
    part = modulation(noise="none", apply="update")
    for model in (plain, ours):
        optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
        before = model.backward()
        if model is ours:
            apply(part, model)
        assert equal(model.gradients(), before)
        optimiser.step()
    part.after_step()
    whole, found = plain.state_dict(), ours.state_dict()
    for name, mu in (("own.audio", 0.892257), ("own.visual", 1.0), ("shared", 1.0)):
        torch.testing.assert_close(found[name], start[name] + mu * (whole[name] - start[name]), rtol=1e-5, atol=1e-6)
    settled = {name: value.clone() for name, value in ours.state_dict().items()}
    part.after_step()  # nothing is kept from one step to the next
    assert equal(ours.state_dict(), settled)


def test_update_keeps_the_noise_in_the_gradient() -> None:
    results = []
    for options in ({"apply": "update"}, {"apply": "grad", "gamma": 0.0}):
        model = TwoGroups()
        model.backward()
        apply(modulation(**options), model)
        results.append(model.gradients())
    assert equal(*results)


def test_the_log_is_a_mean_over_batches_and_survives_a_restore() -> None:
    part, restored = modulation(noise="none"), modulation(noise="none")
    singles = []
    for number, audio in enumerate((AUDIO, AUDIO / 4)):  # the second batch is led by visual
        model = TwoGroups()
        model.backward()
        part.gradients(model, (audio, VISUAL), LABEL, None, step(index=number))  # type: ignore[arg-type]
        singles.append(apply(modulation(noise="none"), model, audio=audio))
    restored.load_state_dict(part.state_dict())
    for each in (part, restored):
        log = each.means.close()
        assert log == pytest.approx({name: (singles[0][name] + singles[1][name]) / 2 for name in COLUMNS})
        assert log["share_visual_damped"] == 0.5
        assert each.means.close() == {}


def test_a_group_without_gradient_is_an_error_and_a_frozen_tensor_is_none() -> None:
    model = TwoGroups()
    model.backward()
    model.own["visual"].grad = None
    groups = {"audio": [model.own["audio"]], "visual": [model.own["visual"], model.shared]}
    modulation().gradients(model, (AUDIO, VISUAL), LABEL, groups, step())  # type: ignore[arg-type]
    with pytest.raises(UserError, match="visual group has no gradient"):
        apply(modulation(), model)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"start_epoch": 3, "end_epoch": 2}, "end_epoch is 2; it must be null or at least start_epoch"),
        ({"noise": "literal", "apply": "update"}, "use noise added or none"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        modulation(**options)
