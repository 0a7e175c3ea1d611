"""LLP: weak labels, the truth of the evaluated parts, oddities, and lists joined with features or clips."""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_data import real

from avbalance.data import sources
from avbalance.data.annotations import ListedPart, refuse_repeats
from avbalance.data.manifest import read_manifest, write_manifest
from avbalance.data.sources.llp import AUDIO_VERSIONS, CLASSES, audio_version, read_segments, read_split
from avbalance.errors import UserError
from flowkeeper.files import sha256_file

A, B, C = "-_aaaaaaaaa_20_30", "bbbbbb_bbbb_0_10", "cccccccccc-_101.8_111.8"  # ids hold dashes and underscores
SPLIT_HEADER = "filename\tevent_labels\n"
EVAL_HEADER = "filename\tonset\toffset\tevent_labels\n"


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def _active(truth: np.ndarray) -> dict[str, list[int]]:
    """Class name -> active segments of one video (25, 10)."""
    return {CLASSES[index]: np.flatnonzero(truth[index]).tolist() for index in np.flatnonzero(truth.any(axis=1))}


def test_a_split_gives_ids_and_labels(tmp_path: Path) -> None:
    path = _write(tmp_path / "s.csv", f"{SPLIT_HEADER}{A}\tSpeech,Clapping\n{B}\tFrying_(food)\n{C}\tCello,Dog,Cello\n")
    split = read_split(path)
    assert split.ids == ("-_aaaaaaaaa", "bbbbbb_bbbb", "cccccccccc-") and split.names == (A, B, C)
    assert split.labels.dtype == bool and split.labels.shape == (3, 25)
    assert [np.flatnonzero(row).tolist() for row in split.labels] == [[0, 24], [5], [3, 9]]
    assert [(odd.file, odd.row, odd.kind) for odd in split.oddities] == [(str(path), 4, "repeated label")]
    assert C in split.oddities[0].what


def test_columns_are_found_by_name_and_line_ends_do_not_matter(tmp_path: Path) -> None:
    text = f"\ufeffevent_labels\tnote\tfilename\r\nCar,Dog\tx\t{A}\r\n"
    split = read_split(_write(tmp_path / "s.csv", text))
    assert split.names == (A,) and np.flatnonzero(split.labels).tolist() == [1, 3] and split.oddities == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"filename\n{A}\n", r"s\.csv, row 1: no column 'event_labels' among filename; take the file again"),
        (SPLIT_HEADER, r"s\.csv, row 2: no row follows"),
        ("", r"s\.csv, row 1: the file is empty"),
        (f"{SPLIT_HEADER}{A}\n", r"s\.csv, row 2: 1 cells under a header of 2"),
        (f"{SPLIT_HEADER}{A}\tDog\n{B}\tDog,dog\n", r"s\.csv, row 3: unknown class 'dog'; write one of the 25"),
        (f"{SPLIT_HEADER}{A}\t\n", r"s\.csv, row 2: unknown class ''"),
        (f"{SPLIT_HEADER}aaaaaaaaaa_20_30\tDog\n", r"s\.csv, row 2: 'aaaaaaaaaa_20_30' is not <YouTube id>"),
        (f"{SPLIT_HEADER}{A}`\tDog\n", r"s\.csv, row 2: .* is not <YouTube id>"),
        (f"{SPLIT_HEADER}{A}\tDog\n{A[:11]}_50_60\tDog\n", r"s\.csv, row 3: '-_aaaaaaaaa' stands in .*s\.csv, row 2,"),
    ],
)
def test_a_bad_row_of_a_split_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_split(_write(tmp_path / "s.csv", text))


def test_an_absent_or_binary_file_is_named_with_its_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv: no such file; take it from .*YapengTian/AVVP-ECCV20"):
        read_split(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"filename\tevent_labels\n\xff\xfe\n")
    with pytest.raises(UserError, match=r"b\.csv: not readable as text"):
        read_split(tmp_path / "b.csv")


