"""Figures of the modality gap, from made-up runs: what is drawn, and what is known of it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn_figures import drawn_figure, written
from gap_runs import CLIPS, FIRST, declarations, made_up_paper, scores
from sklearn.metrics import roc_auc_score

from avbalance.analysis.gap_mixture import Mixture
from avbalance.evaluation.measure import read_measurements
from avbalance.evaluation.paper import Paper
from avbalance.papers.gmm_adaptive_loss.figures import gap_histograms, gap_posterior
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.figures import Drawing

OURS, HEADS = "Adaptive loss (our formulation)", "Fusion + unimodal heads"
TUNED = f"{HEADS}, fine-tuned on S"
ABSENT = "not made in this tier"


@cache
def drawing(name: str, measured: MeasuredCells) -> Drawing:
    return drawn_figure(declarations(), name, measured.paper, measured)


def drawn(name: str, measured: MeasuredCells, paper: Paper | None = None) -> tuple[Any, pd.DataFrame]:
    """A declared figure and its numbers."""
    made = drawn_figure(declarations(), name, paper, measured) if paper else drawing(name, measured)
    return made.figure, made.numbers


def test_histograms_hold_the_clips_and_the_mixture(measured: MeasuredCells) -> None:
    figure, frame = drawn("figure1", measured)
    assert "synthetic stand-in for CREMA-D (made-cremad)" in drawing("figure1", measured).caption[0]
    assert set(frame["dataset"]) == {"CREMA-D"} and set(frame["epoch"]) == {2} and set(frame["seed"]) == {0}
    audio, visual = scores(0)
    clips = frame[frame["panel"] == "clip"]
    np.testing.assert_allclose(clips["d"], audio - visual)
    np.testing.assert_allclose(clips["g"], np.abs(audio - visual))
    for panel, values, low, bins in (("gap", clips["g"], 0, 50), ("signed", clips["d"], -1, 100)):
        own = frame[frame["panel"] == panel]
        expected, edges = np.histogram(values, bins=bins, range=(low, 1), density=True)
        np.testing.assert_allclose(own["density"], expected)
        np.testing.assert_allclose(own["low"], edges[:-1])
        assert own["high"].iloc[-1] == 1
    assert frame[frame["panel"] == "mixture"].set_index("name")["value"].to_dict() == FIRST
    # Three data sets, a panel each of gap, signed gap and BIC; two data sets are left out.
    assert len(figure.axes) == 9 and written(figure).count(ABSENT) == 6


def test_unimodal_samples_of_the_same_number_stand_beside_the_gaps(measured: MeasuredCells) -> None:
    bic = drawn("figure1", measured)[1].query("panel == 'bic'")
    assert {"uniform", "half-normal", "beta-matched"} <= set(bic["name"])
    observed = bic.loc[bic["name"] == "observed", "value"].item()
    assert observed > bic.loc[bic["name"] != "observed", "value"].max()  # the scores have two humps


def test_weighted_components_add_up_to_one() -> None:
    x = np.linspace(-3, 4, 70_001)
    balanced, imbalanced = gap_histograms.densities(x, Mixture(**FIRST))
    assert np.trapezoid(balanced, x) == pytest.approx(0.6) and np.trapezoid(imbalanced, x) == pytest.approx(0.4)
    assert balanced[np.abs(x - 0.1).argmin()] == pytest.approx(0.6 / (0.1 * np.sqrt(2 * np.pi)))


def test_both_methods_are_drawn_after_the_last_epoch(measured: MeasuredCells) -> None:
    figure, frame = drawn("figure3", measured)
    assert set(frame["method"]) == {HEADS, OURS} and set(frame["epoch"]) == {4}
    means = frame[frame["panel"] == "clip"].groupby("method")["g"].mean()
    assert means[OURS] == pytest.approx(means[HEADS] / 2)  # the made-up runs
    assert len(figure.axes) == 12 and "bic" not in set(frame["panel"])


def test_a_fit_without_a_mixture_is_said_in_the_panel(measured: MeasuredCells, tmp_path: Path) -> None:
    paper = made_up_paper(tmp_path, seeds=(0,), right={"ours": (80, 60, 60)})
    path = tmp_path / "ours" / "seed0" / "mixtures.json"
    record = json.loads(path.read_text())
    record["fits"][0] |= {"mixture": None, "reason": "the variance is small", "bic_1": None, "bic_2": None}
    path.write_text(json.dumps(record))
    figure, frame = drawn("figure1", measured, paper)
    assert {"no mixture: the variance is small", "no fit: the variance is small"} <= set(written(figure))
    assert not (frame["panel"] == "mixture").any()
    _, curve = drawn("figure2", measured, paper)
    assert not curve.loc[curve["panel"] == "posterior", "w"].any()
    first = curve[curve["epoch"] == 2]
    assert np.isnan(first.loc[first["name"] == "spearman_w", "value"].item())


def test_the_posterior_is_drawn_with_its_crossing(measured: MeasuredCells) -> None:
    _, frame = drawn("figure2", measured)
    curve = frame[frame["panel"] == "posterior"]
    assert len(curve) == 201
    expected = {0.0: 0.006068, 0.1: 0.014434, 0.2: 0.069228, 0.3: 0.444329, 0.35: 0.776457, 0.5: 0.998861, 0.8: 1.0}
    for g, w in expected.items():
        assert curve.loc[np.isclose(curve["g"], g), "w"].item() == pytest.approx(w, abs=1e-6)
    assert frame.loc[frame["name"] == "crossing", "value"].item() == pytest.approx(0.308043, abs=1e-6)


def test_the_posterior_is_compared_with_what_was_planted(measured: MeasuredCells) -> None:
    _, frame = drawn("figure2", measured)
    assert set(zip(frame["method"], frame["epoch"], strict=True)) == {(OURS, 2), (OURS, 4), (HEADS, 4)}
    frame = frame[(frame["method"] == OURS) & (frame["epoch"] == 2)]
    clips = frame[frame["panel"] == "clip"]
    # Joined by id: the manifest lists the clips backwards, and the last 40 % are planted imbalanced by 0.7.
    assert clips["planted"].tolist() == pytest.approx([0.1] * round(0.6 * CLIPS) + [0.7] * round(0.4 * CLIPS))
    found = frame[frame["panel"] == "summary"].set_index("name")["value"]
    for name in ("w", "g"):
        assert found[f"auc_{name}"] == pytest.approx(roc_auc_score(clips["planted"] > 0.5, clips[name]))
        assert found[f"spearman_{name}"] == pytest.approx(clips[name].corr(clips["planted"], method="spearman"))
    assert found["auc_w"] > 0.95


def test_data_without_planted_truth_say_so(measured: MeasuredCells) -> None:
    paper = measured.paper
    info = replace(paper.datasets["cremad"], manifest=None)
    figure, frame = drawn("figure2", measured, replace(paper, datasets={**paper.datasets, "cremad": info}))
    assert "the data carry no planted truth" in written(figure)
    assert "auc_w" not in set(frame["name"]) and frame["planted"].isna().all()


def test_ties_count_half_and_what_has_no_order_has_no_number() -> None:
    generator = np.random.default_rng(0)
    values, positive = generator.integers(0, 6, 40).astype(float), generator.random(40) < 0.4
    assert gap_posterior.area_under_curve(values, positive) == pytest.approx(roc_auc_score(positive, values))
    assert np.isnan(gap_posterior.area_under_curve(values, np.zeros(40, bool)))
    assert np.isnan(gap_posterior.rank_correlation(values, np.ones(40)))


def test_curves_have_a_line_at_the_end_of_warm_up(measured: MeasuredCells) -> None:
    figure, frame = drawn("figure4", measured)
    assert len(figure.axes) == 3
    for axis in figure.axes:
        verticals = [line.get_xdata() for line in axis.lines if line.get_linestyle() == ":"]
        assert [list(line) for line in verticals] == [[2.5, 2.5]]
    own = frame[(frame["method"] == OURS) & (frame["series"] == "loss_gap")]
    assert own["epoch"].tolist() == [3, 4] and own["mean"].tolist() == pytest.approx([0.5 / 3, 0.5 / 4])
    assert own["seeds"].tolist() == [3, 3]
    panels = frame.groupby("series")["panel"].first()
    assert panels["val_accuracy"] == "accuracy, validation (%)"
    assert panels["loss_uni"].startswith("parts of the training loss")
    assert frame.loc[frame["series"] == "val_accuracy_audio", "mean"].tolist() == [10.0, 20.0, 30.0, 40.0] * 2


def test_the_mixture_is_followed_through_the_epochs_of_every_seed(measured: MeasuredCells) -> None:
    own = drawn("figure5", measured)[1].set_index(["seed", "epoch", "series"])["value"]
    assert own[1, 2, "mu_I"] == 0.6 and own[1, 4, "mu_I"] == 0.4 and np.isnan(own[1, 3, "mu_I"])
    assert own[2, 4, "share"] == pytest.approx(0.18) and own[0, 3, "share"] == 0
    assert len(own) == 3 * 3 * 5


def test_bars_of_fine_tuning_hold_accuracy_and_retention(measured: MeasuredCells) -> None:
    _, frame = drawn("figure6", measured)
    accuracy = frame[frame["panel"] == "accuracy"].dropna(subset="ours_mean").set_index("method")["ours_mean"]
    # 72, 75 and 84 of 120 clips, the mean of 0, 1 and 2 clips more.
    expected = {HEADS: 73, TUNED: 76, OURS: 85}
    assert accuracy[list(expected)].to_dict() == {name: pytest.approx(100 * n / 120) for name, n in expected.items()}
    kept = frame[frame["panel"] == "retention"]
    one = kept[(kept["seed"] == 1) & (kept["method"] == TUNED)]
    assert one["kept"].unique().tolist() == [121] and one["samples"].unique().tolist() == [CLIPS]
    assert one.set_index("class")["retention"].dropna().to_dict() == {"class0": 0.0, "class1": 0.5, "class5": 1.0}
    assert len(kept) == 2 * 3 * 4  # two runs, three seeds, four classes


def test_the_network_before_fine_tuning_is_drawn_over_the_seeds_that_were_fine_tuned(made: tuple[Paper, Path]) -> None:
    rows = read_measurements(made[1])
    one = rows[(rows["run"] != "fine-heads-high-quality") | (rows["seed"] == 1)]
    drawing = drawn_figure(declarations(), "figure6", made[0], MeasuredCells(made[0], one, {}))
    frame = drawing.numbers
    own = frame[frame["panel"] == "accuracy"].dropna(subset="ours_mean").set_index("method")
    # Seed 1 alone: 73 of 120 clips before, 76 after; runs that were not fine-tuned keep all three seeds.
    assert own.loc[HEADS, ["ours_mean", "seeds"]].tolist() == [pytest.approx(100 * 73 / 120), 1]
    assert np.isnan(own.loc[HEADS, "ours_sd"])
    assert own.loc[TUNED, "ours_mean"] == pytest.approx(100 * 76 / 120) and own.loc[OURS, "seeds"] == 3
    assert "over the seeds that a group has in common" in " ".join(drawing.caption)


def test_extremes_are_the_clips_with_the_largest_gaps(measured: MeasuredCells) -> None:
    _, frame = drawn("figure7", measured)
    audio, visual = scores(0)
    order = np.argsort(-np.abs(audio - visual), kind="stable")[:12]
    assert frame["id"].tolist() == [f"train{number:03d}" for number in order]
    assert frame["label"].tolist() == [f"class{number % 6}" for number in order]
    np.testing.assert_allclose(frame["s_audio"], audio[order])
    assert frame["rank"].tolist() == list(range(1, 13)) and set(frame["epoch"]) == {4}
    assert frame["planted"].tolist() == pytest.approx([0.7 if number >= 0.6 * CLIPS else 0.1 for number in order])


@pytest.mark.parametrize("number", range(1, 8))
def test_a_tier_without_any_of_the_runs_has_empty_figures(number: int, made: tuple[Paper, Path]) -> None:
    nothing = replace(made[0], runs=())
    figure, frame = drawn(f"figure{number}", MeasuredCells(nothing, read_measurements(made[1]).iloc[:0], {}))
    assert ABSENT in written(figure)
    assert frame.get("ours_mean", pd.Series(dtype=float)).isna().all()
