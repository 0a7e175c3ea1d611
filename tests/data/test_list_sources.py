"""Kinetics-Sounds, VGG-Sound and the balanced set: lists in the published formats, joined with media."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from avbalance.data import sources
from avbalance.data.sources.common import youtube_clip
from avbalance.errors import UserError

REPOSITORY = Path(__file__).parents[2]
A, B, C, D = (
    "-_aaaaaaaaa",
    "bbbbbb_bbbb",
    "cccccccccc-",
    "ddddddddddd",
)  # YouTube ids hold dashes and underscores


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


# Kinetics-Sounds


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
    _touch(tmp_path / "media", *media)
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
        (
            {"train": f"{A}_000007_000017,10,1\n1,{B}_000120_000130\n"},
            r"my_train\.txt, row 2: .* is not <clip id>",
        ),
        ({"train": f"{A}_000007_000017,10,2\n"}, r"my_train\.txt, row 1: .* is not <clip id>"),
        (
            {"train": f"{A}_000007_000017,10,0\n"},
            r"my_train\.txt, row 1: .* is not 'bowling' in the train part",
        ),
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
    real = os.environ.get("AVBALANCE_REAL_DATA")
    if not real:
        pytest.skip("AVBALANCE_REAL_DATA is not set: the folder that holds kinetics-sounds/ is unknown")
    options = {"lists_dir": f"{real}/kinetics-sounds", "allow_missing": True, "classes": chosen}
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
    _touch(tmp_path / "media", "holiday.mp4")
    assert sources.read_source(_kinetics(tmp_path)).missing() is None
    with pytest.raises(UserError, match="holds none of the 4 clips"):
        sources.build("ks", _kinetics(tmp_path), tmp_path / "out")


def test_the_real_kinetics_lists(tmp_path: Path) -> None:
    real = os.environ.get("AVBALANCE_REAL_DATA")
    if not real:
        pytest.skip("AVBALANCE_REAL_DATA is not set: the folder that holds kinetics-sounds/ is unknown")
    spec = _kinetics(tmp_path, lists_dir=f"{real}/kinetics-sounds", classes=31, allow_missing=True)
    frame = (manifest := sources.build("ks", spec, tmp_path / "out")).frame
    assert frame["split"].value_counts().to_dict() == {"train": 14_799, "test": 2_597, "val": 1_320}
    assert len(manifest.classes) == 31 and (manifest.classes[0], manifest.classes[30]) == (
        "blowing_nose",
        "tickling",
    )
    assert set(frame["status"]) == {"missing"} and set(frame["id"].str.len()) == {18}
    train, test = (set(frame.loc[frame["split"] == split, "group"]) for split in ("train", "test"))
    assert not train & test


# VGG-Sound


def _vgg(root: Path, **options: Any) -> dict[str, Any]:
    where = {"list": str(root / "vggsound.csv"), "media_root": str(root / "media"), "classes": 3}
    return {"kind": "vggsound", "describe": "toy", "options": {**where, **options}}


VGG_ROWS = (
    f"{A},1,people marching,test\n"
    f'{B},30,"raining, on a roof",train\n'
    f"{B},185,people marching,train\n"
    f"{C},0,Eletric blender running,train\n"
)


def test_vggsound_rows_become_clips_and_classes_are_sorted_by_code_point(tmp_path: Path) -> None:
    (tmp_path / "vggsound.csv").write_text(VGG_ROWS)
    _touch(tmp_path / "media", f"{A}_000001.mp4", f"video/{B}_185.mp4", f"{B}_000030.mp4")
    manifest = sources.build("vgg", _vgg(tmp_path), tmp_path / "out")
    frame = manifest.frame
    # upper case stands before lower case in code points, and misspelt names stay as they are
    assert manifest.classes == ["Eletric blender running", "people marching", "raining, on a roof"]
    assert list(frame["id"]) == [f"{A}_000001", f"{B}_000030", f"{B}_000185", f"{C}_000000"]
    assert list(frame["split"]) == ["test", "train", "train", "train"]
    assert list(frame["status"]) == ["ok", "ok", "ok", "missing"] and frame["visual"].iloc[2] == f"video/{B}_185.mp4"
    assert frame["group"].iloc[1] == frame["group"].iloc[2] == B and set(frame["sha256"]) == {None}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"{D},30,raining, on a roof,train", r"vggsound\.csv, row 5: .* is not <YouTube id>"),
        (f"{D},thirty,people marching,train", r"vggsound\.csv, row 5"),
        (f"{D},30,people marching,val", r"vggsound\.csv, row 5"),
        ("short,30,people marching,train", r"vggsound\.csv, row 5"),
        (f"{A},1,people marching,train", rf"vggsound\.csv, row 5: id '{A}_000001' already stands in row 1"),
        (f"{D},30,a fourth,train", r"vggsound\.csv: 4 class names where 3 are expected"),
    ],
)
def test_a_bad_vggsound_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "vggsound.csv").write_text(f"{VGG_ROWS}{row}\n")
    with pytest.raises(UserError, match=message):
        sources.build("vgg", _vgg(tmp_path, allow_missing=True), tmp_path / "out")


def test_a_table_of_categories_narrows_vggsound(tmp_path: Path) -> None:
    (tmp_path / "vggsound.csv").write_text(VGG_ROWS)
    table = tmp_path / "categories.yaml"
    table.write_text("marching: {audio: [people marching], visual: [marching]}\n")
    narrowed = _vgg(tmp_path, categories=str(table), allow_missing=True)
    manifest = sources.build("vgg", narrowed, tmp_path / "out")
    assert manifest.classes == ["people marching"] and list(manifest.frame["id"]) == [f"{A}_000001", f"{B}_000185"]
    assert sources.read_source(narrowed).inputs() == [str(tmp_path / "vggsound.csv"), str(table)]


def test_the_real_vggsound_test_rows(tmp_path: Path) -> None:
    real = os.environ.get("AVBALANCE_REAL_DATA")
    if not real:
        pytest.skip("AVBALANCE_REAL_DATA is not set: the folder that holds vggsound/ is unknown")
    rows = f"{real}/vggsound/vggsound_test_rows.csv"
    manifest = sources.build("vgg", _vgg(tmp_path, list=rows, classes=309, allow_missing=True), tmp_path / "out")
    assert len(manifest.frame) == 15_446 and set(manifest.frame["split"]) == {"test"}
    assert len(manifest.classes) == 309 and "eletric blender running" in manifest.classes


# The balanced set


def _balanced(root: Path, **options: Any) -> dict[str, Any]:
    where = {"annotation": str(root / "annotation.json"), "media_root": str(root)}
    return {"kind": "balanced", "describe": "toy", "options": {**where, **options}}


def _annotation(root: Path, **changes: Any) -> None:
    database = {
        f"{A}_000007_000017": {"subset": "training", "label": "singing"},
        f"{B}_30": {"subset": "validation", "label": "cutting"},
        C: {"subset": "testing", "label": "singing"},
        **changes,
    }
    (root / "annotation.json").write_text(json.dumps({"labels": ["singing", "cutting"], "database": database}))


def test_balanced_clips_may_be_hdf5_with_pickles_or_plain_media(tmp_path: Path) -> None:
    _annotation(tmp_path)
    _touch(tmp_path / "video", f"{A}_000007_000017.h5", f"{B}_30.hdf5", f"{B}_30.mp4", f"{C}.mp4")
    _touch(tmp_path / "audio", f"{A}_000007_000017.pkl", f"{A}_000007_000017.wav", f"{B}_30.pkl")
    manifest = sources.build("bal", _balanced(tmp_path), tmp_path / "out")
    rows = manifest.frame.set_index("id")
    first = rows.loc[f"{A}_000007_000017"]
    assert (first.visual, first.audio) == (f"video/{A}_000007_000017.h5", f"audio/{A}_000007_000017.wav")
    assert (rows.loc[f"{B}_30"].visual, rows.loc[f"{B}_30"].audio) == (
        f"video/{B}_30.hdf5",
        f"audio/{B}_30.pkl",
    )
    assert rows.loc[C].status == "missing" and rows.loc[C].reason == "no file with the sound"
    assert list(rows["split"]) == ["train", "val", "test"] and list(rows["group"]) == [A, B, C]
    assert manifest.classes == ["singing", "cutting"]  # the annotation's order, not the alphabet's


def test_differences_from_the_published_sizes_are_reported_in_the_card(tmp_path: Path) -> None:
    _annotation(tmp_path)
    card = sources.build("bal", _balanced(tmp_path, allow_missing=True), tmp_path / "out").card
    assert card["size_differences"] == [
        "train: 1 clips, published 28949",
        "val: 1 clips, published 3018",
        "test: 1 clips, published 3884",
    ]


def test_a_list_without_class_names_has_those_of_its_clips(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clips = {
        f"{B}_30": {"subset": "validation", "label": "singing"},
        f"{B}_90": {"subset": "training", "label": "cutting"},
        f"{A}_5": {"subset": "testing", "label": "cutting"},
    }
    (tmp_path / "annotation.json").write_text(json.dumps(clips))
    with caplog.at_level(logging.WARNING):
        manifest = sources.build("bal", _balanced(tmp_path, allow_missing=True), tmp_path / "out")
    assert manifest.classes == ["cutting", "singing"] and list(manifest.frame["split"]) == ["val", "train", "test"]
    assert manifest.card["size_differences"] == [] and manifest.card["shared_videos"] == {"train and val": 1}
    assert caplog.messages[0] == (
        f"{tmp_path / 'annotation.json'}: 1 of 2 videos have clips in more than one part (train and val 1), left as "
        f"they are; first: {B}"
    )
    (tmp_path / "annotation.json").write_text(json.dumps({**clips, f"{C}_1": {"subset": "testing"}}))
    with pytest.raises(UserError, match=r"annotation\.json, row 4: malformed entry"):
        sources.build("bal", _balanced(tmp_path, allow_missing=True), tmp_path / "out")


@pytest.mark.parametrize("entry", [{"subset": "train", "label": "singing"}, {"subset": "testing", "label": "eating"}])
def test_a_bad_annotation_entry_is_named(tmp_path: Path, entry: dict[str, str]) -> None:
    _annotation(tmp_path, odd=entry)
    with pytest.raises(UserError, match=r"annotation\.json, row 4: malformed entry 'odd'"):
        sources.build("bal", _balanced(tmp_path, allow_missing=True), tmp_path / "out")


@pytest.mark.parametrize("spec", [_kinetics, _balanced])
def test_a_json_file_of_another_kind_is_refused(tmp_path: Path, spec: Any) -> None:
    (tmp_path / "lists").mkdir()
    for name in ("annotation.json", "lists/KS_train_val.json", "lists/my_train.txt", "lists/my_test.txt"):
        (tmp_path / name).write_text('{"labels": []}')
    with pytest.raises(UserError, match="lacks 'labels' or 'database'"):
        sources.build("toy", spec(tmp_path, allow_missing=True), tmp_path / "out")


@pytest.mark.parametrize(
    ("spec", "list_from", "media_from"),
    [
        (_vgg, "hche11/VGGSound", "download the 10 s clips"),
        (_balanced, "Balanced-Audiovisual-Dataset", "video: no such folder"),
    ],
)
def test_what_is_absent_is_named_with_where_to_get_it(
    tmp_path: Path, spec: Any, list_from: str, media_from: str
) -> None:
    assert list_from in str(sources.read_source(spec(tmp_path)).missing())
    (tmp_path / "vggsound.csv").write_text(VGG_ROWS)
    _annotation(tmp_path)
    assert media_from in str(sources.read_source(spec(tmp_path)).missing())
    assert sources.read_source(spec(tmp_path, allow_missing=True)).missing() is None
