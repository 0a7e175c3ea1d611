"""Fidelity to "Balanced Audiovisual Dataset for Imbalance Analysis": training settings, inputs and selection.

The item numbers are those of the paper's checklist. Items about models, methods and analysis are tested elsewhere.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from avbalance.methods.base import load as load_method
from avbalance.models.base import Batch, Model, ModelOutput, build
from avbalance.plan.plan import load_plan
from avbalance.training.loop import Trainer
from avbalance.training.protocol import Protocol
from avbalance.training.tasks.base import load as load_task
from avbalance.training.transforms import FrameOptions, audio_window, choose_frames, evaluation_frames
from flowkeeper.files import digest_json, read_json

REPOSITORY = Path(__file__).parents[2]
SLUG = "balanced-audiovisual"
sys.path.insert(0, str(REPOSITORY / "tests" / "training"))


@pytest.fixture(scope="module")
def paper_rows() -> list[Any]:
    """Training runs of the paper's own tier."""
    rows: list[Any] = load_plan(REPOSITORY, {"tier": "paper"}).rows[SLUG]
    return [row for row in rows if not row.combine]


class Linear(Model):
    """A linear classifier on four numbers in the place of both modalities."""

    def __init__(self) -> None:
        super().__init__()
        self.modalities = ("audio", "visual")
        self.encoders = nn.ModuleDict()
        self.linear = nn.Linear(4, 2)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, batch: Batch) -> ModelOutput:
        assert batch.audio is not None
        logits = self.linear(batch.audio)
        return ModelOutput(logits, {}, {})