def test_rows_set_half_open_intervals(tmp_path: Path) -> None:
    rows = f"{B}\t0\t10\tDog\n{A}\t2\t4\tSpeech\n{A}\t4\t5\tSpeech\n{A}\t9\t10\tSpeech\n{A}\t0\t1\tCar\n"
    segments = read_segments(_write(tmp_path / "e.csv", EVAL_HEADER + rows), [C, A, B])
    assert segments.truth.shape == (3, 25, 10) and segments.truth.dtype == bool and segments.oddities == ()
    assert _active(segments.truth[0]) == {}
    assert _active(segments.truth[1]) == {"Speech": [2, 3, 4, 9], "Car": [0]}
    assert _active(segments.truth[2]) == {"Dog": list(range(10))}


def test_odd_rows_are_named_and_set_nothing(tmp_path: Path) -> None:
    rows = [
        f"{A}\t3\t5\tDog",
        f"{A}\t4\t4\tCat",
        f"{A}\t9\t0\tCheering",
        f"{A}\t3\t5\tDog",
        "Baby_cry_infant_cry\t0\t4\tSpeech",
        f"{A}`\t0\t1\tCat",
        f"{A}\t3\t5\tCat",
        "Baby_cry_infant_cry\t0\t0\tSpeech",
    ]
    path = _write(tmp_path / "e.csv", EVAL_HEADER + "\n".join(rows) + "\n")
    segments = read_segments(path, [A, B])
    assert _active(segments.truth[0]) == {"Dog": [3, 4], "Cat": [3, 4]} and not segments.truth[1].any()
    assert [(odd.row, odd.kind) for odd in segments.oddities] == [
        (3, "empty interval"),
        (4, "empty interval"),
        (5, "duplicate"),
        (6, "unknown video"),
        (7, "unknown video"),
        (9, "unknown video"),
        (9, "empty interval"),
    ]
    said = [odd.what for odd in segments.oddities]
    assert "Cheering from 9 to 0" in said[1] and "row 2" in said[2]
    assert f"though {A} has its id" in said[4] and "though" not in said[3]
    assert {odd.file for odd in segments.oddities} == {str(path)}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"{A}\t0\t11\tDog", r"e\.csv, row 3: offset '11' is not a whole second in 0\.\.10; correct it"),
        (f"{A}\t-1\t4\tDog", r"e\.csv, row 3: onset '-1' is not a whole second"),
        (f"{A}\t0.5\t4\tDog", r"e\.csv, row 3: onset '0\.5' is not a whole second"),
        (f"{A}\t\t4\tDog", r"e\.csv, row 3: onset '' is not a whole second"),
        (f"{A}\t0\t4\tDog,Cat", r"e\.csv, row 3: unknown class 'Dog,Cat'"),
        (f"{A}\t0\t4", r"e\.csv, row 3: 3 cells under a header of 4"),
    ],
)
def test_a_bad_row_of_the_truth_is_named(tmp_path: Path, row: str, message: str) -> None:
    path = _write(tmp_path / "e.csv", f"{EVAL_HEADER}{A}\t0\t4\tDog\n{row}\n")
    with pytest.raises(UserError, match=message):
        read_segments(path, [A])


def test_an_audio_file_of_other_bytes_is_no_published_version(tmp_path: Path) -> None:
    path = _write(tmp_path / "e.csv", EVAL_HEADER)
    assert audio_version(path) == f"unpublished (sha256 {sha256_file(path)[:12]})"


def test_truth_is_read_for_different_videos(tmp_path: Path) -> None:
    path = _write(tmp_path / "e.csv", f"{EVAL_HEADER}{A}\t0\t4\tDog\n")
    with pytest.raises(UserError, match="2 videos of which only 1 differ"):
        read_segments(path, [A, A])


# Joined with features or clips


def _llp(root: Path, **options: Any) -> dict[str, Any]:
    where: dict[str, Any] = {"lists_dir": str(root / "lists")}
    if "media_root" not in options:
        where["features_root"] = str(root / "feats")
    return {"kind": "llp", "describe": "toy", "options": {**where, **options}}


