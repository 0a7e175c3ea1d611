"""Dynamic gradient modulation: worked numbers, coefficients, noise, and what is left alone."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from avbalance.analysis.dgm import (
    MEASURES,
    coefficients,
    imbalance,
    measured,
    modulate,
    modulate_groups,
    scale_update,
    score_and_discrepancy,
)
from torch import Tensor, nn

from avbalance.errors import UserError
from avbalance.methods import ogm_ge
from avbalance.models.base import Batch, load

LABEL = torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 0]])
AUDIO = torch.tensor([[0.8, 0.2, 0.6, 0.1], [0.3, 0.5, 0.2, 0.4]])
VISUAL = torch.tensor([[0.5, 0.1, 0.3, 0.2], [0.2, 0.8, 0.1, 0.3]])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_parts_by_hand() -> None:
    # audio: S = .8 + .6 + .5; D = (.7 - .15) + (.5 - .3). visual: S = .5 + .3 + .8; D = (.4 - .15) + (.8 - .2)
    assert [float(part) for part in score_and_discrepancy(AUDIO, LABEL)] == pytest.approx([1.9, 0.75], abs=1e-6)
    assert [float(part) for part in score_and_discrepancy(VISUAL, LABEL)] == pytest.approx([1.6, 0.85], abs=1e-6)


@pytest.mark.parametrize(
    ("measure", "omega", "mu_a", "mu_v"),
    [
        ("score", 0.842105, 0.881805, 1),  # 1.6 / 1.9
        ("discrepancy", 1.133333, 1, 0.887149),  # .85 / .75
        ("fusion", 0.924528, 0.892257, 1),  # 2.45 / 2.65
    ],
)
def test_worked_numbers(measure: str, omega: float, mu_a: float, mu_v: float) -> None:
    found = imbalance(AUDIO, VISUAL, LABEL, measure)
    assert found == pytest.approx(omega, abs=1e-6)
    assert coefficients(found, 0.1) == pytest.approx((mu_a, mu_v), abs=1e-6)
    assert imbalance(VISUAL, AUDIO, LABEL, measure) == pytest.approx(1 / omega, rel=2e-6)


def test_fusion_is_the_default() -> None:
    assert imbalance(AUDIO, VISUAL, LABEL) == imbalance(AUDIO, VISUAL, LABEL, "fusion")
    with pytest.raises(UserError, match="unknown measure 'ratio'; use one of score, discrepancy, fusion"):
        imbalance(AUDIO, VISUAL, LABEL, "ratio")


def single_label(true: list[float], classes: int) -> tuple[Tensor, Tensor]:
    """Softmax-like scores `(N, C)` with the given probability of class n for sample n, and one-hot labels."""
    label = torch.eye(classes, dtype=torch.float64)[: len(true)]
    chance = torch.tensor(true, dtype=torch.float64)[:, None]
    return label * chance + (1 - label) * (1 - chance) / (classes - 1), label


def test_single_label_worked_numbers() -> None:
    # S + D: visual .9 + (.7 - .06) + (.2 - .16) = 1.58; audio 1.0 + (.4 - .12) + (.6 - .08) = 1.80
    (visual, label), (audio, _) = single_label([0.7, 0.2], 6), single_label([0.4, 0.6], 6)
    assert measured(visual, label) == pytest.approx(1.58, abs=1e-9)
    assert measured(audio, label) == pytest.approx(1.80, abs=1e-9)
    omega = imbalance(audio, visual, label)
    assert omega == pytest.approx(0.877778, abs=1e-6)
    assert imbalance(audio, visual, label, "score") == pytest.approx(0.9, abs=1e-9)
    assert coefficients(omega, 0.1) == pytest.approx((0.886566, 1), abs=1e-6)
    assert coefficients(omega, 0.8) == pytest.approx((0.278200, 1), abs=1e-6)
    assert coefficients(0.9, 0.8) == pytest.approx((0.289156, 1), abs=1e-6)


@pytest.mark.parametrize("classes", [2, 6, 29])
def test_single_label_fusion_is_affine_in_the_score(classes: int) -> None:
    # rows sum to 1, so the negatives' mean is (1 - s) / (C - 1): S + D = (S (2C - 1) - N) / (C - 1)
    logits = torch.randn(40, classes, generator=generator(), dtype=torch.float64)
    label = torch.eye(classes, dtype=torch.float64)[torch.randint(0, classes, (40,), generator=generator(1))]
    scores = logits.softmax(1)
    score, discrepancy = score_and_discrepancy(scores, label)
    closed = (score * (2 * classes - 1) - 40) / (classes - 1)
    assert float(score + discrepancy) == pytest.approx(float(closed), abs=1e-9)


def test_samples_with_labels_of_one_kind_only_do_not_count() -> None:
    label = torch.cat([LABEL, torch.zeros(1, 4), torch.ones(1, 4)])
    extra = torch.tensor([[0.9, 0.9, 0.9, 0.9], [0.7, 0.1, 0.2, 0.3]])
    for measure in MEASURES:
        assert measured(torch.cat([AUDIO, extra]), label, measure) == measured(AUDIO, LABEL, measure)
    assert imbalance(extra, extra / 2, label[2:]) == 1


def test_the_score_part_is_a_sum_over_positives_and_not_a_mean() -> None:
    label = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    scores = torch.tensor([[0.5, 0.4, 0.3, 0.1]])
    score, discrepancy = score_and_discrepancy(scores, label)
    assert float(score) == pytest.approx(1.2) and float(discrepancy) == pytest.approx(0.4 - 0.1)


def test_negative_discrepancy_is_floored() -> None:
    below, above = torch.tensor([[0.2, 0.8, 0.2, 0.8], [0.5, 0.1, 0.5, 0.5]]), AUDIO
    assert measured(below, LABEL, "discrepancy") < 0
    assert imbalance(below, above, LABEL, "discrepancy") == pytest.approx(0.75e6, rel=1e-5)
    assert coefficients(imbalance(below, above, LABEL, "discrepancy"), 0.1) == (1.0, 0.0)
    assert imbalance(below, below / 2, LABEL, "discrepancy") == 1
    assert coefficients(1.0, 0.1) == (1.0, 1.0)


def test_scores_are_detached() -> None:
    scores = AUDIO.clone().requires_grad_()
    assert not any(part.requires_grad for part in score_and_discrepancy(scores, LABEL))


@pytest.mark.parametrize(
    ("omega", "gamma", "mu"),
    [
        *[(1.2, 0.1, 0.8806), (1.5, 0.1, 0.8511), (2, 0.1, 0.8026), (3, 0.1, 0.7087), (1 + 1e-9, 0.1, 0.9003)],
        *[(1.2, 0.8, 0.2557), (1.5, 0.8, 0.1663), (2, 0.8, 0.0783), (3, 0.8, 0.0163)],
    ],
)
def test_coefficient_table(omega: float, gamma: float, mu: float) -> None:
    assert coefficients(omega, gamma) == pytest.approx((1, mu), abs=6e-5)
    assert coefficients(1 / omega, gamma) == pytest.approx((mu, 1), abs=6e-5)


@pytest.mark.parametrize("omega", [1e-6, 0.5, 1.0, 1.5, 1e6])
def test_at_most_one_coefficient_is_below_one(omega: float) -> None:
    assert max(coefficients(omega, 0.1)) == 1
    assert min(coefficients(omega, 0.1)) >= 0
    assert coefficients(omega, 0.0) == (1.0, 1.0)


def sample_gradient() -> Tensor:
    return 0.1 * torch.randn(200, 150, generator=generator()) + 0.5


@pytest.mark.parametrize(
    ("noise", "kept", "spread"), [("added", 0.25, 1.0), ("literal", 1.0, math.sqrt(1 + 0.25**2)), ("none", 0.25, 0.0)]
)
def test_noise_has_the_deviation_of_the_unmodulated_gradient(noise: str, kept: float, spread: float) -> None:
    gradient = sample_gradient()
    changed = gradient.clone()
    modulate(changed, 0.25, noise, generator(1))
    rest = changed - kept * gradient
    deviation = float(gradient.std())
    assert float(rest.std()) == pytest.approx(spread * deviation, rel=0.02, abs=1e-7)
    assert float(rest.mean()) == pytest.approx(0, abs=5 * spread * deviation / math.sqrt(rest.numel()) + 1e-7)
    correlation = torch.corrcoef(torch.stack([rest.flatten(), gradient.flatten()]))[0, 1]
    assert noise == "none" or abs(float(correlation)) < 0.03


def test_added_noise_is_that_of_ogm_ge() -> None:
    ours, theirs = sample_gradient(), sample_gradient()
    modulate(ours, 0.4, "added", generator(2))
    ogm_ge.modulate(theirs, 0.4, generator(2))
    assert torch.equal(ours, theirs)


def test_noise_at_the_edges() -> None:
    single = torch.tensor([2.0])
    modulate(single, 0.5, "added", generator())
    assert float(single) == pytest.approx(1.0, abs=1e-6)  # one element does not deviate
    equal = torch.full((50,), 3.0)
    modulate(equal, 1.0, "added", generator())
    torch.testing.assert_close(equal, torch.full((50,), 3.0), atol=1e-6, rtol=0)
    with pytest.raises(UserError, match="unknown noise 'extra'"):
        modulate(equal, 1.0, "extra", generator())
    with pytest.raises(UserError, match="noise 'added' needs a generator"):
        modulate(equal, 1.0)


# On a network.


def network(msdu: bool) -> Any:
    settings = {"width": 16, "dropout": 0.1, "visual_dropout": 0.5, "msdu": msdu}
    return load("han")(settings, 5, generator())


def trained_batch() -> Batch:
    label = torch.eye(5)[:4]
    audio, visual = torch.randn(4, 10, 128, generator=generator(1)), torch.randn(4, 10, 2560, generator=generator(2))
    return Batch(audio, visual, label, torch.arange(4))


def backward(model: Any, seed: int = 3) -> Any:
    """Gradients of a loss of every head, with a fixed dropout stream; returns the output."""
    model.zero_grad()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        output = model(trained_batch())
    total = output.P.sum() + output.p_a.sum() + output.p_v.sum() + output.f_a.square().sum()
    if output.s_a is not None:
        total = total + output.s_a.sum() + output.s_v.sum()
    total.backward()
    return output


@pytest.mark.parametrize("msdu", [False, True])
@pytest.mark.parametrize("noise", ["added", "literal", "none"])
def test_only_the_groups_of_the_modalities_are_modulated(msdu: bool, noise: str) -> None:
    model = network(msdu)
    backward(model)
    before = {key: parameter.grad.clone() for key, parameter in model.named_parameters() if parameter.grad is not None}
    groups = {name: model.group(name) for name in ("audio", "visual")}
    modulate_groups(groups, {"audio": 0.9, "visual": 1.0}, noise, generator(7))
    member = {id(parameter): name for name, parameters in groups.items() for parameter in parameters}
    for key, parameter in model.named_parameters():
        name, same = member.get(id(parameter)), torch.equal(parameter.grad, before[key])
        if name is None or (name == "visual" and noise == "none"):
            assert same, key
        else:
            assert not same, key  # weights and biases, visual too although its coefficient is 1
        if name == "audio" and noise == "none":
            assert torch.equal(parameter.grad, before[key] * 0.9), key


def test_noise_follows_its_generator_and_no_other() -> None:
    results = []
    for seed in (1, 1, 2):
        model = network(True)
        backward(model)
        state = torch.get_rng_state()
        groups = {name: model.group(name) for name in ("audio", "visual")}
        modulate_groups(groups, {"audio": 1.0, "visual": 0.8}, "added", generator(seed))
        assert torch.equal(torch.get_rng_state(), state)
        results.append([parameter.grad.clone() for parameter in model.parameters()])
    assert all(torch.equal(*pair) for pair in zip(results[0], results[1], strict=True))
    assert not all(torch.equal(*pair) for pair in zip(results[0], results[2], strict=True))


def test_a_group_without_gradient_is_an_error_and_a_frozen_tensor_is_not() -> None:
    model = network(False)
    for parameter in model.group("audio"):
        parameter.requires_grad_(False)
    model.encoders["visual"].fc_st.bias.requires_grad_(False)
    backward(model)
    modulate_groups({"visual": model.group("visual")}, {"visual": 0.5}, "none")
    with pytest.raises(UserError, match="audio group has no gradient to modulate"):
        modulate_groups({"audio": model.group("audio")}, {"audio": 0.5}, "none")


def train(model: Any, steps: int, modulated: bool) -> list[Tensor]:
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-4)
    for step in range(steps):
        backward(model, seed=step)
        before = [parameter.detach().clone() for parameter in model.group("audio")]
        if modulated:
            groups = {name: model.group(name) for name in ("audio", "visual")}
            modulate_groups(groups, {"audio": 1.0, "visual": 1.0}, "none")
        optimiser.step()
        if modulated:
            scale_update(model.group("audio"), before, 1.0)
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_without_noise_and_with_coefficients_of_one_training_is_unchanged() -> None:
    start = network(True)
    plain, modulated = (train(copy.deepcopy(start), 4, flag) for flag in (False, True))
    assert all(torch.equal(*pair) for pair in zip(plain, modulated, strict=True))
    assert not torch.equal(plain[0], next(start.parameters()))


def test_scaling_the_update_takes_back_part_of_the_step() -> None:
    parameter = nn.Parameter(torch.tensor([2.0, 5.0]))
    scale_update([parameter], [torch.tensor([1.0, 7.0])], 0.25)
    torch.testing.assert_close(parameter.detach(), torch.tensor([1.25, 6.5]))  # 1 + (2 - 1) / 4, 7 + (5 - 7) / 4
    assert parameter.requires_grad


def test_measured_on_the_network_s_own_scores() -> None:
    model = network(True)
    output = backward(model)
    label = trained_batch().label
    assert imbalance(*output.measured, label) == imbalance(output.s_a, output.s_v, label)
    assert imbalance(*output.measured, label) != imbalance(output.p_a, output.p_v, label)


def test_importing_does_not_import_torch() -> None:
    command = "import sys, avbalance.analysis.dgm, avbalance.analysis.parsing_losses; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
