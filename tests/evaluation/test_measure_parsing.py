"""Rows of measurements.parquet for parsing and localisation: values by hand, unseen modalities, other truths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from parsing_files import (
    VIDEOS,
    float_lists,
    localisation_table,
    made_up_paper,
    parsing_table,
    timelines,
    write,
)

from avbalance.analysis.parsing_scores import METRICS
from avbalance.errors import UserError
from avbalance.evaluation.measure import measure, read_measurements
from avbalance.evaluation.paper import Paper, RunFile
from avbalance.evaluation.parsing_predictions import read_parsing

SEEDS = {"jomold": (6, 0), "ours": (6, 0)}
TRUTH = timelines(np.random.default_rng(0), 4)
IDS = ["a", "b", "c", "d"]


def measured(paper: Paper, folder: Path) -> pd.DataFrame:
    measure(paper, {}, folder / "measurements.parquet")
    return read_measurements(folder / "measurements.parquet")


def one_run(path: str) -> Paper:
    run = RunFile("han", "HAN", "made", 1, path)
    return Paper("slug", "title", "", {}, {"han": "HAN"}, (run,))


def test_each_kind_of_run_has_its_rows(tmp_path: Path) -> None:
    paper = made_up_paper(tmp_path / "runs", SEEDS)
    frame = measured(paper, tmp_path)
    assert set(frame.loc[frame["protocol"] != "events", "subset"]) == {"overall"}
    llp = frame[(frame["dataset"] == "made-llp") & (frame["run"] == "ours") & (frame["seed"] == 6)]
    assert set(llp["protocol"]) == {"none", "repaired", "events"}
    assert set(llp.loc[llp["subset"] == "overall", "n"]) == {VIDEOS}
    parts = llp[(llp["protocol"] == "events") & (llp["metric"] == "average")]
    assert parts["n"].sum() == VIDEOS and set(parts["subset"]) == {"audio_preferred", "visual_preferred", "tie"}
    values = llp[llp["protocol"] == "none"].set_index("metric")["value"]
    assert set(values.index) == {*METRICS, "average", "segment_mean", "event_mean"}
    read = read_parsing(next(run.predictions for run in paper.runs if (run.run, run.seed) == ("ours", 6)))
    expected = read.scores(np.arange(VIDEOS)).dataset()
    assert values[list(METRICS)].to_dict() == pytest.approx(expected)
    assert values["average"] == pytest.approx(np.mean(list(expected.values())))
    assert values["event_mean"] == pytest.approx(np.mean(list(expected.values())[5:]))
    repaired = llp[llp["protocol"] == "repaired"].set_index("metric")["value"]
    assert repaired["segment_V"] == values["segment_V"] and repaired["segment_A"] != values["segment_A"]
    ave = frame[(frame["run"] == "psp-dgm") & (frame["split"] == "test")].set_index("checkpoint")
    assert ave["value"].to_dict() == {"selected": 60.0, "last": 60.0} and set(ave["n"]) == {300}
    cremad = frame[frame["run"] == "ogm-dgm"].set_index("checkpoint")["value"]
    assert cremad.to_dict() == pytest.approx({"selected": 60.0, "last": 50.0, "best-test": 65.0})
    chance = frame[frame["metric"] == "chance"].set_index(["dataset", "split"])["n"]
    assert chance.to_dict() == {("made-ave", "test"): 300, ("made-ave", "val"): 150, ("made-cremad", "test"): 60}


def test_videos_are_told_apart_by_their_events(tmp_path: Path) -> None:
    # Classes per video. a: one only heard; b: one only seen, one heard and seen; c: one only heard, one only seen;
    # d: one heard and seen, in different seconds.
    truth = np.zeros((4, 2, 3, 10), dtype=bool)
    truth[0, 0, 0, :3] = truth[1, 1, 1, 2:5] = truth[1, :, 0, 6:] = True
    truth[2, 0, 0, :2] = truth[2, 1, 1, :2] = truth[3, 0, 2, :4] = truth[3, 1, 2, 5:] = True
    found = truth.copy()
    found[1, 1, 1, 5] = True  # in b an overlap of 3 out of 4 seconds: F = 2 * 3 / (2 * 3 + 1)
    path = write(tmp_path / "p.parquet", parsing_table(IDS, found, truth))
    frame = measured(one_run(path), tmp_path)
    frame = frame[(frame["run"] == "han") & (frame["metric"] == "segment_V")].set_index(["protocol", "subset"])
    assert frame.loc["events", "n"].to_dict() == {"audio_preferred": 1, "visual_preferred": 1, "tie": 2}
    values = frame.loc["events", "value"]
    assert values["audio_preferred"] == values["tie"] == 100.0
    assert values["visual_preferred"] == pytest.approx(100 * (6 / 7 + 1) / 2)


def test_finding_nothing_is_a_reference(tmp_path: Path) -> None:
    frame = measured(one_run(write(tmp_path / "p.parquet", parsing_table(IDS, TRUTH, TRUTH))), tmp_path)
    nothing = frame[frame["run"] == "no-event"].set_index("metric")["value"]
    both = TRUTH[:, 0] & TRUTH[:, 1]
    empty = [100 * (~mask.any(axis=(1, 2))).mean() for mask in (TRUTH[:, 0], TRUTH[:, 1], both)]
    assert [nothing[f"event_{name}"] for name in ("A", "V", "AV")] == pytest.approx(empty)
    ours = frame[frame["run"] == "han"]["value"]
    assert set(ours) == {100.0} and "repaired" not in set(frame["protocol"])


@pytest.mark.parametrize(("unseen", "seen"), [(0, {"segment_V", "event_V"}), (1, {"segment_A", "event_A"})])
def test_a_modality_that_is_not_seen_has_no_score(unseen: int, seen: set[str], tmp_path: Path) -> None:
    frames = np.full((4, 10, 2, 3), 0.9)
    frames[:, :, unseen] = 0
    path = write(tmp_path / "p.parquet", parsing_table(IDS, TRUTH, TRUTH, frame_prob=float_lists(frames)))
    frame = measured(one_run(path), tmp_path)
    assert set(frame.loc[frame["run"] == "han", "metric"]) == seen
    frames[0, 0, unseen, 0] = 1e-6  # seen, though it finds nothing
    path = write(tmp_path / "p.parquet", parsing_table(IDS, TRUTH, TRUTH, frame_prob=float_lists(frames)))
    frame = measured(one_run(path), tmp_path)
    assert len(frame[(frame["run"] == "han") & (frame["protocol"] == "none")]) == 13


def test_accuracy_of_localisation_counts_every_second(tmp_path: Path) -> None:
    label = np.array([[3, 3, 0, 1]])
    logits = np.eye(4)[[[3, 0, 0, 2]]]
    path = write(tmp_path / "p.parquet", localisation_table(["a"], label, logits, ["test"]))
    frame = measured(one_run(path), tmp_path).set_index("run")
    assert (frame.loc["han", "value"], frame.loc["han", "n"]) == (50.0, 4)
    assert (frame.loc["majority-label", "value"], frame.loc["majority-label", "metric"]) == (50.0, "chance")


def test_runs_on_other_videos_or_another_truth_are_refused(tmp_path: Path) -> None:
    first = one_run(write(tmp_path / "1.parquet", parsing_table(IDS, TRUTH, TRUTH))).runs[0]
    other = TRUTH.copy()
    other[2, 1, 0] = ~other[2, 1, 0]
    for ids, truth in ((["a", "b", "c", "x"], TRUTH), (IDS, other)):
        path = write(tmp_path / "2.parquet", parsing_table(ids, TRUTH, truth))
        second = replace(first, seed=2, predictions=path)
        paper = Paper("slug", "title", "", {}, {"han": "HAN"}, (first, second))
        with pytest.raises(UserError, match=r"2\.parquet: test has other videos or another truth than .*1\.parquet"):
            measured(paper, tmp_path)
