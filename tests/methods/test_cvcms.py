"""CVCMS: the doubled batch, refined labels, when it smooths and contrasts, and what the losses see."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_parsing import CLASSES, NAMES, equal, hand_batch, make_clips, parsing_trainer, weights
from torch.nn.functional import binary_cross_entropy

from avbalance.errors import UserError
from avbalance.methods.base import TrainingStep
from avbalance.methods.cvcms import CVCMS, cross_video_contrastive, partners
from avbalance.methods.parts.parsing import Pair, refined, removed_labels
from avbalance.models.base import build

MODEL = {"name": "cvcms", "width": 16, "token_width": 8}
PLAIN = {"labels": "plain"}


def test_contrast_by_hand() -> None:
    # one segment per video, vectors e1 and e2 for both modalities; audio labels {0}, {1}; visual labels {0}, {0, 1}
    # similarity is the identity; audio 0 belongs to both visuals, audio 1 to visual 1
    features = torch.eye(2, dtype=torch.float64)[:, None]
    audio = torch.eye(2, dtype=torch.float64)
    visual = torch.tensor([[1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    attention = torch.zeros(2, 1, 2, 2, dtype=torch.float64)
    near, far = -math.log(math.e / (math.e + 1)), -math.log(1 / (math.e + 1))
    found = cross_video_contrastive(features, features, attention, Pair(audio, visual))
    assert float(found) == pytest.approx(((near + far) / 2 + near) / 2)


def test_contrast_attends_by_the_video_s_labels() -> None:
    # class 0 looks at segment 0 (e1), class 1 at segment 1 (e2), in both modalities; both videos of one label match
    features = torch.eye(2, dtype=torch.float64)[None].repeat(2, 1, 1)
    attention = torch.zeros(2, 2, 2, 2, dtype=torch.float64)
    attention[:, 0, :, 0] = attention[:, 1, :, 1] = 60.0
    label = torch.eye(2, dtype=torch.float64)
    near = -math.log(math.e / (math.e + 1))
    for visual, expected in ((label, near), (label.flip(0), near)):
        found = cross_video_contrastive(features, features, attention, Pair(label, visual))
        assert float(found) == pytest.approx(expected)
    assert float(cross_video_contrastive(features, features, attention, Pair(0 * label, label))) == 0


@pytest.fixture(scope="module")
def clips() -> Any:
    return make_clips()


def step(epoch: int, seed: int = 0) -> TrainingStep:
    return TrainingStep(epoch, 0, 5, torch.Generator().manual_seed(seed))


def model() -> Any:
    return build(MODEL, CLASSES, torch.Generator().manual_seed(0)).eval()


def test_partners_are_uniform_over_the_others() -> None:
    counts = torch.zeros(4, 4)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3000):
        counts[torch.arange(4), partners(4, generator)] += 1
    assert bool((counts.diagonal() == 0).all())
    away = counts[~torch.eye(4, dtype=torch.bool)]
    assert away.min() > 900 and away.max() < 1100
    assert partners(1, generator).tolist() == [0]
    assert partners(2, generator).tolist() == [1, 0]


def test_the_second_half_has_the_same_audio_and_the_pictures_and_labels_of_others() -> None:
    batch = hand_batch()
    doubled = CVCMS(PLAIN).batch(model(), batch, step(0, seed=4))
    other = doubled.index[6:]
    assert torch.equal(doubled.audio, torch.cat([batch.audio, batch.audio]))  # type: ignore[arg-type,list-item]
    assert torch.equal(doubled.modality("visual")[:6], batch.modality("visual"))
    assert torch.equal(doubled.modality("visual")[6:], batch.modality("visual")[other])
    assert torch.equal(doubled.label, torch.cat([batch.label, batch.label[other]]))
    assert bool((other != batch.index).all())
    assert torch.equal(CVCMS(PLAIN).batch(model(), batch, step(0, seed=4)).index, doubled.index)
    assert not torch.equal(CVCMS(PLAIN).batch(model(), batch, step(0, seed=5)).index, doubled.index)


def gone_for(batch: Any) -> Pair:
    """Video 0 loses class 0 in audio, video 1 its label in both, where a label is lost everywhere."""
    gone = Pair(*(torch.zeros(len(batch.label), CLASSES, dtype=torch.bool) for _ in range(2)))
    gone.audio[0, 0] = gone.audio[1, 1] = gone.visual[1, 1] = True
    return gone


@pytest.mark.parametrize(("epoch", "smoothing", "contrasted"), [(0, 0.9, False), (1, 0.9, False), (2, 1.0, True)])
def test_loss_by_hand(epoch: int, smoothing: float, contrasted: bool) -> None:
    network, batch = model(), hand_batch()
    method = CVCMS()
    gone = gone_for(batch)
    method.gone = gone
    doubled = method.batch(network, batch, step(epoch))
    output = network(doubled)
    audio, visual = batch.label * ~gone.audio, batch.label * ~gone.visual
    visual_target = smoothing * visual + (1 - smoothing) / 2
    expected = binary_cross_entropy(output.p_a[:6], audio) + binary_cross_entropy(output.p_v[:6], visual_target)
    expected = expected + binary_cross_entropy(output.P[:6].clamp(1e-7, 1 - 1e-7), ((audio + visual) > 0).float())
    if contrasted:
        other = doubled.index[6:]
        labels = Pair(torch.cat([audio, audio]), torch.cat([visual, visual[other]]))
        contrast = cross_video_contrastive(output.f_a, output.f_v, output.frame_att, labels)
        expected = expected + 0.85 * contrast
    torch.testing.assert_close(method.loss(network, output, doubled, step(epoch)), expected)


def test_the_exchanged_half_matters_to_the_contrast_alone() -> None:
    network, batch = model(), hand_batch()
    for epoch, differs in ((0, False), (2, True)):
        losses = []
        for seed in (0, 1):
            method = CVCMS(PLAIN)
            doubled = method.batch(network, batch, step(epoch, seed))
            losses.append(method.loss(network, network(doubled), doubled, step(epoch)))
        assert torch.equal(*losses) != differs


def removed(record: dict[str, Any]) -> Pair:
    clips = SimpleNamespace(ids=["a", "b", "c"], classes=["one", "two", "three"])
    trainer: Any = SimpleNamespace(source=SimpleNamespace(clips=clips), needs={"labels": record}, device="cpu")
    return removed_labels(CVCMS(), trainer)


def test_removed_labels_are_read_by_clip() -> None:
    record = {"removed": {"b": {"audio": [2], "visual": [0, 1]}, "c": {"audio": [], "visual": [2]}}, "classes": NAMES}
    gone = removed(record)
    assert gone.audio.tolist() == [[False] * 3, [False, False, True], [False] * 3]
    assert gone.visual.tolist() == [[False] * 3, [True, True, False], [False, False, True]]
    label = torch.ones(2, 3)
    kept = refined(label, gone, torch.tensor([2, 1]))
    assert kept.audio.tolist() == [[1, 1, 1], [1, 1, 0]] and kept.visual.tolist() == [[1, 1, 0], [0, 0, 1]]
    for wrong in ({"d": {"audio": [0]}}, {"a": {"visual": [3]}}, {"a": {"audio": [-1]}}):
        with pytest.raises(UserError, match="which this data set does not have"):
            removed({"removed": wrong})


def test_refined_labels_are_needed_and_make_a_difference(clips: Any) -> None:
    with pytest.raises(UserError, match=r"method cvcms reads labels\.json \(none with labels: plain\)"):
        parsing_trainer("cvcms", clips=clips, model=MODEL).train()
    name = str(clips.ids[5])
    lost = [int(clips.label_matrix[5].argmax())]
    trained = []
    for removed in ({}, {name: {"audio": lost, "visual": []}}):
        needs = {"labels": {"removed": removed}}
        trainer = parsing_trainer("cvcms", clips=clips, model=MODEL, needs=needs, epochs=1)
        trainer.train()
        trained.append(weights(trainer))
    plain = parsing_trainer("cvcms", PLAIN, clips=clips, model=MODEL, epochs=1)
    plain.train()
    assert equal(trained[0], weights(plain)) and not equal(*trained)


def test_a_model_without_attention_over_time_is_refused() -> None:
    network, method = build({"name": "talnet", "width": 8}, CLASSES, torch.Generator().manual_seed(0)), CVCMS(PLAIN)
    doubled = method.batch(network, hand_batch(), step(2))
    with pytest.raises(UserError, match="no attention over time"):
        method.loss(network, network(doubled), doubled, step(2))
