"""AGM: responses, coefficients and the scaled gradient by hand; what reaches the encoders; clipping."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from one_step import clips, gradients, network

from avbalance.errors import UserError
from avbalance.methods.agm import AGM, coefficients, discrepancy, modulated, responses, score
from avbalance.methods.base import TrainingStep
from avbalance.methods.baseline import Baseline


def test_responses_by_hand() -> None:
    # (4 + 3 - 2) / 2 = 2.5 and (4 + 2 - 3) / 2 = 1.5; (0 + 1 - 5) / 2 = -2 and (0 + 5 - 1) / 2 = 2
    audio, visual = responses(torch.tensor([[4.0, 0.0]]), torch.tensor([[3.0, 1.0]]), torch.tensor([[2.0, 5.0]]))
    assert audio.tolist() == [[2.5, -2.0]]
    assert visual.tolist() == [[1.5, 2.0]]


def test_score_by_hand() -> None:
    # probabilities of the true class: 3/4 and 1/2, so that the mean of -log is (0.2876821 + 0.6931472) / 2
    logits = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    assert score(logits, torch.tensor([0, 1])).item() == pytest.approx(0.4904146)
    # a probability of e^-40 counts as 1e-8
    assert score(torch.tensor([[0.0, 40.0]]), torch.tensor([0])).item() == pytest.approx(8 * math.log(10))


@pytest.mark.parametrize(
    ("scores", "average", "alpha", "limit", "expected"),
    [
        # audio tells the class twice as well as visual: r = (2, 1/2); on average they are equal: tau = (1, 1)
        ((0.0, math.log(2)), (0.0, 0.0), 1.0, 10.0, (math.exp(-1), math.exp(0.5))),
        # the same lead as on average is left alone
        ((0.0, math.log(2)), (1.0, 1.0 + math.log(2)), 1.0, 10.0, (1.0, 1.0)),
        # usually audio leads twelvefold: tau = (12, 1/12), r = (1, 1); 11 counts as 7
        ((0.0, 0.0), (0.0, math.log(12)), 0.1, 7.0, (math.exp(0.7), math.exp(-0.1 * 11 / 12))),
        ((0.0, math.log(2)), (0.0, 0.0), 0.0, 10.0, (1.0, 1.0)),
    ],
)
def test_coefficients_by_hand(scores: Any, average: Any, alpha: float, limit: float, expected: Any) -> None:
    found = coefficients(torch.tensor(scores).double(), torch.tensor(average).double(), alpha, limit)
    assert found.tolist() == pytest.approx(expected)


def test_the_lead_of_one_is_the_lag_of_the_other() -> None:
    assert discrepancy(torch.tensor([0.0, math.log(4)])).tolist() == pytest.approx([4.0, 0.25])


def test_a_modulated_value_is_the_same_and_its_gradient_is_not() -> None:
    audio, visual = (torch.tensor([[value]], requires_grad=True) for value in (0.1, 0.2))
    both = audio + visual
    result = modulated((audio, visual), both, torch.tensor([3.0, 0.5]))
    (7 * result).sum().backward()
    assert torch.equal(result, both)
    assert (audio.grad.item(), visual.grad.item()) == (21.0, 3.5)


@pytest.mark.parametrize("fusion", ["concat", "sum"])
def test_each_encoder_gets_its_gradient_times_its_coefficient(fusion: str) -> None:
    method = AGM({"alpha": 0.5, "max_norm": None})
    plain, scaled = gradients(Baseline(), network(fusion=fusion)), gradients(method, network(fusion=fusion))
    logged = method.means.close()
    assert abs(logged["coefficient_audio"] - 1) > 0.01
    for name, gradient in plain.items():
        if name.startswith("encoders."):
            factor = logged[f"coefficient_{name.split('.')[1]}"]
            torch.testing.assert_close(scaled[name], factor * gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fusion", ["concat", "sum", "film", "gated"])
def test_without_alpha_no_gradient_changes_and_no_running_statistic(fusion: str) -> None:
    models = [network(fusion=fusion) for _ in range(2)]
    plain, off = (
        gradients(method, model)
        for method, model in zip((Baseline(), AGM({"alpha": 0.0, "max_norm": None})), models, strict=True)
    )
    assert all(torch.equal(off[name], gradient) for name, gradient in plain.items())
    states = [model.state_dict() for model in models]
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())


def test_the_average_is_of_the_steps_so_far() -> None:
    first = AGM()
    gradients(first, network())  # step 0: the average is the step's own scores
    assert (first.average > 0).all()
    later, model = AGM(), network()
    later.load_state_dict(first.state_dict() | {"average": torch.tensor([8.0, 4.0], dtype=torch.float64)})
    batch = clips()
    later.loss(model, model(batch), batch, TrainingStep(1, 0, 3, torch.Generator()))
    # three steps of 3 are done
    torch.testing.assert_close(later.average, (3 * torch.tensor([8.0, 4.0]).double() + first.average) / 4)


def test_gradients_are_clipped_only_where_the_head_s_are_large() -> None:
    def norm(max_norm: float) -> float:
        found = gradients(AGM({"alpha": 0.0, "max_norm": max_norm}), network())
        return math.sqrt(sum(each.square().sum().item() for each in found.values()))

    plain = gradients(Baseline(), network())
    whole = math.sqrt(sum(each.square().sum().item() for each in plain.values()))
    largest = plain["fusion.linear.weight"].abs().max().item()
    assert norm(0.9 * largest) == pytest.approx(0.9 * largest, rel=1e-4)  # an entry of the head's exceeds it
    assert largest < 1.1 * largest < whole
    assert norm(1.1 * largest) == pytest.approx(whole, rel=1e-6)  # none does, though the norm does


def test_a_model_without_a_head_for_two_features_is_an_error() -> None:
    with pytest.raises(UserError, match="method agm: the model has no fusion head over two features"):
        gradients(AGM(), network("mmtm-net"))
