"""Measurements by hand: accuracies on subsets, further metrics and heads, parsing and localisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parsing_files import VIDEOS, float_lists, localisation_table, parsing_table, timelines, write
from parsing_files import made_up_paper as parsing_paper
from relevance_files import CONFUSIONS, of_confusion
from relevance_files import declarations as relevance_declarations
from relevance_files import made_up_paper as relevance_paper

from avbalance.analysis.parsing_scores import ALONE, METRICS
from avbalance.analysis.relevance import metrics
from avbalance.errors import UserError
from avbalance.evaluation.measure import FURTHER, Measures, measure, read_measurements
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.evaluation.parsing_predictions import read_parsing
from avbalance.evaluation.predictions import write_predictions
from avbalance.table_files import write_parquet

HALF_MODELS = {"cross_fitted": {"audio": {"a": "audio-half-a", "b": "audio-half-b"}}}
MEASURES = {"thresholds": [0, 0.2], **HALF_MODELS}


def measured(folder: Path, runs: Sequence[RunFile], measures: Any = MEASURES, subsets: Any = None) -> pd.DataFrame:
    """Measurements of runs on one data set; subsets: definition -> discrepancies of the clips a, b, c, d."""
    if subsets is not None:
        parts = [
            pd.DataFrame({"id": list("abcd"), "definition": name, "discrepancy": values}).assign(preferred="outside")
            for name, values in subsets.items()
        ]
        write_parquet(folder / "subsets.parquet", pd.concat(parts))
    info = DatasetInfo(
        "role", "D", "d", "made up", subsets=None if subsets is None else str(folder / "subsets.parquet")
    )
    paper = Paper("slug", "title", "", {"role": info}, {run.run: run.label for run in runs}, tuple(runs))
    measure(paper, measures, folder / "measurements.parquet")
    return read_measurements(folder / "measurements.parquet")


def of_frame(folder: Path, frame: pd.DataFrame, name: str = "one", seed: int = 0, labelling: str = "") -> RunFile:
    path = folder / f"{name}-{seed}.parquet"
    write_predictions(path, frame)
    return RunFile(name, name.capitalize(), "d", seed, str(path), labelling)


def run(folder: Path, name: str, right: str, seed: int = 0, ids: str = "abcd") -> RunFile:
    """A run on two classes, all of class 0, that is right on the clips named in `right`."""
    logits = [[1.0, 0.0] if clip in right else [0.0, 1.0] for clip in ids]
    frame = pd.DataFrame({"id": list(ids), "label": 0, "logits": logits})
    return of_frame(folder, frame.assign(split="test", condition="both", checkpoint="selected"), name, seed)


def cell(frame: pd.DataFrame, name: str, subset: str, protocol: str) -> tuple[float, int]:
    chosen = frame[(frame["run"] == name) & (frame["subset"] == subset) & (frame["protocol"] == protocol)]
    assert len(chosen) == 1
    return float(chosen["value"].iloc[0]), int(chosen["n"].iloc[0])


def test_accuracies_by_hand(tmp_path: Path) -> None:
    frame = measured(tmp_path, [run(tmp_path, "audio", "ac")], subsets={"estimated": [0.5, 0.1, 0.0, -0.3]})
    expected = {
        "overall": (50.0, 4), "audio_preferred": (50.0, 2), "visual_preferred": (0.0, 1), "tie": (100.0, 1),
        "audio_dominated@0.2": (100.0, 1), "visual_dominated@0.2": (0.0, 1),
    }  # fmt: skip
    assert {name: cell(frame, "audio", name, "estimated") for name in expected} == expected
    assert cell(frame, "audio", "overall", "none") == (50.0, 4)
    assert frame.loc[frame["metric"] == "chance", "value"].to_list() == [100.0]  # all clips have the label 0


def test_cross_fitting_scores_the_other_half(tmp_path: Path) -> None:
    right = {"audio": "abcd", "audio-half-a": "a", "audio-half-b": "bcd", "fused": "ab"}
    definitions = {"cross-fitted-a": [0.5, 0.5, -0.5, -0.5], "cross-fitted-b": [0.5, -0.5, -0.5, -0.5]}
    frame = measured(tmp_path, [run(tmp_path, *each) for each in right.items()], subsets=definitions)
    # Subset a = {a, b} scored by half b: 1 of 2; subset b = {a} scored by half a: 1 of 1; mean 75.
    assert cell(frame, "audio", "audio_preferred", "cross-fitted-a") == (50.0, 2)
    assert cell(frame, "audio", "audio_preferred", "cross-fitted-b") == (100.0, 1)
    assert cell(frame, "audio", "audio_preferred", "cross-fitted") == (75.0, 1)
    # The fused model is scored itself: {c, d} gives 0 of 2, {b, c, d} 1 of 3.
    assert cell(frame, "fused", "visual_preferred", "cross-fitted") == (pytest.approx(100 / 6), 2)
    assert set(frame[frame["run"] == "audio-half-a"]["protocol"]) == {"none"}
    declared = Measures(**HALF_MODELS)
    assert declared.scorer("audio", "cross-fitted-a") == "audio-half-b"
    assert declared.scorer("audio", "estimated") == "audio" and declared.scorer("fused", "cross-fitted-a") == "fused"


def test_annotated_subsets_leave_clips_out_and_have_no_thresholds(tmp_path: Path) -> None:
    definitions = {"estimated": [0.5] * 4, "annotated": [1.0, 0.0, -1.0, float("nan")]}
    frame = measured(tmp_path, [run(tmp_path, "audio", "ac")], subsets=definitions)
    assert cell(frame, "audio", "overall", "annotated") == (pytest.approx(200 / 3), 3)
    assert cell(frame, "audio", "tie", "annotated") == (0.0, 1)
    known = set(frame.loc[frame["protocol"] == "annotated", "subset"])
    assert known == {"overall", "audio_preferred", "visual_preferred", "tie"}


def test_each_seed_by_its_own_subsets(tmp_path: Path) -> None:
    runs = [run(tmp_path, "audio", "ab", seed) for seed in (0, 1)]
    definitions = {"seed-matched-0": [0.5, 0.5, -0.5, -0.5], "seed-matched-1": [-0.5, 0.5, 0.5, 0.5]}
    frame = measured(tmp_path, runs, subsets=definitions)
    chosen = frame[(frame["protocol"] == "seed-matched") & (frame["subset"] == "audio_preferred")]
    assert dict(zip(chosen["seed"], chosen["value"], strict=True)) == {0: 100.0, 1: pytest.approx(100 / 3)}


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    audio, fused = run(tmp_path, "audio", "a"), run(tmp_path, "fused", "a", ids="abce")
    with pytest.raises(UserError, match=r"fused-0.parquet: test has other clips or labels than .*audio-0.parquet"):
        measured(tmp_path, [audio, fused])
    with pytest.raises(UserError, match="estimated covers other test clips"):
        measured(tmp_path, [fused], subsets={"estimated": [0.1] * 4})
    with pytest.raises(UserError, match="a run is listed twice with one seed"):
        measured(tmp_path, [audio, audio])
    with pytest.raises(UserError, match="no run has predictions"):
        measured(tmp_path, [])


def test_runs_of_one_labelling_must_agree_on_labels_and_all_on_clips(tmp_path: Path) -> None:
    urban = of_frame(tmp_path, of_confusion((285, 75, 204, 163), "both"), "urban")
    speech = of_frame(tmp_path, of_confusion((146, 141, 89, 351), "both"), "speech", labelling="speech")
    chance = measured(tmp_path, [urban, speech], {}).query("metric == 'chance'").set_index("run")["value"]
    assert chance.to_dict() == pytest.approx(
        {"majority-label": 100 * 367 / 727, "majority-label-speech": 100 * 440 / 727}
    )
    fewer = of_frame(tmp_path, of_confusion((146, 141, 89, 350), "both"), "fewer", labelling="speech")
    for runs in ([urban, replace(speech, labelling="")], [urban, fewer]):
        with pytest.raises(UserError, match="other clips or labels"):
            measured(tmp_path, runs, {})


def test_measuring_twice_gives_the_same_bytes(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path, tmp_path: Path
) -> None:
    measure(fabricated_paper, balanced_declarations["measures"], tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == measurements.read_bytes()


# Further metrics and heads


def test_every_condition_has_the_metrics_of_its_own_predictions(tmp_path: Path) -> None:
    measure(relevance_paper(tmp_path), relevance_declarations()["measures"], tmp_path / "measurements.parquet")
    rows = read_measurements(tmp_path / "measurements.parquet").set_index(["run", "seed", "condition", "metric"])
    for name in ("urban-rural-student", "speech-student"):
        for condition, confusion in CONFUSIONS[name].items():
            frame = of_confusion(confusion, condition)
            expected = metrics(frame["label"].to_numpy(), np.array(frame["logits"].to_list()).argmax(axis=1))
            own = rows.sort_index().loc[(name, 1, condition)]
            assert set(own.index) == {"accuracy", *FURTHER} and set(own["n"]) == {727}
            assert own["value"].to_dict() == pytest.approx(vars(expected))


def test_heads_by_hand(tmp_path: Path) -> None:
    frame = of_confusion((2, 0, 1, 1), "both").assign(
        logits_audio=[[1.0, 0.0]] * 4, logits_visual=[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    )
    one = of_frame(tmp_path, frame)
    rows = measured(tmp_path, [one], {"metrics": ["macro_f1"], "heads": True}).query("run == 'one'")
    # Right are 3 of 4 clips, 2 by sound and 3 by sight. F1 of classes: 4/5 and 2/3; 2/3 and 0; 2/3 and 4/5.
    assert rows.set_index("metric")["value"].to_dict() == pytest.approx({
        "accuracy": 75.0, "macro_f1": 100 * (4 / 5 + 2 / 3) / 2, "accuracy_audio": 50.0, "macro_f1_audio": 100 / 3,
        "accuracy_visual": 75.0, "macro_f1_visual": 100 * (2 / 3 + 4 / 5) / 2,
    })  # fmt: skip
    assert set(measured(tmp_path, [one], {})["metric"]) == {"accuracy", "chance"}  # who asks for nothing gets nothing
    without = of_frame(tmp_path, of_confusion((2, 0, 1, 1), "both"), "without")
    assert set(measured(tmp_path, [without], {"heads": True})["metric"]) == {"accuracy", "chance"}
    with pytest.raises(UserError, match=r"tables\.yaml, measures, metrics\[1\]: there is no metric 'kappa'"):
        measured(tmp_path, [one], {"metrics": ["kappa"]})


# Parsing and localisation

TRUTH = timelines(np.random.default_rng(0), 4)
IDS = ["a", "b", "c", "d"]


def parsed(folder: Path, table: Any, seed: int = 1) -> RunFile:
    return RunFile("han", "HAN", "d", seed, write(folder / f"{seed}.parquet", table))


def test_each_kind_of_run_has_its_rows(tmp_path: Path) -> None:
    paper = parsing_paper(tmp_path / "runs", {"jomold": (6, 0), "ours": (6, 0)})
    measure(paper, {}, tmp_path / "measurements.parquet")
    frame = read_measurements(tmp_path / "measurements.parquet")
    assert set(frame.loc[frame["protocol"] != "events", "subset"]) == {"overall"}
    llp = frame[(frame["dataset"] == "made-llp") & (frame["run"] == "ours") & (frame["seed"] == 6)]
    assert set(llp["protocol"]) == {"none", "repaired", "events"}
    parts = llp[(llp["protocol"] == "events") & (llp["metric"] == "average")]
    assert parts["n"].sum() == VIDEOS and set(parts["subset"]) == {"audio_preferred", "visual_preferred", "tie"}
    values = llp[llp["protocol"] == "none"].set_index("metric")["value"]
    assert set(values.index) == {*METRICS, "average", "segment_mean", "event_mean", *ALONE}
    read = read_parsing(next(each.predictions for each in paper.runs if (each.run, each.seed) == ("ours", 6)))
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
    frame = measured(tmp_path, [parsed(tmp_path, parsing_table(IDS, found, truth))], {})
    events = frame.query("run == 'han' and metric == 'segment_V' and protocol == 'events'").set_index("subset")
    assert events["n"].to_dict() == {"audio_preferred": 1, "visual_preferred": 1, "tie": 2}
    assert events["value"].to_dict() == pytest.approx(
        {"audio_preferred": 100, "visual_preferred": 100 * (6 / 7 + 1) / 2, "tie": 100}
    )


def test_what_one_modality_alone_has_is_measured_beside_both(tmp_path: Path) -> None:
    truth = np.zeros((2, 2, 3, 10), dtype=bool)
    truth[0, 0, 0, :6] = truth[0, 1, 0, 4:] = True  # heard alone 4 seconds, both 2, seen alone 4
    found = truth.copy()
    found[0, 1, 0, 2:] = True  # two seconds of what is heard alone are found in both
    frame = measured(tmp_path, [parsed(tmp_path, parsing_table(IDS[:2], found, truth))], {})
    frame = frame[frame["protocol"] == "none"].set_index(["run", "metric"])["value"]
    # 2 of 4 seconds, and an event of them that is half the true one; the other video has nothing and counts 100
    wanted = {"segment_Ao": 100 * (2 * 2 / 6 + 1) / 2, "segment_Vo": 100.0, "event_Ao": 100.0, "event_Vo": 100.0}
    assert frame["han"][list(ALONE)].to_dict() == pytest.approx(wanted)
    assert frame["han"]["segment_A"] == 100.0 and frame["han"]["segment_AV"] == pytest.approx(100 * (2 * 2 / 6 + 1) / 2)
    assert frame["no-event"][list(ALONE)].to_dict() == dict.fromkeys(ALONE, 50.0)


def test_finding_nothing_is_a_reference(tmp_path: Path) -> None:
    frame = measured(tmp_path, [parsed(tmp_path, parsing_table(IDS, TRUTH, TRUTH))], {})
    nothing = frame[frame["run"] == "no-event"].set_index("metric")["value"]
    both = TRUTH[:, 0] & TRUTH[:, 1]
    empty = [100 * (~mask.any(axis=(1, 2))).mean() for mask in (TRUTH[:, 0], TRUTH[:, 1], both)]
    assert [nothing[f"event_{name}"] for name in ("A", "V", "AV")] == pytest.approx(empty)
    assert set(frame[frame["run"] == "han"]["value"]) == {100.0} and "repaired" not in set(frame["protocol"])


@pytest.mark.parametrize(("unseen", "seen"), [(0, {"segment_V", "event_V"}), (1, {"segment_A", "event_A"})])
def test_a_modality_that_is_not_seen_has_no_score(unseen: int, seen: set[str], tmp_path: Path) -> None:
    frames = np.full((4, 10, 2, 3), 0.9)
    for value, expected in ((0, seen), (1e-6, None)):  # seen, though it finds nothing
        frames[:, :, unseen] = 0
        frames[0, 0, unseen, 0] = value
        table = parsing_table(IDS, TRUTH, TRUTH, frame_prob=float_lists(frames))
        own = measured(tmp_path, [parsed(tmp_path, table)], {}).query("run == 'han' and protocol == 'none'")
        assert set(own["metric"]) == expected if expected else len(own) == 17


def test_accuracy_of_localisation_counts_every_second(tmp_path: Path) -> None:
    table = localisation_table(["a"], np.array([[3, 3, 0, 1]]), np.eye(4)[[[3, 0, 0, 2]]], ["test"])
    frame = measured(tmp_path, [parsed(tmp_path, table)], {}).set_index("run")
    assert (frame.loc["han", "value"], frame.loc["han", "n"]) == (50.0, 4)
    assert (frame.loc["majority-label", "value"], frame.loc["majority-label", "metric"]) == (50.0, "chance")
