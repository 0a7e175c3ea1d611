"""Data Remixing: which modality a clip trains, and the losses, by hand; batches have clips of one modality."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from contract_data import easy_clips, tiny_settings
from one_step import clips, network
from torch.nn.functional import cross_entropy

from avbalance.errors import UserError
from avbalance.methods.base import TrainingStep
from avbalance.methods.remix import Remix, learns_sound, sureness
from avbalance.models.base import Batch, ModelOutput
from avbalance.training.cell import make_trainer


def test_the_less_sure_modality_learns_by_hand() -> None:
    # two classes, in bits: even odds 1 - 1 = 0; (3/4, 1/4): 1 - H = 1 - (2 - 3/4 log2 3) = 0.188722
    even, sure = [0.0, 0.0], [math.log(3), 0.0]
    assert sureness(torch.tensor([even, sure])).tolist() == pytest.approx([0.0, 0.188722], abs=1e-6)
    audio, visual = torch.tensor([even, sure, even]), torch.tensor([sure, even, even])
    assert learns_sound(audio, visual).tolist() == [True, False, False]  # of equally sure ones the visual one learns


def _step(group: str = "") -> TrainingStep:
    return TrainingStep(0, 0, 3, torch.Generator(), group)


def test_the_loss_of_one_modality_has_a_zero_in_the_other_ones_place() -> None:
    model, method, batch = network(unimodal_heads=True), Remix({"weight": 0.25}), clips()
    output = model(batch)
    head, feature = model.fusion.linear, output.features["visual"]
    fused = feature @ head.weight[:, feature.shape[1] :].T + head.bias  # audio fills the first columns
    own = model.unimodal_heads["visual"](feature)
    expected = cross_entropy(fused, batch.label) + 0.25 * cross_entropy(own, batch.label)
    loss = method.loss(model, output, batch, _step("visual"))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    loss.backward()
    # 0 rather than None, with which an optimiser would leave the encoder's momentum and weight decay out
    assert all((parameter.grad == 0).all() for parameter in model.group("audio"))
    assert not head.weight.grad[:, : feature.shape[1]].any()
    assert model.unimodal_heads["audio"].weight.grad is None


def test_batch_norm_of_both_modalities_sees_every_clip() -> None:
    model, method = network(unimodal_heads=True), Remix()
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    model(method.batch(model, clips(), _step("visual")))
    assert len(norms) > 2 and {int(norm.num_batches_tracked) for norm in norms} == {1}


def test_the_warm_up_adds_the_heads_losses() -> None:
    model, method, batch = network(unimodal_heads=True), Remix({"warm_up_weight": 0.5}), clips()
    output = model(batch)
    both = sum(cross_entropy(scores, batch.label) for scores in output.scores.values())
    expected = cross_entropy(output.logits, batch.label) + 0.5 * both
    assert method.loss(model, output, batch, _step()).item() == pytest.approx(expected.item(), rel=1e-6)


class Watched(Remix):
    """Writes down the clips of each step."""

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.seen: list[tuple[int, str, list[int]]] = []

    def loss(self, model: Any, output: Any, batch: Any, step: Any) -> Any:
        self.seen.append((step.epoch, step.group, batch.index.tolist()))
        return super().loss(model, output, batch, step)


def test_after_the_warm_up_every_clip_trains_its_modality_once_and_batches_do_not_mix(tmp_path: Any) -> None:
    settings = tiny_settings(model={"unimodal_heads": True}, protocol={"epochs": 2})
    trainer = make_trainer("remix", settings, 0, easy_clips(tmp_path)["classification"], torch.device("cpu"))
    method = trainer.method = Watched({"warm_up": 1})
    trainer.train()
    train = trainer.parts["train"]
    for epoch, names in ((0, [""]), (1, ["visual", "audio"])):
        steps = [(group, rows) for at, group, rows in method.seen if at == epoch]
        assert sorted(row for _, rows in steps for row in rows) == sorted(train)
        assert sorted({group for group, _ in steps}, key=names.index) == names
        assert [group for group, _ in steps] == sorted((group for group, _ in steps), key=names.index)
    assert method.sound is not None
    sound = set(np.flatnonzero(method.sound.numpy()))
    assert {row for epoch, group, rows in method.seen if group == "audio" for row in rows} == sound
    assert "share_audio" not in trainer.history[0]
    assert trainer.history[1]["share_audio"] == pytest.approx(len(sound) / len(train))


def test_a_clip_is_given_to_the_modality_that_is_less_sure_of_it_by_its_row() -> None:
    even, sure = [0.0, 0.0], [math.log(3), 0.0]
    scores = {"audio": torch.tensor([even, sure, even]), "visual": torch.tensor([sure, even, sure])}
    rows, train = torch.tensor([7, 3, 5]), np.array([3, 5, 7])
    told = [(Batch(None, None, torch.zeros(3), rows), ModelOutput(scores["audio"], scores, {}))]
    clips = SimpleNamespace(ids=np.arange(9))
    method, trainer = Remix(), SimpleNamespace(source=SimpleNamespace(clips=clips), parts={"train": train})
    trainer.outputs = lambda _: told
    method.epoch_start(trainer, 9)  # type: ignore[arg-type]
    assert method.clip_groups(train) == {"": train}  # the tenth epoch is the last of the warm-up
    method.epoch_start(trainer, 10)  # type: ignore[arg-type]
    assert {name: clips.tolist() for name, clips in method.clip_groups(train).items()} == {
        "visual": [3],
        "audio": [5, 7],
    }


def test_without_heads_of_modalities_it_is_refused(tmp_path: Any) -> None:
    trainer = make_trainer("remix", tiny_settings(), 0, easy_clips(tmp_path)["classification"], torch.device("cpu"))
    with pytest.raises(UserError, match="set the model's unimodal_heads to true"):
        trainer.train()
