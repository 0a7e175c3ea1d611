"""G2D: who waits, and the loss of one step, by hand; which teachers are refused."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from one_step import clips, network

from avbalance.errors import UserError
from avbalance.methods.base import TrainingStep
from avbalance.methods.g2d import G2D, passing
from avbalance.models.base import Batch, ModelOutput
from avbalance.training.outputs import Tensors

FACTS = {"labelling": None, "classes": ["a", "b", "c"], "features": {}, "train_ids": "digest"}


def test_the_encoder_of_the_surer_teacher_waits_by_hand() -> None:
    # p_y: audio 3/4 and 1/4, a sum of 1; visual 1/2 and 3/4, a sum of 5/4, although audio is surer of the first clip
    sure, even = [math.log(3), 0.0], [0.0, 0.0]
    label = torch.tensor([0, 1])
    audio, visual = torch.tensor([sure, sure]), torch.tensor([even, [0.0, math.log(3)]])
    assert passing(audio, visual, label).tolist() == [1.0, 0.0]
    assert passing(visual, audio, label).tolist() == [0.0, 1.0]
    assert passing(audio, audio, label).tolist() == [1.0, 1.0]


class Says(torch.nn.Module):
    """A teacher that gives the same answer to every batch."""

    def __init__(self, logits: list[float], feature: list[float]) -> None:
        super().__init__()
        self.output = ModelOutput(torch.tensor([logits]), {}, {})
        self.feature = torch.tensor([feature])

    def forward(self, batch: Batch) -> ModelOutput:
        features = {name: self.feature for name in ("audio", "visual")}
        return ModelOutput(self.output.logits, {}, features)


def test_the_loss_of_a_step_by_hand() -> None:
    # z = (0, 0): CE = ln 2. Features: MSE((1, 2), (0, 0)) = 5/2 for audio, 0 for visual. The visual teacher says what
    # the student says, so that its divergence is 0; audio: q = (3/4, 1/4), 3/4 ln(3/2) + 1/4 ln(1/2)
    method = G2D({"features": 2.0, "logits": 3.0})
    method.teachers = {"audio": Says([math.log(3), 0.0], [0.0, 0.0]), "visual": Says([0.0, 0.0], [1.0, 2.0])}  # type: ignore[dict-item]
    method.until = 5
    own = torch.tensor([[1.0, 2.0]])
    output = ModelOutput(torch.zeros(1, 2), {}, {"audio": own, "visual": own})
    batch = Batch(None, None, torch.tensor([0]), torch.tensor([0]))
    step = TrainingStep(0, 0, 3, torch.Generator())
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    found = method.loss(network(), output, batch, step)
    assert found.item() == pytest.approx(math.log(2) + 2 * 2.5 + 3 * divergence)
    assert method.means.close() == pytest.approx(
        {
            "loss_label": math.log(2),
            "loss_features": 2.5,
            "loss_logits": divergence,
            "waited_audio": 1,
            "waited_visual": 0,
        }
    )


def _trainer(student: Any, **settings: Any) -> Any:
    """What the method sees of a training of `student`, with teachers of `settings`."""
    needs = {}
    for modality in ("audio", "visual"):
        known = {"name": "unimodal-net", "modality": modality, "width": 2, "stem": "small", **settings}
        weights = network("unimodal-net", modality=modality, **settings).state_dict()
        needs[f"teacher_{modality}"] = Tensors(weights)
        needs[f"teacher_{modality}"].facts = {**FACTS, "model": known}
    return SimpleNamespace(model=student, needs=needs, facts=dict(FACTS), device=torch.device("cpu"), epochs=4)


@pytest.mark.parametrize(("epoch", "waiting"), [(0, 1), (1, 1), (2, 0)])
def test_in_the_first_half_of_four_epochs_one_encoder_gets_no_gradient(epoch: int, waiting: int) -> None:
    student, batch = network(), clips()
    method, step = G2D(), TrainingStep(epoch, 0, 3, torch.Generator())
    method.prepare(_trainer(student))
    output = student(batch)
    method.loss(student, output, batch, step).backward()
    method.gradients(student, output, batch, step)
    still = {name for name in ("audio", "visual") if all(not each.grad.any() for each in student.group(name))}
    logged = method.means.close()
    assert len(still) == waiting
    assert {name for name in ("audio", "visual") if logged[f"waited_{name}"] == 1} == still
    assert all(each.grad.any() for each in student.group("head"))
    assert all(each.grad is None for teacher in method.teachers.values() for each in teacher.parameters())


def test_a_teacher_of_another_network_or_encoder_is_refused() -> None:
    student = network()
    trainer = _trainer(student)
    trainer.needs["teacher_audio"], trainer.needs["teacher_visual"] = reversed(trainer.needs.values())
    with pytest.raises(UserError, match="teacher_audio is a unimodal-net that does not read audio alone"):
        G2D().prepare(trainer)
    method = G2D()
    method.prepare(_trainer(student, encoder="convolutional", dimension=4))
    with pytest.raises(UserError, match="teacher_audio has features of 4 values and the student of 16; give both"):
        method.loss(student, student(clips()), clips(), TrainingStep(0, 0, 3, torch.Generator()))
