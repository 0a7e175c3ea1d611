"""Figure 4 of modality-relevance: numbers of each class, and that they agree with the table of the same runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from relevance_files import CLASSES, RECALLS, SUPPORT, declarations, made_up_paper

from avbalance.errors import UserError
from avbalance.evaluation.measure import measure, read_measurements
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.reporting.cells import Measured
from avbalance.reporting.figures import render_figures
from avbalance.reporting.figures.class_bars import draw

COLUMNS = ["class", "support", "av", "av_silent_audio", "av_black_video", "audio_only", "video_only"]


def figure4() -> dict[str, object]:
    return next(dict(each) for each in declarations()["figures"] if each["id"] == "figure4")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paper, Path]:
    folder = tmp_path_factory.mktemp("relevance")
    paper = made_up_paper(folder, seeds=(0, 1))
    measure(paper, declarations()["measures"], folder / "measurements.parquet")
    return paper, folder / "measurements.parquet"


def measured(made: tuple[Paper, Path]) -> Measured:
    return Measured(made[0], read_measurements(made[1]), {})


def test_a_row_per_class_and_a_column_per_series(made: tuple[Paper, Path]) -> None:
    figure, numbers = draw(figure4(), made[0], measured(made))
    assert list(numbers.columns) == COLUMNS and numbers["class"].tolist() == list(CLASSES)
    assert numbers["support"].tolist() == list(SUPPORT)
    expected = [RECALLS["ks-fusion"][name] for name in ("both", "silent-audio", "black-video")]
    expected += [RECALLS["ks-audio"]["both"], RECALLS["ks-visual"]["both"]]
    for column, recalls in zip(COLUMNS[2:], expected, strict=True):
        assert numbers[column].tolist() == pytest.approx(list(recalls))
    (axis,) = figure.axes
    assert len(axis.patches) == 5 * len(CLASSES)
    assert [patch.get_height() for patch in axis.patches[:5]] == pytest.approx(numbers["av"].tolist())


def test_the_title_says_what_the_data_and_the_backend_are(made: tuple[Paper, Path]) -> None:
    paper = Paper(**{**vars(made[0]), "datasets": dict(made[0].datasets)})
    info = paper.datasets["kinetics-sounds"]
    features = {"visual": "results/demo/features/ks/visual-uniform8-small64/index.parquet"}
    paper.datasets["kinetics-sounds"] = DatasetInfo(**{**vars(info), "features": features})
    figure, _ = draw(figure4(), paper, measured(made))
    title = figure.get_suptitle()
    assert "Kinetics-Sounds: made up (ks)" in title and "mean over 2 seeds" in title
    assert "Visual backend of Kinetics-Sounds: small64 (recipe uniform8-small64), frozen." in title


@pytest.mark.parametrize(("metric", "words"), [("accuracy", "give accuracy"), ("balanced_accuracy", "give balanced")])
def test_means_that_are_not_the_measured_accuracies_are_refused(
    made: tuple[Paper, Path], metric: str, words: str
) -> None:
    frame = read_measurements(made[1])
    changed = (frame["run"] == "ks-fusion") & (frame["condition"] == "black-video") & (frame["metric"] == metric)
    frame.loc[changed, "value"] += 2e-6
    with pytest.raises(UserError, match=f"ks-fusion, black-video: the classes {words}"):
        draw(figure4(), made[0], Measured(made[0], frame, {}))
    frame.loc[changed, "value"] -= 1.5e-6  # within rounding
    draw(figure4(), made[0], Measured(made[0], frame, {}))


def test_seeds_are_averaged(made: tuple[Paper, Path], tmp_path: Path) -> None:
    other = {**RECALLS, "ks-visual": {"both": (100, 100, 100, 100, 100)}}
    second = made_up_paper(tmp_path, seeds=(7,), recalls=other)
    first = [each for each in made[0].runs if each.seed == 0]
    paper = Paper(**{**vars(made[0]), "runs": (*first, *second.runs)})
    measure(paper, declarations()["measures"], tmp_path / "measurements.parquet")
    _, numbers = draw(figure4(), paper, Measured(paper, read_measurements(tmp_path / "measurements.parquet"), {}))
    assert numbers["video_only"].tolist() == pytest.approx([95, 90, 85, 80, 90])


def test_a_class_without_a_test_clip_is_empty(made: tuple[Paper, Path], tmp_path: Path) -> None:
    paper = made_up_paper(tmp_path, seeds=(0,))
    for run in paper.runs_on("ks"):
        frame = pd.read_parquet(run.predictions)
        frame[frame["label"] != 2].to_parquet(run.predictions)
    measure(paper, declarations()["measures"], tmp_path / "measurements.parquet")
    _, numbers = draw(figure4(), paper, Measured(paper, read_measurements(tmp_path / "measurements.parquet"), {}))
    assert numbers["support"].tolist() == [20, 10, 0, 40, 10]
    assert np.flatnonzero(numbers["av"].isna()).tolist() == [2]


def test_runs_that_the_tier_leaves_out(made: tuple[Paper, Path]) -> None:
    kept = tuple(each for each in made[0].runs if each.run != "ks-audio")
    figure, numbers = draw(figure4(), Paper(**{**vars(made[0]), "runs": kept}), measured(made))
    assert numbers.empty and list(numbers.columns) == COLUMNS
    assert figure.axes[0].texts[0].get_text() == "not made in this tier"


def test_the_same_numbers_make_the_same_bytes(made: tuple[Paper, Path], tmp_path: Path) -> None:
    declared = {**declarations(), "figures": [figure4()]}
    for name in ("one", "two"):
        render_figures(made[0], declared, made[1], tmp_path / name)
    for suffix in ("png", "pdf", "csv"):
        first, second = (tmp_path / name / f"figure4.{suffix}" for name in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()
