"""The training loop: rates, selection, patience, resuming, clones."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_cell import kill_after

from avbalance.errors import UserError
from avbalance.methods.base import Method, MethodCard
from avbalance.methods.gradient_blending import GradientBlending
from avbalance.training.loop import Trainer
from avbalance.training.state import Checkpoints
from avbalance.training.tasks.base import Evaluation

MakeTrainer = Callable[..., Any]
CARD = MethodCard("probe", "Probe", "a test", "Watches the loop.")


class Probe(Method):
    """Writes down the hooks as they are called."""

    card = CARD

    def __init__(self) -> None:
        super().__init__({})
        self.calls: list[Any] = []

    def prepare(self, trainer: Any) -> None:
        self.calls.append("prepare")

    def epoch_start(self, trainer: Any, epoch: int) -> None:
        self.calls.append(("start", epoch))

    def batch(self, model: Any, batch: Any, step: Any) -> Any:
        self.calls.append(("batch", step.epoch, step.index, step.batches, model.training))
        return batch

    def loss(self, model: Any, output: Any, batch: Any, step: Any) -> Any:
        self.calls.append("loss")
        return super().loss(model, output, batch, step)

    def gradients(self, model: Any, output: Any, batch: Any, step: Any) -> None:
        assert all(parameter.grad is not None for parameter in model.parameters())
        self.before = next(model.parameters()).detach().clone()
        self.calls.append("gradients")

    def after_step(self, model: Any, step: Any) -> None:
        assert not torch.equal(self.before, next(model.parameters()))
        self.calls.append("after")

    def epoch_end(self, trainer: Any, epoch: int, log: dict[str, Any]) -> None:
        self.calls.append(("end", epoch, sorted(log)))


def with_method(trainer: Any, method: Any) -> Any:
    trainer.method = method
    return trainer


def script_accuracies(monkeypatch: pytest.MonkeyPatch, accuracies: list[float]) -> list[str]:
    """Let evaluate give these validation accuracies one after the other; returns the splits that were asked for."""
    asked: list[str] = []

    def evaluate(self: Trainer, split: str) -> Evaluation:
        asked.append(split)
        return Evaluation({"logits": 1.0}, 1, {"accuracy": accuracies[len(self.history)]})

    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    return asked


def no_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "_epoch", lambda *_: (1.0, 1.0))


def test_hooks_come_in_their_order(make_trainer: MakeTrainer) -> None:
    probe = Probe()
    with_method(make_trainer(protocol={"epochs": 2, "batch_size": 48}), probe).train()
    step = ["loss", "gradients", "after"]
    log = ["epoch", "lr", "train_loss", "train_prediction_loss"]
    log += ["val_accuracy", "val_accuracy_audio", "val_accuracy_visual", "val_loss"]
    expected: list[Any] = ["prepare"]
    for epoch in range(2):
        expected += [("start", epoch), ("batch", epoch, 0, 2, True), *step, ("batch", epoch, 1, 2, True), *step]
        expected += [("end", epoch, log)]
    assert probe.calls == expected


def test_the_same_seed_repeats_and_another_one_differs(make_trainer: MakeTrainer) -> None:
    runs = [make_trainer(seed=seed, protocol={"epochs": 1}) for seed in (0, 0, 1)]
    for run in runs:
        torch.rand(3)  # whatever the global generator holds
        run.train()
    assert runs[0].history == runs[1].history != runs[2].history
    states = [run.model.state_dict() for run in runs]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("rule", "selected"), [({}, 1), ({"ties": "later"}, 3), ({"select": "last"}, 3), ({"ties": "earlier"}, 1)]
)
def test_the_selected_epoch_is_the_best_on_validation_or_the_last(
    rule: dict[str, str], selected: int, make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    script_accuracies(monkeypatch, [50.0, 70.0, 60.0, 70.0])
    trainer = make_trainer(protocol={"epochs": 4, "batch_size": 96, **rule})
    snapshots = []
    close = Trainer._close_epoch

    def close_epoch(self: Trainer, epoch: int, losses: tuple[float, float]) -> None:
        snapshots.append({name: value.clone() for name, value in self.model.state_dict().items()})
        close(self, epoch, losses)

    monkeypatch.setattr(Trainer, "_close_epoch", close_epoch)
    trainer.train()
    assert trainer.course.selected_epoch == selected
    assert trainer.states.keys() == {"selected", "last"}
    for state, number in (("selected", selected), ("last", 3)):
        assert all(torch.equal(trainer.states[state][name], value) for name, value in snapshots[number].items())
    in_place = trainer.model.state_dict()
    assert all(torch.equal(value, in_place[name]) for name, value in trainer.states["selected"].items())


def test_a_watched_test_part_is_kept_beside_and_selects_nothing(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = {"val": [50.0, 70.0, 60.0], "test": [90.0, 20.0, 90.0]}

    def evaluate(self: Trainer, split: str) -> Evaluation:
        return Evaluation({"logits": 1.0}, 1, {"accuracy": curves[split][len(self.history)]})

    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    trainer = make_trainer(protocol={"epochs": 3, "batch_size": 96, "watch_test": True})
    trainer.train()
    assert trainer.course.selected_epoch == 1
    assert [row["test_accuracy"] for row in trainer.history] == curves["test"]
    assert trainer.course.best["test"].epoch == 0
    assert trainer.states.keys() == {"selected", "last", "best-test"}


@pytest.mark.parametrize(
    ("patience", "accuracies", "epochs"),
    [
        (2, [50, 60, 60, 60, 90, 90], 4),  # two epochs without a gain after the second
        (2, [50, 60, 60.05, 60.1, 60.15, 60.2], 4),  # small gains on the best so far do not add up to one
        (2, [60.2, 60.3, 60.0, 60.0, 90], 4),  # 60.3 is a gain of 0.1 although the difference is a little less
        (3, [50, 49, 51, 50, 50, 52, 0], 7),
        (None, [50, 49, 48, 47, 46], 5),
    ],
)
def test_patience(
    patience: int | None, accuracies: list[float], epochs: int, make_trainer: MakeTrainer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    script_accuracies(monkeypatch, accuracies)
    no_epochs(monkeypatch)
    trainer = make_trainer(protocol={"epochs": len(accuracies), "patience": patience})
    trainer.train()
    assert len(trainer.history) == epochs


@pytest.mark.parametrize(
    ("losses", "epochs"),
    [
        ([0.3, 0.009, 0.009, 0.009, 0.009, 0.009, 0.009], 6),  # five in a row
        ([0.3, 0.009, 0.009, 0.02, 0.009, 0.009, 0.009, 0.009], 8),  # one between starts the count again
        ([0.009, 0.009, 0.009, 0.009, 0.01, 0.009], 6),  # below, not at
    ],
)
def test_a_training_ends_when_its_loss_has_come_to_rest(
    losses: list[float], epochs: int, make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = iter(losses)
    monkeypatch.setattr(Trainer, "_epoch", lambda self, *args: (9.0, next(script)))  # what the method minimises is high
    trainer = make_trainer(protocol={"epochs": len(losses), "stop_at_loss": 0.01})
    trainer.train()
    assert len(trainer.history) == epochs


def test_a_loss_that_is_not_finite_is_one_sentence(make_trainer: MakeTrainer) -> None:
    class Bad(Method):
        card = CARD

        def loss(self, model: Any, output: Any, batch: Any, step: Any) -> Any:
            return super().loss(model, output, batch, step) * (math.inf if step.index == 3 else 1)

    trainer = with_method(make_trainer(), Bad({}))
    with pytest.raises(UserError, match=r"method probe became (inf|nan) in epoch 1; lower protocol.learning_rate"):
        trainer.train()


def test_evaluation_is_worked_from_the_outputs(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    found = trainer.evaluate("val")
    labels, logits = [], []
    for batch, output in trainer.outputs(trainer.parts["val"]):
        labels.append(batch.label)
        logits.append(output.logits)
    label, logit = torch.cat(labels), torch.cat(logits)
    probability = logit.double().softmax(1)[torch.arange(32), label]
    assert set(found.loss) == set(found.accuracy) == {"logits", "audio", "visual"}
    assert found.n == 32
    assert found.loss["logits"] == pytest.approx(-probability.log().mean().item())
    assert found.accuracy["logits"] == pytest.approx(100 * (logit.argmax(1) == label).double().mean().item())
    assert found.true_class == pytest.approx(probability.numpy(), abs=1e-6)
    assert found.true_class.dtype == np.float32
    assert found.metrics == {"accuracy": found.accuracy["logits"]}
    assert torch.equal(logit, torch.cat([output.logits for _, output in trainer.outputs(trainer.parts["val"])]))
    with pytest.raises(UserError, match=r"needs the part 'estimation'; set data.estimation_holdout above 0"):
        trainer.evaluate("estimation")


def test_blending_weights_may_rise_from_zero(make_trainer: MakeTrainer) -> None:
    """The audio head has no gradient in the first epoch and one in the second."""
    trainer = make_trainer(model={"unimodal_heads": True})
    trainer.method = GradientBlending({"weights": [0.0, 0.5, 0.5]})
    heads = trainer.model.unimodal_heads
    before = heads["audio"].weight.detach().clone()

    def epoch_start(_: Any, epoch: int) -> None:
        assert torch.equal(heads["audio"].weight, before) == (epoch < 2), epoch
        trainer.method.weights = [0.0, 0.5, 0.5] if epoch == 0 else [0.2, 0.3, 0.5]

    trainer.method.epoch_start = epoch_start
    trainer.train()
    assert not torch.equal(trainer.states["last"]["unimodal_heads.audio.weight"], before)


def test_a_clone_leaves_its_origin_alone(make_trainer: MakeTrainer) -> None:
    plain, watched = make_trainer(), make_trainer()
    plain.train()
    seen = []

    class Cloning(Method):
        card = CARD

        def epoch_start(self, trainer: Any, epoch: int) -> None:
            copy = trainer.clone(Probe())
            copy.fit_epochs(2, first_epoch=epoch, stream="copy", schedule=epoch == 0)
            seen.append([group["lr"] for group in copy.optimiser.param_groups])
            assert not torch.equal(next(copy.model.parameters()), next(trainer.model.parameters()))
            assert copy.history == [] and copy.optimiser is not trainer.optimiser

    with_method(watched, Cloning({})).train()
    assert watched.history == plain.history
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, watched.model.state_dict()[name])
    # with the schedule the second epoch's rate; without it that of the first epoch, here the third one: 0.002
    assert seen == [[pytest.approx(0.02)], [pytest.approx(0.02)], [pytest.approx(0.002)]]


def test_a_second_training_on_one_stream_does_not_take_up_the_first_ones_state(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    results = []
    for checkpoints in (None, Checkpoints(tmp_path, "key", every_s=0.0)):
        trainer = make_trainer(checkpoints=checkpoints, protocol={"epochs": 4})
        for first in (0, 2):
            copy = trainer.clone(Probe())
            copy.fit_epochs(2, first_epoch=first, stream="copy", schedule=False)
            results.append(copy.model.state_dict())
            trainer.model.load_state_dict({name: value * 0.9 for name, value in trainer.model.state_dict().items()})
    for without, resumed in ((results[0], results[2]), (results[1], results[3])):
        assert all(torch.equal(without[name], resumed[name]) for name in without)


def test_max_steps_cuts_every_epoch(make_trainer: MakeTrainer) -> None:
    probe = Probe()
    with_method(make_trainer(protocol={"epochs": 2, "max_steps": 2}), probe).train()
    batches = [call for call in probe.calls if call[0] == "batch"]
    assert [(call[1], call[2], call[3]) for call in batches] == [(0, 0, 2), (0, 1, 2), (1, 0, 2), (1, 1, 2)]


def test_bf16_resumes_bit_for_bit_and_keeps_weights_and_evaluation_in_fp32(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    def trainer_of(precision: str, folder: Path | None = None) -> Any:
        checkpoints = None if folder is None else Checkpoints(folder, "key", every_s=0.0)
        return make_trainer(checkpoints=checkpoints, protocol={"epochs": 2, "precision": precision})

    kill_after(trainer_of("bf16", tmp_path), epoch=0, index=3)
    whole, single, resumed = trainer_of("bf16"), trainer_of("fp32"), trainer_of("bf16", tmp_path)
    for trainer in (whole, single, resumed):
        trainer.train()
    weights = whole.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in resumed.model.state_dict().items())
    assert resumed.history == whole.history
    assert {value.dtype for value in weights.values() if value.is_floating_point()} == {torch.float32}
    assert not all(torch.equal(value, weights[name]) for name, value in single.model.state_dict().items())
    # eight bits of mantissa: near to the other, not equal
    assert whole.history[0]["train_loss"] == pytest.approx(single.history[0]["train_loss"], rel=0.05)
    assert {output.logits.dtype for _, output in whole.outputs(whole.parts["val"])} == {torch.float32}
