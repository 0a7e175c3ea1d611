"""What a folder holds: a table, folders per class, pairs by name; and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from diagnosis_clips import pairs, picture, sound

from avbalance.diagnosis.folder import read_folder
from avbalance.errors import UserError


def test_folders_of_pairs_are_classes(tmp_path: Path) -> None:
    pairs(tmp_path, each=3)
    (tmp_path / "cat" / "._cat0.wav").write_bytes(b"x")
    clips = read_folder(tmp_path)
    assert clips.frame["label"].value_counts().to_dict() == {"cat": 3, "dog": 3}
    assert clips.frame.loc[0, ["audio", "image", "video"]].tolist() == ["cat/cat0.wav", "cat/cat0.png", ""]
    assert "6 pairs of sound and pictures by name" in clips.told


def test_folders_per_part_give_the_parts(tmp_path: Path) -> None:
    for part in ("training", "dev", "test"):
        pairs(tmp_path / part, each=2)
    assert read_folder(tmp_path).frame["split"].value_counts().to_dict() == {"train": 4, "val": 4, "test": 4}


def test_a_table_with_other_names_is_understood(tmp_path: Path) -> None:
    sound(tmp_path / "wavs" / "a.wav")
    picture(tmp_path / "pics" / "a.png")
    sound(tmp_path / "wavs" / "b.wav", 1)
    picture(tmp_path / "pics" / "b.png", 1)
    (tmp_path / "list.tsv").write_text(
        "Sound\tPhoto\tEmotion\tTalker\tnote\n"
        "wavs\\a.wav\tpics/a.png\tsad\tann\t-\nwavs/b.wav\tpics/b.png\tglad\tbob\t-\n"
    )
    clips = read_folder(tmp_path)
    assert clips.frame.to_dict("records")[0] == {
        "id": "a", "label": "sad", "split": "", "group": "ann", "video": "", "audio": "wavs/a.wav",
        "image": "pics/a.png", "frames": "",
    }  # fmt: skip
    assert any("'Emotion' is the label" in sentence for sentence in clips.told) and "not used: 'note'" in clips.told


def test_a_table_beside_folders_per_class_names_the_classes_and_no_frames(tmp_path: Path) -> None:
    pairs(tmp_path, each=3)
    rows = [f"{name},{name}/{name}{n}.wav,{name}/{name}{n}.png" for name in ("cat", "dog") for n in range(3)]
    (tmp_path / "list.csv").write_text("\n".join(["label,audio,image", *rows]))
    frame = read_folder(tmp_path).frame
    assert frame["label"].tolist() == ["cat"] * 3 + ["dog"] * 3 and set(frame["frames"]) == {""}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("file,label\n/etc/passwd.mp4,x\n", "leads out of"),
        ("file,label\n../a.mp4,x\n", "leads out of"),
        ("label,x\na,b\n", "no column names files"),
        ("file,kind\na.mp4,x\n", "no column of classes"),
        ("file,label,fold\na.mp4,x,1\nb.mp4,x,2\n", "column 'fold' says no part, its cells are 1, 2; write train"),
        ("file,label,set\na.mp4,x,half\nb.mp4,x,train\n", "row 2: column 'set' is 'half'; use 'train'"),
        ("file,label,ID\na.mp4,x,1\nb.mp4,y,1\n", "row 3: id '1' already stands in row 2"),
        ("file,label,name\na.mp4,x,ann\na.mp4,y,ann\n", "row 3: id 'a.mp4' already stands in row 2"),
        ("wav,jpg,label\na.wav,a.jpg,x\nb.wav,b.jpg,y\nc.wav,,y\n", "row 4: media columns filled: audio; fill"),
        ("file,label\na.mp4,x\nb.mp4,y\n", r"row 2: no file a.mp4 \(2 of 2 clips are missing\); give paths that start"),
        ("file,label\na.wav,x\n", "found audio where video"),
        ("file,label\na.mp4,\n", "row 2: column 'label' is empty"),
    ],
)
def test_a_wrong_table_is_refused_in_one_sentence(tmp_path: Path, table: str, told: str) -> None:
    (tmp_path / "clips.csv").write_text(table)
    with pytest.raises(UserError, match=told) as error:
        read_folder(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_without_clips_says_what_is_understood(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither a table"):
        read_folder(tmp_path)
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "b.csv").write_text("x")
    with pytest.raises(UserError, match=r"several tables \(a.csv, b.csv\); name one with --table"):
        read_folder(tmp_path)


def test_a_folder_around_the_folders_of_classes_is_told(tmp_path: Path) -> None:
    pairs(tmp_path / "clips", each=2)
    with pytest.raises(UserError, match=r"its one folder, clips, holds cat, dog; .* name .*/clips\."):
        read_folder(tmp_path)
    (tmp_path / "clips").rename(tmp_path / "train")
    assert set(read_folder(tmp_path).frame["split"]) == {"train"}


def test_files_that_are_not_there_are_counted(tmp_path: Path) -> None:
    pairs(tmp_path, each=2)
    rows = [f"{name},{name}/{name}{n}.wav,{name}/{name}{n}.png" for name in ("cat", "dog") for n in range(2)]
    (tmp_path / "list.csv").write_text("\n".join(["label,audio,image", *rows]))
    (tmp_path / "dog" / "dog0.png").unlink()
    clips = read_folder(tmp_path)
    assert len(clips.frame) == 4
    assert clips.odd == ["1 of 4 clips have no files and are left out, the first in row 4: no file dog/dog0.png"]


def test_a_readme_is_no_table_and_a_list_of_clips_in_text_is(tmp_path: Path) -> None:
    pairs(tmp_path, each=1)
    (tmp_path / "README.txt").write_text("Clips of pets, two kinds.\nMade in 2020.\n")
    assert "no table: 2 folders are the classes" in read_folder(tmp_path).told
    (tmp_path / "list.txt").write_text("class,a,b\nX,cat/cat0.wav,cat/cat0.png\nY,dog/dog0.wav,dog/dog0.png\n")
    assert read_folder(tmp_path).frame["label"].tolist() == ["X", "Y"]


def test_files_of_no_clip_and_folders_without_clips_are_named(tmp_path: Path) -> None:
    pairs(tmp_path, each=1)
    sound(tmp_path / "cat" / "lone.wav")
    picture(tmp_path / "cat" / "cat0.jpg", 9)
    (tmp_path / "dog" / "dog0.mp4").write_bytes(b"x")
    (tmp_path / "horse").mkdir()
    clips = read_folder(tmp_path)
    assert clips.frame[["video", "audio", "image"]].to_numpy().tolist() == [
        ["", "cat/cat0.wav", "cat/cat0.jpg"], ["dog/dog0.mp4", "dog/dog0.wav", ""],
    ]  # fmt: skip
    assert clips.odd == [
        "horse: a folder without clips",
        "3 files belong to no clip (cat/cat0.png, cat/lone.wav, dog/dog0.png)",
    ]
    assert clips.told[0] == "no table: 2 folders are the classes"


def test_folders_of_parts_without_folders_of_classes_are_refused(tmp_path: Path) -> None:
    for part in ("train", "test"):
        sound(tmp_path / part / "a.wav")
        picture(tmp_path / part / "a.png")
    with pytest.raises(UserError, match=r"test, train hold no folders, one per class"):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", [b"cat/caf\xe9", b"cat/a\nb", b" cat/a"])
def test_a_name_that_no_table_can_hold_is_refused(tmp_path: Path, name: bytes) -> None:
    pairs(tmp_path, each=1)
    path = os.fsencode(tmp_path) + b"/" + name + b".wav"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.rename(tmp_path / "cat" / "cat0.wav", path)
    with pytest.raises(UserError, match="rename the file") as error:
        read_folder(tmp_path)
    assert str(error.value).isprintable()


@pytest.mark.parametrize(("written", "there"), [("caf\u00e9", "cafe\u0301"), ("cafe\u0301", "caf\u00e9")])
def test_a_composed_name_finds_its_decomposed_file_and_the_other_way_round(
    tmp_path: Path, written: str, there: str
) -> None:
    sound(tmp_path / f"{there}.wav")
    picture(tmp_path / f"{there}.png")
    (tmp_path / "t.csv").write_text(f"audio,image,label\n{written}.wav,{written}.png,x\n{there}.wav,{there}.png,y\n")
    frame = read_folder(tmp_path).frame
    assert frame["audio"].tolist() == [f"{there}.wav"] * 2
