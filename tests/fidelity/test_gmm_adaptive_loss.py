"""Fidelity to our formulation of "Quantifying Multimodal Imbalance: A GMM-Guided Adaptive Loss".

The method was written from abstracts alone: what is checked is the reading that the paper's README lists, item by item.
Options of methods are always those of the paper's own tier, as its run sheet resolves them, but for the length of the
warm-up and the network, which are made small where a training is needed. Worked numbers are of four samples of three
classes under a mixture of weights 0.6 and 0.4, means 0.1 and 0.6, deviations 0.1 and 0.2.
"""

from __future__ import annotations

import copy
import logging
import math
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from avbalance.analysis import modality_gap
from avbalance.analysis.gap_mixture import Mixture
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.evaluation.published import load_published
from avbalance.methods import base as methods
from avbalance.methods.adaptive_loss import (
    AdaptiveLoss,
    AdaptiveLossOptions,
    adaptive_terms,
    alignment,
    imbalance,
    signed_gap,
)
from avbalance.methods.base import TrainingStep
from avbalance.methods.parts import gaps
from avbalance.models.base import Batch, ModelOutput, build
from avbalance.plan.config import load_paper
from avbalance.plan.plan import Plan, load_plan
from avbalance.plan.sheet import Row
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.declared_tables import read_table
from avbalance.reporting.tables import build_table
from avbalance.training.data import BatchSource
from avbalance.training.tasks.base import Place

REPOSITORY = Path(__file__).parents[2]
SLUG = "gmm-adaptive-loss"
FOLDER = REPOSITORY / "workflow" / "papers" / SLUG
sys.path[:0] = [str(REPOSITORY / "tests" / "methods"), str(REPOSITORY / "tests" / "training")]
DATA = {"cremad": "cremad", "ave": "ave-clips", "kinetics-sounds": "kinetics-sounds"}
LABEL = torch.tensor([0, 1, 0, 2])
AUDIO = torch.tensor([[2.0, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 3]], dtype=torch.float64)
VISUAL = torch.tensor([[0.0, 0, 0], [0, 1, 0], [3, 0, 0], [0, 2, 0]], dtype=torch.float64)
MIXTURE = Mixture(pi_B=0.6, mu_B=0.1, sigma_B=0.1, pi_I=0.4, mu_I=0.6, sigma_I=0.2)
OURS = "our formulation"


@cache
def sheet() -> Plan:
    return load_plan(REPOSITORY, {"tier": "paper", "papers": {SLUG: {"datasets": DATA}}})


def rows(role: str = "cremad") -> dict[str, Row]:
    """Run -> its row on one data set."""
    return {row.run: row for row in sheet().rows[SLUG] if row.role == role}


def options(run: str, **changes: Any) -> dict[str, Any]:
    """The method's options of a run, with the warm-up of a short training."""
    own = {**rows()[run].settings.get("method", {}), **changes}
    return own | ({"warm_up_epochs": 1} if "warm_up_epochs" in own and "warm_up_epochs" not in changes else {})


def settings() -> AdaptiveLossOptions:
    """What the loss of the paper tier is computed with."""
    return AdaptiveLoss(rows()["ours"].settings["method"]).options


def terms() -> Any:
    """The parts of the loss on the worked example."""
    return adaptive_terms(AUDIO + VISUAL, AUDIO, VISUAL, LABEL, MIXTURE, settings())


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from three_head_runs import easy_clips

    return easy_clips(tmp_path_factory.mktemp("fidelity"))


def trained(clips: Any, run: str, **changes: Any) -> Any:
    """A finished training of three epochs with the method of a run."""
    from three_head_runs import trained as train

    return train(clips, rows()[run].method, options(run, **changes))


@pytest.fixture(scope="module")
def adaptive(clips: Any) -> Any:
    return trained(clips, "ours")


def scores_by_hand(logits: Tensor, label: Tensor) -> np.ndarray:
    return np.array(
        [float(row.double().exp()[y] / row.double().exp().sum()) for row, y in zip(logits, label, strict=True)]
    )


