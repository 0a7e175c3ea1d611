"""HAN's training, MA's variants of it, and what all parsing methods share: MSDU's loss, modulation, logs, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from avbalance.analysis.dgm import imbalance
from avbalance.analysis.parsing_losses import binary_cross_entropy, han_loss, ma_contrastive, targets
from tiny_parsing import CLASSES, STEPS, equal, hand_batch, make_clips, parsing_trainer, weights

from avbalance.errors import UserError
from avbalance.methods import load
from avbalance.methods.base import Step
from avbalance.methods.parts.modulation import OFF
from avbalance.models.base import load as load_model

HAN = load("han")
MSDU = {"msdu": True}
LOSSES = {"loss_audio", "loss_visual", "loss_audio_target", "loss_visual_target"}
MSDU_LOSSES = {"loss_audio_msdu", "loss_visual_msdu"}
MODULATED = {"omega_va", "mu_a", "mu_v", "share_visual_damped"}


@pytest.fixture(scope="module")
def clips() -> Any:
    torch.set_num_threads(1)
    return make_clips()


def network(name: str = "han", **settings: Any) -> Any:
    return load_model(name)({"width": 16, "dropout": 0.0, **settings}, CLASSES, torch.Generator().manual_seed(0))


def step(epoch: int = 0, index: int = 0) -> Step:
    return Step(epoch, index, STEPS, torch.Generator().manual_seed(9))


def losses(method: Any, model: Any, batch: Any) -> dict[str, float]:
    """What the epoch logs after one batch."""
    method.loss(model, model(batch), batch, step())
    log: dict[str, float] = {}
    method.epoch_end(None, 0, log)
    return log


def test_the_objective_is_han_s() -> None:
    model, batch = network(), hand_batch()
    output = model(batch)
    expected = han_loss(output.P, output.p_a, output.p_v, batch.label)
    assert torch.equal(HAN().loss(model, output, batch, step()), expected)


def test_the_contrastive_loss_of_ma_compares_attended_audio_with_unattended_visual() -> None:
    model, batch = network(), hand_batch()
    output = model(batch)
    plain = HAN().loss(model, output, batch, step())
    contrast = ma_contrastive(output.f_a, output.e_v)
    found = HAN({"contrastive_weight": 0.5}).loss(model, output, batch, step())
    torch.testing.assert_close(found, plain + 0.5 * contrast)
    assert contrast != ma_contrastive(output.f_a, output.f_v)


def test_measuring_heads_learn_with_the_weights_of_the_main_terms() -> None:
    model, batch = network(**MSDU), hand_batch()
    output, target = model(batch), targets(batch.label)
    main = han_loss(output.P, output.p_a, output.p_v, batch.label)
    extra = binary_cross_entropy(output.s_a, target.audio) + binary_cross_entropy(output.s_v, target.visual)
    torch.testing.assert_close(HAN().loss(model, output, batch, step()), main + extra)
    torch.testing.assert_close(HAN({"lambda_ms": 0.3}).loss(model, output, batch, step()), main + 0.3 * extra)
    assert torch.equal(HAN({"lambda_ms": 0}).loss(model, output, batch, step()), main)


@pytest.mark.parametrize("detach", [False, True])
def test_the_measuring_loss_reaches_the_encoders_unless_detached(detach: bool) -> None:
    found = []
    for weight in (0.0, 1.0):
        model, batch = network(**MSDU, msdu_detach=detach), hand_batch()
        HAN({"lambda_ms": weight}).loss(model, model(batch), batch, step()).backward()
        found.append([parameter.grad for parameter in model.encoders.parameters()])
        heads = [parameter.grad for parameter in model.measuring.parameters()]
        assert all((grad is None) == (weight == 0) for grad in heads)
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True)) == detach


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


def test_history_has_means_over_the_batches(clips: Any) -> None:
    trainer = parsing_trainer("han", {"dgm": True}, clips=clips, model=MSDU, epochs=1)
    trainer.train()
    row = trainer.history[0]
    assert row.keys() >= LOSSES | MSDU_LOSSES | MODULATED
    assert all(isinstance(value, (int, float)) for value in row.values())
    assert row["mu_a"] <= 1 and row["mu_v"] <= 1 and 0 <= row["share_visual_damped"] <= 1
    # HAN's loss and the measuring heads' are the sum of what is logged and of BCE(P, Y)
    assert row["train_loss"] > row["loss_audio_target"] + row["loss_visual_target"] + row["loss_audio_msdu"]
    first, second = hand_batch(seed=1), hand_batch(seed=2)
    method, model = HAN(), network()
    for batch in (first, second):
        method.loss(model, model(batch), batch, step())
    log: dict[str, float] = {}
    method.epoch_end(None, 0, log)
    singles = [losses(HAN(), model, batch) for batch in (first, second)]
    assert log == pytest.approx({name: (singles[0][name] + singles[1][name]) / 2 for name in LOSSES})


def test_the_measure_uses_msdu_scores_if_there_are_any_and_the_clean_labels() -> None:
    for settings in ({}, MSDU):
        model, batch = network(**settings), hand_batch()
        method = HAN({"dgm": True})
        output = model(batch)
        method.loss(model, output, batch, step()).backward()
        method.gradients(model, output, batch, step())
        log: dict[str, float] = {}
        method.epoch_end(None, 0, log)
        scores = (output.s_a, output.s_v) if settings else (output.p_a, output.p_v)
        assert log["omega_va"] == pytest.approx(imbalance(*scores, batch.label))


def test_measuring_scores_of_a_modality_do_not_depend_on_the_other_one() -> None:
    model, one, two = network(**MSDU), hand_batch(seed=1), hand_batch(seed=2)
    mixed = type(one)(one.audio, two.visual, one.label, one.index)
    outputs = [model(batch) for batch in (one, mixed, two)]
    assert torch.equal(outputs[0].s_a, outputs[1].s_a) and torch.equal(outputs[1].s_v, outputs[2].s_v)
    assert not torch.equal(outputs[0].s_v, outputs[1].s_v) and not torch.equal(outputs[0].p_a, outputs[1].p_a)


def gradients(clips: Any, model: dict[str, Any], options: dict[str, Any]) -> tuple[Any, dict[str, torch.Tensor]]:
    """The model after one step of the real loop, and the gradients that the optimiser saw."""
    trainer = parsing_trainer("han", options, clips=clips, model=model, epochs=1, max_steps=1)
    trainer.train()
    found = {name: value.grad.clone() for name, value in trainer.model.named_parameters() if value.grad is not None}
    return trainer.model, found


@pytest.mark.parametrize("model", [{}, MSDU, {**MSDU, "msdu_detach": True}])
@pytest.mark.parametrize("noise", ["added", "literal", "none"])
def test_shared_layers_get_the_same_gradient_with_and_without_modulation(
    model: dict[str, Any], noise: str, clips: Any
) -> None:
    _, plain = gradients(clips, model, {})
    network_, found = gradients(clips, model, {"dgm": True, "noise": noise, "gamma": 0.5})
    own = {id(parameter) for name in ("audio", "visual") for parameter in network_.group(name)}
    changed = {name for name, value in found.items() if not torch.equal(value, plain[name])}
    owned = {name for name, parameter in network_.named_parameters() if id(parameter) in own}
    assert found.keys() == plain.keys()
    if noise == "none":  # only the leading modality's
        assert changed and changed < owned
    else:
        assert changed == owned


def test_modulated_by_one_without_noise_the_trajectory_is_that_of_the_plain_run(clips: Any) -> None:
    runs = []
    for options in ({}, OFF, {**OFF, "apply": "update"}, {"dgm": True}, {"dgm": True, "noise": "none"}):
        trainer = parsing_trainer("han", options, clips=clips, model=MSDU)
        trainer.train()
        runs.append(trainer)
    assert all(equal(weights(run), weights(runs[0])) for run in runs[1:3])
    assert not any(equal(weights(run), weights(runs[0])) for run in runs[3:])
    shared = set(runs[0].history[-1])
    assert [{name: row[name] for name in shared} for row in runs[1].history] == runs[0].history


@pytest.mark.parametrize("options", [{"dgm": True}, {"dgm": True, "apply": "update", "contrastive_weight": 1.0}])
def test_resumes_bit_equal_inside_an_epoch(options: dict[str, Any], clips: Any, tmp_path: Path) -> None:
    def trainer(state: Path | None = None) -> Any:
        return parsing_trainer("han", options, clips=clips, model=MSDU, state=state)

    whole, killed = trainer(), trainer(tmp_path)
    whole.train()
    original = killed._step

    def step_or_die(batch: Any, where: Step) -> Any:
        if (where.epoch, where.index) == (1, 3):
            raise KeyboardInterrupt
        return original(batch, where)

    killed._step = step_or_die
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    resumed = trainer(tmp_path)
    resumed.train()
    assert "resumed at epoch 2, step 4" in resumed.progress.out.getvalue()
    assert equal(weights(resumed), weights(whole))
    assert resumed.history == whole.history


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


def test_refined_labels_that_are_missing_or_of_other_data_are_an_error(clips: Any) -> None:
    with pytest.raises(UserError, match=r"labels\.json"):
        parsing_trainer("han", {"labels": "refined"}, clips=clips).train()
    for needs in (record(elsewhere={"audio": [0], "visual": []}), record(train_000={"audio": [9], "visual": []})):
        with pytest.raises(UserError, match="does not have"):
            parsing_trainer("han", {"labels": "refined"}, clips=clips, needs={"labels": needs}).train()


def test_it_trains_mm_pyramid_too(clips: Any) -> None:
    model = {"name": "mm-pyramid", "attention_heads": 4}
    trainer = parsing_trainer("han", {"dgm": True}, clips=clips, model=model, epochs=1, max_steps=2)
    trainer.train()
    assert trainer.history[0]["omega_va"] > 0


def test_it_learns_to_parse(clips: Any) -> None:
    trainer = parsing_trainer("han", {"dgm": True}, clips=clips, model=MSDU, epochs=12, learning_rate=1e-2)
    trainer.train()
    first, last = trainer.history[0], trainer.history[-1]
    assert last["loss_audio"] < 0.7 * first["loss_audio"] and last["loss_audio_msdu"] < 0.7 * first["loss_audio_msdu"]
    assert last["val_loss"] < 0.8 * first["val_loss"]


def test_another_kind_of_network_is_refused() -> None:
    from avbalance.models.base import ModelOutput

    output = ModelOutput(torch.zeros(6, CLASSES), {}, {})
    with pytest.raises(UserError, match="method han: the model parses no videos; use han or mm-pyramid"):
        HAN().loss(network(), output, hand_batch(), step())


@pytest.mark.parametrize(
    "options", [{"contrastive_weight": -1}, {"labels": "clean"}, {"lambda_ms": -0.5}, {"gamma": -1}, {"gama": 1}]
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        HAN(options)
