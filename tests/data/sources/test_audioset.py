"""The AudioSet source: made-up lists in the published format, joined with media."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_files import write_records

from avbalance.data import sources
from avbalance.data.audioset import NAMES, RURAL, SPEECH, SPEECH_DESCENDANTS, URBAN
from avbalance.data.manifest import Manifest, read_manifest, write_manifest
from avbalance.data.sources import audioset
from avbalance.data.tfrecords import embedded_clip, read_record
from avbalance.errors import UserError

LISTS = audioset.AudioSetOptions.model_fields["lists"].default

DOG = "/m/0bt9lr"


def _video(number: int, letter: str = "v") -> str:
    return f"{letter}{number:010d}"


def _write_lists(root: Path, rows: list[tuple[str, tuple[str, ...]]]) -> None:
    """The rows, dealt out to the three lists, and the names of their labels."""
    lists = root / "lists"
    lists.mkdir()
    for number, name in enumerate(LISTS):
        lines = [f'{video}, 30.000, 40.000, "{",".join(labels)}"\n' for video, labels in rows[number::3]]
        lines.append(f'{_video(number, "x")}, 0.000, 10.000, "{SPEECH},{DOG}"\n')
        (lists / name).write_text("# Segments csv\n" + "".join(lines), encoding="utf-8")
    names = "".join(f'{place},{label},"{name}"\n' for place, (label, name) in enumerate(NAMES.items()))
    (lists / audioset.NAMES).write_text("index,mid,display_name\n" + names, encoding="utf-8")


def _outdoor(urban: int = 30, rural: int = 20) -> list[tuple[str, tuple[str, ...]]]:
    """Clips of both labels, every third with speech, every third with male speech, and one with both labels."""
    kinds = ((SPEECH,), (SPEECH_DESCENDANTS[0],), (DOG,))
    rows = [(_video(number, "u"), (URBAN, *kinds[number % 3])) for number in range(urban)]
    rows += [(_video(number, "r"), (RURAL, *kinds[number % 3])) for number in range(rural)]
    return [*rows, ("bothbothbot", (URBAN, RURAL))]


def _media(root: Path, videos: list[str]) -> None:
    (root / "media" / "sub").mkdir(parents=True)
    for number, video in enumerate(videos):
        name = f"{video}_30.mp4" if number % 2 else f"{video}_000030_000040.mkv"
        (root / "media" / "sub" / name).write_bytes(b"x")


def _spec(root: Path, **options: Any) -> dict[str, Any]:
    where = {"lists_dir": str(root / "lists")}
    if "features_root" not in options:
        where["media_root"] = str(root / "media")
    return {"kind": "audioset", "stands_for": None, "describe": "toy", "options": {**where, **options}}


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    """Lists of 30 urban and 20 rural clips, of which 24 and 16 have files."""
    _write_lists(tmp_path, _outdoor())
    _media(tmp_path, [_video(n, "u") for n in range(24)] + [_video(n, "r") for n in range(16)])
    return tmp_path


def _build(root: Path, **options: Any) -> Manifest:
    return sources.build("audioset", _spec(root, **options), root / "out")


def test_half_of_the_clips_with_media_are_urban_and_their_parts_have_the_papers_sizes(downloaded: Path) -> None:
    manifest = _build(downloaded)
    frame = manifest.frame
    assert frame["label"].value_counts().to_dict() == {"urban": 16, "rural": 16} and set(frame["status"]) == {"ok"}
    assert frame["split"].value_counts().to_dict() == {"train": 23, "val": 6, "test": 3}  # 32 // 5, 32 // 10
    assert manifest.card["left_out"] == {"both labels": 1, "missing": 10, "surplus": 8}
    assert list(frame["id"]) == sorted(frame["id"])
    first = frame.iloc[0]
    assert first["id"] == f"{_video(0, 'r')}_000030" and first["group"] == _video(0, "r")
    assert first["audio"] == first["visual"] == f"sub/{_video(0, 'r')}_000030_000040.mkv"


def test_both_labellings_are_of_the_same_clips_and_parts(downloaded: Path) -> None:
    manifest = _build(downloaded)
    write_manifest(manifest, downloaded / "manifest.parquet")
    again = read_manifest(downloaded / "manifest.parquet")
    assert again.classes == ["urban", "rural"] and again.labellings == {"speech": ["non-speech", "speech"]}
    number = np.array([int(clip[1:11]) for clip in again.frame["id"]])
    assert again.label_index("speech").tolist() == (number % 3 == 0).astype(int).tolist()
    wider = _build(downloaded, speech_descendants=True)
    assert wider.label_index("speech").tolist() == (number % 3 < 2).astype(int).tolist()
    assert wider.frame.drop(columns="label_speech").equals(manifest.frame.drop(columns="label_speech"))


def test_clips_with_both_labels_are_named_and_absent_ones_counted(
    downloaded: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="avbalance"):
        _build(downloaded)
    assert "both labels in 1 rows" in caplog.text and "bothbothbot_000030" in caplog.text
    assert "32 of 50 listed outdoor clips are used" in caplog.text


def test_preflight_names_what_is_absent(tmp_path: Path) -> None:
    assert "balanced_train_segments.csv: no such file; take it from research.google" in str(
        sources.read_source(_spec(tmp_path)).missing()
    )
    _write_lists(tmp_path, _outdoor())
    assert "media: no such folder" in str(sources.read_source(_spec(tmp_path)).missing())
    with pytest.raises(UserError, match="media: no such folder"):
        _build(tmp_path)
    assert sources.read_source(_spec(tmp_path, allow_missing=True)).missing() is None
    (tmp_path / "media").mkdir()
    assert sources.read_source(_spec(tmp_path)).missing() is None
    assert [Path(path).name for path in sources.read_source(_spec(tmp_path)).inputs()] == [*LISTS, audioset.NAMES]
    with pytest.raises(UserError, match="holds none of the 50 clips"):
        _build(tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "none of the clips in balanced_train_segments.csv, .* has one outdoor label"),
        (_outdoor(urban=20, rural=0), "not one of the 20 clips is rural; get clips of both labels"),
        (_outdoor(urban=4, rural=4), "8 clips leave none for test"),
    ],
)
def test_lists_that_give_no_data_set_are_refused(
    tmp_path: Path, rows: list[tuple[str, tuple[str, ...]]], message: str
) -> None:
    _write_lists(tmp_path, rows)
    with pytest.raises(UserError, match=message):
        _build(tmp_path, allow_missing=True)


# Released embeddings


def _records(root: Path, videos: list[str]) -> str:
    """Files of two records each, in the folders of the release; returns the root of the features."""
    for place, pair in enumerate(zip(videos[::2], videos[1::2], strict=True)):
        folder = list(audioset.FOLDERS.values())[place % 3]
        write_records(root / "features" / folder / f"{place}.tfrecord", *((video, 30.0) for video in pair))
    return str(root / "features")


@pytest.fixture
def released(tmp_path: Path) -> str:
    """Lists of 30 urban and 20 rural clips, records of 24 and 16 of them, and of four clips of no interest."""
    _write_lists(tmp_path, _outdoor())
    wanted = [_video(n, "u") for n in range(24)] + [_video(n, "r") for n in range(16)]
    return _records(tmp_path, wanted + [_video(n, "x") for n in range(4)])


def test_embeddings_are_joined_by_id_and_second_and_have_no_pictures(tmp_path: Path, released: str) -> None:
    manifest = _build(tmp_path, features_root=released)
    write_manifest(manifest, tmp_path / "manifest.parquet")
    manifest = read_manifest(tmp_path / "manifest.parquet")
    frame = manifest.frame
    assert frame["label"].value_counts().to_dict() == {"urban": 16, "rural": 16} and set(frame["status"]) == {"ok"}
    assert frame["split"].value_counts().to_dict() == {"train": 23, "val": 6, "test": 3}
    assert manifest.card["left_out"] == {"both labels": 1, "missing": 10, "surplus": 8}
    assert manifest.card["records"] == 44 and manifest.modalities == ["audio"] and frame["visual"].isna().all()
    for clip, entry in zip(frame["group"], frame["audio"], strict=True):
        file, _, offset = entry.partition("#")
        data = read_record(Path(released) / file, int(offset))
        assert embedded_clip(data, entry).video == clip
    fewer = _build(tmp_path, features_root=released, lists=list(LISTS[:2]))
    assert fewer.card["records"] < 44


def test_preflight_asks_for_the_folder_of_each_list(tmp_path: Path, released: str) -> None:
    assert sources.read_source(_spec(tmp_path, features_root=released)).missing() is None
    for path in (tmp_path / "features" / "unbal_train").iterdir():
        path.unlink()
    (tmp_path / "features" / "unbal_train").rmdir()
    said = str(sources.read_source(_spec(tmp_path, features_root=released)).missing())
    assert "unbal_train: no such folder; unpack features.tar.gz" in said and "take its list out" in said
    two = [name for name in LISTS if not name.startswith("unbal")]
    assert sources.read_source(_spec(tmp_path, features_root=released, lists=two)).missing() is None
    with pytest.raises(UserError, match=r"lists\[1\]: is 'my.csv'; use 'balanced_train_segments\.csv'"):
        sources.read_source(_spec(tmp_path, features_root=released, lists=["my.csv"])).missing()
    with pytest.raises(UserError, match="both of features_root and media_root given"):
        sources.read_source(_spec(tmp_path, features_root=released, media_root="media")).missing()


def test_a_damaged_record_ends_the_reading_with_file_and_offset(tmp_path: Path, released: str) -> None:
    path = tmp_path / "features" / "eval" / "2.tfrecord"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(
        UserError, match=rf"eval/2\.tfrecord, byte {len(content) // 2}: the checksum of .* is wrong; take"
    ):
        _build(tmp_path, features_root=released)


def test_a_seed_draws_the_same_clips_again_and_another_seed_others(downloaded: Path) -> None:
    first, again, other = (_build(downloaded, seed=seed).frame for seed in (0, 0, 1))
    assert first.equals(again) and not first["split"].equals(other["split"])
    assert set(first["id"]) != set(other["id"])
