"""The two stages of the adaptive loss in training: when it fits, what it uses, and what it does without a mixture."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avbalance.analysis.adaptive_loss import AdaptiveSettings
from three_head_runs import easy_clips, kill_after, make, same, spied, trained

from avbalance.analysis import modality_gap
from avbalance.analysis.gap_mixture import Mixture
from avbalance.errors import UserError
from avbalance.methods import adaptive_loss
from avbalance.methods.adaptive_loss import AdaptiveLoss
from avbalance.methods.parts import gaps
from avbalance.training.loop import Trainer
from avbalance.training.state import Checkpoints

OFF = {"beta": 0.0, "lambda_gap": 0.0, "lambda_align": 0.0}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return easy_clips(tmp_path_factory.mktemp("adaptive"))


@pytest.fixture(scope="module")
def plain(clips: Any) -> Any:
    return trained(clips, "head-losses", {"warm_up_epochs": 1})


@pytest.fixture(scope="module")
def adaptive(clips: Any) -> Any:
    return trained(clips, "adaptive-loss", {"warm_up_epochs": 1})


def test_warm_up_has_no_term_of_the_gap(clips: Any, plain: Any, caplog: pytest.LogCaptureFixture) -> None:
    options = {"warm_up_epochs": 3, "alpha": 9.0, "beta": 9.0, "lambda_gap": 9.0, "lambda_align": 9.0}
    with caplog.at_level(logging.WARNING):
        warm = trained(clips, "adaptive-loss", options)
    assert same(warm, plain)
    assert not any({"loss_gap", "loss_align"} & set(row) for row in warm.history)
    assert "all 3 epochs are warm-up (warm_up_epochs is 3)" in caplog.text


@pytest.mark.parametrize("warm_up", [0, 1])
def test_without_its_terms_it_trains_as_the_heads_losses_do(clips: Any, plain: Any, warm_up: int) -> None:
    assert same(trained(clips, "adaptive-loss", {**OFF, "warm_up_epochs": warm_up}), plain)


@pytest.mark.parametrize("option", ["beta", "lambda_gap", "lambda_align"])
def test_each_of_its_terms_makes_a_difference(clips: Any, plain: Any, option: str) -> None:
    assert not same(trained(clips, "adaptive-loss", {**OFF, option: 1.0, "warm_up_epochs": 1}), plain)


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 0.0},
        {"gap": "signed"},
        {"align": "nll"},
        {"separation": "threshold"},
        {"separation": "gap"},
        {"separation": "constant"},
        {"gap_detach_strong": True},
        {"posterior_monotone": True},
    ],
)
def test_every_option_reaches_the_training(clips: Any, adaptive: Any, options: dict[str, Any]) -> None:
    assert not same(trained(clips, "adaptive-loss", {"warm_up_epochs": 1, **options}), adaptive)


@pytest.mark.parametrize(("warm_up", "fitted"), [(0, [0, 1, 2, 3]), (1, [1, 2, 3]), (2, [2, 3]), (3, [3]), (5, [])])
def test_the_first_fit_is_at_the_boundary_and_one_follows_every_adaptive_epoch(
    clips: Any, warm_up: int, fitted: list[int]
) -> None:
    method = trained(clips, "adaptive-loss", {"warm_up_epochs": warm_up}).method
    assert [record["epoch"] for record in method.fits] == fitted
    assert method.gaps["epochs"] == ([3] if warm_up > 2 else [warm_up, 3])[: len(fitted)]


def test_during_an_epoch_the_mixture_is_the_last_fitted_one(clips: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = spied(monkeypatch, adaptive_loss, "adaptive_terms")
    method = trained(clips, "adaptive-loss", {"warm_up_epochs": 1}).method
    used = [arguments[4] for arguments in calls]
    fits = [Mixture(**record["mixture"]) for record in method.fits]
    assert used == [fits[0]] * 6 + [fits[1]] * 6 and fits[0] != fits[1] != fits[2]


def test_the_loss_is_that_of_the_paper_under_the_epochs_mixture(adaptive: Any) -> None:
    from avbalance.analysis.adaptive_loss import adaptive_terms

    from avbalance.methods.base import Step

    (batch, output), *_ = adaptive.outputs(adaptive.parts["train"])
    step = Step(1, 0, 6, torch.Generator())
    heads = (output.logits, output.scores["audio"], output.scores["visual"], batch.label)
    mixture = Mixture(**adaptive.method.fits[-1]["mixture"])
    expected = adaptive_terms(*heads, mixture).total(AdaptiveSettings())
    assert torch.equal(adaptive.method.loss(adaptive.model, output, batch, step), expected)


def test_the_parts_in_the_history_add_up_to_the_loss(adaptive: Any) -> None:
    first, *others = adaptive.history
    assert first["loss_uni"] + first["loss_fusion"] == pytest.approx(first["train_loss"], rel=1e-6)
    assert not {"loss_gap", "loss_align"} & set(first)
    for row in others:
        parts = (row["loss_uni"], row["loss_fusion"], row["loss_gap"], row["loss_align"])
        assert min(parts) > 0 and sum(parts) == pytest.approx(row["train_loss"], rel=1e-6)


def test_no_clip_of_another_part_enters_a_fit(clips: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make(clips, "adaptive-loss", {"warm_up_epochs": 1})
    fitted = spied(monkeypatch, modality_gap, "fit")
    scored = spied(monkeypatch, gaps, "training_scores")
    trainer.train()
    assert len(fitted) == len(scored) == 3
    assert all(arguments[0].shape == (96,) for arguments in fitted)
    assert all(np.array_equal(arguments[2], trainer.parts["train"]) for arguments in scored)


@pytest.fixture(scope="module")
def signed(clips: Any) -> Any:
    return trained(clips, "adaptive-loss", {"warm_up_epochs": 1, "gap": "signed"})


def test_the_signed_gap_is_positive_where_audio_leads(signed: Any) -> None:
    files = signed.method.artifacts()
    values = np.array(files["gaps.json"]["audio"][-1]) - np.array(files["gaps.json"]["visual"][-1])
    mixture = modality_gap.fit(values, 0, "signed").mixture
    last = files["mixtures.json"]["fits"][-1]
    assert mixture is not None and last["mixture"] == pytest.approx(vars(mixture), abs=1e-4)
    assert abs(last["gap_mean"] - abs(values).mean()) < 1e-6 < abs(values.mean())
    assert files["mixtures.json"]["gap"] == "signed"


def test_the_balanced_component_has_the_smaller_mean_after_every_refit(adaptive: Any, signed: Any) -> None:
    assert all(record["mixture"]["mu_B"] < record["mixture"]["mu_I"] for record in adaptive.method.fits)
    means = [(record["mixture"]["mu_B"], record["mixture"]["mu_I"]) for record in signed.method.fits]
    assert all(abs(balanced) < abs(imbalanced) for balanced, imbalanced in means)


def test_without_a_mixture_nothing_counts_as_imbalanced_and_the_log_says_why(
    clips: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(modality_gap, "FEWEST_SAMPLES", 97)
    with caplog.at_level(logging.WARNING):
        weighted = trained(clips, "adaptive-loss", {"warm_up_epochs": 1, "alpha": 5.0, "lambda_align": 5.0})
    assert caplog.text.count("no mixture, because 96 samples are fewer than 97") == 3
    unweighted = trained(clips, "adaptive-loss", {"warm_up_epochs": 1, "alpha": 0.0, "lambda_align": 0.0})
    assert same(weighted, unweighted)  # with w = 0 neither alpha nor the alignment says anything
    for record in weighted.method.fits:
        assert record["mixture"] is None and record["share_imbalanced"] == 0 and record["bic_2"] is None
        assert record["reason"] == "96 samples are fewer than 97"
    for row in weighted.history[1:]:
        assert row["loss_align"] == 0 and math.isfinite(row["train_loss"])
        assert row["mu_B"] is row["mu_I"] is row["pi_I"] is row["bic_difference"] is None


def test_a_network_that_diverged_is_one_sentence(clips: Any) -> None:
    trainer = make(clips, "adaptive-loss", {"warm_up_epochs": 1})
    with torch.no_grad():
        trainer.model.unimodal_heads["visual"].bias.fill_(float("nan"))
    with pytest.raises(UserError, match="96 of 96 samples have no finite gap, so the network has diverged"):
        trainer.method.measure(trainer, 1)


def test_the_optimiser_goes_on_over_the_boundary(clips: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make(clips, "adaptive-loss", {"warm_up_epochs": 1})
    optimiser, made = trainer.optimiser, spied(monkeypatch, Trainer, "_fresh_optimiser")
    momentum: list[int] = []
    original = AdaptiveLoss.loss

    def loss(self: Any, model: Any, output: Any, batch: Any, step: Any) -> Any:
        momentum.append(len(optimiser.state))
        return original(self, model, output, batch, step)

    monkeypatch.setattr(AdaptiveLoss, "loss", loss)
    trainer.train()
    parameters = len(list(trainer.model.parameters()))
    assert trainer.optimiser is optimiser and made == []
    assert momentum[0] == 0 and set(momentum[1:]) == {parameters}


@pytest.mark.parametrize(("warm_up", "epoch", "index"), [(0, 0, 2), (0, 2, 1), (1, 0, 3), (1, 1, 0), (1, 2, 4)])
def test_killed_in_either_stage_it_resumes_bit_equal(
    clips: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm_up: int, epoch: int, index: int
) -> None:
    options = {"warm_up_epochs": warm_up}
    whole = trained(clips, "adaptive-loss", options)
    state = {"checkpoints": Checkpoints(tmp_path, "key", every_s=0.0)}
    kill_after(monkeypatch, make(clips, "adaptive-loss", options, **state), epoch, index)
    resumed = trained(clips, "adaptive-loss", options, **state)
    assert same(resumed, whole) and resumed.history == whole.history
    assert resumed.method.artifacts() == whole.method.artifacts()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"alpha": -1.0}, "alpha is -1.0; it must be at least 0"),
        ({"lambda_align": float("nan")}, "lambda_align is nan; it must be at least 0"),
        ({"gap": "squared"}, "gap is 'squared'; it must be one of abs, signed"),
        ({"align": "l2"}, "align is 'l2'; it must be one of w2, kl, nll"),
        ({"separation": "soft"}, "separation is 'soft'; it must be one of posterior"),
        ({"warm_up_epochs": -1}, "warm_up_epochs is -1; it must be a whole number"),
        ({"weight": 1}, "unknown option weight"),
    ],
)
def test_options_are_checked(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        AdaptiveLoss(options)


def test_the_defaults_are_those_of_the_formulas() -> None:
    assert AdaptiveLoss().settings == AdaptiveSettings()