class Source:
    """Batches of 160 random clips: 100 to train, 30 to validate, 30 to test; counts what is evaluated."""

    def __init__(self, test_labels: str = "true", batch_size: int = 64) -> None:
        generator = torch.Generator().manual_seed(3)
        self.values = torch.randn(160, 4, generator=generator)
        noisy = self.values[:, 0] + 0.7 * torch.randn(160, generator=generator)
        self.labels = (noisy > 0).long()
        if test_labels == "flipped":
            self.labels[130:] = 1 - self.labels[130:]
        if test_labels == "permuted":
            self.values[130:] = self.values[130:].flip(0)
        self.device, self.batch_size = torch.device("cpu"), batch_size
        self.clips = SimpleNamespace(labels=self.labels.numpy())
        self.evaluated: list[int] = []
        self.sizes: list[int] = []

    def _batch(self, indices: Any) -> Batch:
        where = torch.as_tensor(np.asarray(indices))
        return Batch(self.values[where], None, self.labels[where], where)

    def batches(self, indices: Any) -> int:
        return -(-len(indices) // self.batch_size)

    def training(self, groups: Any, order_seed: int, batch_seeds: list[int], first: int) -> Any:
        (indices,) = groups
        order = np.random.default_rng(order_seed).permutation(indices)
        chunks = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        self.sizes += [len(chunk) for chunk in chunks[first:]]
        return [self._batch(chunk) for chunk in chunks[first:]]

    def evaluation(self, indices: Any) -> Any:
        self.evaluated += list(indices)
        return [self._batch(indices)]


PARTS = {"train": np.arange(100), "val": np.arange(100, 130), "test": np.arange(130, 160)}


def make_trainer(source: Source, protocol: Protocol, parts: dict[str, Any] = PARTS) -> Trainer:
    task = load_task({}, "data")
    return Trainer(Linear(), load_method("baseline")(), task, source, parts, protocol, seed=0)  # type: ignore[arg-type]


def test_item_01_the_recorded_probability_is_that_of_the_true_class() -> None:
    trainer = make_trainer(Source(), LONG)
    # weights (0, 0; 1, 0): class 1 has the log-odds x_1; the true class, not the likelier one, is recorded
    trainer.model.linear.weight.data[1, 0] = 1.0  # type: ignore[union-attr, index, operator]
    found = trainer.evaluate("val").true_class
    odds, label = trainer.source.values[100:130, 0], trainer.source.labels[100:130]  # type: ignore[attr-defined]
    assert found == pytest.approx(torch.where(label == 1, odds, -odds).sigmoid().numpy(), abs=1e-6)
    assert (found < 0.5).any()


def test_item_11_sgd_rate_momentum_decay_batch_and_epochs(paper_rows: list[Any]) -> None:
    assert paper_rows
    for row in paper_rows:
        protocol = Protocol(**row.settings["protocol"])
        assert (protocol.learning_rate, protocol.momentum, protocol.weight_decay) == (1e-3, 0.9, 1e-4)
        assert (protocol.decay_every, protocol.decay_factor) == (70, 0.1)
        assert (protocol.batch_size, protocol.epochs) == (64, 100)
    rates = [protocol.rate(epoch) for epoch in range(100)]
    assert rates == pytest.approx([1e-3] * 70 + [1e-4] * 30)


def test_item_11_the_optimiser_follows_the_protocol() -> None:
    protocol = Protocol(epochs=3, batch_size=64, learning_rate=1e-3, **{**SGD, "decay_every": 2})
    source = Source()
    trainer = make_trainer(source, protocol)
    assert type(trainer.optimiser) is torch.optim.SGD
    (group,) = trainer.optimiser.param_groups
    assert (group["momentum"], group["weight_decay"], group["nesterov"], group["dampening"]) == (0.9, 1e-4, False, 0)
    assert len(group["params"]) == len(list(trainer.model.parameters()))
    used = []
    step = trainer.optimiser.step
    trainer.optimiser.step = lambda: used.append(group["lr"]) or step()  # type: ignore[method-assign, func-returns-value]
    trainer.train()
    # two batches an epoch: 64 clips and the 36 that are left
    assert used == pytest.approx([1e-3] * 4 + [1e-4] * 2)
    assert source.sizes == [64, 36] * 3
    assert [row["lr"] for row in trainer.history] == pytest.approx([1e-3, 1e-3, 1e-4])


def test_item_11_one_step_by_hand() -> None:
    # one clip x = (1, 2, 0, 0) of class 0 and zero weights: p = (1/2, 1/2), the gradient of row 0 is -x / 2 and of
    # row 1 is x / 2; after w = -0.1 g the logits are +-0.05 |x|^2, p_0 = sigmoid(2 * 0.05 * 5); then v = 0.9 g_1 + g_2
    source = Source(batch_size=1)
    source.values[0] = torch.tensor([1.0, 2.0, 0.0, 0.0])
    source.labels[0] = 0
    protocol = Protocol(epochs=2, batch_size=1, learning_rate=0.1, **{**SGD, "weight_decay": 0.0})
    trainer = make_trainer(source, protocol, {"train": np.array([0]), "val": PARTS["val"], "test": PARTS["test"]})
    trainer.model.linear.bias.requires_grad_(False)  # type: ignore[union-attr, operator]
    trainer.train()
    first = -0.5
    second = -(1 - 1 / (1 + np.exp(-2 * 0.05 * 5)))
    weight = -0.1 * first - 0.1 * (0.9 * first + second)
    assert trainer.states["last"]["linear.weight"][0].tolist() == pytest.approx([weight, 2 * weight, 0, 0], abs=1e-6)


def test_item_22_frames_and_sound_are_chosen_without_chance_at_test_time() -> None:
    counts = torch.tensor([10, 7, 3, 2])
    chosen = [choose_frames(counts, 3, None).tolist() for _ in range(2)]
    # thirds of 10: [0, 3), [3, 6), [6, 10); of 7: [0, 2), [2, 4), [4, 7); their middle frames
    assert chosen[0] == chosen[1] == [[1, 4, 8], [1, 3, 5], [0, 1, 2], [0, 0, 1]]
    sound = torch.arange(1251.0).expand(2, 4, 1251)
    cut = audio_window(sound, 626, None)
    # the centre 5 s of 10 s: (1251 - 626) // 2 = 312 frames before it
    assert cut[:, 0, :, 0].eq(312).all() and cut.shape == (2, 1, 4, 626)
    stored = torch.randint(0, 256, (2, 3, 20, 20, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    assert torch.equal(evaluation_frames(stored, 16), evaluation_frames(stored, 16))


def test_item_22_and_at_random_in_training() -> None:
    counts = torch.full((200,), 10)
    drawn = choose_frames(counts, 3, torch.Generator().manual_seed(0))
    for segment, (low, high) in enumerate([(0, 3), (3, 6), (6, 10)]):
        assert set(drawn[:, segment].tolist()) == set(range(low, high))
    sound = torch.arange(20.0).expand(300, 1, 20)
    starts = audio_window(sound, 15, torch.Generator().manual_seed(0))[:, 0, 0, 0]
    assert set(starts.tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}


def test_item_22_the_loader_uses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from avbalance.training import data

    calls = []
    monkeypatch.setattr(data, "choose_frames", lambda counts, k, g: calls.append(g) or choose_frames(counts, k, g))
    monkeypatch.setattr(data, "audio_window", lambda sound, w, g: calls.append(g) or audio_window(sound, w, g))
    clips = SimpleNamespace(
        audio=np.random.default_rng(0).normal(size=(4, 8, 20)).astype(np.float16), audio_rows=np.arange(4), window=12,
        visual=np.zeros((4, 10, 8, 8, 3), np.uint8), visual_rows=np.arange(4), labels=np.zeros(4, np.int64),
        counts=torch.full((4,), 10), sizes=torch.full((4, 2), 8), spectrograms=True,
    )  # fmt: skip
    frames = FrameOptions(3, 8, (0.08, 1.0), (0.75, 4 / 3), 0.5, False)
    source = data.BatchSource(clips, torch.as_tensor(clips.labels), ("audio", "visual"), frames, torch.device("cpu"), 4)  # type: ignore[arg-type]
    first, second = (next(iter(source.evaluation(np.arange(4)))) for _ in range(2))
    assert torch.equal(first.audio, second.audio) and first.audio is not None  # type: ignore[arg-type]
    assert calls == [None] * 4
    next(iter(source.training([np.arange(4)], 0, [5], 0)))
    assert len(calls) == 6 and all(isinstance(generator, torch.Generator) for generator in calls[4:])


def test_item_23_lost_clips_and_the_hash_of_the_used_ones_are_in_the_record(tmp_path: Path) -> None:
    from tiny_cell import make_data, tiny_job, tiny_settings

    from avbalance.training.cell import CellOptions, train_cell

    data = make_data(tmp_path, {"train": 12, "val": 4, "test": 5}, lost_audio=(3,), lost_visual=(0, 20))
    job = tiny_job("baseline", tiny_settings(protocol={"epochs": 1}))
    where = (data.manifest, data.audio, data.visual, tmp_path / "out", tmp_path / "cache")
    train_cell(CellOptions([job], "tiny", *where, device="cpu"))
    record = read_json(tmp_path / "out" / job["folder"] / "record.json")["data"]
    assert record["losses"] == {"audio corrupt": 1, "visual corrupt": 2}
    assert record["clips"] == {"train": 10, "val": 4, "test": 4}
    # clip 20 is the last test clip
    assert record["used_ids"]["test"] == digest_json([f"test-{number:03d}" for number in range(4)])
    assert record["used_ids"]["train"] == digest_json([f"train-{n:03d}" for n in range(12) if n not in (0, 3)])


SGD: dict[str, Any] = {"momentum": 0.9, "weight_decay": 1e-4, "decay_every": 70, "decay_factor": 0.1}
LONG = Protocol(epochs=12, batch_size=64, learning_rate=0.3, **SGD)


@pytest.mark.parametrize("test_labels", ["flipped", "permuted"])
def test_item_24_the_selected_model_does_not_depend_on_the_test_part(test_labels: str) -> None:
    one, other = (make_trainer(Source(labels), LONG) for labels in ("true", test_labels))
    for trainer in (one, other):
        trainer.train()
    assert one.evaluate("test").accuracy != other.evaluate("test").accuracy
    assert one.course.selected_epoch == other.course.selected_epoch > 0
    selected = [trainer.states["selected"] for trainer in (one, other)]
    assert all(torch.equal(selected[0][name], selected[1][name]) for name in selected[0])


def test_item_24_training_never_evaluates_the_test_part(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = Trainer.evaluate
    monkeypatch.setattr(Trainer, "evaluate", lambda self, split: asked.append(split) or original(self, split))
    source = Source()
    trainer = make_trainer(source, LONG)
    trainer.train()
    assert asked == ["val"] * 12
    assert set(source.evaluated) == set(range(100, 130))


def test_item_24_the_best_validation_epoch_is_selected_and_ties_go_to_the_earlier() -> None:
    trainer = make_trainer(Source(), LONG)
    trainer.train()
    accuracies = [row["val_accuracy"] for row in trainer.history]
    assert len(set(accuracies)) > 1 and accuracies.count(max(accuracies)) > 1
    assert trainer.course.selected_epoch == accuracies.index(max(accuracies))
    assert trainer.evaluate("val").accuracy["logits"] == max(accuracies)


def test_item_24_every_run_selects_on_validation(paper_rows: list[Any]) -> None:
    assert {row.settings["protocol"]["select"] for row in paper_rows} == {"validation"}


def test_item_30_sum_fusion_uses_the_full_bias_in_evaluation_too() -> None:
    settings = {"name": "fusion-net", "width": 2, "stem": "small", "fusion": "sum"}
    model = build(settings, 3, torch.Generator().manual_seed(0)).eval()
    for head in (model.fusion.first, model.fusion.second):  # type: ignore[union-attr]
        nn.init.constant_(head.bias, 4.0)  # type: ignore[union-attr, arg-type]
    generator = torch.Generator().manual_seed(1)
    batch = Batch(
        torch.randn(4, 1, 16, 16, generator=generator), torch.randn(4, 3, 2, 16, 16, generator=generator),
        torch.zeros(4, dtype=torch.long), torch.arange(4),
    )  # fmt: skip
    with torch.no_grad():
        output = model(batch)
        for name, head in (("audio", model.fusion.first), ("visual", model.fusion.second)):  # type: ignore[union-attr]
            torch.testing.assert_close(output.scores[name], head(output.features[name]))  # type: ignore[operator]


@pytest.mark.parametrize("fusion", ["film", "gated"])
def test_item_30_film_and_gated_scores_come_from_a_zero_vector(fusion: str) -> None:
    from avbalance.models.fusion import FUSIONS

    head = FUSIONS[fusion](4, 3)
    generator = torch.Generator().manual_seed(0)
    for parameter in head.parameters():
        parameter.data.normal_(generator=generator)
    first, second = torch.randn(2, 5, 4, generator=generator)
    zero = torch.zeros(5, 4)
    fused, alone_first, alone_second = head(first, second)
    torch.testing.assert_close(alone_first, head(first, zero)[0])
    torch.testing.assert_close(alone_second, head(zero, second)[0])
    assert not torch.equal(fused, alone_first) and not torch.equal(fused, alone_second)


def test_item_30_mean_gates_are_left_alone_by_evaluation_and_any_batch_size_runs() -> None:
    model = build({"name": "mmtm-net", "width": 2, "stem": "small"}, 3, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)

    def batch(samples: int, frames: int) -> Batch:
        audio = torch.randn(samples, 1, 16, 16, generator=generator)
        visual = torch.randn(samples, 3, frames, 16, 16, generator=generator)
        return Batch(audio, visual, torch.zeros(samples, dtype=torch.long), torch.arange(samples))

    for samples, frames in ((3, 1), (5, 4)):
        assert model(batch(samples, frames)).logits.shape == (samples, 3)
    means = {name: value.clone() for name, value in model.named_buffers() if "gate_" in name}
    assert means
    model.eval()
    with torch.no_grad():
        assert model(batch(2, 3)).logits.shape == (2, 3)
    assert all(torch.equal(value, means[name]) for name, value in model.named_buffers() if name in means)


def test_item_30_frames_are_not_always_the_first_ones() -> None:
    assert choose_frames(torch.tensor([10]), 3, None).tolist() != [[0, 1, 2]]
    # the first frame of each third would be 0, 3, 6
    assert choose_frames(torch.tensor([10]), 3, None).tolist() != [[0, 3, 6]]
    drawn = choose_frames(torch.full((50,), 9), 3, torch.Generator().manual_seed(0))
    assert (drawn >= 3 * torch.arange(3)).all() and len(set(drawn[:, 2].tolist())) == 3
