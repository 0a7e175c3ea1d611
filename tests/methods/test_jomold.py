"""JoMoLD: weights, contrastive loss, denoising of a batch by hand, when it is done, and with modulation and MSDU."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from avbalance.analysis.dgm import imbalance
from avbalance.analysis.parsing_losses import Pair, binary_cross_entropy, jomold_nce, targets
from tiny_parsing import CLASSES, STEPS, equal, hand_batch, make_clips, parsing_trainer, ratios, weights
from torch import Tensor, nn

from avbalance.errors import UserError
from avbalance.methods import load
from avbalance.methods.base import Step
from avbalance.methods.parts.modulation import OFF
from avbalance.models.base import load as load_model
from avbalance.models.parsing import ParsingOutput

JOMOLD = load("jomold")
PLAIN = {"denoise": False}
MODEL = {"visual_dropout": 0.5, "msdu": True}
NEEDS = {"ratios": ratios()}


@pytest.fixture(scope="module")
def clips() -> Any:
    torch.set_num_threads(1)
    return make_clips()


def network(**settings: Any) -> Any:
    return load_model("han")({"width": 16, "dropout": 0.0, **settings}, CLASSES, torch.Generator().manual_seed(0))


def step(epoch: int = 1, index: int = 0) -> Step:
    return Step(epoch, index, STEPS, torch.Generator().manual_seed(9))


def trained(clips: Any, options: dict[str, Any], **settings: Any) -> Any:
    trainer = parsing_trainer("jomold", options, clips=clips, needs=NEEDS, **{"model": MODEL, **settings})
    trainer.train()
    return trainer


@pytest.mark.parametrize("given", [None, [1, 1, 1], [0.5, 3, 2]])
@pytest.mark.parametrize("nce", [1.0, 0.0, 0.25])
def test_the_objective_weighs_audio_visual_video_contrast_and_measuring_heads(given: Any, nce: float) -> None:
    model, batch = network(msdu=True), hand_batch()
    output, target = model(batch), targets(batch.label)
    options = {**PLAIN, "nce_weight": nce, "lambda_ms": 0.5, **({"weights": given} if given else {})}
    audio, visual, video = given or (2, 1, 1)
    expected = audio * binary_cross_entropy(output.p_a, target.audio)
    expected = expected + visual * binary_cross_entropy(output.p_v, target.visual)
    expected = expected + video * binary_cross_entropy(output.P, batch.label)
    expected = expected + nce * jomold_nce(output.f_a, output.f_v)
    expected = expected + 0.5 * audio * binary_cross_entropy(output.s_a, target.audio)
    expected = expected + 0.5 * visual * binary_cross_entropy(output.s_v, target.visual)
    torch.testing.assert_close(JOMOLD(options).loss(model, output, batch, step()), expected)


class Oracle(nn.Module):
    """Answers the denoising forward with given probabilities `(B, C)`, and remembers how it was asked."""

    def __init__(self, p_a: Tensor, p_v: Tensor) -> None:
        super().__init__()
        self.p_a, self.p_v = p_a, p_v
        self.asked: list[tuple[bool, bool, bool]] = []

    def attend(self, e_a: Tensor, e_v: Tensor, with_ca: bool) -> ParsingOutput:
        assert e_a is ENCODED.e_a and e_v is ENCODED.e_v
        self.asked.append((with_ca, self.training, torch.is_grad_enabled()))
        nothing = torch.zeros(len(self.p_a), 10, 2)
        frame = torch.zeros(len(self.p_a), 10, 2, self.p_a.shape[1])
        return ParsingOutput(frame, self.p_a, self.p_a, self.p_v, e_a=nothing, e_v=nothing, f_a=nothing, f_v=nothing)


class Labelled:
    def __init__(self, label: Tensor) -> None:
        self.label = label


def column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


ENCODED: Any = SimpleNamespace(e_a=torch.ones(6, 10, 2), e_v=torch.zeros(6, 10, 2))
LABEL = column(1, 1, 1, 1, 0, 1)
ORACLE = (column(0.9, 0.8, 0.2, 0.7, 0.1, 0.6), column(0.1, 0.7, 0.9, 0.2, 0.3, 0.8))


def worked(clips: Any, where: Step, **options: Any) -> tuple[Pair, Oracle]:
    """Targets and model of one class, six videos, ratios .4 and .6."""
    trainer = parsing_trainer("jomold", options, clips=clips, needs={"ratios": ratios(0.4, 0.6)})
    method: Any = trainer.method
    method.prepare(trainer)
    method._ratio = Pair(*(ratio[:1] for ratio in method._ratio))
    oracle = Oracle(*ORACLE)
    return method.targets(oracle, ENCODED, Labelled(LABEL), where), oracle


@pytest.mark.parametrize("where", [step(1, 0), step(1, 4), step(20, 2)])
def test_denoising_worked_case(where: Step, clips: Any) -> None:
    target, oracle = worked(clips, where)
    assert target.audio[:, 0].tolist() == [1, 1, 0, 1, 0, 0]
    assert target.visual[:, 0].tolist() == pytest.approx([0, 0, 0.95, 0, 0.05, 0.95])
    assert (target.visual[[0, 1, 3]] == 0).all()  # exactly, not .05
    assert oracle.asked == [(False, True, False)]  # no cross attention, dropout active, no gradient


@pytest.mark.parametrize("index", [0, 1, 4])
def test_in_the_first_epoch_nothing_is_denoised(index: int, clips: Any) -> None:
    target, oracle = worked(clips, step(0, index))
    whole = targets(LABEL)
    assert torch.equal(target.audio, whole.audio) and torch.equal(target.visual, whole.visual)
    assert oracle.asked == []


def test_the_linear_warmup_starts_within_the_first_epoch(clips: Any) -> None:
    whole, full = targets(LABEL), worked(clips, step(1, 0))[0]
    start, _ = worked(clips, step(0, 0), warmup="linear")
    middle, _ = worked(clips, step(0, 3), warmup="linear")  # u = 2/3: n_a = floor(.27 * 5) = 1, n_v = floor(.4 * 5) = 2
    later, _ = worked(clips, step(1, 0), warmup="linear")
    assert torch.equal(start.visual, whole.visual) and torch.equal(later.visual, full.visual)
    assert middle.audio[:, 0].tolist() == [1, 1, 0, 1, 0, 1]
    assert middle.visual[:, 0].tolist() == pytest.approx([0, 0.95, 0.95, 0.95, 0.05, 0.95])


def test_the_video_s_target_and_the_measure_stay_clean(clips: Any) -> None:
    trainer = parsing_trainer(
        "jomold", {"dgm": True}, clips=clips, needs={"ratios": ratios(0.9, 0.9)}, model={"msdu": True, "dropout": 0.0}
    )
    method, model, batch = trainer.method, trainer.model, hand_batch(12)
    method.prepare(trainer)
    output: Any = model(batch)
    target = copy.deepcopy(method).targets(model, output, batch, step())  # which remembers the batch's losses
    loss = method.loss(model, output, batch, step())
    assert not torch.equal(target.audio, targets(batch.label).audio)
    expected = 2 * binary_cross_entropy(output.p_a, target.audio) + binary_cross_entropy(output.p_v, target.visual)
    expected = expected + binary_cross_entropy(output.P, batch.label) + jomold_nce(output.f_a, output.f_v)
    expected = expected + 2 * binary_cross_entropy(output.s_a, target.audio)
    expected = expected + binary_cross_entropy(output.s_v, target.visual)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    method.gradients(model, output, batch, step())
    log: dict[str, float] = {}
    method.epoch_end(trainer, 1, log)
    assert log["omega_va"] == pytest.approx(imbalance(output.s_a, output.s_v, batch.label))
    assert log["omega_va"] != pytest.approx(imbalance(output.s_a, output.s_v, target.audio))
    assert log["loss_audio"] == pytest.approx(binary_cross_entropy(output.p_a, batch.label).item())
    assert log["loss_audio_target"] == pytest.approx(binary_cross_entropy(output.p_a, target.audio).item())


def test_the_first_epoch_is_that_of_a_run_without_denoising(clips: Any) -> None:
    assert equal(weights(trained(clips, {}, epochs=1)), weights(trained(clips, PLAIN, epochs=1)))
    assert not equal(weights(trained(clips, {}, epochs=2)), weights(trained(clips, PLAIN, epochs=2)))


def test_ratios_of_zero_are_a_run_without_denoising(clips: Any) -> None:
    trainer = parsing_trainer("jomold", {}, clips=clips, needs={"ratios": ratios(0, 0)}, model=MODEL)
    trainer.train()
    assert equal(weights(trainer), weights(trained(clips, PLAIN)))


def test_modulated_by_one_without_noise_the_trajectory_is_that_of_the_plain_run(clips: Any) -> None:
    plain, off, on = (trained(clips, options) for options in ({}, OFF, {"dgm": True}))
    assert equal(weights(off), weights(plain)) and not equal(weights(on), weights(plain))


def test_shared_layers_get_the_same_gradient_with_and_without_modulation(clips: Any) -> None:
    found = []
    for options in (PLAIN, {**PLAIN, "dgm": True, "gamma": 0.9}):
        trainer = trained(clips, options, epochs=1, max_steps=1)
        found.append({name: value.grad for name, value in trainer.model.named_parameters() if value.grad is not None})
    changed = {name.split(".")[0] for name in found[0] if not torch.equal(found[0][name], found[1][name])}
    assert changed == {"encoders", "audio_heads", "visual_heads"}
    assert {name.split(".")[0] for name in found[0]} == changed | {"attention", "measuring"}


def test_the_noise_estimator_trains_without_cross_attention(clips: Any) -> None:
    options = {"denoise": False, "weights": [1, 1, 1]}
    model = {"visual_dropout": 0.5, "with_ca": False}
    trainer = parsing_trainer("jomold", options, clips=clips, model=model, epochs=1)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    after = weights(trainer)
    cross = {name for name in before if "cross_attention" in name}
    assert cross and all(torch.equal(before[name], after[name]) for name in cross)
    assert not any(torch.equal(before[name], after[name]) for name in before if name.startswith("encoders."))


def test_resumes_bit_equal_while_denoising(clips: Any, tmp_path: Path) -> None:
    whole = trained(clips, {"dgm": True}, epochs=3)
    killed = parsing_trainer("jomold", {"dgm": True}, clips=clips, needs=NEEDS, model=MODEL, state=tmp_path, epochs=3)
    original = killed._step

    def step_or_die(batch: Any, where: Step) -> Any:
        if (where.epoch, where.index) == (2, 1):
            raise KeyboardInterrupt
        return original(batch, where)

    killed._step = step_or_die
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    resumed = trained(clips, {"dgm": True}, epochs=3, state=tmp_path)
    assert "resumed at epoch 3, step 2" in resumed.progress.out.getvalue()
    assert equal(weights(resumed), weights(whole))
    assert resumed.history == whole.history


def test_missing_or_foreign_ratios_are_an_error(clips: Any) -> None:
    with pytest.raises(UserError, match=r"noise_ratios\.json"):
        parsing_trainer("jomold", clips=clips).train()
    foreign = {"audio": [0.1], "visual": [0.1]}
    with pytest.raises(UserError, match="1 audio and 1 visual ratios"):
        parsing_trainer("jomold", clips=clips, needs={"ratios": foreign}).train()


def test_a_model_that_cannot_do_without_cross_attention_is_refused(clips: Any) -> None:
    with pytest.raises(UserError, match="without cross attention; use han"):
        parsing_trainer("jomold", clips=clips, needs=NEEDS, model={"name": "mm-pyramid", "attention_heads": 4}).train()


@pytest.mark.parametrize(
    "options",
    [
        {"weights": [1, 1]}, {"weights": 2}, {"weights": [1, -1, 1]}, {"nce_weight": -1}, {"denoise": "yes"},
        {"warmup": "slow"}, {"lambda_ms": -1}, {"measure": "best"},
    ],
)  # fmt: skip
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"option {next(iter(options))}"):
        JOMOLD(options)
