"""Figures of modality-relevance from made-up runs: numbers of each class, points lost, weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn_figures import drawn_figure, written
from relevance_files import CLASSES, CONFUSIONS, RECALLS, SUPPORT, declarations, features, made_up_paper
from safetensors.numpy import save_file

from avbalance.errors import UserError
from avbalance.evaluation.measure import measure, read_measurements
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.reporting.cells import MeasuredCells, published_numbers

COLUMNS = ["class", "support", "av", "av_silent_audio", "av_black_video", "audio_only", "video_only"]
ABSENT = "not made in this tier"


def measured(paper: Paper, folder: Path) -> MeasuredCells:
    path = folder / "measurements.parquet"
    measure(paper, declarations()["measures"], path)
    return MeasuredCells(paper, read_measurements(path), published_numbers(paper, declarations()))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MeasuredCells:
    folder = tmp_path_factory.mktemp("relevance")
    return measured(made_up_paper(folder, seeds=(0, 1)), folder)


def drawn(name: str, cells: MeasuredCells, **changes: Any) -> tuple[Any, pd.DataFrame]:
    """A declared figure and its numbers, of the paper with some fields changed."""
    drawing = drawn_figure(declarations(), name, replace(cells.paper, **changes), cells)
    return drawing.figure, drawing.numbers


def test_a_row_per_class_and_a_column_per_series(made: MeasuredCells) -> None:
    figure, numbers = drawn("figure4", made)
    assert list(numbers.columns) == COLUMNS and numbers["class"].tolist() == list(CLASSES)
    assert numbers["support"].tolist() == list(SUPPORT)
    expected = [RECALLS["ks-fusion"][name] for name in ("both", "silent-audio", "black-video")]
    expected += [RECALLS["ks-audio"]["both"], RECALLS["ks-visual"]["both"]]
    for column, recalls in zip(COLUMNS[2:], expected, strict=True):
        assert numbers[column].tolist() == pytest.approx(list(recalls))
    (axis,) = figure.axes
    markers = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "o"]
    assert markers == pytest.approx(sorted(numbers["av"], reverse=True))
    kept = tuple(each for each in made.paper.runs if each.run != "ks-audio")  # a tier without one of the runs
    figure, numbers = drawn("figure4", made, runs=kept)
    assert numbers.empty and list(numbers.columns) == COLUMNS
    assert ABSENT in written(figure)


def test_the_caption_says_what_the_data_and_the_backend_are(made: MeasuredCells) -> None:
    info = replace(made.paper.datasets["kinetics-sounds"], features=features("ks"))
    paper = replace(made.paper, datasets={**made.paper.datasets, "kinetics-sounds": info})
    drawing = drawn_figure(declarations(), "figure4", paper, made)
    assert drawing.caption[:3] == (
        "Data: Kinetics-Sounds: made up (ks).",
        "Visual backend of Kinetics-Sounds: small64 (recipe uniform8-small64), frozen.",
        "Means over 2 seeds.",
    )
    assert "data: Kinetics-Sounds: ks" in written(drawing.figure)


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy"])
def test_means_that_are_not_the_measured_accuracies_are_refused(made: MeasuredCells, metric: str) -> None:
    frame = made._rows.copy()
    changed = (frame["run"] == "ks-fusion") & (frame["condition"] == "black-video") & (frame["metric"] == metric)
    frame.loc[changed, "value"] += 2e-6
    with pytest.raises(UserError, match=f"ks-fusion, black-video: the classes give {metric} "):
        drawn("figure4", MeasuredCells(made.paper, frame, {}))
    frame.loc[changed, "value"] -= 1.5e-6  # within rounding
    drawn("figure4", MeasuredCells(made.paper, frame, {}))


def test_seeds_are_averaged_and_a_class_without_a_test_clip_is_empty(made: MeasuredCells, tmp_path: Path) -> None:
    second = made_up_paper(tmp_path, seeds=(7,), recalls={**RECALLS, "ks-visual": {"both": (100,) * 5}})
    paper = replace(made.paper, runs=(*(each for each in made.paper.runs if each.seed == 0), *second.runs))
    _, numbers = drawn("figure4", measured(paper, tmp_path))
    assert numbers["video_only"].tolist() == pytest.approx([95, 90, 85, 80, 90])
    for run in second.runs_on("ks"):
        frame = pd.read_parquet(run.predictions)
        frame[frame["label"] != 2].to_parquet(run.predictions)
    _, numbers = drawn("figure4", measured(second, tmp_path))
    assert numbers["support"].tolist() == [20, 10, 0, 40, 10]
    assert np.flatnonzero(numbers["av"].isna()).tolist() == [2]


def test_drops_are_of_each_seed_with_its_own_intact_model(made: MeasuredCells) -> None:
    figure, numbers = drawn("figureS1", made)
    assert len(numbers) == 3 * 8 and len(figure.axes) == 3
    row = numbers[(numbers["task"] == "Urban/rural") & (numbers["condition"] == "Gaussian Video")].iloc[0]
    a, b = CONFUSIONS["urban-rural-student"]["both"], CONFUSIONS["urban-rural-student"]["gaussian-video"]
    assert row["mean"] == pytest.approx(50 * ((a[0] - b[0]) / 360 + (a[3] - b[3]) / 367))
    assert (row["published"], row["modality"], row["seeds"]) == (pytest.approx(71.65 - 61.81), "visual", 2)
    mean = numbers[(numbers["task"] == "Speech") & (numbers["condition"] == "Mean Audio")].iloc[0]
    assert np.isnan(mean["published"]) and mean["mean"] == pytest.approx(0.0)


def test_drops_of_what_was_not_made(made: MeasuredCells) -> None:
    left_out = DatasetInfo("kinetics-sounds", "Kinetics-Sounds", None, "left out")
    paper = replace(made.paper, datasets={**made.paper.datasets, "kinetics-sounds": left_out})
    figure, numbers = drawn("figureS1", MeasuredCells(paper, made._rows, {}))
    assert set(numbers.loc[numbers["task"] == "Kinetics-Sounds", "seeds"]) == {0}
    assert [text.get_text() for text in figure.axes[2].texts].count("not made") == 8


def test_weights_of_the_first_layer_by_modality(made: MeasuredCells) -> None:
    # A head that reads three values of video, with weights of 2, and two of sound, with weights of 0.5.
    tensors = {
        "head.0.weight": np.array([[2, -2, 2, 0.5, -0.5]], dtype=np.float32),
        "encoders.audio.linear.bias": np.zeros(2, dtype=np.float32),
    }
    paths = [run.beside("model.safetensors") for run in made.paper.run_files("kinetics-sounds", "ks-fusion")]
    for path in paths:
        save_file(tensors, path)
    figure, numbers = drawn("figureS2", made)
    found = numbers.set_index(["seed", "modality"])
    assert found.loc[(1, "visual")].tolist() == [3, 2.0] and found.loc[(0, "audio")].tolist() == [2, 0.5]
    assert [float(line.get_xdata()[0]) for line in figure.axes[0].lines if line.get_markersize() == 5] == [0.5, 2.0]
    save_file({"other": np.zeros(1)}, paths[0])
    with pytest.raises(UserError, match="not the weights of late fusion"):
        drawn("figureS2", made)
