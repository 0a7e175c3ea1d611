"""PMR: prototypes, distances and weights by hand; who is drawn to its prototypes, and when nobody is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from one_step import gradients, network
from three_head_runs import easy_clips, make

from avbalance.errors import UserError
from avbalance.methods.base import TrainingStep
from avbalance.methods.baseline import Baseline
from avbalance.methods.pmr import PMR, class_means, clips_of_each_class, prototype_logits, shares
from avbalance.models.base import Batch, ModelOutput


def test_class_means_by_hand() -> None:
    means = class_means(torch.tensor([[1.0, 0.0], [5.0, 2.0], [3.0, 4.0]]), torch.tensor([2, 0, 2]), 3)
    assert means[[0, 2]].tolist() == [[5.0, 2.0], [2.0, 2.0]]
    assert means[1].isnan().all()


def test_prototype_logits_by_hand() -> None:
    """(3, 4) is 5 away from (0, 0) and 3 from (0, 4); a class without a prototype is out of the question."""
    prototypes = torch.tensor([[0.0, 0.0], [math.nan, math.nan], [0.0, 4.0]])
    features = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    logits = prototype_logits(features, prototypes)
    assert logits.tolist() == [[-5.0, -math.inf, -3.0], [0.0, -math.inf, -4.0]]
    logits.softmax(1)[:, 0].sum().backward()
    assert features.grad.isfinite().all()  # also where a clip lies on its prototype


@pytest.mark.parametrize(
    ("audio", "visual", "full", "gap"),
    [
        (4.0, 5.0, (1.0, 0.0), (0.25, 0.0)),  # visual leads by a quarter
        (6.0, 2.0, (0.0, 1.0), (0.0, 1.0)),  # audio leads threefold; 2 counts as 1
        (3.0, 3.0, (0.0, 0.0), (0.0, 0.0)),
    ],
)
def test_the_slower_modality_alone_has_a_share(audio: float, visual: float, full: Any, gap: Any) -> None:
    assert shares(torch.tensor([audio, visual]), "full").tolist() == list(full)
    assert shares(torch.tensor([audio, visual]), "gap").tolist() == pytest.approx(gap)


def test_of_each_class_a_share_is_drawn() -> None:
    labels = np.array([1, 0, 1, 1, 4, 0, 1, 1])  # 2, 5 and 1 clips
    draws = [clips_of_each_class(labels, 0.3, np.random.default_rng(seed)) for seed in range(50)]
    assert all(sorted(labels[draw].tolist()) == [0, 1, 1, 4] for draw in draws)  # ceil of 0.6, 1.5 and 0.3
    assert set(np.concatenate(draws).tolist()) == set(range(8))
    assert all((np.diff(draw) > 0).all() for draw in draws)
    assert clips_of_each_class(labels, 1.0, np.random.default_rng(0)).tolist() == list(range(8))


def with_prototypes(near: str, **options: Any) -> PMR:
    """A method whose prototypes tell nothing of the class, but those of one modality do a little."""
    method = PMR(options)
    method.prototypes = torch.zeros(2, 3, 16)
    features = network().eval()
    method.prototypes[0 if near == "audio" else 1] = features.fusion.linear.weight.detach()[:, :16]
    return method


def test_the_loss_of_a_step_by_hand() -> None:
    """At 0, prototypes 0 and ln 3 away: audio p = 3/4; 0 and ln 7: visual 7/8. Audio is slower, whatever heads say."""
    method = PMR({"alpha": 0.5})
    method.prototypes = torch.tensor([[[0.0], [math.log(3)]], [[0.0], [math.log(7)]]])
    surer = {"audio": torch.tensor([[9.0, 0.0]]), "visual": torch.tensor([[0.0, 9.0]])}
    features = {name: torch.zeros(1, 1) for name in surer}
    output, label = ModelOutput(torch.zeros(1, 2), surer, features), torch.tensor([0])
    found = method.loss(network(), output, Batch(None, None, label, label), TrainingStep(0, 0, 1, torch.Generator()))
    assert found.item() == pytest.approx(math.log(2) + 0.5 * math.log(4 / 3))


def test_only_the_slower_encoder_s_gradient_changes() -> None:
    plain = gradients(Baseline(), network())
    method = with_prototypes("audio", alpha=3.0)
    found, share = gradients(method, network()), method.means.close()
    assert sorted(share.values()) == [0.0, 1.0]
    for name, gradient in plain.items():
        changed = name.startswith("encoders.") and share[f"prototype_share_{name.split('.')[1]}"] == 1
        assert torch.equal(found[name], gradient) != changed, name


def test_without_alpha_or_after_the_last_epoch_no_gradient_changes() -> None:
    plain = gradients(Baseline(), network())
    off = gradients(with_prototypes("audio", alpha=0.0), network())
    assert all(torch.equal(off[name], gradient) for name, gradient in plain.items())


def test_prototypes_are_means_of_training_features_and_drift(tmp_path_factory: pytest.TempPathFactory) -> None:
    clips = easy_clips(tmp_path_factory.mktemp("prototypes"))
    resnet = {"encoder": "resnet18", "dimension": None, "stem": "small", "width": 4}
    trainer = make(clips, "pmr", {"share": 1.0, "momentum": 0.25}, resnet, epochs=1)
    method, train = trainer.method, trainer.parts["train"]
    method.epoch_start(trainer, 0)
    pairs = list(trainer.outputs(train))
    label = torch.cat([batch.label for batch, _ in pairs])
    for place, modality in enumerate(("audio", "visual")):
        features = torch.cat([output.features[modality] for _, output in pairs])
        expected = torch.stack([features[label == number].mean(0) for number in range(len(clips.classes))])
        torch.testing.assert_close(method.prototypes[place], expected)
    before = method.prototypes
    method.prototypes = before + 4
    method.epoch_start(trainer, 1)
    torch.testing.assert_close(method.prototypes, before + 1)  # 0.75 of the same features, 0.25 of what was there
    over = make(clips, "pmr", {"end_epoch": 3}, resnet, epochs=1)
    over.method.epoch_start(over, 4)
    assert over.method.prototypes is None


def test_a_model_of_one_modality_is_an_error() -> None:
    with pytest.raises(UserError, match="method pmr: the model has no visual features"):
        gradients(with_prototypes("audio"), network("unimodal-net", modality="audio"))
