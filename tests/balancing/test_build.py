"""The builder as a whole, on a tiny generated pool."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from avbalance.balancing import build, estimation
from avbalance.balancing.build import build_balanced
from avbalance.data import sources
from avbalance.data.build import build_dataset, ensure_media
from avbalance.data.manifest import read_manifest
from avbalance.errors import UserError

LAW = {"snr_audio_db": [-25.0, 3.0], "snr_visual_db": [-10.0, 14.0]}
RECIPES = {"audio": "logmel32x64-4s", "visual": "fps1-middle-32-4s"}
ESTIMATORS = {
    "folds": 2,
    "data": {
        "frames": 1,
        "crop": 32,
        "crop_scale": [0.5, 1.0],
        "crop_ratio": [0.75, 1.33],
        "flip": 0.5,
        "same_crop": False,
    },
    "model": {"encoder": "convolutional", "width": 4, "dimension": 16},
    "protocol": {
        "epochs": 2,
        "batch_size": 32,
        "learning_rate": 0.05,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "decay_every": 2,
        "decay_factor": 0.1,
    },
    "rule": {"min_delta": 0.1, "patience": 10, "floor": 2},
}
OPTIONS = {
    "pool": "pool",
    "recipes": RECIPES,
    "scorers": {"audio": {"dataset": "scorers"}, "visual": {"dataset": "scorers"}},
    "shares": {"train": 0.5, "val": 0.2, "test": 0.3},
    "estimators": ESTIMATORS,
    "recalibration": {"category_floor": 5, "least": 50, "noise": 0.0},
}


def generated(seed: int, clips: dict[str, int], beta: list[float]) -> dict[str, Any]:
    options = {"seed": seed, "classes": 3, "clips": clips, "discrepancy_beta": beta, **LAW}
    return {"kind": "synthetic", "stands_for": None, "describe": "generated", "options": options}


def spec(**changed: Any) -> dict[str, Any]:
    return {"kind": "built", "stands_for": None, "describe": "built", "options": {**OPTIONS, **changed}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name, own in {
        "pool": generated(1, {"train": 119, "test": 1}, [3.0, 1.2]),
        "scorers": generated(2, {"train": 45, "val": 30, "test": 3}, [1.0, 1.0]),
        "further": generated(3, {"train": 29, "test": 1}, [1.2, 3.0]),
    }.items():
        build_dataset(name, own, folder / name / "manifest.parquet")
    build_balanced("set", spec(supplements=["further"], target=45), folder / "set" / "manifest.parquet", "cpu")
    return folder


def test_every_clip_is_kept_or_left_out_with_its_reason(data: Path) -> None:
    steps = data / "set" / "building"
    counted = pd.read_csv(steps / "steps.csv")
    left = pd.read_csv(steps / "left_out.csv")
    clips = pd.read_parquet(steps / "clips.parquet")
    kept = read_manifest(data / "set" / "manifest.parquet").frame
    assert counted["clips"].sum() == len(clips) == 150
    assert counted.groupby("step")["clips"].sum()["kept"] == len(kept) >= 50
    assert set(left["id"]) | set(kept["id"]) == set(clips["id"]) and not set(left["id"]) & set(kept["id"])
    assert left.groupby(["step", "source"]).size().sum() == counted.loc[counted["step"] != "kept", "clips"].sum()
    assert left["step"].notna().all()


def test_the_manifest_leads_to_the_clips_of_the_pool_with_their_planted_truth(data: Path) -> None:
    path = data / "set" / "manifest.parquet"
    manifest = read_manifest(path)
    pool = read_manifest(data / "pool" / "manifest.parquet").frame.set_index("id")
    own = manifest.frame[~manifest.frame["id"].str.startswith("further.")]
    assert (own.set_index("id")["planted_audio"] == pool.loc[own["id"], "planted_audio"]).all()
    assert all((manifest.media_root(path) / name).is_file() for name in manifest.frame["audio"])
    assert (manifest.frame.groupby("group")["split"].nunique() == 1).all()
    shares = manifest.frame["split"].value_counts(normalize=True)
    assert abs(shares["train"] - 0.5) < 0.05 and abs(shares["test"] - 0.3) < 0.05


def test_a_supplement_comes_in_only_where_a_category_is_short(data: Path) -> None:
    counted = pd.read_csv(data / "set" / "building" / "steps.csv").set_index(["step", "source"])["clips"]
    assert counted["not-needed", "further"] > 0
    clips = pd.read_parquet(data / "set" / "building" / "clips.parquet")
    entered = clips[~clips["step"].isin(["lost", "overlap", "topic", "type", "type-cap", "not-needed"])]
    assert (entered.groupby("topic").size() <= 45).all() and not entered["own"].all()


def test_the_summary_holds_the_map_of_every_round_and_what_to_collect(data: Path) -> None:
    summary = json.loads((data / "set" / "building" / "summary.json").read_text())
    first, last = summary["rounds"][0], summary["rounds"][-1]
    assert first["clips"] > last["clips"] and {"j2", "j1", "audio_share"} <= set(last["estimated"])
    for before, after in itertools.pairwise(summary["rounds"]):
        assert before["removed"]["kept"] == after["clips"]
    assert set(summary["collect"]) == {
        "told by sound alone",
        "told by pictures alone",
        "told by both",
        "told by neither",
    }


def test_a_second_build_has_the_same_clips_and_trains_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = data / "set" / "manifest.parquet"
    before = path.read_bytes()

    def refuse(*arguments: Any) -> None:
        raise AssertionError("a fold was trained again")

    monkeypatch.setattr(estimation, "_fold", refuse)
    build_balanced("set", spec(supplements=["further"], target=45), path, "cpu")
    assert path.read_bytes() == before


def test_a_build_that_is_killed_goes_on_with_the_next_fold(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained: list[str] = []
    whole = estimation._fold

    def counting(clips: Any, modality: str, *rest: Any) -> Any:
        trained.append(modality)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return whole(clips, modality, *rest)

    monkeypatch.setattr(estimation, "_fold", counting)
    path = data / "killed" / "manifest.parquet"
    with pytest.raises(KeyboardInterrupt):
        build_balanced("killed", spec(recalibration={**OPTIONS["recalibration"], "rounds": 1}), path, "cpu")
    assert not path.exists()
    build_balanced("killed", spec(recalibration={**OPTIONS["recalibration"], "rounds": 1}), path, "cpu")
    of_a_round = ["audio", "audio", "visual", "visual"]
    assert trained == ["audio", *of_a_round, *of_a_round]  # one fold had been finished, the killed one is trained again


def test_scores_of_other_networks_come_from_files(data: Path, tmp_path: Path) -> None:
    pool = read_manifest(data / "pool" / "manifest.parquet").frame
    (tmp_path / "labels.txt").write_text("thump\nclass-01\nclass-02\nbuzz\n")
    rows = pd.DataFrame({"id": pool["id"], "label": pool["label"].replace("class-00", "thump"), "probability": 0.8})
    rows.to_csv(tmp_path / "scores.csv", index=False)
    table = "class-00: {audio: [thump, buzz], visual: [thump]}\n"
    table += "class-01: {audio: [class-01], visual: [class-01]}\n"
    (tmp_path / "categories.yaml").write_text(table)
    file = {"file": str(tmp_path / "scores.csv"), "labels": str(tmp_path / "labels.txt")}
    own = spec(scorers={"audio": file, "visual": file}, categories=str(tmp_path / "categories.yaml"))
    own["options"]["recalibration"] = {"category_floor": 5, "least": 20, "noise": 0.0, "rounds": 1}
    assert sources.read_source(own).inputs() == [*[file["file"], file["labels"]] * 2, str(tmp_path / "categories.yaml")]
    build_balanced("listed", own, data / "listed" / "manifest.parquet", "cpu")
    clips = pd.read_parquet(data / "listed" / "building" / "clips.parquet")
    without = clips["topic"] == ""
    assert (clips.loc[without, "step"] == "topic").all() and without.sum() == (pool["label"] == "class-02").sum() > 0
    assert read_manifest(data / "listed" / "manifest.parquet").classes == ["class-00", "class-01"]
    assert set(clips["type"]) == {"both", ""}


def test_two_recordings_of_one_id_stay_together_where_asked(data: Path) -> None:
    twice = generated(4, {"train": 59, "test": 1}, [1.0, 1.0])  # numbers its clips as the pool does
    build_dataset("twice", twice, data / "twice" / "manifest.parquet")
    own = spec(supplements=["twice"], scorers=None, together="id")
    own["options"]["recalibration"] = {"category_floor": 5, "least": 170, "noise": 0.0, "rounds": 1}
    build_balanced("together", own, data / "together" / "manifest.parquet", "cpu")
    frame = read_manifest(data / "together" / "manifest.parquet").frame
    named = frame["id"].str.removeprefix("twice.")
    assert named.duplicated().any() and (frame["group"] == named).all()
    assert (frame.groupby(named)["split"].nunique() == 1).all()
    with pytest.raises(UserError, match="together: is 'talker'; use 'group' or 'id'"):
        build_balanced("wrong", spec(together="talker"), data / "wrong" / "manifest.parquet", "cpu")


def test_clips_without_a_category_are_left_out_before_anything_is_read_of_them(data: Path) -> None:
    """Most of a large list belongs to no category: its media need not be there."""
    listed = read_manifest(data / "listed" / "building" / "pool.parquet").frame
    assert "class-02" not in set(listed["label"])


def test_controls_are_the_pool_and_a_random_set_with_as_many_clips_of_each_class(data: Path) -> None:
    frames = {}
    for take in ("pool", "random"):
        own = {"kind": "built-control", "stands_for": None, "describe": "x", "options": {"built": "set", "take": take}}
        path = data / take / "manifest.parquet" if take == "random" else data / "whole" / "manifest.parquet"
        build_dataset(path.parent.name, own, path)
        frames[take] = read_manifest(path)
        assert all((frames[take].media_root(path) / name).is_file() for name in frames[take].frame["audio"])
    kept = read_manifest(data / "set" / "manifest.parquet").frame
    assert len(frames["pool"].frame) == 120
    sizes = [frame["label"].value_counts().to_dict() for frame in (kept, frames["random"].frame)]
    assert sizes[0] == sizes[1]
    assert set(frames["random"].frame["id"]) < set(frames["pool"].frame["id"])


def test_absent_clips_of_the_pool_are_made_again(data: Path) -> None:
    path = data / "set" / "manifest.parquet"
    manifest = read_manifest(path)
    gone = manifest.media_root(path) / manifest.frame["audio"].iloc[0]
    before = gone.read_bytes()
    gone.unlink()
    ensure_media(path)
    assert gone.read_bytes() == before


def test_silent_black_and_copied_clips_are_broken() -> None:
    from dataclasses import dataclass

    @dataclass
    class Stored:
        ids: list[str]
        audio: Any
        visual: Any
        audio_rows: Any
        visual_rows: Any

    rng = np.random.default_rng(0)
    audio = rng.normal(size=(4, 3, 5)).astype(np.float16)
    visual = rng.integers(0, 255, (4, 1, 8, 8, 3)).astype(np.uint8)
    audio[1], visual[2] = -10, 0
    rows = np.array([0, 1, 2, 3, 3])
    assert build._broken(Stored(list("abcde"), audio, visual, rows, rows)).tolist() == [False, True, True, False, True]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"pool": "nowhere"}, r"nowhere.manifest\.parquet: no such manifest; build the data set first"),
        ({"scorers": {"audio": {"dataset": "scorers"}}}, "options, scorers: lacks the key 'visual'"),
        ({"scorers": {"audio": {"dataset": "absent"}, "visual": {"dataset": "absent"}}}, "absent.*no such manifest"),
        (
            {"scorers": {"audio": {}, "visual": {}}},
            r"scorers\.audio: needs dataset, with or without recipe; or file and labels",
        ),
        ({"shares": {"train": 0.5, "val": 0.5, "test": 0.5}}, r"shares: train, val and test add up to 1\.5"),
        ({"estimators": {**ESTIMATORS, "folds": 1}}, "estimators.folds: is 1; it must be"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_wrong_options_are_told_and_leave_no_manifest(data: Path, changed: dict[str, Any], told: str) -> None:
    path = data / "wrong" / "manifest.parquet"
    with pytest.raises(UserError, match=told):
        build_balanced("wrong", spec(**changed), path, "cpu")
    assert not path.exists()
