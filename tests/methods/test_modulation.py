"""Dynamic gradient modulation as a part of methods: worked numbers, window, noise, update, log and state."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from avbalance.errors import UserError
from avbalance.methods.base import Step
from avbalance.methods.parts.modulation import COLUMNS, OFF, OPTIONS, Modulation

LABEL = torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 0]])
AUDIO = torch.tensor([[0.8, 0.2, 0.6, 0.1], [0.3, 0.5, 0.2, 0.4]])
VISUAL = torch.tensor([[0.5, 0.1, 0.3, 0.2], [0.2, 0.8, 0.1, 0.3]])


class Pairs(nn.Module):
    """One weight per modality, and one that belongs to neither."""

    def __init__(self, size: int = 6) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(size)
        self.own = nn.ParameterDict({name: torch.randn(size, generator=generator) for name in ("audio", "visual")})
        self.shared = nn.Parameter(torch.randn(size, generator=generator))

    def group(self, name: str) -> list[nn.Parameter]:
        return [self.own[name]]

    def backward(self) -> dict[str, Tensor]:
        """Fill the gradients; returns copies by name."""
        self.zero_grad()
        torch.autograd.backward(sum((parameter**3).sum() for parameter in self.parameters()))
        return {name: parameter.grad.clone() for name, parameter in self.named_parameters()}


def modulation(**options: Any) -> Modulation:
    return Modulation({**{name: default for name, (default, _) in OPTIONS.items()}, "dgm": True, **options})


def step(epoch: int = 0, index: int = 0, seed: int = 5) -> Step:
    return Step(epoch, index, 3, torch.Generator().manual_seed(seed))


def apply(part: Modulation, model: Any, where: Step | None = None, audio: Tensor = AUDIO) -> dict[str, float]:
    """Modulate the model's gradients; returns what the epoch logs."""
    part.gradients(model, audio, VISUAL, LABEL, None, where or step())
    log: dict[str, float] = {}
    part.epoch_end(log)
    return log


@pytest.mark.parametrize(
    ("measure", "omega", "mu_a", "mu_v"),
    [
        ("score", 0.842105, 0.881805, 1.0),
        ("discrepancy", 1.133333, 1.0, 0.887149),
        ("fusion", 0.924528, 0.892257, 1.0),
    ],
)
def test_worked_numbers_are_applied_and_logged(measure: str, omega: float, mu_a: float, mu_v: float) -> None:
    model = Pairs()
    before = model.backward()
    log = apply(modulation(measure=measure, noise="none"), model)
    assert log == pytest.approx(
        {"omega_va": omega, "mu_a": mu_a, "mu_v": mu_v, "share_visual_damped": float(mu_v < 1)}, abs=1e-6
    )
    for name, mu in (("own.audio", mu_a), ("own.visual", mu_v), ("shared", 1.0)):
        torch.testing.assert_close(dict(model.named_parameters())[name].grad, before[name] * mu)


def test_at_most_one_modality_is_damped() -> None:
    part = modulation(noise="none", gamma=0.5)
    generator = torch.Generator().manual_seed(1)
    damped = set()
    for _ in range(50):
        model = Pairs()
        model.backward()
        log = apply(part, model, audio=torch.rand(2, 4, generator=generator))
        damped.add((log["mu_a"] < 1, log["mu_v"] < 1))
    assert damped == {(True, False), (False, True)}


def test_off_is_off() -> None:
    model = Pairs()
    before = model.backward()
    assert apply(modulation(dgm=False), model) == {}
    assert all(torch.equal(parameter.grad, before[name]) for name, parameter in model.named_parameters())


def test_outside_the_window_it_measures_only() -> None:
    part = modulation(start_epoch=1, end_epoch=2)
    assert [part.active(epoch) for epoch in range(4)] == [False, True, True, False]
    assert [modulation().active(epoch) for epoch in (0, 99)] == [True, True]
    for epoch in (0, 3):
        model = Pairs()
        before = model.backward()
        log = apply(part, model, step(epoch))
        assert (log["mu_a"], log["mu_v"], log["share_visual_damped"]) == (1.0, 1.0, 0.0)
        assert log["omega_va"] == pytest.approx(0.924528, abs=1e-6)
        assert all(torch.equal(parameter.grad, before[name]) for name, parameter in model.named_parameters())
    model = Pairs()
    before = model.backward()
    assert apply(part, model, step(2))["mu_a"] < 1
    assert not torch.equal(model.own["audio"].grad, before["own.audio"])


@pytest.mark.parametrize("where", ["audio", "visual"])
def test_noise_has_the_deviation_of_the_unmodulated_gradient_whatever_mu(where: str) -> None:
    model = Pairs(200_000)
    before = model.backward()[f"own.{where}"]
    mu = apply(modulation(gamma=2.0), model)[f"mu_{where[0]}"]  # audio leads: mu_a is far below 1, mu_v is 1
    assert (mu < 0.1) == (where == "audio")
    noise = model.own[where].grad - mu * before
    assert noise.std().item() == pytest.approx(before.std().item(), rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=4 * before.std().item() / math.sqrt(before.numel()))


