"""VGG-Sound: the list joined with media, and what people heard and saw in test clips."""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from clip_files import touch
from real_data import real

from avbalance.data import sources
from avbalance.data.manifest import ANNOTATED, read_manifest, write_manifest
from avbalance.data.sources.vggsound import read_modalities
from avbalance.errors import UserError

A, B, C, D, E = "-_aaaaaaaaa", "bbbbbb_bbbb", "cccccccccc-", "ddddddddddd", "eeeeeeeeeee"
HEADER = "video_id,label,modality,background_music,static_image,voice_over"
RAIN = '"raining, on a roof"'
# A is heard, B seen, C both; people found something else in D, and nobody looked at E.
ROWS = (
    f"{A}_000001,people marching,A,False,True,True",
    f"{A}_000001,{RAIN},AV,False,True,True",
    f"{B}_000030,{RAIN},V,False,False,False",
    f"{C}_000000,people marching,AV,False,False,False",
    f"{D}_000007,people marching,AV,True,False,False",
    "zzzzzzzzzzz_000007,people marching,A,False,False,False",
)
LIST = (
    f"{A},1,people marching,test",
    f"{B},30,{RAIN},test",
    f"{C},0,people marching,test",
    f"{D},7,{RAIN},test",
    f"{E},7,{RAIN},test",
    f"{E},17,people marching,train",
)


def labels_file(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "vggsounder.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def spec_of(folder: Path, lines: tuple[str, ...] = LIST, **options: Any) -> dict[str, Any]:
    (folder / "vggsound.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    given = {"list": str(folder / "vggsound.csv"), "media_root": str(folder / "media"), "allow_missing": True}
    named = {"modality_labels": str(folder / "vggsounder.csv"), "classes": 2}
    return {"kind": "vggsound", "describe": "toy", "options": {**given, **named, **options}}


def test_classes_of_a_clip_are_heard_seen_or_both(tmp_path: Path) -> None:
    found = read_modalities(labels_file(tmp_path, *ROWS, ROWS[0]), {"people marching", "raining, on a roof"})
    assert found[f"{A}_000001"] == {"people marching": (True, False), "raining, on a roof": (True, True)}
    assert found[f"{B}_000030"] == {"raining, on a roof": (False, True)}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([f"{A}_1,people marching,A,,,"], r"row 2: '-_aaaaaaaaa_1' is not <YouTube id>_<start, 6 digits>; correct it"),
        ([ROWS[0], f"{C}_000000,people marching,VA,,,"], r"row 3: modality 'VA' is unknown; write A, V or AV"),
        ([f"{A}_000001,people  marching,A,,,"], r"row 2: class 'people  marching' is not in the list .* spell it as"),
        (
            [*ROWS, f"{A}_000001,people marching,V,,,"],
            r"row 8: -_aaaaaaaaa_000001 has 'people marching' as V, but another modality in row 2; remove the wrong",
        ),
        ([f"{A}_000001,raining, on a roof,A,,,"], r"row 2: 7 cells under a header of 6; take it again from"),
    ],
)
def test_a_bad_row_is_named_with_what_to_do(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(UserError, match=rf"vggsounder\.csv, {message}"):
        read_modalities(labels_file(tmp_path, *rows), {"people marching", "raining, on a roof"})


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = labels_file(tmp_path, f"{A}_000001,people marching", header="video_id,label")
    with pytest.raises(UserError, match=r"row 1: no column 'modality' among video_id, label; .*Bizilizi/VGGSounder"):
        read_modalities(path)


def test_test_clips_have_what_people_perceived_of_their_own_class(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels_file(tmp_path, *ROWS)
    manifest = sources.build("vgg", spec_of(tmp_path), tmp_path / "out")
    write_manifest(manifest, tmp_path / "manifest.parquet")
    frame = read_manifest(tmp_path / "manifest.parquet").frame
    pairs = frame[list(ANNOTATED)].astype(object).where(frame[list(ANNOTATED)].notna(), None).to_numpy().tolist()
    assert pairs == [[1, 0], [0, 1], [1, 1], [0, 0], [None, None], [None, None]]
    counts = {"heard": 1, "seen": 1, "both": 1, "neither": 1, "not annotated": 1, "not of a test clip": 1}
    assert manifest.card["modality_labels"] == counts
    assert "1 of its clips are no test clips of the list" in caplog.text


def test_without_the_file_all_is_as_without_the_option(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = spec_of(tmp_path)
    caplog.set_level(logging.WARNING)
    absent = sources.build("vgg", spec, tmp_path / "out")
    assert "vggsounder.csv: no such file; without it there are no annotated subsets" in caplog.text
    assert not set(ANNOTATED) & set(absent.frame.columns) and "modality_labels" not in absent.card
    assert sources.read_source(spec).inputs() == [spec["options"]["list"]]
    labels_file(tmp_path, *ROWS)
    assert sources.read_source(spec).inputs() == [spec["options"]["list"], spec["options"]["modality_labels"]]
    none = spec_of(tmp_path, modality_labels=None)
    assert sources.read_source(none).inputs() == [spec["options"]["list"]]
    pd.testing.assert_frame_equal(sources.build("vgg", none, tmp_path / "out").frame, absent.frame)


def test_the_real_labels(tmp_path: Path) -> None:
    lists = real("vggsound", "vggsounder.csv").parent
    rows = tuple((lists / "vggsound_test_rows.csv").read_text(encoding="utf-8").splitlines())
    spec = spec_of(tmp_path, rows, classes=309, modality_labels=str(lists / "vggsounder.csv"))
    manifest = sources.build("vgg", spec, tmp_path / "out")
    assert manifest.card["modality_labels"] == {
        "heard": 2_143, "seen": 271, "both": 7_109, "neither": 2_491, "not annotated": 3_432, "not of a test clip": 0
    }  # fmt: skip
    with open(lists / "vggsounder.csv", encoding="utf-8", newline="") as handle:
        said = {(row["video_id"], row["label"]): row["modality"] for row in csv.DictReader(handle)}
    for row in manifest.frame.iloc[::50].itertuples():
        expected = {"A": (1, 0), "V": (0, 1), "AV": (1, 1)}.get(said.get((row.id, row.label), ""))
        if expected:
            assert (row.annotated_audio, row.annotated_visual) == expected


def test_names_of_classes_are_checked_by_a_whole_list_only(tmp_path: Path) -> None:
    labels_file(tmp_path, f"{A}_000001,not a class,A,False,False,False")
    assert sources.build("vgg", spec_of(tmp_path), tmp_path / "out").card["modality_labels"]["neither"] == 1
    whole = tuple(f"{A},{number},class {number},test" for number in range(309))
    with pytest.raises(UserError, match=r"vggsounder\.csv, row 2: class 'not a class' is not in the list"):
        sources.build("vgg", spec_of(tmp_path, whole, classes=309), tmp_path / "out")


# The list


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
    touch(tmp_path / "media", f"{A}_000001.mp4", f"video/{B}_185.mp4", f"{B}_000030.mp4")
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


def test_what_is_absent_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    source = sources.read_source(_vgg(tmp_path))
    assert "hche11/VGGSound" in str(source.missing())
    (tmp_path / "vggsound.csv").write_text(VGG_ROWS)
    assert "download the 10 s clips" in str(source.missing())
    assert sources.read_source(_vgg(tmp_path, allow_missing=True)).missing() is None
