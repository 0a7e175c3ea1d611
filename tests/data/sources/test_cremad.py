"""CREMA-D: split lists, made up and real, joined with sound and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_files import touch
from real_data import real

from avbalance.data import sources
from avbalance.data.annotations import refuse_repeats
from avbalance.data.sources.cremad import CLASSES, actor, read_split
from avbalance.errors import UserError
from flowkeeper.files import sha256_file

SHA256 = {
    "train": "68d0d3fd253830328fc92c68f3cf2e215db8c5b86757ad9c5112d2c76ba68bde",
    "test": "14866c99301fd56fb4a16f8a7048a8a6372a47069aee9f216443bc718be45f1f",
}


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_a_list_gives_clips_labels_and_actors(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", "\ufeff1999_IOM_ANG_XX,ANG\r\n1998_IEO_HAP_LO,HAP\r\n")
    split = read_split(path)
    assert split.ids == ("1999_IOM_ANG_XX", "1998_IEO_HAP_LO") and actor(split.ids[0]) == "1999"
    assert split.labels.tolist() == [5, 1]
    other = read_split(_write(tmp_path / "b.csv", "1998_IEO_HAP_HI,HAP\n1998_IEO_HAP_LO,HAP\n"))
    with pytest.raises(UserError, match=r"b\.csv, row 2: '1998_IEO_HAP_LO' stands in .*a\.csv, row 2, already"):
        refuse_repeats([split, other])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1998_IEO_HAP_LO,SAD", "'SAD' is not the emotion in '1998_IEO_HAP_LO'"),
        ("1998_IEO_JOY_LO,JOY", "unknown emotion 'JOY'; write one of NEU, HAP"),
        ("1998_IEO_HAP_LO", "is not <actor>_<sentence>"),
        ("1998_IEO_HAP_LO.wav,HAP", "is not <actor>_<sentence>"),
        ("", "is not <actor>_<sentence>"),
        ("1999_IOM_ANG_XX,ANG", "stands in .*row 1, already"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    path = _write(tmp_path / "a.csv", f"1999_IOM_ANG_XX,ANG\n{row}\n")
    with pytest.raises(UserError, match=rf"a\.csv, row 2: .*{message}"):
        read_split(path)


CLIPS = {"train": ["1001_DFA_ANG_XX", "1002_IEO_NEU_LO"], "test": ["1001_DFA_SAD_XX", "1003_TAI_HAP_XX"]}


def _cremad(root: Path, **options: Any) -> dict[str, Any]:
    where = {"lists_dir": str(root / "lists"), "media_root": str(root / "media")}
    return {"kind": "cremad", "describe": "toy", "options": {**where, **options}}


def _cremad_lists(root: Path, clips: dict[str, list[str]]) -> None:
    (root / "lists").mkdir()
    for split, names in clips.items():
        (root / "lists" / f"{split}.csv").write_text("".join(f"{name},{name[9:12]}\r\n" for name in names))


def test_cremad_clips_have_sound_and_frames_or_video(tmp_path: Path) -> None:
    _cremad_lists(tmp_path, CLIPS)
    first, second, third, fourth = (name for names in CLIPS.values() for name in names)
    touch(tmp_path / "media", *(f"AudioWAV/{name}.wav" for name in (first, second, third)))
    touch(tmp_path / "media", f"Image-01-FPS/{first}/0001.jpg", f"VideoFlash/{first}.flv", f"VideoFlash/{second}.flv")
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
    touch(tmp_path / "media", f"all/{first}.flv", f"all/{second}.flv", f"all/{second}.mp3")
    spec = _cremad(tmp_path, audio_folder="all", video_folder="all")
    rows = {row.id: row for row in sources.build("cremad", spec, tmp_path / "out").frame.itertuples()}
    assert rows[first].audio == rows[first].visual == f"all/{first}.flv"
    assert (rows[second].audio, rows[second].visual) == (f"all/{second}.mp3", f"all/{second}.flv")


def test_cremad_lists_and_folders_that_are_absent_are_named(tmp_path: Path) -> None:
    assert "train.csv: no such file" in str(sources.read_source(_cremad(tmp_path)).missing())
    _cremad_lists(tmp_path, CLIPS)
    assert "git lfs pull" in str(sources.read_source(_cremad(tmp_path)).missing())
    assert sources.read_source(_cremad(tmp_path, allow_missing=True)).missing() is None


def test_the_real_lists() -> None:
    folder = real("cremad")
    assert tuple((folder / "stat.csv").read_text(encoding="utf-8-sig").split()) == CLASSES
    assert {name: sha256_file(folder / f"{name}.csv") for name in SHA256} == SHA256
    train, test = (read_split(folder / f"{name}.csv") for name in SHA256)
    refuse_repeats([train, test])
    assert np.bincount(train.labels).tolist() == [973, 1148, 1131, 1138, 1142, 1166] and len(train.ids) == 6698
    assert np.bincount(test.labels).tolist() == [114, 123, 140, 133, 129, 105] and len(test.ids) == 744
    assert {*map(actor, train.ids)} == {*map(actor, test.ids)} and len({*map(actor, test.ids)}) == 91