def heads_of(trainer: Any, indices: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of both heads and labels of clips, by the network as it stands."""
    made = list(trainer.outputs(indices))
    return (
        torch.cat([output.scores["audio"] for _, output in made]),
        torch.cat([output.scores["visual"] for _, output in made]),
        torch.cat([batch.label for batch, _ in made]),
    )


def measured_gap(label: np.ndarray) -> np.ndarray:
    audio, visual = (modality_gap.true_class_scores(logits.numpy(), label) for logits in (AUDIO, VISUAL))
    return gaps.HeadScores(audio, visual, label).signed


def test_item_01_the_gap_is_of_softmax_scores_of_the_true_class() -> None:
    found = measured_gap(LABEL.numpy())
    # exp 2 / (exp 2 + 2) - 1/3 for the first sample; neither logits (2 - 0) nor largest scores (third: .33 - .91).
    np.testing.assert_allclose(found, [0.453653, 0.0, -0.576110, 0.802936], atol=1e-6)
    in_training = signed_gap(AUDIO, VISUAL, LABEL).numpy()
    np.testing.assert_allclose(in_training, found, atol=1e-12)
    wrong = measured_gap(np.array([1, 1, 0, 2]))
    assert wrong[0] < 0 < found[0]  # the class decides, not what is most probable


def test_item_01_the_scores_of_a_training_are_such(clips: Any, adaptive: Any) -> None:
    indices = adaptive.parts["train"]
    audio, visual, label = heads_of(adaptive, indices)
    found = gaps.training_scores(adaptive.method, adaptive, indices)
    np.testing.assert_allclose(found.audio, scores_by_hand(audio, label), atol=1e-9)
    np.testing.assert_allclose(found.visual, scores_by_hand(visual, label), atol=1e-9)


def test_item_02_each_modality_has_a_score_of_its_own_branch(clips: Any, adaptive: Any) -> None:
    with_heads = [row for row in rows().values() if row.method in ("head-losses", "adaptive-loss", "fine-tuning")]
    assert len(with_heads) > 30 and all(row.settings["model"]["unimodal_heads"] is True for row in with_heads)
    indices = adaptive.parts["train"]
    before = gaps.training_scores(adaptive.method, adaptive, indices)
    changed = copy.copy(adaptive)
    changed.model = copy.deepcopy(adaptive.model)
    with torch.no_grad():
        for weight in changed.model.fusion.parameters():
            weight.zero_()
    after = gaps.training_scores(adaptive.method, changed, indices)
    assert np.array_equal(after.audio, before.audio) and np.array_equal(after.visual, before.visual)
    fused = adaptive_terms(torch.zeros_like(AUDIO), AUDIO, VISUAL, LABEL, MIXTURE, settings())
    assert torch.equal(fused.gap, terms().gap) and torch.equal(fused.align, terms().align)


def test_item_03_the_fitted_gap_is_absolute_and_the_signed_one_is_kept(clips: Any, adaptive: Any) -> None:
    assert settings().gap == "abs"
    kept = adaptive.method.artifacts()["gaps.json"]
    signed = np.array(kept["audio"]) - np.array(kept["visual"])
    assert (signed < 0).any() and (signed > 0).any()
    assert adaptive.method.artifacts()["mixtures.json"]["fits"][-1]["gap_mean"] == pytest.approx(
        np.abs(signed[-1]).mean(), abs=1e-6
    )
    assert ((np.abs(signed) >= 0) & (np.abs(signed) <= 1)).all()
    assert terms().gap.item() > 0  # of signed gaps 0.45, 0, -0.58, 0.80 some would cancel


def test_item_03_the_fit_reads_the_absolute_gap(clips: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from three_head_runs import spied

    fitted = spied(monkeypatch, gaps, "fit")
    trainer = trained(clips, "ours")
    audio, visual, label = heads_of(trainer, trainer.parts["train"])
    assert all((arguments[0] >= 0).all() and arguments[2] == "abs" for arguments in fitted)
    trainer.method.measure(trainer, 3)
    expected = np.abs(scores_by_hand(audio, label) - scores_by_hand(visual, label))
    np.testing.assert_allclose(fitted[-1][0], expected, atol=1e-9)


def test_item_04_two_gaussians_are_fitted_to_the_whole_training_part_in_evaluation_mode(
    clips: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from three_head_runs import spied

    model = modality_gap.estimator(np.linspace(0, 1, 50), 0)
    assert (model.n_components, model.covariance_type) == (2, "full")
    fitted = spied(monkeypatch, gaps, "fit")
    modes: list[bool] = []
    trainer = trained(clips, "ours")
    original = type(trainer.model).forward

    def forward(self: Any, batch: Any) -> Any:
        modes.append(self.training)
        return original(self, batch)

    monkeypatch.setattr(type(trainer.model), "forward", forward)
    trainer.model.train()
    trainer.method.measure(trainer, 3)
    trainer.method.measure(trainer, 3)
    assert modes and not any(modes)
    assert [arguments[0].ndim for arguments in fitted] == [1] * len(fitted)
    assert {arguments[0].size for arguments in fitted} == {len(trainer.parts["train"])} == {96}
    assert np.array_equal(fitted[-1][0], fitted[-2][0])  # test-time transforms: nothing is drawn


def test_item_05_no_clip_of_another_part_enters_a_fit(clips: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from three_head_runs import spied

    scored = spied(monkeypatch, gaps, "training_scores")
    trainer = trained(clips, "ours")
    own = set(trainer.parts["train"].tolist())
    assert len(scored) == 3 and all(set(arguments[2].tolist()) == own for arguments in scored)
    assert not own & {*trainer.parts["val"].tolist(), *trainer.parts["test"].tolist()}
    assert trainer.method.gaps["ids"] == clips.ids[trainer.parts["train"]].tolist()


def test_item_06_the_balanced_component_has_the_smaller_mean_after_every_refit(adaptive: Any) -> None:
    fits = [record["mixture"] for record in adaptive.method.fits]
    assert len(fits) == 3 and all(mixture["mu_B"] < mixture["mu_I"] for mixture in fits)
    generator = np.random.default_rng(0)
    humps = [generator.normal(0.1, 0.05, 200), generator.normal(0.7, 0.1, 50)]
    for order in (humps, humps[::-1]):
        found = modality_gap.fit(np.concatenate(order).clip(0, 1), seed=1).mixture
        assert found is not None and found.mu_B == pytest.approx(0.1, abs=0.02) and found.pi_B > found.pi_I


def test_item_07_the_posterior_is_bayes_theorem_with_the_weights_of_the_mixture() -> None:
    g = np.array([0, 0.1, 0.2, 0.3, 0.35, 0.5, 0.8])
    expected = [0.006068, 0.014434, 0.069228, 0.444329, 0.776457, 0.998861, 1.0]
    np.testing.assert_allclose(modality_gap.posterior(g, MIXTURE), expected, atol=1e-6)
    assert (settings().separation, settings().posterior_monotone) == ("posterior", False)
    w = imbalance(signed_gap(AUDIO, VISUAL, LABEL), MIXTURE, settings())
    np.testing.assert_allclose(w.numpy(), [0.992514, 0.006068, 0.999964, 1.0], atol=1e-6)
    rarer = Mixture(**{**vars(MIXTURE), "pi_B": 0.99, "pi_I": 0.01})
    assert modality_gap.posterior(np.array([0.3]), rarer)[0] < 0.1  # as near to either mean as before


def test_item_08_the_gap_carries_gradient_and_the_posterior_none() -> None:
    audio, visual = AUDIO.clone().requires_grad_(), VISUAL.clone().requires_grad_()
    assert not imbalance(signed_gap(audio, visual, LABEL), MIXTURE, settings()).requires_grad
    adaptive_terms(audio + visual, audio, visual, LABEL, MIXTURE, settings()).gap.backward()
    assert audio.grad is not None and visual.grad is not None
    # (1 + w) / 4 * s (e_y - p) of the first sample, with the opposite sign for the weaker modality.
    np.testing.assert_allclose(audio.grad[0].numpy(), [0.083506, -0.041753, -0.041753], atol=1e-6)
    np.testing.assert_allclose(visual.grad[0].numpy(), [-0.110695, 0.055348, 0.055348], atol=1e-6)
    assert not audio.grad[1].any() and not visual.grad[1].any()
    assert not settings().gap_detach_strong


def test_item_09_warm_up_uses_no_term_of_the_gap(clips: Any) -> None:
    method = AdaptiveLoss({**options("ours", warm_up_epochs=20), "lambda_gap": 9.0, "beta": 9.0})
    settings = {"name": "fusion-net", "encoder": "convolutional", "width": 2, "unimodal_heads": True}
    model = build(settings, 3, torch.Generator())
    output = ModelOutput(AUDIO + VISUAL, {"audio": AUDIO, "visual": VISUAL}, {})
    batch = Batch(None, None, LABEL, torch.arange(4))
    for epoch in (0, 19):
        found = method.loss(model, output, batch, TrainingStep(epoch, 0, 1, torch.Generator()))
        assert found.item() == pytest.approx(1.723019, abs=1e-6)
    second = AdaptiveLoss(method.options)
    after = second.loss(model, output, batch, TrainingStep(20, 0, 1, torch.Generator()))
    assert after.item() > 3
    history = trained(clips, "ours", warm_up_epochs=2).history
    assert [("loss_gap" in row, "loss_align" in row) for row in history] == [(False, False)] * 2 + [(True, True)]


def test_item_10_the_first_fit_ends_the_warm_up_and_every_adaptive_epoch_refits(clips: Any, adaptive: Any) -> None:
    assert rows()["ours"].settings["method"]["warm_up_epochs"] * 5 == rows()["ours"].settings["protocol"]["epochs"]
    assert [record["epoch"] for record in adaptive.method.fits] == [1, 2, 3]
    assert [record["epoch"] for record in trained(clips, "ours", warm_up_epochs=2).method.fits] == [2, 3]
    assert [run for run in rows() if run.startswith("warm-up-")] == [f"warm-up-{n}" for n in (0, 5, 10, 40)]
    lengths = [rows()[f"warm-up-{n}"].settings["method"]["warm_up_epochs"] for n in (0, 5, 10, 40)]
    assert lengths == [0, 5, 10, 40]


def test_item_11_the_gap_of_imbalanced_samples_weighs_up_to_twice() -> None:
    assert settings().alpha == 1
    assert terms().gap.item() == pytest.approx(0.915495, abs=1e-6)
    g, w = signed_gap(AUDIO, VISUAL, LABEL).abs(), imbalance(signed_gap(AUDIO, VISUAL, LABEL), MIXTURE, settings())
    assert terms().gap.item() == pytest.approx(float(((1 + w) * g).mean()))
    unweighted = adaptive_terms(AUDIO + VISUAL, AUDIO, VISUAL, LABEL, MIXTURE, AdaptiveLossOptions(alpha=0))
    assert unweighted.gap.item() == pytest.approx(0.458175, abs=1e-6)


def test_item_12_the_fusion_loss_of_balanced_samples_weighs_up_to_twice() -> None:
    assert settings().beta == 1
    assert terms().fusion.item() == pytest.approx(0.290728, abs=1e-6)
    balanced = adaptive_terms(AUDIO + VISUAL, AUDIO, AUDIO, LABEL, MIXTURE, settings())  # all gaps 0: w = .006
    plain = cross_entropy(AUDIO + VISUAL, LABEL).item()
    assert balanced.fusion.item() == pytest.approx((2 - 0.006068) * plain, abs=1e-5)
    assert rows()["ours-v1"].settings["method"]["beta"] == 0


def test_item_13_the_alignment_is_between_the_soft_imbalanced_group_and_the_balanced_component() -> None:
    assert settings().align == "w2"
    assert terms().align.item() == pytest.approx(0.262377, abs=1e-6)
    same = torch.tensor([0.0, 0.2], dtype=torch.float64)  # mean 0.1, deviation 0.1: the balanced component
    assert alignment(same, torch.ones(2, dtype=torch.float64), MIXTURE, settings().align).item() < 1e-12
    shifted = alignment(same + 0.5, torch.ones(2, dtype=torch.float64), MIXTURE, settings().align)
    assert shifted.item() == pytest.approx(0.25, abs=1e-6)
    assert alignment(same + 0.5, torch.full((2,), 0.4, dtype=torch.float64), MIXTURE).item() == 0  # W < 1


def test_item_14_the_heads_cross_entropies_are_unweighted_in_both_stages(clips: Any, adaptive: Any) -> None:
    expected = float(cross_entropy(AUDIO, LABEL) + cross_entropy(VISUAL, LABEL))
    assert expected == pytest.approx(1.492262, abs=1e-6)
    assert terms().uni.item() == pytest.approx(expected, abs=1e-9)
    assert terms().total(settings()).item() == pytest.approx(2.960862, abs=1e-6)
    warm = methods.load("head-losses")(options("heads"))
    output = ModelOutput(AUDIO + VISUAL, {"audio": AUDIO, "visual": VISUAL}, {})
    model = adaptive.model
    loss = warm.loss(model, output, Batch(None, None, LABEL, torch.arange(4)), TrainingStep(0, 0, 1, torch.Generator()))
    assert loss.item() == pytest.approx(expected + cross_entropy(AUDIO + VISUAL, LABEL).item())


def test_item_15_without_its_terms_the_adaptive_loss_is_that_of_warm_up_exactly(clips: Any) -> None:
    from three_head_runs import same

    off = {"lambda_gap": 0.0, "lambda_align": 0.0, "beta": 0.0}
    assert same(trained(clips, "ours", **off), trained(clips, "heads"))
    assert not same(trained(clips, "gap"), trained(clips, "heads"))


def test_item_16_without_a_usable_fit_nothing_counts_as_imbalanced_and_the_log_says_so(
    clips: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    flat = modality_gap.fit(np.full(50, 0.25), seed=0)
    assert flat.mixture is None and "variance" in flat.reason
    assert not modality_gap.posterior(np.linspace(0, 1, 5), None).any()
    monkeypatch.setattr(modality_gap, "SMALLEST_VARIANCE", 2.0)
    with caplog.at_level(logging.WARNING):
        trainer = trained(clips, "ours")
    assert caplog.text.count("no mixture, because the variance") == 3
    assert [record["mixture"] for record in trainer.method.fits] == [None] * 3
    assert {record["share_imbalanced"] for record in trainer.method.fits} == {0.0}
    for row in trainer.history[1:]:
        assert row["loss_align"] == 0 and all(math.isfinite(row[name]) for name in ("train_loss", "loss_gap"))
    assert all(
        bool(torch.isfinite(value).all()) for value in trainer.states["last"].values() if value.is_floating_point()
    )


@pytest.mark.parametrize("role", list(DATA))
def test_item_17_compared_methods_share_encoders_data_schedule_and_seeds(role: str) -> None:
    compared = [
        row for name, row in rows(role).items() if not row.combine and not name.startswith(("fine-", "reference-"))
    ]
    assert len({repr(row.settings["protocol"]) for row in compared}) == len({row.seeds for row in compared}) == 1
    shared = [{**row.settings["data"], "estimation_holdout": None} for row in compared]
    assert all(each == shared[0] for each in shared)
    assert [row.run for row in compared if row.settings["data"]["estimation_holdout"]] == ["gradient-blending"]
    assert {(row.settings["model"]["width"], row.settings["model"]["stem"]) for row in compared} == {(64, "imagenet")}
    assert all(row.settings["model"].get("encoder", "resnet18") == "resnet18" for row in compared)
    assert {row.run for row in compared if row.settings["model"]["name"] not in ("fusion-net", "unimodal-net")} == {
        "greedy"
    }
    assert "its own network" in rows(role)["greedy"].label
    protocol = compared[0].settings["protocol"]
    assert (protocol["epochs"], protocol["batch_size"], protocol["learning_rate"]) == (100, 64, 0.001)
    assert (protocol["momentum"], protocol["weight_decay"], protocol["decay_every"]) == (0.9, 0.0001, 70)
    data = compared[0].settings["data"]
    assert (data["frames"], data["same_crop"], data["crop"]) == (3, True, 224)


def test_item_17_networks_with_and_without_heads_start_from_the_same_encoders() -> None:
    made = [
        build({**rows()[run].settings["model"], "width": 2}, 6, torch.Generator().manual_seed(3))
        for run in ("concat", "heads", "ours")
    ]
    for other in made[1:]:
        for name, value in made[0].state_dict().items():
            assert torch.equal(other.state_dict()[name], value), name


def test_item_18_the_prediction_is_that_of_the_fusion_head(clips: Any, adaptive: Any) -> None:
    indices = adaptive.parts["test"]
    table = adaptive.task.predictions(clips, indices, Place("test"), adaptive.outputs(indices)).to_pandas()
    found = np.stack(table["logits"].to_list())
    made = list(adaptive.outputs(indices))
    features = [torch.cat([output.features[name] for _, output in made]) for name in ("audio", "visual")]
    expected, *_ = adaptive.model.fusion(*features)
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-5)
    heads = np.stack(table["logits_audio"].to_list()) + np.stack(table["logits_visual"].to_list())
    assert not np.allclose(found, heads, atol=1e-2)


def test_item_19_fine_tuning_uses_the_losses_of_warm_up_on_the_kept_samples_alone(
    clips: Any, adaptive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from three_head_runs import make, spied, weights_of

    assert rows()["fine-ours-high-quality"].needs["checkpoint"] == {"run": "ours", "file": "model.safetensors"}
    trainer = make(clips, "fine-tuning", rows()["fine-ours-high-quality"].settings["method"], epochs=2)
    trainer.needs = {"checkpoint": weights_of(adaptive)}
    epochs = spied(monkeypatch, BatchSource, "training")
    trainer.train()
    last = adaptive.method.gaps
    g = np.abs(np.array(last["audio"][-1]) - np.array(last["visual"][-1]))
    mixture = Mixture(**adaptive.method.fits[-1]["mixture"])
    kept = adaptive.parts["train"][1 - modality_gap.posterior(g, mixture) >= 0.5]
    assert 0 < len(kept) < 96
    assert [[group.tolist() for group in arguments[1]] for arguments in epochs] == [[kept.tolist()]] * 2
    for row in trainer.history:
        assert not {"loss_gap", "loss_align"} & set(row)
        assert row["loss_uni"] + row["loss_fusion"] == pytest.approx(row["train_loss"], rel=1e-6)


def test_item_19_it_is_short_at_a_constant_rate_and_has_its_controls() -> None:
    for source in ("heads", "ours"):
        for subset in ("high-quality", "full", "random", "complement"):
            row = rows()[f"fine-{source}-{subset}"]
            assert (row.settings["method"]["subset"], row.settings["method"]["threshold"]) == (subset, 0.5)
            assert row.needs["checkpoint"]["run"] == source
            protocol = row.settings["protocol"]
            assert (protocol["epochs"], protocol["learning_rate"], protocol["decay_factor"]) == (20, 0.0001, 1.0)


def declared() -> dict[str, Any]:
    return load_paper(REPOSITORY, SLUG)


def paper_of(**more: Any) -> Paper:
    loaded = load_paper(REPOSITORY, SLUG)
    infos = {
        role: DatasetInfo(role, entry["label"], f"made-{role}", "made up") for role, entry in loaded["datasets"].items()
    }
    labels = {run: entry["label"] for run, entry in loaded["runs"].items()}
    return Paper(SLUG, "t", str(FOLDER / "published"), infos, labels, (), **more)


def measurements() -> pd.DataFrame:
    """Made-up measurements of one run, in which every checkpoint and head has another value."""
    place = {"dataset": "made-cremad", "run": "ours", "seed": 0, "split": "test", "subset": "overall",
             "condition": "both", "protocol": "none", "n": 744}  # fmt: skip
    values = {("selected", "accuracy"): 1.0, ("last", "accuracy"): 2.0, ("best-test", "accuracy"): 3.0,
              ("selected", "macro_f1"): 4.0, ("last", "macro_f1"): 5.0, ("best-test", "macro_f1"): 6.0}  # fmt: skip
    return pd.DataFrame(
        [
            {**place, "checkpoint": checkpoint, "metric": metric, "value": value}
            for (checkpoint, metric), value in values.items()
        ]
    )


def cells_of(name: str) -> dict[tuple[str, ...], Any]:
    """(row and column labels) -> cell of a declared table."""
    paper, declarations = paper_of(), declared()
    measured = MeasuredCells(paper, measurements(), load_published(paper.published, declarations["published"]))
    given = next(each for each in declarations["tables"] if each["id"] == name)
    table = build_table(paper, read_table(given, (), name), measured)
    return {
        tuple(entry.name for entry in (*row, *column)): cell
        for row, line in zip(table.row_keys, table.cells, strict=True)
        for column, cell in zip(table.column_keys, line, strict=True)
    }


def test_item_20_three_checkpoints_have_columns_of_their_own() -> None:
    trained_rows = [row for row in rows().values() if not row.combine]
    assert all(
        row.settings["protocol"]["watch_test"] and row.settings["protocol"]["select"] == "validation"
        for row in trained_rows
    )
    cells = cells_of("table1")
    label = rows()["ours"].label
    found = {key[2:]: cell.ours_mean for key, cell in cells.items() if key[:2] == ("CREMA-D", label)}
    assert found == {
        ("selected", "accuracy"): 1.0, ("selected", "macro_f1"): 4.0, ("last", "accuracy"): 2.0,
        ("last", "macro_f1"): 5.0, ("best-test", "accuracy"): 3.0, ("best-test", "macro_f1"): 6.0,
    }  # fmt: skip


def test_item_20_published_numbers_stand_beside_the_best_test_epoch_alone() -> None:
    shown = {key: cell.published for key, cell in cells_of("table1").items() if cell.published is not None}
    ours, first = rows()["ours"].label, rows()["ours-v1"].label
    assert shown == {
        ("CREMA-D", ours, "best-test", "accuracy"): 80.65,
        ("AVE", ours, "best-test", "accuracy"): 70.40,
        ("KineticSound", ours, "best-test", "accuracy"): 72.42,
        ("CREMA-D", first, "best-test", "accuracy"): 80.65,
        ("AVE", first, "best-test", "accuracy"): 70.90,
    }
    for name in ("table2", "table3", "table4", "table5", "table6", "tableS1"):
        assert all(cell.published is None for cell in cells_of(name).values()), name


def test_item_21_the_method_is_called_our_formulation_and_its_decisions_are_listed() -> None:
    loaded = load_paper(REPOSITORY, SLUG)
    assert all(OURS in loaded["runs"][run]["label"] for run in ("ours", "ours-v1", "fine-ours-high-quality"))
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert OURS in text and "abstracts" in text
    for option in AdaptiveLossOptions.model_fields:
        assert f"`{option}`" in text, option
    assert any("our formulation" in note for note in AdaptiveLoss.card.deviations)
    tables = declared()["tables"]
    assert OURS in tables[0]["title"] and any(
        "written from the paper's abstracts alone" in note for note in tables[0]["notes"]
    )


def test_item_21_every_value_of_the_method_has_a_source_that_is_an_abstract_or_ours() -> None:
    loaded = load_paper(REPOSITORY, SLUG)
    for run, entry in loaded["runs"].items():
        if entry["method"] in ("adaptive-loss", "fine-tuning", "head-losses"):
            for name, value in entry["settings"]["method"].items():
                assert value["source"].startswith(("ours", "abstract")), (run, name)


def test_item_21_no_number_of_another_paper_counts_as_published() -> None:
    published = load_published(FOLDER / "published", declared()["published"])
    assert sorted(published.values()) == [70.40, 70.90, 72.42, 80.65, 80.65]
    assert {key[1] for key in published} == {rows()["ours"].label, rows()["ours-v1"].label}
