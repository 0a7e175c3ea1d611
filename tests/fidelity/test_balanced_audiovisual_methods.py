"""Fidelity to "Balanced Audiovisual Dataset for Imbalance Analysis": models and methods.

The item numbers are those of the paper's checklist. Items about data, training settings and analysis are
tested elsewhere.
"""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from avbalance.methods.base import TrainingStep
from avbalance.methods.gradient_blending import GradientBlending, estimate
from avbalance.methods.greedy import Curation, Greedy, learning_speed, next_curation
from avbalance.methods.ogm_ge import OGMGE, confidence_sum, modulation_coefficients
from avbalance.methods.parts.modulation import modulate
from avbalance.models.base import Batch, Model, build
from avbalance.models.fusion import ConcatFusion
from avbalance.models.mmtm import MMTM, hidden_width
from avbalance.models.resnet import ResNet18, encode

MODALITIES = ("audio", "visual")


def make(name: str, **settings: Any) -> Any:
    return build({"name": name, "width": 2, "stem": "small", **settings}, 3, torch.Generator().manual_seed(0))


def make_batch(frames: int = 2, seed: int = 1) -> Any:
    generator = torch.Generator().manual_seed(seed)
    audio = torch.randn(4, 1, 16, 24, generator=generator)
    visual = torch.randn(4, 3, frames, 16, 16, generator=generator)
    return Batch(audio, visual, torch.tensor([0, 1, 2, 0]), torch.arange(4))


def make_step(epoch: int = 0, index: int = 0, seed: int = 5) -> TrainingStep:
    return TrainingStep(epoch, index, 10, torch.Generator().manual_seed(seed))


def after_backward(model: Model) -> tuple[Batch, Any]:
    batch = make_batch()
    output = model(batch)
    torch.autograd.backward(cross_entropy(output.logits, batch.label))
    return batch, output


def gradients_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def test_item_07_audio_stem_has_one_channel_and_nothing_is_pretrained() -> None:
    for name in ("fusion-net", "mmtm-net"):
        encoders = make(name, stem="imagenet").encoders
        assert encoders["audio"].stem[0].weight.shape == (2, 1, 7, 7)
        assert encoders["visual"].stem[0].weight.shape == (2, 3, 7, 7)
    # every weight comes from the given generator: another seed changes every convolution and linear layer
    first = make("fusion-net")
    second = build({"name": "fusion-net", "width": 2, "stem": "small"}, 3, torch.Generator().manual_seed(1))
    one: Any
    other: Any
    for one, other in zip(first.modules(), second.modules(), strict=True):
        if isinstance(one, nn.Conv2d | nn.Linear):
            assert not torch.equal(one.weight, other.weight)


def test_item_08_visual_pooling_is_one_mean_over_frames_and_space() -> None:
    encoder = ResNet18(3, width=2, stem="small").eval()
    visual = make_batch(frames=3).visual
    with torch.no_grad():
        maps = torch.stack([encoder(visual[:, :, frame]) for frame in range(3)], dim=2)  # (B, C, K, h, w)
        assert maps.shape == (4, 16, 3, 1, 1)
        torch.testing.assert_close(encode(encoder, "visual", visual), maps.mean((2, 3, 4)), rtol=1e-5, atol=1e-6)


def test_item_09_concat_has_audio_first_and_half_the_bias() -> None:
    head = ConcatFusion(2, 1)
    head.load_state_dict({"linear.weight": torch.tensor([[1.0, 2.0, 30.0, 40.0]]), "linear.bias": torch.tensor([8.0])})
    # fused: 3 * 1 + 70 * 2 + 8; audio: 3 + 4; visual: 140 + 4
    fused, audio, visual = head(torch.ones(1, 2), torch.full((1, 2), 2.0))
    assert (fused.item(), audio.item(), visual.item()) == (151.0, 7.0, 144.0)
    model = make("fusion-net")
    output = model(make_batch())
    columns = model.fusion.linear.weight[:, :16]
    torch.testing.assert_close(
        output.scores["audio"], output.features["audio"] @ columns.T + model.fusion.linear.bias / 2
    )


