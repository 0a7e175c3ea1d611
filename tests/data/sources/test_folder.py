"""A user's own folder: every row is checked, every complaint names file, row, column and fix."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from real_data import real

from avbalance.data import sources
from avbalance.data.manifest import Manifest
from avbalance.errors import UserError
from flowkeeper.files import sha256_file


def _spec(root: Path | str, **options: Any) -> dict[str, Any]:
    return {"kind": "folder", "stands_for": None, "describe": "mine", "options": {"root": str(root), **options}}


def _write(root: Path, text: str, *files: str) -> None:
    root.mkdir(exist_ok=True)
    (root / "manifest.csv").write_text(text, encoding="utf-8")
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def _build(root: Path, **options: Any) -> Manifest:
    return sources.build("mine", _spec(root, **options), root.parent / "data" / "mine")


THREE = "id,audio,image,frames,video,label,split,speaker\n"


def test_the_three_forms_of_a_clip(tmp_path: Path) -> None:
    _write(
        tmp_path / "in",
        THREE + "a,a.wav,a.png,,,10,train,ann\n" + "b,b.wav,,b,,9,test,bob\n" + "c,,,,c.mp4,9,val,ann\n",
        *("a.wav", "a.png", "b.wav", "b/2.jpg", "b/1.jpg", "b/notes.txt", "c.mp4"),
    )
    manifest = _build(tmp_path / "in", columns={"group": "speaker"})
    frame = manifest.frame
    assert frame[["audio", "visual"]].to_numpy().tolist() == [["a.wav", "a.png"], ["b.wav", "b"], ["c.mp4", "c.mp4"]]
    assert list(frame["group"]) == ["ann", "bob", "ann"] and set(frame["status"]) == {"ok"}
    assert manifest.classes == ["9", "10"]  # numbers in their own order, not the alphabet's
    assert frame["sha256"].iloc[2] == sha256_file(tmp_path / "in" / "c.mp4")


def test_a_relative_root_is_recorded_relative_to_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "in", "id,video,label,split\na,a.mp4,x,train\nb,a.mp4,y,test\n", "a.mp4")
    monkeypatch.chdir(tmp_path)
    manifest = sources.build("mine", _spec("in"), Path("data/mine"))
    assert manifest.card["media_root"] == os.path.join("..", "..", "in")
    assert manifest.media_root(tmp_path / "data/mine/manifest.parquet").resolve() == tmp_path / "in"


def test_missing_files_are_counted_with_their_reason(tmp_path: Path) -> None:
    rows = "a,a.wav,a.png,,,x,train,\n" + "b,b.wav,b.png,,,y,test,\n"
    _write(tmp_path / "in", THREE + rows, "a.wav", "a.png", "b.wav")
    frame = _build(tmp_path / "in").frame
    assert list(frame["status"]) == ["ok", "missing"]
    assert frame["reason"].iloc[1] == "no file b.png" and frame["audio"].iloc[1] is None


def test_a_folder_of_frames_that_are_not_read_says_which_are(tmp_path: Path) -> None:
    _write(tmp_path / "in", THREE + "a,a.wav,,f,,x,train,\n" + "b,,,,b.mp4,y,test,\n", "a.wav", "f/0.heic", "b.mp4")
    reason = _build(tmp_path / "in").frame["reason"].iloc[0]
    assert reason.startswith("f: the folder has no picture with a suffix that is read: there are .heic (pictures: .png")


def test_more_than_half_missing_is_an_error_that_names_the_first(tmp_path: Path) -> None:
    rows = "a,,,,a.mp4,x,train,\n" + "b,,,,b.mp4,y,test,\n" + "c,,,,c.mp4,y,test,\n"
    _write(tmp_path / "in", THREE + rows, "a.mp4")
    with pytest.raises(UserError, match=r"manifest\.csv, row 3: no file b\.mp4 \(2 of 3 clips are missing\)"):
        _build(tmp_path / "in")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b,,,,b.mp4,x,dev,", r"manifest\.csv, row 3: column 'split' is 'dev'; use 'train', 'val' or 'test'"),
        ("b,,,,b.mp4,,train,", r"row 3: column 'label' is empty; fill it in"),
        (",,,,b.mp4,x,train,", r"row 3: column 'id' is empty"),
        ("a,,,,b.mp4,x,train,", r"row 3: id 'a' already stands in row 2"),
        ("b,b.wav,,,,x,train,", r"row 3: media columns filled: audio; fill video alone"),
        ("b,b.wav,b.png,,b.mp4,x,train,", r"row 3: media columns filled: video, audio, image; fill"),
        ("b,b.wav,b.png,b,,x,train,", r"row 3: media columns filled: audio, image, frames; fill"),
        ("b,,,,,x,train,", r"row 3: media columns filled: none; fill"),
        ("b,,,,../b.mp4,x,train,", r"row 3: column 'video': '\.\./b\.mp4' leads out of"),
        ("b,,,,/etc/hostname,x,train,", r"row 3: column 'video': '/etc/hostname' leads out of"),
        ("b,,,,b.mp4,x, y,train,", r"row 3: has 9 cells, the first row 8; put cells that hold commas in quotes"),
    ],
)
def test_a_bad_row_is_named_with_its_column(tmp_path: Path, row: str, message: str) -> None:
    _write(tmp_path / "in", f"{THREE}a,,,,a.mp4,x,train,\n{row}\n", "a.mp4", "b.mp4", "b.wav", "b.png", "b/1.png")
    with pytest.raises(UserError, match=message):
        _build(tmp_path / "in")


def test_bad_headers_and_mappings_are_named(tmp_path: Path) -> None:
    _write(tmp_path / "in", "id,video,label\na,a.mp4,x\n", "a.mp4")
    with pytest.raises(UserError, match="no column 'split'"):
        _build(tmp_path / "in")
    _write(tmp_path / "in", "id,video,label,split\na,a.mp4,x,train\n", "a.mp4")
    with pytest.raises(UserError, match="no column 'voice'"):
        _build(tmp_path / "in", columns={"group": "voice"})
    with pytest.raises(UserError, match=r"columns\.speaker: is 'speaker'; use 'id', 'label'"):
        _build(tmp_path / "in", columns={"speaker": "id"})


def test_listed_classes_fix_the_order_and_refuse_others(tmp_path: Path) -> None:
    _write(tmp_path / "in", THREE + "a,,,,a.mp4,x,train,\nb,,,,a.mp4,y,test,\n", "a.mp4")
    assert _build(tmp_path / "in", classes=["y", "z", "x"]).label_index().tolist() == [2, 0]
    with pytest.raises(UserError, match="row 3: label 'y' is unknown"):
        _build(tmp_path / "in", classes=["x", "z"])


def test_preflight_names_what_is_missing(tmp_path: Path) -> None:
    assert "no such folder" in str(sources.read_source(_spec(tmp_path / "in")).missing())
    (tmp_path / "in").mkdir()
    assert "manifest.csv: no such file" in str(sources.read_source(_spec(tmp_path / "in")).missing())
    _write(tmp_path / "in", THREE)
    assert sources.read_source(_spec(tmp_path / "in")).missing() is None
    with pytest.raises(UserError, match="has no rows"):
        _build(tmp_path / "in")


def test_the_real_digits_build(tmp_path: Path) -> None:
    spec = _spec(real("avdigits"), columns={"group": "speaker"})
    manifest = sources.build("avdigits", spec, tmp_path)
    assert manifest.frame["split"].value_counts().to_dict() == {"train": 2700, "test": 300}
    assert manifest.classes == [str(digit) for digit in range(10)]
    assert manifest.frame["group"].nunique() == 6 and set(manifest.frame["status"]) == {"ok"}


def test_the_user_s_own_column_names_appear_in_complaints(tmp_path: Path) -> None:
    _write(tmp_path / "in", "clip,film,class,part\na,a.mp4,x,train\nb,a.mp4,x,holdout\n", "a.mp4")
    columns = {"id": "clip", "video": "film", "label": "class", "split": "part"}
    with pytest.raises(UserError, match=r"row 3: column 'part' is 'holdout'; use 'train'"):
        _build(tmp_path / "in", columns=columns)