def _llp_lists(root: Path, **files: str) -> None:
    """Toy lists; a keyword replaces the rows of one file."""
    rows = {
        "AVVP_train": f"{A}\tDog,Speech\n",
        "AVVP_val_pd": f"{B}\tCar\n",
        "AVVP_test_pd": f"{C}\tCar,Dog\n",
        "AVVP_eval_audio": f"{B}\t0\t3\tCar\n{B}\t2\t5\tCar\n{C}\t0\t4\tCar\n",
        "AVVP_eval_visual": f"{C}\t9\t10\tDog\n",
        "old": f"{B}\t0\t3\tCar\n{C}`\t0\t4\tCar\n",
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
    _llp_features(tmp_path, A, B, C)
    manifest = sources.build("llp", _llp(tmp_path), tmp_path / "out")
    train, val, test = manifest.frame.itertuples()
    assert (train.id, train.group, train.split) == (A, "-_aaaaaaaaa", "train")
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
    _llp_features(tmp_path, A)
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
    _llp_features(tmp_path, A, B, C)
    (tmp_path / "feats" / "r2plus1d_18" / f"{B[:11]}.npy").unlink()
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
    for name in (f"{A}.mp4", f"more/{B[:11]}.mkv"):
        (tmp_path / "media" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "media" / name).write_bytes(b"x")
    frame = sources.build("llp", _llp(tmp_path, media_root=str(tmp_path / "media")), tmp_path / "out").frame
    assert frame["audio"].tolist() == frame["visual"].tolist() == [f"{A}.mp4", f"more/{B[:11]}.mkv", None]
    both = _llp(tmp_path, media_root=str(tmp_path), features_root=str(tmp_path))
    for spec, word in ((both, "both"), (_llp(tmp_path, media_root=None), "none")):
        with pytest.raises(UserError, match=f"{word} of features_root and media_root"):
            sources.build("llp", spec, tmp_path / "out")


@pytest.mark.parametrize("name", ["AVVP_eval_visual", "old", "AVVP_eval_audio"])
def test_an_onset_after_its_offset_is_refused_but_in_published_files(tmp_path: Path, name: str) -> None:
    _llp_lists(tmp_path, **{name: f"{C}\t7\t3\tDog\n"})
    with pytest.raises(UserError, match=r"csv, row 2: the onset is not before the offset .*Dog from 7 to 3"):
        sources.build("llp", _llp(tmp_path, allow_missing=True), tmp_path / "out")


def test_a_video_in_two_parts_is_refused(tmp_path: Path) -> None:
    _llp_lists(tmp_path, AVVP_test_pd=f"{A}\tDog\n")
    with pytest.raises(UserError, match=r"AVVP_test_pd\.csv, row 2: '-_aaaaaaaaa' stands in .*AVVP_train\.csv, row"):
        sources.build("llp", _llp(tmp_path, allow_missing=True), tmp_path / "out")


# The real files

TRAIN_COUNTS = [4988, 624, 528, 761, 192, 343, 455, 218, 299, 602, 186, 1172, 437, 1457, 495, 146, 445, 224, 411, 587]
TRAIN_COUNTS += [503, 99, 430, 291, 164]
OLD_AUDIO = "jomold_version/AVVP_eval_audio.csv"


def labels_by_name(split: ListedPart) -> dict[str, bytes]:
    return {name: row.tobytes() for name, row in zip(split.names, split.labels, strict=True)}


def test_the_real_splits() -> None:
    train, val, test, full = (
        read_split(real("llp", f"AVVP_{name}.csv")) for name in ("train", "val_pd", "test_pd", "dataset_full")
    )
    refuse_repeats([train, val, test])
    assert [len(split.ids) for split in (train, val, test, full)] == [10_000, 649, 1_200, 11_849]
    parts = [labels_by_name(split) for split in (train, val, test)]
    assert parts[0] | parts[1] | parts[2] == labels_by_name(full)
    assert train.labels.sum(axis=0).tolist() == TRAIN_COUNTS and sum(TRAIN_COUNTS) == 16_057
    assert np.bincount(train.labels.sum(axis=1)).tolist() == [0, 4032, 5879, 89]
    assert val.labels.sum() == 1170
    assert test.labels.sum() == 2179 - 1  # one label repeats another of its row
    assert test.labels.sum(axis=1).max() == 7
    assert [(odd.kind, odd.row) for split in (train, val, test) for odd in split.oddities] == [("repeated label", 894)]


@pytest.mark.parametrize(
    ("audio", "cells", "kinds", "names", "rows"),
    [
        ("AVVP_eval_audio.csv", (14_576, 9_592), {"empty interval": 6, "duplicate": 8, "unknown video": 14}, 8, 4_131),
        (OLD_AUDIO, (14_568, 9_591), {"empty interval": 6, "duplicate": 8, "unknown video": 17}, 10, 4_131),
        ("AVVP_eval_visual.csv", (11_789, 11_789), {"unknown video": 11}, 7, 2_495),
    ],
)
def test_the_real_truth(audio: str, cells: tuple[int, int], kinds: dict[str, int], names: int, rows: int) -> None:
    """Active cells of the file, and those active in the visual file too; val does not differ between the versions."""
    val, test = (read_split(real("llp", f"AVVP_{name}_pd.csv")) for name in ("val", "test"))
    segments = read_segments(real("llp", audio), val.names + test.names)
    visual = read_segments(real("llp", "AVVP_eval_visual.csv"), val.names + test.names).truth
    assert real("llp", audio).read_bytes().count(b"\n") == rows + 1
    assert (segments.truth[649:].sum(), (segments.truth & visual)[649:].sum()) == cells
    in_val = (8_089, 5_078) if "audio" in audio else (6_115, 6_115)
    assert (segments.truth[:649].sum(), (segments.truth & visual)[:649].sum()) == in_val
    assert Counter(odd.kind for odd in segments.oddities) == kinds
    unknown = {odd.what.partition(":")[0] for odd in segments.oddities if odd.kind == "unknown video"}
    assert len(unknown) == names and not unknown & set(val.names + test.names)


def test_the_versions_of_the_real_audio_truth() -> None:
    versions = [audio_version(real("llp", name)) for name in ("AVVP_eval_audio.csv", OLD_AUDIO)]
    assert versions == list(AUDIO_VERSIONS.values())
    videos = read_split(real("llp", "AVVP_test_pd.csv")).names
    repaired, old = (read_segments(real("llp", name), videos).truth for name in ("AVVP_eval_audio.csv", OLD_AUDIO))
    differing = np.argwhere((repaired != old).any(axis=2))
    assert [(videos[video], CLASSES[index]) for video, index in differing] == sorted(
        [("JfZEqeLZqWk_30_40", "Speech"), ("KvIjsmANkxI_10_20", "Cat")], key=lambda pair: videos.index(pair[0])
    )
    assert not (old & ~repaired).any() and (repaired & ~old).sum() == 8


def _real_llp(tmp_path: Path, **options: Any) -> dict[str, Any]:
    where = {"lists_dir": str(real("llp")), "features_root": str(tmp_path / "feats"), "allow_missing": True}
    return {"kind": "llp", "describe": "x", "options": {**where, **options}}


def test_the_real_lists_of_llp(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        manifest = sources.build("llp", _real_llp(tmp_path, audio_old=OLD_AUDIO), tmp_path)
    frame = manifest.frame
    assert frame["split"].value_counts().to_dict() == {"train": 10_000, "test": 1_200, "val": 649}
    assert frame["group"].nunique() == 11_849
    # The old audio file has 3 rows with broken file names more than the repaired one's 8, and the visual file 7; empty
    # and repeated rows are the audio file's; one row of the test list repeats a label.
    assert manifest.card["oddities"]["empty interval"] == 6 and manifest.card["oddities"]["duplicate"] == 8
    assert manifest.card["oddities"]["repeated label"] == 1
    assert manifest.card["audio_truth"]["main"].startswith("old (MCG-NJU/JoMoLD")
    assert manifest.card["audio_truth"]["second"].startswith("repaired (YapengTian/AVVP")
    assert any("unknown video" in message and OLD_AUDIO in message for message in caplog.messages)
    assert (frame["status"] == "missing").all()


def test_exchanged_versions_of_the_real_audio_truth_are_noticed(tmp_path: Path) -> None:
    for options in ({"audio_old": "AVVP_eval_audio.csv"}, {"audio_repaired": OLD_AUDIO, "audio_truth": "repaired"}):
        with pytest.raises(UserError, match=r"is the version '(old|repaired) .*set the option audio_(old|repaired)"):
            sources.build("llp", _real_llp(tmp_path, **options), tmp_path)
