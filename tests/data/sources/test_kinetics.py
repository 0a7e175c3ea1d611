"""Kinetics-400: published lists joined with media, narrowed to the labels of a table of categories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avbalance.data import sources
from avbalance.errors import UserError

A, B, C = "-_aaaaaaaaa", "bbbbbb_bbbb", "cccccccccc-"
HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"
ROWS = f"bowling,{A},7,17,train,0\nabseiling,{B},120,130,train,0\n"
LAST = f"eating cake,{C},0,10,validate,0\n"


def spec(root: Path, **options: Any) -> dict[str, Any]:
    lists = [str(root / "train.csv"), str(root / "val.csv")]
    where = {"lists": lists, "media_root": str(root / "media")}
    return {"kind": "kinetics", "stands_for": None, "describe": "toy", "options": {**where, **options}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "train.csv").write_text(HEADER + ROWS)
    (tmp_path / "val.csv").write_text(HEADER + LAST)
    (tmp_path / "media" / "train").mkdir(parents=True)
    (tmp_path / "media" / "train" / f"{A}_000007_000017.mp4").write_bytes(b"x")
    return tmp_path


def test_rows_of_all_lists_become_clips_with_or_without_a_file(root: Path) -> None:
    manifest = sources.build("k400", spec(root), root / "out")
    frame = manifest.frame
    assert list(frame["id"]) == [f"{A}_000007", f"{B}_000120", f"{C}_000000"]
    assert list(frame["split"]) == ["train", "train", "val"] and list(frame["group"]) == [A, B, C]
    assert list(frame["status"]) == ["ok", "missing", "missing"]
    assert frame["visual"].iloc[0] == f"train/{A}_000007_000017.mp4"
    assert len(manifest.classes) == 400


def test_a_table_of_categories_narrows_clips_and_classes(root: Path) -> None:
    table = root / "categories.yaml"
    table.write_text(
        "bowling: {audio: [bowling impact], visual: [bowling]}\neating: {audio: [a], visual: ['eating *']}\n"
    )
    narrowed = spec(root, categories=str(table))
    assert sources.read_source(narrowed).inputs()[-1] == str(table)
    manifest = sources.build("k400", narrowed, root / "out")
    assert list(manifest.frame["label"]) == ["bowling", "eating cake"]
    assert manifest.classes[0] == "bowling" and len(manifest.classes) == 10
    table.unlink()
    assert sources.read_source(narrowed).missing() == f"{table}: no such file; fix its path."


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            f"bowlin,{B},1,11,train,0",
            r"train\.csv, row 4: 'bowlin' is no class of Kinetics-400; did you mean 'bowling'",
        ),
        (f"bowling,{A},7,17,train,0", rf"train\.csv, row 4: {A}_000007 is a clip that an earlier row names"),
        ("bowling,short,7,17,train,0", r"train\.csv, row 4: .* has no YouTube id, start second and part"),
        (f"bowling,{B},seven,17,train,0", r"train\.csv, row 4"),
        (f"bowling,{B},7,17,holdout,0", r"train\.csv, row 4"),
        (f"bowling,{B}", r"train\.csv, row 4"),
    ],
)
def test_a_bad_row_is_named(root: Path, row: str, message: str) -> None:
    (root / "train.csv").write_text(f"{HEADER}{ROWS}{row}\n")
    with pytest.raises(UserError, match=message):
        sources.build("k400", spec(root), root / "out")


def test_a_list_without_labels_is_refused(root: Path) -> None:
    (root / "val.csv").write_text(f"youtube_id,time_start,time_end,split\n{C},0,10,test\n")
    with pytest.raises(UserError, match=r"val\.csv: has no column 'label'"):
        sources.build("k400", spec(root), root / "out")


def test_preflight_says_where_lists_and_clips_come_from(tmp_path: Path, root: Path) -> None:
    assert "cvdfoundation/kinetics-dataset links to" in str(sources.read_source(spec(tmp_path / "nowhere")).missing())
    (root / "media").rename(root / "elsewhere")
    assert "download the clips of these labels" in str(sources.read_source(spec(root)).missing())
    assert sources.read_source(spec(root, allow_missing=True)).missing() is None
