"""What the paper fixes about its analysis, item by item (Xia et al. 2023, sections 2 and 5)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import PowerNorm

from avbalance.analysis.confidence import histogram, join_modalities, mean_confidence, read_unimodal
from avbalance.analysis.subsets import check_nested, read_subsets, subset_mask
from avbalance.errors import UserError
from avbalance.evaluation.measure import assert_identity, read_measurements
from avbalance.evaluation.paper import Paper
from avbalance.plan.config import load_paper
from avbalance.plan.trees import plain
from avbalance.reporting.cells import MeasuredCells, published_numbers
from avbalance.reporting.facts import write_lost_clips
from avbalance.reporting.kinds import read_kind
from avbalance.reporting.tables import render_tables
from avbalance.table_files import write_parquet
from flowkeeper.files import read_json

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "workflow" / "papers" / "balanced-audiovisual"


def test_item_01_confidence_is_the_epoch_mean_of_the_true_class_probability() -> None:
    # Third sample: the true class has 0.25 although another class has 0.75; the mean of 0.25 and 0.75 is 0.5.
    confidence = np.array([[1.0, 0.0, 0.25], [0.5, 0.5, 0.75]], dtype=np.float32)
    assert mean_confidence(confidence, 2).tolist() == [0.75, 0.25, 0.5]
    small = np.array([[1.0], [2.0**-24], [2.0**-24]], dtype=np.float32)
    assert mean_confidence(small, 3)[0] == np.float32((1.0 + 2.0**-23) / 3)


def test_item_02_modalities_are_joined_by_id(unimodal_file: Any) -> None:
    audio = read_unimodal(unimodal_file("a", [1.0], test=(["p", "q"], [[0.75, 0.25]])))
    visual = read_unimodal(unimodal_file("v", [1.0], test=(["q", "p"], [[0.5, 0.125]])))
    joined = join_modalities(audio, visual, "test", (1, 1))
    assert dict(zip(joined["id"], joined["discrepancy"], strict=True)) == {"p": 0.625, "q": -0.25}


def test_item_03_inequalities_are_strict_and_ties_are_counted() -> None:
    discrepancy = np.array([0.1, 0.0, -0.1])
    sizes = {name: int(subset_mask(discrepancy, name).sum()) for name in ("audio_preferred", "visual_preferred", "tie")}
    assert sizes == {"audio_preferred": 1, "visual_preferred": 1, "tie": 1}


def test_item_04_subsets_hold_test_samples_and_every_run_is_sliced_alike(
    fabricated_paper: Paper, measurements: Path
) -> None:
    for info in (info for info in fabricated_paper.datasets.values() if info.data):
        for frame in read_subsets(str(info.subsets)).values():
            assert frame["id"].str.startswith("test-").all()
    frame = read_measurements(measurements)
    frame = frame[(frame["protocol"] == "estimated") & (frame["split"] == "test")]
    assert (frame.groupby(["dataset", "subset"])["n"].nunique() == 1).all()
    assert frame["run"].nunique() == 7


def test_item_05_thresholds_are_the_papers_and_nested(balanced_declarations: dict[str, Any]) -> None:
    thresholds = balanced_declarations["measures"]["thresholds"]
    assert thresholds == [0, 0.2, 0.4]
    # 0.2 is not above 0.2.
    assert check_nested(np.array([0.1, 0.2, 0.3, 0.5, -0.3]), thresholds) == {
        "audio": [4, 2, 1],
        "visual": [1, 1, 0],
    }


def test_item_06_map_has_bins_of_a_hundredth_visual_across_audio_up_and_a_colour_bar(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path
) -> None:
    counts = histogram(np.array([0.999, 0.015]), np.array([0.015, 0.015]))
    assert counts.shape == (100, 100)
    assert counts[99, 1] == counts[1, 1] == 1
    declaration = next(item for item in balanced_declarations["figures"] if item["id"] == "figure1")
    numbers = published_numbers(fabricated_paper, balanced_declarations)
    measured = MeasuredCells(fabricated_paper, read_measurements(measurements), numbers)
    declared = read_kind("figures", fabricated_paper.folders, {**declaration, "bars": []}, "figure1", None)
    axis = declared.draw(fabricated_paper, measured).figure.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("mean visual confidence", "mean audio confidence")
    image = axis.images[0]
    assert image.origin == "lower"
    assert isinstance(image.norm, PowerNorm)
    assert image.norm.gamma == 0.5
    assert image.get_array().shape == (20, 20)  # drawn coarser: of some hundred samples a hundredth holds one at most
    assert image.colorbar is not None


def test_item_23_missing_media_are_counted_under_every_table_and_listed(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path, tmp_path: Path
) -> None:
    render_tables(fabricated_paper, balanced_declarations, measurements, tmp_path)
    for table in balanced_declarations["tables"]:
        assert "1 lost (manifest missing 1)" in (tmp_path / f"{table['id']}.md").read_text(encoding="utf-8")
    write_lost_clips(fabricated_paper, tmp_path / "lost_clips.csv")
    lost = pd.read_csv(tmp_path / "lost_clips.csv")
    assert (lost["id"] == "train-lost").all()
    assert list(lost["dataset"]) == [
        "synthetic-kinetics-sounds", "synthetic-kinetics-sounds-g1", "synthetic-vggsound", "synthetic-balanced"
    ]  # fmt: skip


def test_item_25_accuracy_identity_is_asserted_when_tables_are_written(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path, tmp_path: Path
) -> None:
    frame = read_measurements(measurements)
    assert_identity(frame)
    place = frame.index[(frame["subset"] == "visual_preferred") & (frame["protocol"] == "estimated")][0]
    frame.loc[place, "value"] += 100 / frame.loc[place, "n"]
    write_parquet(tmp_path / "changed.parquet", frame)
    with pytest.raises(UserError, match="do not add up to overall"):
        render_tables(fabricated_paper, balanced_declarations, tmp_path / "changed.parquet", tmp_path)


def test_item_28_published_numbers_come_from_the_csv_files_only() -> None:
    printed = set()
    for path in (FOLDER / "published").glob("*.csv"):
        frame = pd.read_csv(path, dtype=str)
        assert frame["provenance"].str.len().min() > 10
        printed |= {value for column in ("accuracy",) if column in frame for value in frame[column]}
    assert len(printed) > 70
    sources = [*(REPOSITORY / "src").rglob("*.py"), *FOLDER.glob("*.yaml")]
    for path in sources:
        found = set(re.findall(r"(?<![\d.])\d\d\.\d\d(?![\d.])", path.read_text(encoding="utf-8"))) & printed
        assert not found, f"{path} holds the published {found}"


def test_item_29_epochs_averaged_and_the_sensitivity_table_are_reported(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path, tmp_path: Path
) -> None:
    render_tables(fabricated_paper, balanced_declarations, measurements, tmp_path)
    frame = pd.read_csv(tmp_path / "tableS2.csv")
    assert set(frame["rule"]) == {"half", "chosen", "stop"}
    assert set(frame["split"]) == {"train", "test"}
    assert set(frame["quantity"]) == {"epochs_audio", "epochs_visual", "audio_share", "ties"}
    assert frame["ours_mean"].notna().all()
    for info in (info for info in fabricated_paper.datasets.values() if info.data):
        epochs = read_json(Path(str(info.confidence)) / "stopping.json")["epochs"]
        assert epochs["audio"]["estimation_epochs"] == epochs["visual"]["estimation_epochs"] == 6
    assert "epochs averaged: audio 6, visual 6" in (tmp_path / "table2.md").read_text(encoding="utf-8")


def test_the_stopping_rule_of_the_runs_is_that_of_the_estimate() -> None:
    paper = plain(load_paper(REPOSITORY, "balanced-audiovisual"))
    rule = paper["confidence"]["rule"]
    assert paper["settings"]["protocol"]["min_delta"] == rule["min_delta"]
    for name in ("audio", "visual", "audio-half-a", "visual-half-b"):
        assert paper["runs"][name]["settings"]["protocol"]["patience"] == rule["patience"]
