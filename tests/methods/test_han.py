"""HAN's training, MA's variants of it, and what all parsing methods share: logs, and an update that is scaled.

MSDU's loss and modulation: tests/fidelity/test_avvp_gradient_modulation.py.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_parsing import CLASSES, STEPS, equal, hand_batch, make_clips, parsing_trainer, weights

from avbalance.errors import UserError
from avbalance.methods import load
from avbalance.methods.base import TrainingStep
from avbalance.methods.han import ma_contrastive
from avbalance.methods.parts.parsing import binary_cross_entropy, parsing_terms, targets
from avbalance.models.base import build

HAN = load("han")
MSDU = {"msdu": True}
LOSSES = {"loss_audio", "loss_visual", "loss_audio_target", "loss_visual_target"}


@pytest.fixture(scope="module")
def clips() -> Any:
    torch.set_num_threads(1)
    return make_clips()


def network(name: str = "han", **settings: Any) -> Any:
    return build({"name": name, "width": 16, "dropout": 0.0, **settings}, CLASSES, torch.Generator().manual_seed(0))


def step(epoch: int = 0, index: int = 0) -> TrainingStep:
    return TrainingStep(epoch, index, STEPS, torch.Generator().manual_seed(9))


def losses(method: Any, model: Any, batch: Any) -> dict[str, float]:
    """What the epoch logs after one batch."""
    method.loss(model, model(batch), batch, step())
    log: dict[str, float] = {}
    method.epoch_end(None, 0, log)
    return log


def test_the_objective_is_han_s() -> None:
    model, batch = network(), hand_batch()
    output = model(batch)
    expected = parsing_terms(output.P, output.p_a, output.p_v, batch.label, targets(batch.label)).total()
    assert torch.equal(HAN().loss(model, output, batch, step()), expected)


def test_the_contrastive_loss_of_ma_compares_attended_audio_with_unattended_visual() -> None:
    model, batch = network(), hand_batch()
    output = model(batch)
    plain = HAN().loss(model, output, batch, step())
    contrast = ma_contrastive(output.f_a, output.e_v)
    found = HAN({"contrastive_weight": 0.5}).loss(model, output, batch, step())
    torch.testing.assert_close(found, plain + 0.5 * contrast)
    assert contrast != ma_contrastive(output.f_a, output.f_v)


def test_logged_losses_are_unweighted_and_the_clean_ones_are_against_the_labels() -> None:
    model, batch = network(**MSDU), hand_batch()
    output, label = model(batch), batch.label
    smooth = 0.9 * label + 0.05
    expected = {
        "loss_audio": (output.p_a, label), "loss_visual": (output.p_v, label),
        "loss_audio_target": (output.p_a, label), "loss_visual_target": (output.p_v, smooth),
        "loss_audio_msdu": (output.s_a, label), "loss_visual_msdu": (output.s_v, label),
    }  # fmt: skip
    values = {name: binary_cross_entropy(*pair).item() for name, pair in expected.items()}
    assert losses(HAN(), model, batch) == pytest.approx(values, rel=1e-5)
    assert set(losses(HAN(), network(), batch)) == LOSSES


def record(**removed: dict[str, list[int]]) -> dict[str, Any]:
    return {"removed": {name.replace("_", "-"): lost for name, lost in removed.items()}}


def test_removed_labels_are_zero_exactly_and_the_video_keeps_its_own(clips: Any) -> None:
    needs = {"labels": record(train_000={"audio": [1], "visual": [0, 2]}, train_003={"audio": [], "visual": [3]})}
    trainer = parsing_trainer("han", {"labels": "refined"}, clips=clips, needs=needs)
    method: Any = trainer.method
    method.prepare(trainer)
    batch = hand_batch(4)
    batch.label[:] = torch.as_tensor(clips.label_matrix[[3, 0, 5, 7]], dtype=torch.float32)
    batch.index[:] = torch.tensor([3, 0, 5, 7])
    target, whole = method.targets(trainer.model, trainer.model(batch), batch, step()), targets(batch.label)
    assert target.audio[1].tolist() == [1, 0, 1, 1]
    assert target.visual[1].tolist() == pytest.approx([0, 0.95, 0, 0.95])
    assert target.visual[0, 3] == 0  # not .05
    assert torch.equal(target.audio[[0, 2, 3]], whole.audio[[0, 2, 3]])
    assert torch.equal(target.visual[2:], whole.visual[2:])
    output = trainer.model.eval()(batch)
    expected = binary_cross_entropy(output.P, batch.label)
    expected = expected + sum(map(binary_cross_entropy, (output.p_a, output.p_v), target))
    torch.testing.assert_close(method.loss(trainer.model, output, batch, step()), expected)


def test_refined_labels_change_a_training_and_empty_ones_do_not(clips: Any) -> None:
    runs = []
    everything = {name: {"audio": [0, 1], "visual": [2, 3]} for name in clips.ids.tolist()}
    for options, needs in (
        ({}, {}),
        ({"labels": "refined"}, {"labels": {"removed": {}}}),
        ({"labels": "refined"}, {"labels": {"removed": everything}}),
    ):
        trainer = parsing_trainer("han", options, clips=clips, needs=needs, epochs=1)
        trainer.train()
        runs.append(weights(trainer))
    assert equal(runs[0], runs[1]) and not equal(runs[0], runs[2])


def test_another_kind_of_network_is_refused() -> None:
    from avbalance.models.base import ModelOutput

    output = ModelOutput(torch.zeros(6, CLASSES), {}, {})
    with pytest.raises(UserError, match="method han: the model parses no videos; use han or mm-pyramid"):
        HAN().loss(network(), output, hand_batch(), step())
