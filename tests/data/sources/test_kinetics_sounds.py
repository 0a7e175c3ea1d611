"""Kinetics-Sounds: lists in the published formats, joined with media."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from clip_files import touch
from real_data import real

from avbalance.data import sources
from avbalance.data.media_files import youtube_clip
from avbalance.errors import UserError

REPOSITORY = Path(__file__).parents[3]
A, B, C, D = "-_aaaaaaaaa", "bbbbbb_bbbb", "cccccccccc-", "ddddddddddd"  # YouTube ids hold dashes and underscores


def _kinetics(root: Path, **options: Any) -> dict[str, Any]:
    where: dict[str, Any] = {"lists_dir": str(root / "lists"), "media_root": str(root / "media")}
    where["classes"] = ["bowling", "singing"]
    return {"kind": "kinetics-sounds", "describe": "toy", "options": {**where, **options}}


def _kinetics_lists(root: Path, train: str = "", test: str = "") -> None:
    lists = root / "lists"
    lists.mkdir()
    (lists / "my_train.txt").write_text(train or f"{A}_000007_000017,10,1\n{B}_000120_000130,10,0\n")
    (lists / "my_test.txt").write_text(test or f"{C}_33,10,1\n")
    database = {
        f"{A}_000007_000017": {"subset": "training", "label": "singing"},
        f"{C}_33": {"subset": "testing", "label": "singing"},
        f"{B}_000120_000130": {"subset": "training", "label": "bowling"},
        f"{D}_5": {"subset": "validation", "label": "bowling"},
    }
    (lists / "KS_train_val.json").write_text(json.dumps({"labels": ["bowling", "singing"], "database": database}))


def test_kinetics_clips_are_found_under_every_naming(tmp_path: Path) -> None:
    _kinetics_lists(tmp_path)
    media = (f"train/singing/{A}_000007_000017.mp4", f"{B}_120.webm", f"x/{C}_000033.mkv", f"{C}_000034.mp4")
    touch(tmp_path / "media", *media)
    manifest = sources.build("ks", _kinetics(tmp_path), tmp_path / "out")
    rows = {row.id: row for row in manifest.frame.itertuples()}
    assert rows[f"{A}_000007"].audio == rows[f"{A}_000007"].visual == media[0]
    assert rows[f"{B}_000120"].visual == media[1] and rows[f"{C}_000033"].visual == media[2]
    assert rows[f"{D}_000005"].status == "missing" and f"{D}_000005" in rows[f"{D}_000005"].reason
    assert list(manifest.frame["split"]) == ["train", "train", "val", "test"]
    assert rows[f"{C}_000033"].group == C and manifest.classes == ["bowling", "singing"]
    assert manifest.label_index().tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("stem", "start"),
    [(f"{A}_7", 7), (f"{A}_000007_000017", 7), (f"{A}_7000_17000", 7), (f"{A}_7999_17999", 7), (f"{A}_7000", 7000)],
)
def test_start_and_end_of_a_name_may_be_milliseconds(stem: str, start: int) -> None:
    assert youtube_clip(stem) == (A, start)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train": f"{A}_000007_000017,10,1\n1,{B}_000120_000130\n"}, r"my_train\.txt, row 2: .* is not <clip id>"),
        ({"train": f"{A}_000007_000017,10,2\n"}, r"my_train\.txt, row 1: .* is not <clip id>"),
        ({"train": f"{A}_000007_000017,10,0\n"}, r"my_train\.txt, row 1: .* is not 'bowling' in the train part"),
        ({"test": f"{C}_33,10,1\n{A}_000007_000017,10,1\n"}, r"my_test\.txt, row 2: .* in the test part"),
        ({"train": f"{A}_000007_000017,10,1\n"}, r"1 different clips where KS_train_val\.json has 2"),
        ({"test": f"{C}_33,10,1\n{C}_33,10,1\n"}, r"my_test\.txt, row 2"),
    ],
)
def test_a_bad_kinetics_row_is_named(tmp_path: Path, lists: dict[str, str], message: str) -> None:
    _kinetics_lists(tmp_path, **lists)
    with pytest.raises(UserError, match=message):
        sources.build("ks", _kinetics(tmp_path, allow_missing=True), tmp_path / "out")


def test_classes_must_be_those_of_the_lists(tmp_path: Path) -> None:
    _kinetics_lists(tmp_path)
    for wrong, message in ((31, "31 asked for, but"), (["humming", "singing"], "'humming' is not in")):
        with pytest.raises(UserError, match=message):
            sources.build("ks", _kinetics(tmp_path, allow_missing=True, classes=wrong), tmp_path / "out")


def test_the_26_classes_are_31_less_five(tmp_path: Path) -> None:
    spec = yaml.safe_load((REPOSITORY / "config" / "datasets" / "kinetics-sounds-26.yaml").read_text("utf-8"))
    chosen = spec["options"]["classes"]
    assert len(set(chosen)) == 26 and chosen == sorted(chosen)
    assert {"playing_guitar", "laughing", "singing", "playing_bagpipes", "playing_bass_guitar"} <= set(chosen)
    left_out = {"blowing_out_candles", "dribbling_basketball", "mowing_lawn", "stomping_grapes", "tickling"}
    assert not left_out & set(chosen)
    options = {"lists_dir": str(real("kinetics-sounds")), "allow_missing": True, "classes": chosen}
    manifest = sources.build("ks", _kinetics(tmp_path, **options), tmp_path / "out")
    assert manifest.classes == chosen and manifest.label_index().max() == 25
    counts = manifest.frame["split"].value_counts().to_dict()
    assert (counts["train"], counts["test"]) == (12_526, 2_180)


def test_preflight_speaks_before_the_build_does(tmp_path: Path) -> None:
    assert "OGM-GE_CVPR2022" in str(sources.read_source(_kinetics(tmp_path)).missing())
    _kinetics_lists(tmp_path)
    sentence = str(sources.read_source(_kinetics(tmp_path)).missing())
    assert "cvdfoundation/kinetics-dataset" in sentence
    with pytest.raises(UserError, match="cvdfoundation/kinetics-dataset"):
        sources.build("ks", _kinetics(tmp_path), tmp_path / "out")
    assert sources.read_source(_kinetics(tmp_path, allow_missing=True)).missing() is None
    touch(tmp_path / "media", "holiday.mp4")
    assert sources.read_source(_kinetics(tmp_path)).missing() is None
    with pytest.raises(UserError, match="holds none of the 4 clips"):
        sources.build("ks", _kinetics(tmp_path), tmp_path / "out")


def test_the_real_kinetics_lists(tmp_path: Path) -> None:
    spec = _kinetics(tmp_path, lists_dir=str(real("kinetics-sounds")), classes=31, allow_missing=True)
    frame = (manifest := sources.build("ks", spec, tmp_path / "out")).frame
    assert frame["split"].value_counts().to_dict() == {"train": 14_799, "test": 2_597, "val": 1_320}
    assert len(manifest.classes) == 31 and (manifest.classes[0], manifest.classes[30]) == ("blowing_nose", "tickling")
    assert set(frame["status"]) == {"missing"} and set(frame["id"].str.len()) == {18}
    train, test = (set(frame.loc[frame["split"] == split, "group"]) for split in ("train", "test"))
    assert not train & test


def test_a_json_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    for name in ("KS_train_val.json", "my_train.txt", "my_test.txt"):
        (tmp_path / "lists" / name).write_text('{"labels": []}')
    with pytest.raises(UserError, match="lacks 'labels' or 'database'"):
        sources.build("toy", _kinetics(tmp_path, allow_missing=True), tmp_path / "out")
