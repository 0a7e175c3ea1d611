"""LFM: the schedule, both matchings and their sum with the cross-entropy by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from avbalance.methods.base import TrainingStep
from avbalance.methods.lfm import LFM, contrast, divergence, matching_weight
from avbalance.models.base import Batch, Model, ModelOutput

LN2 = math.log(2)


@pytest.mark.parametrize(
    ("epoch", "strength", "weight"),
    [(0, 1.0, 0.6321206), (1, 1.0, 0.3934693), (99, 1.0, 0.0099502), (0, 0.5, 0.3160603), (7, 0.0, 0.0)],
)
def test_weight_of_the_matching_falls(epoch: int, strength: float, weight: float) -> None:
    assert matching_weight(epoch, strength) == pytest.approx(weight, abs=1e-7)  # 1 - e^-1, 1 - e^-(1/2), 1 - e^-(1/100)


def test_contrast_by_hand() -> None:
    audio, visual = torch.tensor([[2.0, 0.0], [0.0, 5.0]]), torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    # cosines: sound 1 has 1 with both pictures, sound 2 has 0 with both. By sound: log 2 twice. By picture the row is
    # (1, 0) twice, with the own one first, then second: log(1 + e) - 1 and log(1 + e).
    by_picture = math.log(1 + math.e) - 0.5
    assert contrast(audio, visual, 1.0).item() == pytest.approx((LN2 + by_picture) / 2)
    # at temperature 1/2 the cosines count twice: log(1 + e^2) - 2 and log(1 + e^2)
    assert contrast(audio, visual, 0.5).item() == pytest.approx((LN2 + math.log(1 + math.e**2) - 1) / 2)


def test_divergence_by_hand() -> None:
    # p_a = (3, 1) / 4 and p_v = (1, 3) / 4 have the middle (1, 1) / 2: each KL(m || p) is log(2/3) / 2 + log(2) / 2
    audio, visual = torch.tensor([[3.0, 1.0], [1.0, 1.0]]).log(), torch.tensor([[1.0, 3.0], [1.0, 1.0]]).log()
    assert divergence(audio, visual).item() == pytest.approx(math.log(4 / 3) / 2 / 2)  # the second clip has 0
    assert divergence(torch.tensor([[800.0, 0.0]]), torch.tensor([[0.0, 0.0]])).isfinite()


@pytest.mark.parametrize(("matching", "expected"), [("contrastive", LN2), ("divergence", math.log(4 / 3) / 2)])
def test_weighted_sum(matching: str, expected: float) -> None:
    # both sounds and both pictures are alike, so that a clip's own picture is found with probability 1/2
    features = {name: torch.ones(2, 3) for name in ("audio", "visual")}
    scores = {"audio": torch.tensor([[3.0, 1.0]] * 2).log(), "visual": torch.tensor([[1.0, 3.0]] * 2).log()}
    output = ModelOutput(torch.tensor([[4.0, 1.0]] * 2).log(), scores, features)
    label = torch.tensor([0, 1])  # cross-entropies log(5/4) and log 5
    method, step = LFM({"strength": 0.5, "matching": matching}), TrainingStep(0, 0, 1, torch.Generator())
    model: Model = nn.Module()  # type: ignore[assignment]  # which is not asked
    loss = method.loss(model, output, Batch(None, None, label, label), step)
    weight, entropy = (1 - math.exp(-1)) / 2, (math.log(5 / 4) + math.log(5)) / 2
    assert loss.item() == pytest.approx((1 - weight) * entropy + weight * expected)
    assert method.means.close() == pytest.approx({"loss_label": entropy, "loss_matching": expected})
