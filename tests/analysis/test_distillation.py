"""The student's objective: worked numbers, direction, gradients, and what a divergence must be."""

from __future__ import annotations

import math

import pytest
import torch
from avbalance.analysis.distillation import WEIGHTS, distillation_terms, divergence
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avbalance.errors import UserError

STUDENT = torch.tensor([[1.0, -0.5], [0.2, 0.8]])
AUDIO = torch.tensor([[0.5, 0.1], [-0.3, 0.4]])
VISUAL = torch.tensor([[2.0, -1.0], [0.0, 1.5]])
LABEL = torch.tensor([0, 1])


def logits(seed: int, clips: int = 6, classes: int = 5, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(clips, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("temperature", "audio", "visual", "total"),
    [(1.0, 0.06548114, 0.07678941, 0.46172116), (2.0, 0.07325481, 0.14350648, 0.53621190)],
)
def test_worked_numbers(temperature: float, audio: float, visual: float, total: float) -> None:
    terms = distillation_terms(STUDENT, AUDIO, VISUAL, LABEL, temperature)
    assert [float(term) for term in terms] == pytest.approx([0.31945061, audio, visual], abs=1e-6)
    assert float(terms.total()) == pytest.approx(total, abs=1e-6)


def test_one_clip_by_hand() -> None:
    # q = (3/4, 1/4), p = (1/2, 1/2): 3/4 ln(3/2) + 1/4 ln(1/2); the other direction: 1/2 ln(2/3) + 1/2 ln 2
    teacher, student = torch.tensor([[math.log(3), 0.0]]), torch.zeros(1, 2)
    assert float(divergence(teacher, student)) == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-6)
    assert float(divergence(student, teacher)) == pytest.approx(0.5 * math.log(2 / 3) + 0.5 * math.log(2), abs=1e-6)


def test_defaults_are_a_plain_sum_at_temperature_one() -> None:
    assert WEIGHTS == (1, 1, 1)
    terms = distillation_terms(STUDENT, AUDIO, VISUAL, LABEL)
    assert float(terms.total()) == pytest.approx(sum(map(float, terms)), abs=1e-6)
    weighted = 0.5 * terms.label + 2 * terms.audio + 3 * terms.visual
    assert float(terms.total((0.5, 2, 3))) == pytest.approx(float(weighted), abs=1e-6)
    assert torch.equal(terms.total((0, 0, 1)), terms.visual)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), temperature=st.floats(0.25, 8), shift=st.floats(-20, 20))
def test_what_a_divergence_must_be(seed: int, temperature: float, shift: float) -> None:
    teacher, student = logits(seed), logits(seed + 1)
    found = float(divergence(teacher, student, temperature))
    assert found > 0
    assert float(divergence(teacher, teacher, temperature)) == pytest.approx(0, abs=1e-12)
    assert float(divergence(teacher + shift, student - shift, temperature)) == pytest.approx(found, rel=1e-8)
    order = torch.tensor([3, 0, 4, 2, 1])
    assert float(divergence(teacher[:, order], student[:, order], temperature)) == pytest.approx(found, rel=1e-9)
    clips = [float(divergence(teacher[i : i + 1], student[i : i + 1], temperature)) for i in range(len(teacher))]
    assert found == pytest.approx(sum(clips) / len(clips), rel=1e-9)  # a mean over the batch, a sum over classes


def test_cross_entropy_and_divergence_differ_by_the_teacher_s_entropy() -> None:
    teacher, student = logits(0), logits(1)
    q = teacher.softmax(1)
    crossed = -(q * student.log_softmax(1)).sum(1).mean()
    entropy = -(q * q.log()).sum(1).mean()
    assert float(divergence(teacher, student)) == pytest.approx(float(crossed - entropy), abs=1e-12)


def test_gradients_reach_the_student_only() -> None:
    teacher, student = logits(0).requires_grad_(), logits(1).requires_grad_()
    divergence(teacher, student, 2.0).backward()
    assert teacher.grad is None and student.grad is not None
    # d/dz of T^2 KL is T (p - q) / B
    expected = 2 * ((student / 2).softmax(1) - (teacher / 2).softmax(1)) / len(student)
    torch.testing.assert_close(student.grad, expected.detach())


def test_confident_teachers_leave_the_loss_finite() -> None:
    teacher, student = torch.tensor([[500.0, -500.0]]), torch.tensor([[-3.0, 4.0]])
    assert float(divergence(teacher, student)) == pytest.approx(7 + math.log1p(math.exp(-7)), abs=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_must_be_positive(temperature: float) -> None:
    with pytest.raises(UserError, match="must be above 0"):
        divergence(AUDIO, STUDENT, temperature)


@pytest.mark.parametrize("teacher", [AUDIO[:1], torch.zeros(2, 3)])
def test_a_teacher_of_other_clips_or_classes_is_refused(teacher: Tensor) -> None:
    with pytest.raises(UserError, match="do not fit student logits"):
        distillation_terms(STUDENT, teacher, VISUAL, LABEL)
