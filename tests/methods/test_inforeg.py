"""InfoReg: window, strength and gradient of the regulation by hand, and what a step adds to which encoder."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from one_step import clips, gradients, network
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from avbalance.methods.baseline import Baseline
from avbalance.methods.inforeg import InfoReg, audio_lead, hold_back, regulation, rises


@pytest.mark.parametrize(
    ("traces", "threshold", "window"),
    [
        ([], 0.04, False),
        ([5.0], 0.04, False),  # the first two epochs are never regulated
        ([9.0, 10.0], 0.04, True),  # (10 - 9) / 10
        ([9.0, 10.0], 0.1, False),  # not above K
        ([1.0, 9.7, 10.0], 0.04, False),  # 0.3 / 10: only the last two count
        ([10.0, 8.0], 0.0, False),
        ([0.0, 10.0], 1.0, False),  # no rise is larger than the whole
        ([0.0, 0.0], 0.0, False),
    ],
)
def test_window(traces: list[float], threshold: float, window: bool) -> None:
    assert rises(traces, threshold) is window


def test_strength_and_lead() -> None:
    # probability 3/4 and 1/2 of the first label, 1/2 and 1/2 of the second: losses differ by log(3/2) and 0
    audio, visual = torch.tensor([[3.0, 1.0], [1.0, 1.0]]).log(), torch.zeros(2, 2)
    lead = audio_lead(audio, visual, torch.tensor([0, 1]))
    assert lead.item() == pytest.approx(math.log(1.5) / 2)
    assert regulation(torch.tensor(0.5), 0.9).item() == pytest.approx(1.515743, abs=1e-5)  # exp(0.9 * 0.4621172)
    assert regulation(torch.tensor(0.5), 0.0).item() == 1
    assert [regulation(torch.tensor(value), 0.9).item() for value in (0.0, -0.5)] == [0, 0]


def test_gradient_of_the_regulation() -> None:
    weight, unused = nn.Parameter(torch.tensor([3.0, 1.0])), nn.Parameter(torch.tensor([7.0]))
    weight.grad = torch.tensor([1.0, 1.0])
    hold_back([weight, unused], [torch.tensor([1.0, 1.0]), torch.tensor([0.0])], torch.tensor(0.5))
    assert weight.grad.tolist() == [1 + 0.5 * (3 - 1), 1.0] and unused.grad is None


def squared(found: dict[str, Tensor], modality: str) -> float:
    return sum(each.square().sum().item() for name, each in found.items() if name.startswith(f"encoders.{modality}."))


def test_a_step_holds_back_the_encoder_that_leads_alone() -> None:
    method, model = InfoReg(), network()
    method.traces = {"audio": [1.0, 2.0], "visual": [1.0, 2.0]}
    trainer: Any = SimpleNamespace(model=model)
    method.epoch_start(trainer, 2)
    with torch.no_grad():
        for parameter in model.encoders.parameters():
            parameter += 0.125  # what the epoch has learnt so far
        model.fusion.linear.weight[:, 16:] = 0  # pictures say nothing, and both biases are 0
        model.fusion.linear.weight[:, :16] *= 4
    plain = network()
    plain.load_state_dict(model.state_dict())
    expected, found = gradients(Baseline(), plain), gradients(method, model)
    means = method.means.close()
    leader, other = ("audio", "visual") if means["regulation_audio"] > 0 else ("visual", "audio")
    assert means[f"regulation_{leader}"] >= 1 and means[f"regulation_{other}"] == 0
    heard = cross_entropy(plain(clips()).scores["audio"], clips().label).item()  # pictures: even odds of three classes
    assert leader == ("audio" if heard < math.log(3) else "visual")
    assert means[f"regulation_{leader}"] == pytest.approx(math.exp(0.9 * math.tanh(abs(math.log(3) - heard))), rel=1e-4)
    for modality in ("audio", "visual"):
        assert means[f"trace_{modality}"] == pytest.approx(squared(expected, modality), rel=1e-4)
    for name, gradient in found.items():
        added = means[f"regulation_{leader}"] * 0.125 if name.startswith(f"encoders.{leader}.") else 0.0
        torch.testing.assert_close(gradient, expected[name] + added, rtol=1e-4, atol=1e-5)


def test_the_mean_traces_of_an_epoch_decide_on_the_next() -> None:
    method, model = InfoReg(), network()
    method.traces = {"audio": [1.0], "visual": [1e9]}
    trainer: Any = SimpleNamespace(model=model)
    one, two = (squared(gradients(method, network(fusion=fusion)), "audio") for fusion in ("concat", "sum"))
    method.epoch_end(trainer, 1, {})
    assert method.traces["audio"] == [1.0, pytest.approx((one + two) / 2, rel=1e-4)] and (one + two) / 2 > 1.05
    method.epoch_start(trainer, 2)
    assert set(method.anchors) == {"audio"}  # the trace of pictures fell


@pytest.mark.parametrize(("traces", "threshold"), [([2.0, 1.0], 0.04), ([0.0, 1.0], 1.0)])
def test_outside_the_window_and_at_threshold_1_it_is_baseline(traces: list[float], threshold: float) -> None:
    method, model = InfoReg({"threshold": threshold}), network()
    method.traces = {"audio": traces, "visual": traces}
    trainer: Any = SimpleNamespace(model=model)
    method.epoch_start(trainer, 2)
    assert method.anchors == {}
    expected = gradients(Baseline(), network())
    assert all(torch.equal(gradient, expected[name]) for name, gradient in gradients(method, model).items())