def test_item_10_initialisation() -> None:
    model = build({"name": "fusion-net", "width": 16, "stem": "small"}, 30, torch.Generator().manual_seed(0))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.weight.shape[0] * module.weight[0, 0].numel()
            spread = 5 / math.sqrt(2 * module.weight.numel())  # five standard errors of a standard deviation
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=spread)
            assert module.bias is None
        elif isinstance(module, nn.Linear):
            expected = math.sqrt(2 / sum(module.weight.shape))
            assert module.weight.std().item() == pytest.approx(expected, rel=5 / math.sqrt(2 * module.weight.numel()))
            assert module.bias.abs().sum() == 0
        elif isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight)) and module.bias.abs().sum() == 0


@pytest.mark.parametrize("variant", ["ogm-ge", "ogm"])
def test_item_12_ogm_touches_twenty_convolution_gradients_per_encoder(variant: str) -> None:
    model = make("fusion-net", stem="imagenet")
    batch, output = after_backward(model)
    before = gradients_of(model)
    OGMGE({"variant": variant, "alpha": 0.5}).gradients(model, output, batch, make_step())
    after = gradients_of(model)
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert all(before[name].ndim == 4 for name in changed)
    counts = {each: sum(name.startswith(f"encoders.{each}.") for name in changed) for each in MODALITIES}
    if variant == "ogm-ge":
        assert counts == {"audio": 20, "visual": 20}
        assert len(changed) == 40
    else:
        assert sorted(counts.values()) == [0, 20]


def test_item_13_coefficient_on_the_stronger_side_from_batch_sums() -> None:
    assert modulation_coefficients(2.0, 4.0, 0.5) == pytest.approx((1.0, 1 - math.tanh(1.0)))
    assert modulation_coefficients(4.0, 2.0, 0.5) == pytest.approx((1 - math.tanh(1.0), 1.0))
    assert modulation_coefficients(1.0, 1.0, 0.5) == pytest.approx((1 - math.tanh(0.5), 1.0))
    # true-class probabilities 3/4 and 1/4: their sum, not their mean
    scores = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    assert confidence_sum(scores, torch.tensor([0, 1])).item() == pytest.approx(1.0)
    assert OGMGE().options.end_epoch == 50 and OGMGE().options.start_epoch == 0


def test_item_14_noise_is_that_of_the_unscaled_gradient_in_both_encoders() -> None:
    gradient = torch.randn(64, 64, 3, 3, generator=torch.Generator().manual_seed(0))
    for coefficient in (1.0, 0.1):
        noised = gradient.clone()
        modulate(noised, coefficient, "added", torch.Generator().manual_seed(1))
        noise = noised - coefficient * gradient
        assert noise.std().item() == pytest.approx(gradient.std().item() + 1e-8, rel=0.03)
    # drawn anew for each tensor and step: two equal gradients get different noise from one generator
    generator = torch.Generator().manual_seed(2)
    twins = [gradient.clone(), gradient.clone()]
    for twin in twins:
        modulate(twin, 1.0, "added", generator)
    assert not torch.equal(*twins)


@pytest.mark.parametrize(("epoch", "modulated"), [(0, True), (50, True), (51, False)])
def test_item_14_the_window_is_inclusive_and_counts_from_zero(epoch: int, modulated: bool) -> None:
    model = make("fusion-net")
    batch, output = after_backward(model)
    before = gradients_of(model)
    OGMGE().gradients(model, output, batch, make_step(epoch))
    after = gradients_of(model)
    for modality in MODALITIES:
        name = f"encoders.{modality}.stem.0.weight"
        assert torch.equal(before[name], after[name]) is not modulated


class ScriptedTrainer:
    """Gives scripted losses before and after a copy's training, and writes down what it was asked."""

    before: ClassVar = {
        "train-sample": {"audio": 1.0, "visual": 1.0, "logits": 1.0},
        "estimation": {"audio": 1.2, "visual": 1.1, "logits": 1.0},
    }
    after: ClassVar = {
        "train-sample": {"audio": 0.5, "visual": 0.8, "logits": 0.2},
        "estimation": {"audio": 1.0, "visual": 1.0, "logits": 0.6},
    }

    def __init__(self, model: Model) -> None:
        self.model, self.trained, self.epochs = model, False, 20
        self.needs: dict[str, Any] = {}
        self.splits: list[str] = []
        self.clones: list[ScriptedTrainer] = []
        self.start: dict[str, torch.Tensor] = {}
        self.fits: list[dict[str, Any]] = []

    def evaluate(self, split: str) -> SimpleNamespace:
        self.splits.append(split)
        return SimpleNamespace(loss=(self.after if self.trained else self.before)[split], accuracy={}, n=10)

    def clone(self, method: Any) -> ScriptedTrainer:
        copied = ScriptedTrainer(copy.deepcopy(self.model))
        copied.start = copy.deepcopy(self.model.state_dict())
        self.clones.append(copied)
        return copied

    def fit_epochs(self, n: int, **where: Any) -> None:
        self.fits.append({"n": n, **where})
        self.trained = True
        for parameter in self.model.parameters():
            parameter.data.add_(1.0)


