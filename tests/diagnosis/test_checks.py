"""Parts, and what is odd about clips."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from diagnosis_clips import pairs, picture

from avbalance.data.clip_checks import equal_media
from avbalance.diagnosis.checks import with_parts
from avbalance.diagnosis.folder import FolderClips, read_folder
from avbalance.errors import UserError


def clips(rows: list[dict[str, str]], root: Path = Path("none")) -> FolderClips:
    blank = dict.fromkeys(("id", "label", "split", "group", "video", "audio", "image", "frames"), "")
    return FolderClips(root, pd.DataFrame([{**blank, "id": str(number), **row} for number, row in enumerate(rows)]))


def test_parts_are_stratified_and_keep_groups_together() -> None:
    rows = [{"label": "ab"[number % 2], "group": f"g{number % 10}"} for number in range(200)]
    found = with_parts(clips(rows))
    assert found.frame.groupby("group")["split"].nunique().max() == 1
    shares = found.frame.groupby("label")["split"].value_counts(normalize=True).unstack()
    assert (shares["test"] > 0.15).all() and (shares["val"] > 0.05).all()
    assert not found.odd


def test_a_validation_part_is_carved_from_train() -> None:
    rows = [{"label": "ab"[number % 2], "split": "train" if number < 80 else "test"} for number in range(100)]
    counts = with_parts(clips(rows)).frame["split"].value_counts()
    assert counts["test"] == 20 and 8 <= counts["val"] <= 14


def test_a_clip_without_group_is_one_of_its_own(tmp_path: Path) -> None:
    rows = [{"label": "ab"[number % 2], "group": f"g{number % 10}" if number > 9 else ""} for number in range(200)]
    found = with_parts(clips(rows))
    assert found.frame[found.frame["group"] != ""].groupby("group")["split"].nunique().max() == 1
    assert "parts made by class, whole groups together" in found.told and not found.odd


def test_groups_that_cannot_stay_together_are_not_said_to() -> None:
    found = with_parts(clips([{"label": "ab"[number % 2], "group": "one"} for number in range(40)]))
    assert "parts made by class" in found.told and "40 clips of 2 classes, 20 each" in found.told
    assert any("1 groups have clips in several parts" in sentence for sentence in found.odd)


def test_a_rare_class_takes_no_more_clips_from_training_and_keeps_its_own() -> None:
    rows = [{"label": "ab"[n % 2], "split": "train" if n < 80 else "test"} for n in range(100)]
    frame = with_parts(clips([*rows, {"label": "rare", "split": "train"}])).frame
    assert 8 <= (frame["split"] == "val").sum() <= 14
    assert frame[frame["label"] == "rare"]["split"].tolist() == ["train"]


def test_a_file_of_two_classes_is_said() -> None:
    rows = [{"label": "ab"[n % 2], "split": ("train", "val", "test")[n % 3], "video": f"{n}.mp4"} for n in range(30)]
    odd = with_parts(clips([*rows, {"label": "b", "split": "train", "video": "0.mp4"}])).odd
    assert odd == ["1 files are named under several classes (0.mp4)"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"label": "a"}] * 30, "all clips are of one class, 'a'"),
        ([{"label": "a"}] * 30 + [{"label": "b"}] * 2, "class 'b' has 2 clips"),
        ([{"label": "a", "split": "train"}, {"label": "b", "split": "train"}] * 9, "no clip is in test"),
    ],
)
def test_what_cannot_be_cut_is_refused(rows: list[dict[str, str]], told: str) -> None:
    with pytest.raises(UserError, match=told):
        with_parts(clips(rows))


def test_unseen_labels_split_groups_and_unequal_classes_are_counted() -> None:
    rows = [{"label": "a", "split": "train" if n % 2 else "val", "group": f"g{n}"} for n in range(60)]
    rows += [{"label": "b", "split": "train", "group": f"h{n}"} for n in range(5)]
    rows += [{"label": "b", "split": "test", "group": "h1"}, {"label": "c", "split": "test", "group": "z"}]
    odd = " | ".join(with_parts(clips(rows)).odd)
    assert "c: in test and not in train" in odd and "1 groups have clips in several parts (h1)" in odd
    assert "differ by more than ten times: 'a' has 60 clips, 'c' 1" in odd


def test_folders_with_equal_frames_in_two_parts_are_a_leak(tmp_path: Path) -> None:
    for name, first in (("a", 0), ("b", 0), ("c", 1)):  # the frames of c are those of a in another order
        for number in range(2):
            picture(tmp_path / name / f"{number}.png", (first + number) % 2)
    rows = [{"label": "x", "split": split, "frames": name} for name, split in (("a", "train"), ("b", "test"))]
    frame = clips([*rows, {"label": "x", "split": "val", "frames": "c"}], tmp_path).frame
    assert equal_media(frame, tmp_path) == [("a", "b")]


def equal_pairs(root: Path, copies: int) -> FolderClips:
    """Forty clips of two classes, of which each file is there `copies` times under other names."""
    rows = []
    for number in range(40):
        path = root / f"{number}.wav"
        path.write_bytes(b"sound %d" % (number // copies))
        rows.append({"label": "ab"[number // copies % 2], "audio": path.name})
    return clips(rows, root)


def test_parts_that_are_made_here_keep_equal_files_together(tmp_path: Path) -> None:
    found = with_parts(equal_pairs(tmp_path, 2))
    assert "parts made by class, clips of equal files together" in found.told and not found.odd
    counts = found.frame.groupby("label")["split"].value_counts().unstack()
    assert (counts[["train", "val", "test"]] >= 2).all(axis=None)


def test_equal_files_that_cannot_stay_together_are_said_to_leak(tmp_path: Path) -> None:
    found = with_parts(equal_pairs(tmp_path, 20))
    assert "parts made by class" in found.told
    assert any("files are the same in two parts" in sentence for sentence in found.odd)


def test_groups_stay_together_where_equal_files_cannot(tmp_path: Path) -> None:
    made = equal_pairs(tmp_path, 20)
    made.frame["group"] = [f"g{number // 4}" for number in range(40)]
    made.frame["image"] = "black.png"
    found = with_parts(made)
    assert found.frame.groupby("group")["split"].nunique().max() == 1
    assert "parts made by class, whole groups together" in found.told


def test_equal_files_in_two_parts_are_a_leak(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        pairs(tmp_path / part, each=4)
    assert any("32 files are the same in two parts" in sentence for sentence in with_parts(read_folder(tmp_path)).odd)
