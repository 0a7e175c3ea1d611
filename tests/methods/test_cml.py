"""CML: the penalty by hand, and what is trained where the penalty weighs nothing."""

from __future__ import annotations

import math

import pytest
import torch
from one_step import clips, gradients, network
from torch.nn.functional import cross_entropy

from avbalance.errors import UserError
from avbalance.methods.base import TrainingStep
from avbalance.methods.cml import CML, rank_penalty
from avbalance.models.base import Batch, Model, ModelOutput


def logits(first: float, second: float) -> list[float]:
    """Logits of two classes with these probabilities."""
    return [math.log(first), math.log(second)]


def test_penalty_by_hand() -> None:
    """Label 0 everywhere. Rises of confidence without the modality, and whether they count.

    1. right 0.6, right 0.9: 0.3. 2. right 0.7, wrong 0.8: 0.1. 3. wrong 0.6, wrong 0.8: 0.2. 4. wrong 0.6, right 0.9:
    does not count. 5. right 0.9, right 0.6: falls. Together 0.6.
    """
    both = [logits(0.6, 0.4), logits(0.7, 0.3), logits(0.4, 0.6), logits(0.4, 0.6), logits(0.9, 0.1)]
    one = [logits(0.9, 0.1), logits(0.2, 0.8), logits(0.2, 0.8), logits(0.9, 0.1), logits(0.6, 0.4)]
    found = rank_penalty(torch.tensor(both), torch.tensor(one), torch.zeros(5, dtype=torch.int64))
    assert found.item() == pytest.approx(0.6)


class Alone(Model):
    """Whatever is removed, the answer without it is 0.9 and 0.1."""

    def fuse(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.tensor([logits(0.9, 0.1)])


def test_the_loss_of_a_step_by_hand() -> None:
    """Right with 0.6 and, with a modality removed, with 0.9: -(ln 0.6 + ln 0.9) / 2, and half of the rise of 0.3."""
    features = {name: torch.ones(1, 2) for name in ("audio", "visual")}
    output, label = ModelOutput(torch.tensor([logits(0.6, 0.4)]), {}, features), torch.tensor([0])
    step = TrainingStep(0, 0, 1, torch.Generator())
    found = CML({"weight": 0.5}).loss(Alone(), output, Batch(None, None, label, label), step)
    assert found.item() == pytest.approx(-(math.log(0.6) + math.log(0.9)) / 2 + 0.5 * 0.3)


def test_each_modality_is_removed_in_about_half_of_the_steps() -> None:
    model, batch, method = network(), clips(), CML({"weight": 0.0})
    output = model(batch)
    whole = cross_entropy(output.logits, batch.label)
    zero = torch.zeros_like(output.features["audio"])
    alone = [
        cross_entropy(model.fuse(output.features | {removed: zero}), batch.label) for removed in ("visual", "audio")
    ]
    expected = [((whole + each) / 2).item() for each in alone]
    assert expected[0] != pytest.approx(expected[1], rel=1e-3)
    found = [
        method.loss(model, output, batch, TrainingStep(0, 0, 1, torch.Generator().manual_seed(seed))).item()
        for seed in range(40)
    ]
    audio_kept = [value == pytest.approx(expected[0], rel=1e-5) for value in found]
    assert all(
        kept or value == pytest.approx(expected[1], rel=1e-5) for kept, value in zip(audio_kept, found, strict=True)
    )
    assert 8 <= sum(audio_kept) <= 32  # 20 plus and minus 4 standard deviations of 3.2


def test_the_penalty_changes_gradients() -> None:
    off, on = (gradients(CML({"weight": weight}), network()) for weight in (0.0, 5.0))
    assert not all(torch.equal(on[name], gradient) for name, gradient in off.items())


def test_a_model_without_a_head_for_two_features_is_an_error() -> None:
    with pytest.raises(UserError, match="method cml: the model has no fusion head over two features"):
        gradients(CML(), network("mmtm-net"))