def test_item_15_blending_weights_from_mean_losses_never_on_the_test_set() -> None:
    trainer = ScriptedTrainer(make("fusion-net", unimodal_heads=True))
    record = estimate(trainer, 10, first_epoch=0, schedule=False)  # type: ignore[arg-type]
    # dG / dO^2: audio 0.2 / 0.3^2 = 2.2222, visual 0.1 / 0.1^2 = 10, joint 0.4 / 0.4^2 = 2.5; sum 14.7222
    assert list(record["weights"].values()) == pytest.approx([0.150943, 0.679245, 0.169811], abs=1e-6)
    assert sum(record["weights"].values()) == pytest.approx(1.0)
    assert {split for each in (trainer, *trainer.clones) for split in each.splits} == {
        "train-sample",
        "estimation",
    }


def test_item_16_online_copies_start_from_the_current_weights_and_are_discarded() -> None:
    trainer = ScriptedTrainer(make("fusion-net", unimodal_heads=True))
    method = GradientBlending()
    for epoch in range(11):
        for parameter in trainer.model.parameters():
            parameter.data.mul_(0.5)
        current = copy.deepcopy(trainer.model.state_dict())
        method.epoch_start(trainer, epoch)  # type: ignore[arg-type]
        for key, value in trainer.model.state_dict().items():
            assert torch.equal(value, current[key]), key
        for copied in trainer.clones[-3:] if epoch in (0, 10) else []:
            assert all(torch.equal(value, current[key]) for key, value in copied.start.items())
            assert [(fit["n"], fit["first_epoch"], fit["schedule"]) for fit in copied.fits] == [(10, epoch, False)]
    assert len(trainer.clones) == 6


def test_item_17_blending_has_heads_of_its_own_and_predicts_from_the_joint_head() -> None:
    model = make("fusion-net", unimodal_heads=True)
    batch = make_batch()
    output = model(batch)
    for modality in MODALITIES:
        head = model.unimodal_heads[modality]
        assert head.weight.shape == (3, 16) and head.bias.shape == (3,)
        torch.testing.assert_close(output.scores[modality], head(output.features[modality]))
    joint = model.fusion.linear(torch.cat([output.features["audio"], output.features["visual"]], dim=1))
    torch.testing.assert_close(output.logits, joint)
    losses = [cross_entropy(each, batch.label) for each in (output.scores["audio"], output.scores["visual"], joint)]
    blended = GradientBlending({"weights": [0.2, 0.3, 0.5]}).loss(model, output, batch, make_step())
    torch.testing.assert_close(blended, 0.2 * losses[0] + 0.3 * losses[1] + 0.5 * losses[2])


def test_item_18_mmtm_hidden_width_and_gates() -> None:
    assert [hidden_width(channels, channels) for channels in (64, 128, 256, 512)] == [64, 128, 256, 512]
    assert hidden_width(3, 4) == 3  # floor(2 * 7 / 4)
    block = MMTM(MODALITIES, 8).eval()
    for parameter in block.parameters():
        parameter.data.zero_()
    gates = block({modality: torch.randn(2, 8) for modality in MODALITIES})
    assert all(torch.equal(gate, torch.full((2, 8), 0.5)) for gate in gates.values())


def test_item_19_shared_squeeze_in_both_bypasses_and_heads_in_the_main_sets() -> None:
    model = make("mmtm-net")
    main = {modality: {id(each) for each in model.main(modality)} for modality in MODALITIES}
    bypass = {modality: {id(each) for each in model.bypass(modality)} for modality in MODALITIES}
    squeezes = {id(each) for block in model.blocks.values() for each in block.squeeze.parameters()}
    assert bypass["audio"] & bypass["visual"] == squeezes
    assert len(squeezes) == 6
    for modality in MODALITIES:
        excitations = {id(each) for block in model.blocks.values() for each in block.excite[modality].parameters()}
        assert bypass[modality] == squeezes | excitations
        assert {id(each) for each in model.heads[modality].parameters()} < main[modality]
        assert {id(each) for each in model.encoders[modality].parameters()} < main[modality]
    assert main["audio"].isdisjoint(main["visual"])
    assert set.union(*main.values(), *bypass.values()) == {id(each) for each in model.parameters()}


