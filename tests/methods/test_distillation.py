"""Distillation of one teacher per modality: what the student's loss is, whom it may learn from, what is logged.

Worked numbers, and that teachers are frozen: tests/fidelity/test_modality_relevance.py.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_vectors import make_vector_data, vector_settings
from torch import Tensor

from avbalance.digest import CODE
from avbalance.errors import UserError
from avbalance.methods.parts.teachers import divergence
from avbalance.models.relevance import CutModel
from avbalance.training.cell import make_trainer
from avbalance.training.data import load_clips
from avbalance.training.outputs import Tensors

TEACHERS = {"audio": "audio-teacher", "visual": "visual-teacher"}
COLUMNS = ("loss_label", "loss_audio", "loss_visual")


def logits(seed: int, clips: int = 6, classes: int = 5, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(clips, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_divergence_of_one_clip_by_hand() -> None:
    # q = (3/4, 1/4), p = (1/2, 1/2): 3/4 ln(3/2) + 1/4 ln(1/2); the other direction: 1/2 ln(2/3) + 1/2 ln 2
    teacher, student = torch.tensor([[math.log(3), 0.0]]), torch.zeros(1, 2)
    forward, backward = 0.75 * math.log(1.5) + 0.25 * math.log(0.5), 0.5 * math.log(2 / 3) + 0.5 * math.log(2)
    assert float(divergence(teacher, student, 1.0)) == pytest.approx(forward, abs=1e-6)
    assert float(divergence(student, teacher, 1.0)) == pytest.approx(backward, abs=1e-6)


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


def test_gradients_reach_the_student_only() -> None:
    teacher, student = logits(0).requires_grad_(), logits(1).requires_grad_()
    divergence(teacher, student, 2.0).backward()
    assert teacher.grad is None and student.grad is not None
    # d/dz of T^2 KL is T (p - q) / B
    expected = 2 * ((student / 2).softmax(1) - (teacher / 2).softmax(1)) / len(student)
    torch.testing.assert_close(student.grad, expected.detach())


def test_confident_teachers_leave_the_loss_finite() -> None:
    teacher, student = torch.tensor([[500.0, -500.0]]), torch.tensor([[-3.0, 4.0]])
    assert float(divergence(teacher, student, 1.0)) == pytest.approx(7 + math.log1p(math.exp(-7)), abs=1e-5)


@pytest.mark.parametrize("shape", [(1, 2), (2, 3)])
def test_a_teacher_of_other_clips_or_classes_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="do not fit student logits"):
        divergence(torch.zeros(shape), torch.zeros(2, 2), 1.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.set_num_threads(1)
    return make_vector_data(tmp_path_factory.mktemp("vectors"))


@pytest.fixture(scope="module")
def clips(data: Any) -> Any:
    return load_clips(data.manifest, data.audio, data.visual)


def teacher_of(clips: Any, network: str, method: str = "unimodal", **changes: Any) -> Tensors:
    """Weights of a short run, as its file holds them."""
    complete = vector_settings(network, **{"protocol": {"epochs": 1}, **changes})
    trainer = make_trainer(method, complete, 0, clips, torch.device("cpu"))
    trainer.train()
    weights = Tensors(trainer.states["selected"])
    weights.facts = trainer.facts
    return weights


@pytest.fixture(scope="module")
def needs(clips: Any) -> dict[str, Tensors]:
    return {f"teacher_{name}": teacher_of(clips, network) for name, network in TEACHERS.items()}


def student_of(
    clips: Any,
    needs: dict[str, Tensors],
    options: dict[str, Any] | None = None,
    device: str = "cpu",
    **changes: Any,
) -> Any:
    complete = vector_settings("kd-student", method=options or {}, **changes)
    return make_trainer("distillation", complete, 0, clips, torch.device(device), dict(needs))


def test_teachers_are_asked_in_eval_mode_and_once_a_clip(
    clips: Any, needs: dict[str, Tensors], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = student_of(clips, needs)
    forward, asked = CutModel.forward, []

    def watched(self: CutModel, batch: Any) -> Any:
        if self is not trainer.model:
            asked.append((*self.modalities, self.training, torch.is_grad_enabled(), len(batch.label)))
        return forward(self, batch)

    monkeypatch.setattr(CutModel, "forward", watched)
    trainer.train()
    clips_asked = len(trainer.parts["train"])
    assert asked == [("audio", False, False, clips_asked), ("visual", False, False, clips_asked)]


def test_the_history_has_the_means_of_the_three_losses(clips: Any, needs: dict[str, Tensors]) -> None:
    options = {"w_label": 0.5, "w_audio": 2.0, "w_visual": 3.0}
    trainer = student_of(clips, needs, options, protocol={"epochs": 2})
    trainer.train()
    for row in trainer.history:
        assert min(row[name] for name in COLUMNS) > 0
        total = sum(weight * row[name] for weight, name in zip(options.values(), COLUMNS, strict=True))
        assert row["train_loss"] == pytest.approx(total, rel=1e-6)
    assert trainer.history[0]["loss_label"] > trainer.history[1]["loss_label"]  # sums start anew


# Whom a student may learn from


def refused(clips: Any, needs: dict[str, Any], sentence: str, **changes: Any) -> None:
    trainer = student_of(clips, needs, **changes)
    with pytest.raises(UserError, match=sentence):
        trainer.train()


def test_a_missing_teacher_is_one_sentence(clips: Any, needs: dict[str, Tensors]) -> None:
    one = {"teacher_audio": needs["teacher_audio"]}
    refused(
        clips,
        one,
        "reads model.safetensors of a run on visual alone; name the run that makes it",
    )


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"labelling": "speech"}, "another labelling"),
        ({"train_part": "half-a"}, "other clips"),
        ({"standardise": None}, "other features"),
    ],
)
def test_a_teacher_of_other_data_is_one_sentence(
    changed: dict[str, Any], what: str, clips: Any, needs: dict[str, Tensors]
) -> None:
    other = teacher_of(clips, "visual-teacher", data=changed)
    sentence = f"teacher_visual was trained on {what} than this run; name a run with the same data settings"
    refused(clips, {**needs, "teacher_visual": other}, sentence)


def test_a_teacher_of_other_classes_is_one_sentence(clips: Any, needs: dict[str, Tensors]) -> None:
    other = copy.deepcopy(needs["teacher_audio"])
    other.facts = {**needs["teacher_audio"].facts, "classes": ["dog", "cat", "owl"]}
    refused(clips, {**needs, "teacher_audio": other}, "teacher_audio was trained on other classes than this run")


def test_weights_of_another_network_are_one_sentence(clips: Any, needs: dict[str, Tensors]) -> None:
    swapped = {"teacher_audio": needs["teacher_visual"], "teacher_visual": needs["teacher_audio"]}
    refused(clips, swapped, "teacher_audio is a visual-teacher that does not read audio alone; name a run")
    student = teacher_of(clips, "kd-student", "baseline")
    both = teacher_of(clips, "late-fusion", "baseline")
    refused(clips, {**needs, "teacher_visual": both}, "teacher_visual is a late-fusion that does not read visual alone")
    refused(
        clips, {**needs, "teacher_visual": student}, "teacher_visual is a kd-student that does not read visual alone"
    )
    damaged = Tensors({name: value[:1] for name, value in needs["teacher_audio"].items()})
    damaged.facts = needs["teacher_audio"].facts
    refused(clips, {**needs, "teacher_audio": damaged}, "teacher_audio is another network's")
    unknown = Tensors(needs["teacher_audio"])
    unknown.facts = {}
    refused(clips, {**needs, "teacher_audio": unknown}, "the weights of teacher_audio say nothing of their training")


def test_teachers_of_any_size_and_kind_are_built_from_what_their_files_say(
    clips: Any, needs: dict[str, Tensors]
) -> None:
    fine = teacher_of(clips, "audio-teacher", model={"stride": 2, "channels": 3})
    twin = teacher_of(clips, "late-fusion", model={"modalities": ["visual"]})
    trainer = student_of(clips, {"teacher_audio": fine, "teacher_visual": twin}, protocol={"epochs": 1})
    trainer.train()
    assert trainer.history[0]["loss_audio"] > 0 and trainer.history[0]["loss_visual"] > 0


def test_the_code_digest_of_a_student_covers_its_teachers() -> None:
    covered = set(CODE.closure("avbalance.methods.distillation"))
    assert covered >= {
        "avbalance.models.audio_teacher",
        "avbalance.models.visual_teacher",
        "avbalance.models.late_fusion",
    }
    assert "avbalance.models.fusion_net" not in covered
