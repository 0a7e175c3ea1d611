"""LLP, CREMA-D and AVE: lists in the published formats joined with features or clips, and what bad rows are told."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from avbalance.data import sources
from avbalance.data.annotations import Oddity
from avbalance.data.manifest import read_manifest, write_manifest
from avbalance.data.sources import annotated
from avbalance.errors import UserError

TRAIN, VAL, TEST = "-_aaaaaaaaa_20_30", "bbbbbb_bbbb_0_10", "cccccccccc-_101.8_111.8"
SPLIT_HEADER, EVAL_HEADER = "filename\tevent_labels\n", "filename\tonset\toffset\tevent_labels\n"


# Shared


def test_runs_of_active_seconds_become_events() -> None:
    active = np.array([[0, 1, 1, 0, 0, 0, 0, 0, 0, 1], [1] * 10, [0] * 10], dtype=bool)
    events = json.loads(annotated.events_text(active, ["x", "y", "z"]))
    assert events == [["x", 1, 3], ["x", 9, 10], ["y", 0, 10]]


def test_oddities_are_logged_with_their_rows_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    odd = [Oddity("f.csv", row, "duplicate", f"row {row} again") for row in range(2, 32)]
    with caplog.at_level(logging.WARNING):
        counts = annotated.tell_oddities([*odd, Oddity("g.csv", 7, "duplicate", "w"), Oddity("g.csv", 9, "empty", "e")])
    assert counts == {"duplicate": 31, "empty": 1}
    assert len(caplog.messages) == 3
    assert caplog.messages[0].startswith("f.csv: duplicate in 30 rows (2, 3,") and "..." in caplog.messages[0]
    assert "g.csv: empty in 1 rows (9)" in caplog.messages[2]


# LLP


def _llp(root: Path, **options: Any) -> dict[str, Any]:
    where: dict[str, Any] = {"lists_dir": str(root / "lists")}
    if "media_root" not in options:
        where["features_root"] = str(root / "feats")
    return {"kind": "llp", "describe": "toy", "options": {**where, **options}}


def _llp_lists(root: Path, **files: str) -> None:
    """Toy lists; a keyword replaces the rows of one file."""
    rows = {
        "AVVP_train": f"{TRAIN}\tDog,Speech\n",
        "AVVP_val_pd": f"{VAL}\tCar\n",
        "AVVP_test_pd": f"{TEST}\tCar,Dog\n",
        "AVVP_eval_audio": f"{VAL}\t0\t3\tCar\n{VAL}\t2\t5\tCar\n{TEST}\t0\t4\tCar\n",
        "AVVP_eval_visual": f"{TEST}\t9\t10\tDog\n",
        "old": f"{VAL}\t0\t3\tCar\n{TEST}`\t0\t4\tCar\n",
    }
    (root / "lists" / "old").mkdir(parents=True)
    for name, text in {**rows, **files}.items():
        path = "old/AVVP_eval_audio" if name == "old" else name
        header = EVAL_HEADER if "eval" in path else SPLIT_HEADER
        (root / "lists" / f"{path}.csv").write_text(header + text, encoding="utf-8")


def _llp_features(root: Path, *names: str) -> None:
    for folder in ("vggish", "res152", "r2plus1d_18"):
        (root / "feats" / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (root / "feats" / folder / f"{name[:11]}.npy").write_bytes(b"x")


def test_llp_videos_have_labels_and_the_evaluated_ones_events(tmp_path: Path) -> None:
    _llp_lists(tmp_path)
    _llp_features(tmp_path, TRAIN, VAL, TEST)
    manifest = sources.build("llp", _llp(tmp_path), tmp_path / "out")
    train, val, test = manifest.frame.itertuples()
    assert (train.id, train.group, train.split) == (TRAIN, "-_aaaaaaaaa", "train")
    assert (train.label, json.loads(train.labels)) == ("Speech", ["Speech", "Dog"])  # in class order, not the row's
    assert (train.events_audio, train.events_visual, train.events_audio_repaired) == (None, None, None)
    assert (train.audio, train.visual) == ("vggish/-_aaaaaaaaa.npy", "res152/-_aaaaaaaaa.npy")
    assert json.loads(val.events_audio) == [["Car", 0, 3]] and json.loads(val.events_audio_repaired) == [["Car", 0, 5]]
    assert json.loads(val.events_visual) == [] and json.loads(test.events_visual) == [["Dog", 9, 10]]
    assert json.loads(test.events_audio) == [] and json.loads(test.events_audio_repaired) == [["Car", 0, 4]]
    assert manifest.classes[:2] == ["Speech", "Car"] and len(manifest.classes) == 25
    assert manifest.card["oddities"] == {"unknown video": 1}
    assert all(version.startswith("unpublished") for version in manifest.card["audio_truth"].values())
    write_manifest(manifest, tmp_path / "out" / "manifest.parquet")
    again = read_manifest(tmp_path / "out" / "manifest.parquet")
    assert again.timeline("events_audio")[1, 1].sum() == 3 and again.label_matrix().sum() == 5


def test_the_repaired_truth_alone_has_no_side_column(tmp_path: Path) -> None:
    _llp_lists(tmp_path)
    shutil.rmtree(tmp_path / "lists" / "old")
    _llp_features(tmp_path, TRAIN)
    assert "old/AVVP_eval_audio.csv: no such file; take AVVP_eval_audio.csv from the repository MCG-NJU/JoMoLD" in str(
        sources.read_source(_llp(tmp_path)).missing()
    )
    spec = _llp(tmp_path, audio_truth="repaired")
    manifest = sources.build("llp", spec, tmp_path / "out")
    assert "events_audio_repaired" not in manifest.frame
    assert json.loads(manifest.frame["events_audio"].iloc[1]) == [["Car", 0, 5]]
    assert str(tmp_path / "lists" / "old" / "AVVP_eval_audio.csv") not in sources.read_source(spec).inputs()
    with pytest.raises(UserError, match="audio_truth: is 'new'; use 'old' or 'repaired'"):
        sources.read_source(_llp(tmp_path, audio_truth="new")).missing()


def test_a_missing_feature_file_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _llp_lists(tmp_path)
    _llp_features(tmp_path, TRAIN, VAL, TEST)
    (tmp_path / "feats" / "r2plus1d_18" / f"{VAL[:11]}.npy").unlink()
    with caplog.at_level(logging.WARNING):
        frame = sources.build("llp", _llp(tmp_path), tmp_path / "out").frame
    assert frame["status"].tolist() == ["ok", "missing", "ok"]
    assert frame["reason"].iloc[1] == f"no feature file r2plus1d_18/bbbbbb_bbbb.npy in {tmp_path / 'feats'}"
    assert any("1 of 3 clips are missing; first: bbbbbb_bbbb_0_10" in message for message in caplog.messages)
    shutil.rmtree(tmp_path / "feats")
    assert "the archive of features" in str(sources.read_source(_llp(tmp_path)).missing())
    (tmp_path / "feats").mkdir()
    with pytest.raises(UserError, match="holds none of the 3 clips"):
        sources.build("llp", _llp(tmp_path), tmp_path / "out")


def test_llp_clips_may_be_named_by_file_name_or_id(tmp_path: Path) -> None:
    _llp_lists(tmp_path)
    for name in (f"{TRAIN}.mp4", f"more/{VAL[:11]}.mkv"):
        (tmp_path / "media" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "media" / name).write_bytes(b"x")
    frame = sources.build("llp", _llp(tmp_path, media_root=str(tmp_path / "media")), tmp_path / "out").frame
    assert frame["audio"].tolist() == frame["visual"].tolist() == [f"{TRAIN}.mp4", f"more/{VAL[:11]}.mkv", None]
    both = _llp(tmp_path, media_root=str(tmp_path), features_root=str(tmp_path))
    for spec, word in ((both, "both"), (_llp(tmp_path, media_root=None), "none")):
        with pytest.raises(UserError, match=f"{word} of features_root and media_root"):
            sources.build("llp", spec, tmp_path / "out")


@pytest.mark.parametrize("name", ["AVVP_eval_visual", "old", "AVVP_eval_audio"])
def test_an_onset_after_its_offset_is_refused_but_in_published_files(tmp_path: Path, name: str) -> None:
    _llp_lists(tmp_path, **{name: f"{TEST}\t7\t3\tDog\n"})
    with pytest.raises(UserError, match=r"csv, row 2: the onset is not before the offset .*Dog from 7 to 3"):
        sources.build("llp", _llp(tmp_path, allow_missing=True), tmp_path / "out")


def test_a_video_in_two_parts_is_refused(tmp_path: Path) -> None:
    _llp_lists(tmp_path, AVVP_test_pd=f"{TRAIN}\tDog\n")
    with pytest.raises(UserError, match=r"AVVP_test_pd\.csv, row 2: '-_aaaaaaaaa' stands in .*AVVP_train\.csv, row"):
        sources.build("llp", _llp(tmp_path, allow_missing=True), tmp_path / "out")


def _real(folder: str) -> Path:
    root = os.environ.get("AVBALANCE_REAL_DATA")
    if not root or not (Path(root) / folder).is_dir():
        pytest.skip(f"AVBALANCE_REAL_DATA is unset or has no {folder}/: no real lists")
    return Path(root) / folder


def _real_llp(tmp_path: Path, lists: Path, **options: Any) -> dict[str, Any]:
    where = {"lists_dir": str(lists), "features_root": str(tmp_path / "feats"), "allow_missing": True}
    return {"kind": "llp", "describe": "x", "options": {**where, **options}}


OLD = "jomold_version/AVVP_eval_audio.csv"


def test_the_real_lists_of_llp(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lists = _real("llp")
    with caplog.at_level(logging.WARNING):
        manifest = sources.build("llp", _real_llp(tmp_path, lists, audio_old=OLD), tmp_path)
    frame = manifest.frame
    assert frame["split"].value_counts().to_dict() == {"train": 10_000, "test": 1_200, "val": 649}
    assert frame["group"].nunique() == 11_849
    # The old audio file has 3 rows with broken file names more than the repaired one's 8, and the visual file 7; empty
    # and repeated rows are the audio file's; one row of the test list repeats a label.
    assert manifest.card["oddities"]["empty interval"] == 6 and manifest.card["oddities"]["duplicate"] == 8
    assert manifest.card["oddities"]["repeated label"] == 1
    assert manifest.card["audio_truth"]["main"].startswith("old (MCG-NJU/JoMoLD")
    assert manifest.card["audio_truth"]["second"].startswith("repaired (YapengTian/AVVP")
    assert any("unknown video" in message and OLD in message for message in caplog.messages)
    assert (frame["status"] == "missing").all()


def test_exchanged_versions_of_the_real_audio_truth_are_noticed(tmp_path: Path) -> None:
    lists = _real("llp")
    for options in ({"audio_old": "AVVP_eval_audio.csv"}, {"audio_repaired": OLD, "audio_truth": "repaired"}):
        with pytest.raises(UserError, match=r"is the version '(old|repaired) .*set the option audio_(old|repaired)"):
            sources.build("llp", _real_llp(tmp_path, lists, **options), tmp_path)


# CREMA-D

CLIPS = {"train": ["1001_DFA_ANG_XX", "1002_IEO_NEU_LO"], "test": ["1001_DFA_SAD_XX", "1003_TAI_HAP_XX"]}


def _cremad(root: Path, **options: Any) -> dict[str, Any]:
    where = {"lists_dir": str(root / "lists"), "media_root": str(root / "media")}
    return {"kind": "cremad", "describe": "toy", "options": {**where, **options}}


def _cremad_lists(root: Path, clips: dict[str, list[str]]) -> None:
    (root / "lists").mkdir()
    for split, names in clips.items():
        (root / "lists" / f"{split}.csv").write_text("".join(f"{name},{name[9:12]}\r\n" for name in names))


def _media(root: Path, *names: str) -> None:
    for name in names:
        (root / "media" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "media" / name).write_bytes(b"x")


def test_cremad_clips_have_sound_and_frames_or_video(tmp_path: Path) -> None:
    _cremad_lists(tmp_path, CLIPS)
    first, second, third, fourth = (name for names in CLIPS.values() for name in names)
    _media(tmp_path, *(f"AudioWAV/{name}.wav" for name in (first, second, third)))
    _media(tmp_path, f"Image-01-FPS/{first}/0001.jpg", f"VideoFlash/{first}.flv", f"VideoFlash/{second}.flv")
    (tmp_path / "media" / "Image-01-FPS" / third).mkdir()  # no frame in it
    manifest = sources.build("cremad", _cremad(tmp_path, checksums=True), tmp_path / "out")
    rows = {row.id: row for row in manifest.frame.itertuples()}
    assert (rows[first].audio, rows[first].visual) == (f"AudioWAV/{first}.wav", f"Image-01-FPS/{first}")
    assert rows[second].visual == f"VideoFlash/{second}.flv" and rows[first].sha256 != rows[second].sha256
    assert [rows[name].status for name in (third, fourth)] == ["missing", "missing"]
    assert f"no file Image-01-FPS/{third}/ or VideoFlash/{third}.flv" in rows[third].reason
    assert f"AudioWAV/{fourth} (wav, mp3, flv) and no" in rows[fourth].reason
    assert [row.label for row in rows.values()] == ["ANG", "NEU", "SAD", "HAP"]
    assert [row.group for row in rows.values()] == ["1001", "1002", "1001", "1003"]
    assert manifest.classes == ["NEU", "HAP", "SAD", "FEA", "DIS", "ANG"]


def test_cremad_sound_may_be_mp3_or_in_the_video(tmp_path: Path) -> None:
    _cremad_lists(tmp_path, CLIPS)
    first, second, *_ = (name for names in CLIPS.values() for name in names)
    _media(tmp_path, f"all/{first}.flv", f"all/{second}.flv", f"all/{second}.mp3")
    spec = _cremad(tmp_path, audio_folder="all", video_folder="all")
    rows = {row.id: row for row in sources.build("cremad", spec, tmp_path / "out").frame.itertuples()}
    assert rows[first].audio == rows[first].visual == f"all/{first}.flv"
    assert (rows[second].audio, rows[second].visual) == (f"all/{second}.mp3", f"all/{second}.flv")


def test_cremad_lists_and_folders_that_are_absent_are_named(tmp_path: Path) -> None:
    assert "train.csv: no such file" in str(sources.read_source(_cremad(tmp_path)).missing())
    _cremad_lists(tmp_path, CLIPS)
    assert "git lfs pull" in str(sources.read_source(_cremad(tmp_path)).missing())
    assert sources.read_source(_cremad(tmp_path, allow_missing=True)).missing() is None


# AVE

IDS = ("-_aaaaaaaaa", "bbbbbb_bbbb", "cccccccccc-", "bbbbbb_bbbb")
LINES = ("Bark&{}&good&2&5", "Truck&{}&good&0&10", "Church bell&{}&good&9&10", "Bark&{}&good&0&1")


def _ave(root: Path, **options: Any) -> dict[str, Any]:
    where: dict[str, Any] = {"lists_dir": str(root / "lists")}
    if "media_root" not in options:
        where["features_root"] = str(root / "feats")
    return {"kind": "ave", "describe": "toy", "options": {**where, **options}}


def _ave_files(root: Path, lines: tuple[str, ...] = LINES, rows: int = 4, **orders: list[int]) -> None:
    for name in ("lists", "feats"):
        (root / name).mkdir()
    text = "".join(line.format(video) + "\n" for line, video in zip(lines, IDS, strict=True))
    (root / "lists" / "Annotations.txt").write_text(text)
    for split, order in {"train": [3, 0], "val": [2], "test": [1], **orders}.items():
        with h5py.File(root / "lists" / f"{split}_order.h5", "w") as file:
            file["order"] = np.array(order)
    for name, shape in (("audio", (rows, 10, 128)), ("visual", (rows, 10, 7, 7, 512))):
        with h5py.File(root / "feats" / f"{name}_feature.h5", "w") as file:
            file.create_dataset("avadataset", shape, np.float32)


def test_ave_records_are_rows_of_the_feature_files(tmp_path: Path) -> None:
    _ave_files(tmp_path)
    manifest = sources.build("ave", _ave(tmp_path), tmp_path / "out")
    rows = list(manifest.frame.itertuples())
    assert [row.id for row in rows] == ["0000_-_aaaaaaaaa", "0003_bbbbbb_bbbb", "0002_cccccccccc-", "0001_bbbbbb_bbbb"]
    assert [row.split for row in rows] == ["train", "train", "val", "test"]
    assert (rows[1].audio, rows[1].visual) == ("audio_feature.h5#3", "visual_feature.h5#3")
    assert (rows[0].label, json.loads(rows[0].labels)) == ("Bark", ["Bark"])
    assert json.loads(rows[0].events_audio) == json.loads(rows[0].events_visual) == [["Bark", 2, 5]]
    assert len(manifest.classes) == 29 and manifest.classes[-1] == "Background"
    assert manifest.card["oddities"] == {"video in two splits": 1}


def test_ave_as_clips_has_one_label_a_video_and_no_background(tmp_path: Path) -> None:
    _ave_files(tmp_path, train=[0, 1, 3], test=[])
    manifest = sources.build("ave-clips", _ave(tmp_path, labelled="clips"), tmp_path / "out")
    assert manifest.frame["id"].tolist() == ["0000_-_aaaaaaaaa", "0003_bbbbbb_bbbb", "0002_cccccccccc-"]  # not record 1
    assert manifest.card["left_out"] == {"earlier records of a video": 1}
    assert len(manifest.classes) == 28 and "Background" not in manifest.classes
    assert not {"labels", "events_audio", "events_visual"} & set(manifest.frame)
    with pytest.raises(UserError, match="labelled: is 'videos'; use 'seconds' or 'clips'"):
        sources.read_source(_ave(tmp_path, labelled="videos")).missing()


def test_ave_files_that_are_absent_or_of_another_length_are_named(tmp_path: Path) -> None:
    assert "Annotations.txt: no such file" in str(sources.read_source(_ave(tmp_path)).missing())
    _ave_files(tmp_path, rows=3)
    with pytest.raises(UserError, match=r"audio_feature\.h5: holds 3 rows \(3, 10, 128\), .* has 4 records"):
        sources.build("ave", _ave(tmp_path), tmp_path / "out")
    (tmp_path / "feats" / "visual_feature.h5").unlink()
    assert "visual_feature.h5: no such file" in str(sources.read_source(_ave(tmp_path)).missing())
    frame = sources.build("ave", _ave(tmp_path, allow_missing=True), tmp_path / "out").frame
    assert (frame["status"] == "missing").all() and "no feature file visual_feature.h5" in frame["reason"].iloc[0]


def _noisy_files(root: Path, labels: np.ndarray, rows: int) -> None:
    with h5py.File(root / "lists" / "labels_noisy.h5", "w") as file:
        file["avadataset"] = labels
    for name, shape in (("audio", (rows, 10, 128)), ("visual", (rows, 10, 7, 7, 512))):
        with h5py.File(root / "feats" / f"{name}_feature_noisy.h5", "w") as file:
            file.create_dataset("avadataset", shape, np.float32)


def test_the_noisy_part_of_ave_is_training_without_event(tmp_path: Path) -> None:
    _ave_files(tmp_path)
    background = np.eye(29)[[28, 28]]
    noisy = sources.read_source(_ave(tmp_path, noisy=True))
    assert "labels_noisy.h5: no such file" in str(noisy.missing())
    _noisy_files(tmp_path, background, 2)
    last = sources.build("ave", _ave(tmp_path, noisy=True), tmp_path / "out").frame.iloc[-1]
    assert (last["id"], last["split"], last["label"]) == ("noisy_0001", "train", "Background")
    assert (last["audio"], last["visual"]) == ("audio_feature_noisy.h5#1", "visual_feature_noisy.h5#1")
    assert last["events_audio"] == last["events_visual"] == "[]"
    _noisy_files(tmp_path, background, 3)
    with pytest.raises(UserError, match=r"audio_feature_noisy\.h5: holds 3 rows .*labels_noisy\.h5 has 2 records"):
        sources.build("ave", _ave(tmp_path, noisy=True), tmp_path / "out")
    _noisy_files(tmp_path, np.eye(29)[[28, 3]], 2)
    with pytest.raises(UserError, match=r"labels_noisy\.h5: .* other labels than background"):
        sources.build("ave", _ave(tmp_path, noisy=True), tmp_path / "out")
    (tmp_path / "feats" / "visual_feature_noisy.h5").unlink()
    assert "visual_feature_noisy.h5: no such file; get the features" in str(noisy.missing())
    with pytest.raises(UserError, match="options: noisy needs features_root"):
        sources.read_source(_ave(tmp_path, noisy=True, labelled="clips")).missing()


def test_an_ave_event_without_a_second_is_refused(tmp_path: Path) -> None:
    _ave_files(tmp_path, ("Bark&{}&good&5&2", *LINES[1:]))
    with pytest.raises(UserError, match=r"Annotations\.txt, row 1: the onset is not before the offset \(-_a"):
        sources.build("ave", _ave(tmp_path), tmp_path / "out")


def test_the_known_record_without_a_second_of_event_stays(tmp_path: Path) -> None:
    _ave_files(tmp_path, ("Bark&{}&good&0&0", *LINES[1:]))
    text = (tmp_path / "lists" / "Annotations.txt").read_text()
    (tmp_path / "lists" / "Annotations.txt").write_text(text.replace(IDS[0], "VWi2ENBuTbw"))
    manifest = sources.build("ave", _ave(tmp_path), tmp_path / "out")
    assert manifest.card["oddities"] == {"empty interval": 1, "video in two splits": 1}
    assert manifest.frame["events_audio"].iloc[0] == "[]" and manifest.frame["label"].iloc[0] == "Bark"