class ScriptedBranches:
    """Branches whose relative gradients are given numbers: weights of norm 1, gradients of norm sqrt(mu)."""

    def __init__(self) -> None:
        self.cared: str | None = None
        self.mu = {"main": {"audio": 0.01, "visual": 0.01}, "bypass": {"audio": 0.01, "visual": 0.01}}

    def _parameter(self, mu: float) -> list[nn.Parameter]:
        parameter = nn.Parameter(torch.ones(1))
        parameter.grad = torch.full((1,), math.sqrt(mu))
        return [parameter]

    def main(self, modality: str) -> list[nn.Parameter]:
        return self._parameter(self.mu["main"][modality])

    def bypass(self, modality: str) -> list[nn.Parameter]:
        return self._parameter(self.mu["bypass"][modality])


def run(method: Greedy, model: Any, epoch: int) -> str | None:
    """Run one iteration and return what its forward cared for."""
    batch, step = make_batch(), make_step(epoch)
    method.batch(model, batch, step)
    method.gradients(model, None, batch, step)  # type: ignore[arg-type]
    return model.cared  # type: ignore[no-any-return]


def test_item_20_accumulators_are_never_reset_and_frozen_during_curation() -> None:
    method, model = Greedy(), ScriptedBranches()
    for _ in range(3):
        assert run(method, model, epoch=0) is None
    assert method.speeds.main["audio"] == pytest.approx(0.03)
    model.mu["bypass"]["visual"] = 0.97
    # epoch index 1 is the second: M'_v = 0.03 + 0.97 = 1, M_v = 0.04, s_v = log10(25), s_a = 0: visual it is
    assert run(method, model, epoch=1) is None
    assert method.speeds.difference == pytest.approx(-math.log10(25), abs=1e-6)
    frozen = copy.deepcopy(method.speeds)
    assert [run(method, model, epoch=1) for _ in range(5)] == ["visual"] * 5
    assert method.speeds == frozen
    assert run(method, model, epoch=1) is None
    assert method.speeds.main["visual"] == pytest.approx(0.05)
    assert method.speeds.bypass["visual"] == pytest.approx(1.97)


def test_item_20_base_ten_threshold_window_and_start_epoch() -> None:
    assert learning_speed(100.0, 1.0) == pytest.approx(2.0)
    options = Greedy().options
    assert (options.threshold, options.window, options.start_epoch, options.guide) == (0.01, 5, 2, "guided")
    assert next_curation(Curation(), 9.0, 1, options) == Curation()
    assert next_curation(Curation(), 0.01, 2, options) == Curation()
    assert next_curation(Curation(), 0.011, 2, options).modality == "audio"
    assert next_curation(Curation(), -0.011, 2, options).modality == "visual"


def test_item_21_curated_gate_is_the_running_mean_of_that_modality() -> None:
    block = MMTM(MODALITIES, 4)
    generator = torch.Generator().manual_seed(0)
    squeezes = [{each: torch.randn(3, 4, generator=generator) for each in MODALITIES} for _ in range(3)]
    regular = [block.gates(each) for each in squeezes]
    for each in squeezes[:2]:
        block(each)
    curated = block(squeezes[2], cared="visual")
    mean = torch.stack([gates["visual"].mean(0) for gates in regular]).mean(0)
    torch.testing.assert_close(curated["visual"], mean.expand(3, 4))
    torch.testing.assert_close(curated["audio"], regular[2]["audio"])
    assert not curated["visual"].requires_grad


def test_item_21_loss_is_a_sum_of_two_and_prediction_a_mean_of_logits() -> None:
    model, batch = make("mmtm-net"), make_batch()
    output = model(batch)
    loss = Greedy().loss(model, output, batch, make_step())
    expected = sum(cross_entropy(score, batch.label) for score in output.scores.values())
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(output.logits, (output.scores["audio"] + output.scores["visual"]) / 2)