def test_noise_comes_from_the_step_s_generator_alone() -> None:
    found = []
    for seed in (5, 5, 6):
        model = Pairs()
        model.backward()
        state = torch.get_rng_state()
        apply(modulation(), model, step(seed=seed))
        assert torch.equal(torch.get_rng_state(), state)
        found.append(torch.cat([model.own["audio"].grad, model.own["visual"].grad]))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_groups_may_be_a_subset_chosen_by_the_caller() -> None:
    model = Pairs()
    before = model.backward()
    part = modulation(noise="none")
    part.gradients(model, AUDIO, VISUAL, LABEL, {"audio": [model.shared], "visual": [model.own["visual"]]}, step())
    assert torch.equal(model.own["audio"].grad, before["own.audio"])
    assert not torch.equal(model.shared.grad, before["shared"])


def test_scores_are_detached() -> None:
    model = Pairs()
    model.backward()
    scores = AUDIO.clone().requires_grad_()
    modulation().gradients(model, scores, VISUAL, LABEL, None, step())
    assert scores.grad is None


def test_update_scales_the_optimiser_s_step_and_not_the_gradient() -> None:
    plain, ours = Pairs(), Pairs()
    start = {name: value.clone() for name, value in plain.state_dict().items()}
    part = modulation(noise="none", apply="update")
    for model in (plain, ours):
        optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
        before = model.backward()
        if model is ours:
            part.gradients(model, AUDIO, VISUAL, LABEL, None, step())
        assert all(torch.equal(parameter.grad, before[name]) for name, parameter in model.named_parameters())
        optimiser.step()
    part.after_step()
    whole, found = plain.state_dict(), ours.state_dict()
    for name, mu in (("own.audio", 0.892257), ("own.visual", 1.0), ("shared", 1.0)):
        torch.testing.assert_close(found[name], start[name] + mu * (whole[name] - start[name]), rtol=1e-5, atol=1e-6)
    settled = {name: value.clone() for name, value in ours.state_dict().items()}
    part.after_step()  # nothing is kept from one step to the next
    assert all(torch.equal(value, settled[name]) for name, value in ours.state_dict().items())


def test_update_keeps_the_noise_in_the_gradient() -> None:
    results = []
    for options in ({"apply": "update"}, {"apply": "grad", "gamma": 0.0}):
        model = Pairs()
        model.backward()
        apply(modulation(**options), model)
        results.append(model.own["audio"].grad.clone())
    assert torch.equal(*results)


def test_scaling_by_one_without_noise_leaves_every_bit() -> None:
    model = Pairs()
    before = model.backward()
    log = apply(modulation(**OFF), model)
    assert (log["mu_a"], log["mu_v"]) == (1.0, 1.0)
    assert all(torch.equal(parameter.grad, before[name]) for name, parameter in model.named_parameters())


def test_the_log_is_a_mean_over_batches_and_survives_a_restore() -> None:
    part, restored = modulation(noise="none"), modulation(noise="none")
    singles = []
    for number, audio in enumerate((AUDIO, AUDIO / 4)):  # the second batch is led by visual
        model = Pairs()
        model.backward()
        part.gradients(model, audio, VISUAL, LABEL, None, step(index=number))
        singles.append(apply(modulation(noise="none"), model, audio=audio))
    restored.load_state_dict(part.state_dict())
    for each in (part, restored):
        log: dict[str, float] = {}
        each.epoch_end(log)
        assert log == pytest.approx({name: (singles[0][name] + singles[1][name]) / 2 for name in COLUMNS})
        assert log["share_visual_damped"] == 0.5
        each.epoch_end(log := {})
        assert log == {}


def test_a_group_without_gradient_is_an_error() -> None:
    model = Pairs()
    model.backward()
    model.own["visual"].grad = None
    with pytest.raises(UserError, match="visual group has no gradient"):
        apply(modulation(), model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dgm": "yes"}, "option dgm is 'yes'; it must be true or false"),
        ({"measure": "loss"}, "option measure is 'loss'"),
        ({"gamma": -0.1}, "option gamma is -0.1; it must be at least 0"),
        ({"noise": "gaussian"}, "option noise is 'gaussian'"),
        ({"apply": "step"}, "option apply is 'step'; it must be grad or update"),
        ({"start_epoch": -1}, "option start_epoch is -1"),
        ({"start_epoch": 3, "end_epoch": 2}, "option end_epoch is 2"),
        ({"noise": "literal", "apply": "update"}, "use noise added or none"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        modulation(**options)
