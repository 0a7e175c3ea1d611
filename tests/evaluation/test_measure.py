"""Measurements: one evaluation and many slices, cross-fitting, and the accuracy identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from avbalance.errors import UserError
from avbalance.evaluation.measure import assert_identity, measure, read_measurements
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.evaluation.predictions import write_predictions
from avbalance.evaluation.scores import load_scores, scorer
from avbalance.frames import write_parquet

MEASURES = {
    "thresholds": [0, 0.2],
    "cross_fitted": {"audio": {"a": "audio-half-a", "b": "audio-half-b"}},
}


def run(tmp_path: Path, name: str, right: list[bool], seed: int = 0, ids: str = "abcd") -> RunFile:
    """A run on two classes, all of class 0, that is right where `right` says."""
    logits = [[1.0, 0.0] if good else [0.0, 1.0] for good in right]
    frame = pd.DataFrame(
        {
            "id": list(ids),
            "label": 0,
            "split": "test",
            "condition": "both",
            "checkpoint": "selected",
            "logits": logits,
        }
    )
    path = tmp_path / f"{name}-{seed}.parquet"
    write_predictions(path, frame)
    return RunFile(name, name, "d", seed, str(path))


def paper(tmp_path: Path, runs: list[RunFile], definitions: dict[str, list[float]]) -> Paper:
    parts = [
        pd.DataFrame({"id": list("abcd"), "definition": name, "discrepancy": values, "preferred": "-"})
        for name, values in definitions.items()
    ]
    write_parquet(tmp_path / "subsets.parquet", pd.concat(parts))
    info = DatasetInfo("role", "D", "d", "made up", subsets=str(tmp_path / "subsets.parquet"))
    return Paper("slug", "title", str(tmp_path), {"role": info}, {r.run: r.label for r in runs}, tuple(runs))


def cell(path: Path, run: str, subset: str, protocol: str) -> tuple[float, int]:
    frame = read_measurements(path)
    chosen = frame[(frame["run"] == run) & (frame["subset"] == subset) & (frame["protocol"] == protocol)]
    assert len(chosen) == 1
    return float(chosen["value"].iloc[0]), int(chosen["n"].iloc[0])


def test_accuracies_by_hand(tmp_path: Path) -> None:
    out = tmp_path / "measurements.parquet"
    runs = [run(tmp_path, "audio", [True, False, True, False])]
    measure(paper(tmp_path, runs, {"estimated": [0.5, 0.1, 0.0, -0.3]}), MEASURES, out)
    assert cell(out, "audio", "overall", "estimated") == (50.0, 4)
    assert cell(out, "audio", "audio_preferred", "estimated") == (50.0, 2)
    assert cell(out, "audio", "visual_preferred", "estimated") == (0.0, 1)
    assert cell(out, "audio", "tie", "estimated") == (100.0, 1)
    assert cell(out, "audio", "audio_dominated@0.2", "estimated") == (100.0, 1)
    assert cell(out, "audio", "visual_dominated@0.2", "estimated") == (0.0, 1)
    assert cell(out, "audio", "overall", "none") == (50.0, 4)


def test_cross_fitting_scores_the_other_half(tmp_path: Path) -> None:
    out = tmp_path / "measurements.parquet"
    runs = [
        run(tmp_path, "audio", [True] * 4),
        run(tmp_path, "audio-half-a", [True, False, False, False]),
        run(tmp_path, "audio-half-b", [False, True, True, True]),
        run(tmp_path, "fused", [True, True, False, False]),
    ]
    definitions = {"cross-fitted-a": [0.5, 0.5, -0.5, -0.5], "cross-fitted-b": [0.5, -0.5, -0.5, -0.5]}
    measure(paper(tmp_path, runs, definitions), MEASURES, out)
    # Subset a = {a, b} scored by half b: 1 of 2; subset b = {a} scored by half a: 1 of 1; mean 75.
    assert cell(out, "audio", "audio_preferred", "cross-fitted-a") == (50.0, 2)
    assert cell(out, "audio", "audio_preferred", "cross-fitted-b") == (100.0, 1)
    assert cell(out, "audio", "audio_preferred", "cross-fitted") == (75.0, 1)
    # The fused model is scored itself: {c, d} gives 0 of 2, {b, c, d} 1 of 3.
    assert cell(out, "fused", "visual_preferred", "cross-fitted") == (pytest.approx(100 / 6), 2)
    frame = read_measurements(out)
    assert set(frame[frame["run"] == "audio-half-a"]["protocol"]) == {"none"}


def test_annotated_subsets_leave_clips_out_and_have_no_thresholds(tmp_path: Path) -> None:
    out = tmp_path / "measurements.parquet"
    runs = [run(tmp_path, "audio", [True, False, True, False])]
    made = paper(tmp_path, runs, {"estimated": [0.5] * 4, "annotated": [1.0, 0.0, -1.0, float("nan")]})
    subsets = pd.read_parquet(tmp_path / "subsets.parquet")
    subsets.loc[subsets["discrepancy"].isna(), "preferred"] = "outside"
    write_parquet(tmp_path / "subsets.parquet", subsets)
    measure(made, MEASURES, out)
    assert cell(out, "audio", "overall", "annotated") == (pytest.approx(200 / 3), 3)
    assert cell(out, "audio", "audio_preferred", "annotated") == (100.0, 1)
    assert cell(out, "audio", "tie", "annotated") == (0.0, 1)
    frame = read_measurements(out)
    known = set(frame.loc[frame["protocol"] == "annotated", "subset"])
    assert known == {"overall", "audio_preferred", "visual_preferred", "tie"}


def test_each_seed_by_its_own_subsets(tmp_path: Path) -> None:
    out = tmp_path / "measurements.parquet"
    runs = [run(tmp_path, "audio", [True, True, False, False], seed) for seed in (0, 1)]
    definitions = {"seed-matched-0": [0.5, 0.5, -0.5, -0.5], "seed-matched-1": [-0.5, 0.5, 0.5, 0.5]}
    measure(paper(tmp_path, runs, definitions), MEASURES, out)
    frame = read_measurements(out)
    chosen = frame[(frame["protocol"] == "seed-matched") & (frame["subset"] == "audio_preferred")]
    assert dict(zip(chosen["seed"], chosen["value"], strict=True)) == {0: 100.0, 1: pytest.approx(100 / 3)}


def test_scorer_names_the_half_that_did_not_choose() -> None:
    assert scorer("audio", "cross-fitted-a", MEASURES) == "audio-half-b"
    assert scorer("audio", "estimated", MEASURES) == "audio"
    assert scorer("fused", "cross-fitted-a", MEASURES) == "fused"


def test_runs_on_other_clips_are_refused(tmp_path: Path) -> None:
    runs = [run(tmp_path, "audio", [True] * 4), run(tmp_path, "fused", [True] * 4, ids="abce")]
    with pytest.raises(UserError, match=r"fused-0.parquet: test has other clips or labels"):
        load_scores(runs)


def test_subsets_of_other_clips_are_refused(tmp_path: Path) -> None:
    runs = [run(tmp_path, "audio", [True] * 4, ids="abce")]
    with pytest.raises(UserError, match="estimated covers other test clips"):
        measure(paper(tmp_path, runs, {"estimated": [0.1] * 4}), MEASURES, tmp_path / "out.parquet")


def test_no_runs_no_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run has predictions"):
        measure(paper(tmp_path, [], {"estimated": [0.1] * 4}), MEASURES, tmp_path / "out.parquet")


def test_the_identity_is_asserted_on_every_run(measurements: Path) -> None:
    frame = read_measurements(measurements)
    changed = frame.copy()
    place = changed.index[(changed["subset"] == "audio_preferred") & (changed["protocol"] == "planted")][0]
    changed.loc[place, "value"] += 100.0 / changed.loc[place, "n"]
    with pytest.raises(UserError, match="do not add up to overall"):
        assert_identity(changed)


def test_measuring_twice_gives_the_same_bytes(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path, tmp_path: Path
) -> None:
    measure(fabricated_paper, balanced_declarations["measures"], tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == measurements.read_bytes()


def test_chance_is_the_share_of_the_most_frequent_label(measurements: Path, tmp_path: Path) -> None:
    frame = read_measurements(measurements)
    chance = frame[frame["metric"] == "chance"]
    # 120 test and 40 validation clips of four classes in turn, on each of four data sets.
    assert chance.groupby("split")["value"].agg(["min", "max"]).to_numpy().tolist() == [[25.0, 25.0]] * 2
    assert dict(chance.groupby("split")["n"].sum()) == {"test": 4 * 120, "val": 4 * 40}
    runs = [run(tmp_path, "audio", [True] * 4)]
    measure(paper(tmp_path, runs, {"estimated": [0.1] * 4}), MEASURES, tmp_path / "one.parquet")
    # All four clips of the made-up set have label 0.
    frame = read_measurements(tmp_path / "one.parquet")
    assert frame.loc[frame["metric"] == "chance", "value"].to_list() == [100.0]
