"""Figures and tables of the modality gap, from made-up runs: what is drawn, and what is known of it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from avbalance.analysis.gap_mixture import Mixture
from avbalance.errors import UserError
from avbalance.evaluation.measure import measure, read_measurements
from avbalance.evaluation.paper import Paper
from avbalance.reporting.cells import Measured, published_numbers
from avbalance.reporting.figures import (
    gap_histograms,
    gap_posterior,
    kind_module,
    render_figures,
)
from avbalance.reporting.run_cells import FromRuns, quantity_of
from avbalance.reporting.tables import build_table, markdown, render_tables

sys.path.insert(0, str(Path(__file__).parents[1]))

from gap_runs import CLIPS, FIRST, declarations, made_up_paper, scores

OURS = "Adaptive loss (our formulation)"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paper, Path]:
    folder = tmp_path_factory.mktemp("gap-figures")
    paper = made_up_paper(folder)
    measure(paper, declarations()["measures"], folder / "measurements.parquet")
    return paper, folder / "measurements.parquet"


def declaration(name: str, kind: str = "figures") -> dict[str, Any]:
    return next(entry for entry in declarations()[kind] if entry["id"] == name)


def measured(made: tuple[Paper, Path]) -> Measured:
    return Measured(made[0], read_measurements(made[1]), published_numbers(made[0], declarations()))


DRAWN: dict[tuple[Any, str], tuple[Any, pd.DataFrame]] = {}


def drawn(made: tuple[Paper, Path], name: str) -> tuple[Any, pd.DataFrame]:
    """A declared figure and its numbers, drawn once."""
    if (made[1], name) not in DRAWN:
        chosen = declaration(name)
        DRAWN[made[1], name] = kind_module(chosen["kind"]).draw(chosen, made[0], measured(made))
    figure, frame = DRAWN[made[1], name]
    assert "synthetic stand-in for CREMA-D (made-cremad)" in figure.get_suptitle()
    return figure, frame


def test_histograms_hold_the_clips_and_the_mixture(made: tuple[Paper, Path]) -> None:
    figure, frame = drawn(made, "figure1")
    assert set(frame["dataset"]) == {"CREMA-D"} and set(frame["epoch"]) == {2} and set(frame["seed"]) == {0}
    audio, visual = scores(0)
    clips = frame[frame["panel"] == "clip"]
    np.testing.assert_allclose(clips["d"], audio - visual)
    np.testing.assert_allclose(clips["g"], np.abs(audio - visual))
    for panel, values, low, bins in (("gap", clips["g"], 0, 50), ("signed", clips["d"], -1, 100)):
        own = frame[frame["panel"] == panel]
        expected, edges = np.histogram(values, bins=bins, range=(low, 1), density=True)
        np.testing.assert_allclose(own["density"], expected)
        assert (own["low"].iloc[0], own["high"].iloc[-1], len(own)) == (low, 1, bins)
        np.testing.assert_allclose(own["low"], edges[:-1])
    found = frame[frame["panel"] == "mixture"].set_index("name")["value"].to_dict()
    assert found == FIRST
    assert [axis.get_xlim() for axis in figure.axes[:1]] == [(0.0, 1.0)]
    # Three data sets, a panel each of gap, signed gap and BIC; two data sets are left out.
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert len(figure.axes) == 9 and texts.count("not made in this tier") == 6


def test_unimodal_samples_of_the_same_number_stand_beside_the_gaps(made: tuple[Paper, Path]) -> None:
    _, frame = drawn(made, "figure1")
    bic = frame[frame["panel"] == "bic"]
    assert (bic["name"] == "observed").sum() == 1
    assert {"uniform", "half-normal", "beta-matched"} <= set(bic["name"])
    observed = bic.loc[bic["name"] == "observed", "value"].item()
    assert observed > bic.loc[bic["name"] != "observed", "value"].max()  # the scores have two humps


def test_weighted_components_add_up_to_one() -> None:
    x = np.linspace(-3, 4, 70_001)
    balanced, imbalanced = gap_histograms.densities(x, Mixture(**FIRST))
    assert np.trapezoid(balanced, x) == pytest.approx(0.6) and np.trapezoid(imbalanced, x) == pytest.approx(0.4)
    assert balanced[np.abs(x - 0.1).argmin()] == pytest.approx(0.6 / (0.1 * np.sqrt(2 * np.pi)))


def test_both_methods_are_drawn_after_the_last_epoch(made: tuple[Paper, Path]) -> None:
    figure, frame = drawn(made, "figure3")
    assert set(frame["method"]) == {"Fusion + unimodal heads", OURS} and set(frame["epoch"]) == {4}
    means = frame[frame["panel"] == "clip"].groupby("method")["g"].mean()
    assert means[OURS] == pytest.approx(means["Fusion + unimodal heads"] / 2)  # the made-up runs
    assert len(figure.axes) == 12 and "bic" not in set(frame["panel"])


def test_a_fit_without_a_mixture_is_said_in_the_panel(made: tuple[Paper, Path], tmp_path: Path) -> None:
    paper = made_up_paper(tmp_path, seeds=(0,), right={"ours": (80, 60, 60)})
    path = tmp_path / "ours" / "seed0" / "mixtures.json"
    record = json.loads(path.read_text())
    record["fits"][0] |= {"mixture": None, "reason": "the variance is small", "bic_1": None, "bic_2": None}
    path.write_text(json.dumps(record))
    figure, frame = gap_histograms.draw(declaration("figure1"), paper, measured(made))
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert "no mixture: the variance is small" in texts and "no fit: the variance is small" in texts
    assert not (frame["panel"] == "mixture").any()
    _, curve = gap_posterior.draw(declaration("figure2"), paper, measured(made))
    assert not curve.loc[curve["panel"] == "posterior", "w"].any()
    first = curve[curve["epoch"] == 2]
    assert np.isnan(first.loc[first["name"] == "spearman_w", "value"].item())


def test_the_posterior_is_drawn_with_its_crossing(made: tuple[Paper, Path]) -> None:
    _, frame = drawn(made, "figure2")
    curve = frame[frame["panel"] == "posterior"]
    assert len(curve) == 201
    expected = {0.0: 0.006068, 0.1: 0.014434, 0.2: 0.069228, 0.3: 0.444329, 0.35: 0.776457, 0.5: 0.998861, 0.8: 1.0}
    for g, w in expected.items():
        assert curve.loc[np.isclose(curve["g"], g), "w"].item() == pytest.approx(w, abs=1e-6)
    assert frame.loc[frame["name"] == "crossing", "value"].item() == pytest.approx(0.308043, abs=1e-6)


def test_the_posterior_is_compared_with_what_was_planted(made: tuple[Paper, Path]) -> None:
    _, frame = drawn(made, "figure2")
    assert set(zip(frame["method"], frame["epoch"], strict=True)) == {
        (OURS, 2),
        (OURS, 4),
        ("Fusion + unimodal heads", 4),
    }
    frame = frame[(frame["method"] == OURS) & (frame["epoch"] == 2)]
    clips = frame[frame["panel"] == "clip"]
    # Joined by id: the manifest lists the clips backwards, and the last 40 % are planted imbalanced by 0.7.
    assert clips["planted"].tolist() == pytest.approx([0.1] * round(0.6 * CLIPS) + [0.7] * round(0.4 * CLIPS))
    found = frame[frame["panel"] == "summary"].set_index("name")["value"]
    for name in ("w", "g"):
        assert found[f"auc_{name}"] == pytest.approx(roc_auc_score(clips["planted"] > 0.5, clips[name]))
        assert found[f"spearman_{name}"] == pytest.approx(clips[name].corr(clips["planted"], method="spearman"))
    assert found["auc_w"] > 0.95


def test_data_without_planted_truth_say_so(made: tuple[Paper, Path]) -> None:
    info = replace(made[0].datasets["cremad"], manifest=None)
    paper = replace(made[0], datasets={**made[0].datasets, "cremad": info})
    figure, frame = gap_posterior.draw(declaration("figure2"), paper, measured(made))
    assert "the data carry no planted truth" in [text.get_text() for axis in figure.axes for text in axis.texts]
    assert "auc_w" not in set(frame["name"]) and frame["planted"].isna().all()


@pytest.mark.parametrize("seed", range(5))
def test_the_area_under_the_curve_counts_pairs(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values, positive = generator.integers(0, 6, 40).astype(float), generator.random(40) < 0.4
    assert gap_posterior.area_under_curve(values, positive) == pytest.approx(roc_auc_score(positive, values))
    assert np.isnan(gap_posterior.area_under_curve(values, np.zeros(40, bool)))
    assert np.isnan(gap_posterior.rank_correlation(values, np.ones(40)))


def test_curves_have_a_line_at_the_end_of_warm_up(made: tuple[Paper, Path]) -> None:
    figure, frame = drawn(made, "figure4")
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


def test_the_mixture_is_followed_through_the_epochs_of_every_seed(made: tuple[Paper, Path]) -> None:
    _, frame = drawn(made, "figure5")
    own = frame.set_index(["seed", "epoch", "series"])["value"]
    assert own[1, 2, "mu_I"] == 0.6 and own[1, 4, "mu_I"] == 0.4 and np.isnan(own[1, 3, "mu_I"])
    assert own[2, 4, "share"] == pytest.approx(0.18) and own[0, 3, "share"] == 0
    assert len(frame) == 3 * 3 * 5


def test_bars_of_fine_tuning_hold_accuracy_and_retention(made: tuple[Paper, Path]) -> None:
    _, frame = drawn(made, "figure6")
    accuracy = frame[frame["panel"] == "accuracy"].dropna(subset="ours_mean").set_index("method")
    # 72, 75, 73 and 84 of 120 clips, the mean of 0, 1 and 2 clips more.
    assert accuracy.loc["Fusion + unimodal heads", "ours_mean"] == pytest.approx(100 * 73 / 120)
    assert accuracy.loc["Fusion + unimodal heads, fine-tuned on S", "ours_mean"] == pytest.approx(100 * 76 / 120)
    assert accuracy.loc[OURS, "ours_mean"] == pytest.approx(100 * 85 / 120)
    kept = frame[frame["panel"] == "retention"]
    one = kept[(kept["seed"] == 1) & (kept["method"] == "Fusion + unimodal heads, fine-tuned on S")]
    assert one["kept"].unique().tolist() == [121] and one["samples"].unique().tolist() == [CLIPS]
    assert one.set_index("class")["retention"].dropna().to_dict() == {"class0": 0.0, "class1": 0.5, "class5": 1.0}
    assert len(kept) == 2 * 3 * 4  # two runs, three seeds, four classes


def test_the_network_before_fine_tuning_is_drawn_over_the_seeds_that_were_fine_tuned(made: tuple[Paper, Path]) -> None:
    paper, rows = made[0], read_measurements(made[1])
    tuned, chosen = "fine-heads-high-quality", declaration("figure6")
    one = Measured(paper, rows[(rows["run"] != tuned) | (rows["seed"] == 1)], {})
    figure, frame = kind_module(chosen["kind"]).draw(chosen, paper, one)
    own = frame[frame["panel"] == "accuracy"].dropna(subset="ours_mean").set_index("method")
    # Seed 1 alone: 73 of 120 clips before, 76 after; runs that were not fine-tuned keep all three seeds.
    assert own.loc["Fusion + unimodal heads", ["ours_mean", "seeds"]].tolist() == [pytest.approx(100 * 73 / 120), 1]
    assert np.isnan(own.loc["Fusion + unimodal heads", "ours_sd"])
    assert own.loc["Fusion + unimodal heads, fine-tuned on S", "ours_mean"] == pytest.approx(100 * 76 / 120)
    assert own.loc[OURS, "seeds"] == 3
    assert "over the seeds that a group has in common" in str(figure.get_suptitle())


def test_extremes_are_the_clips_with_the_largest_gaps(made: tuple[Paper, Path]) -> None:
    _, frame = drawn(made, "figure7")
    audio, visual = scores(0)
    order = np.argsort(-np.abs(audio - visual), kind="stable")[:12]
    assert frame["id"].tolist() == [f"train{number:03d}" for number in order]
    assert frame["label"].tolist() == [f"class{number % 6}" for number in order]
    np.testing.assert_allclose(frame["s_audio"], audio[order])
    assert frame["rank"].tolist() == list(range(1, 13)) and set(frame["epoch"]) == {4}
    assert frame["planted"].tolist() == pytest.approx([0.7 if number >= 0.6 * CLIPS else 0.1 for number in order])


def test_figures_are_the_same_bytes_twice(made: tuple[Paper, Path], tmp_path: Path) -> None:
    names = ("figure2", "figure6")
    chosen = {**declarations(), "figures": [declaration(name) for name in names]}
    written = [render_figures(made[0], chosen, made[1], tmp_path / name) for name in "ab"]
    assert [path.name for path in written[0]] == [f"{name}.{kind}" for name in names for kind in ("png", "pdf", "csv")]
    for first, second in zip(*written, strict=True):
        assert first.stat().st_size > 300 and first.read_bytes() == second.read_bytes(), first.name


@pytest.mark.parametrize("number", range(1, 8))
def test_a_tier_without_any_of_the_runs_has_empty_figures(number: int, made: tuple[Paper, Path]) -> None:
    chosen = declaration(f"figure{number}")
    nothing = replace(made[0], runs=())
    empty = Measured(nothing, read_measurements(made[1]).iloc[:0], {})
    figure, frame = kind_module(chosen["kind"]).draw(chosen, nothing, empty)
    assert "not made in this tier" in [text.get_text() for axis in figure.axes for text in axis.texts]
    assert frame.get("ours_mean", pd.Series(dtype=float)).isna().all()


# Tables


def test_every_declared_table_is_made(made: tuple[Paper, Path], tmp_path: Path) -> None:
    paths = render_tables(made[0], declarations(), made[1], tmp_path)
    assert len(paths) == 9 * 3
    first = (tmp_path / "table1.md").read_text(encoding="utf-8")
    assert "Context, from another paper (BalanceBenchmark), not numbers of this one: CREMA-D, accuracy (%)" in first
    assert "only abstracts of the paper are public" in first and "80.65" in first
    assert not any("79.97" in line for line in first.splitlines() if line.startswith("|"))  # a note, and no cell
    heads = pd.read_csv(tmp_path / "tableS1.csv")
    own = heads[(heads["dataset"] == "CREMA-D") & (heads["method"] == OURS)].set_index("metric")["ours_mean"]
    assert own["accuracy_audio"] == pytest.approx(100 * 68 / 120) and own["accuracy_visual"] == pytest.approx(
        100 * 61 / 120
    )
    assert own["macro_f1"] > 0 and heads["published"].isna().all()


def test_clips_of_fine_tuning_by_hand(made: tuple[Paper, Path]) -> None:
    table = build_table(made[0], declaration("tableS2", "tables"), measured(made))
    cells = {
        (row[0].name, row[1].coordinates["run"], column[0].name): cell
        for row, line in zip(table.row_keys, table.cells, strict=True)
        for column, cell in zip(table.column_keys, line, strict=True)
    }
    kept = cells["CREMA-D", "fine-heads-high-quality", "kept"]
    assert (kept.ours_mean, kept.ours_sd, kept.seeds, kept.n) == (121.0, 1.0, 3, CLIPS)
    assert cells["CREMA-D", "fine-heads-high-quality", "share"].ours_mean == pytest.approx(100 * 121 / 240)
    assert cells["AVE", "fine-heads-high-quality", "kept"].ours_mean is None
    assert "121.0 ± 1.0" in markdown(table)
    record = {"kept": 30, "samples": 120, "high_quality": 60, "retention": {"a": 0.0, "b": 0.25, "c": None, "d": 1.0}}
    expected = {"kept": 30, "share": 25, "high_quality_share": 50, "least_retention": 0, "largest_retention": 100}
    assert {name: quantity_of(record, name) for name in expected} == expected
    assert quantity_of(record, "lost_classes") == 1
    with pytest.raises(UserError, match="no quantity 'size' of fine-tuning"):
        quantity_of(record, "size")
    with pytest.raises(UserError, match=r"reads fine_tuning\.json"):
        FromRuns(made[0], {"runs": [], "datasets": [], "file": "gaps.json"})


def test_published_numbers_stand_where_the_declaration_says(made: tuple[Paper, Path]) -> None:
    chosen = declaration("table1", "tables")
    anywhere = {name: value for name, value in chosen.items() if name != "published_where"}
    shown = [
        sum(cell.published is not None for line in build_table(made[0], each, measured(made)).cells for cell in line)
        for each in (chosen, anywhere)
    ]
    assert shown == [5, 15]
