"""The manifest keeps what it is given and refuses what is malformed, naming the row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from avbalance.data.manifest import Manifest, check_manifest, make_manifest, read_manifest, write_manifest
from avbalance.errors import UserError

CARD = {
    "dataset": "toy",
    "kind": "folder",
    "stands_for": None,
    "describe": "three clips",
    "classes": ["dog", "cat"],
    "media_root": "../elsewhere",
    "options": {"root": "elsewhere"},
}


def _rows() -> list[dict[str, Any]]:
    return [
        {"id": "a", "audio": "a.wav", "visual": "a.png", "label": "cat", "split": "train", "sha256": "0" * 64},
        {"id": "b", "audio": "b.mp4", "visual": "b.mp4", "label": "dog", "split": "val", "group": "speaker-1"},
        {"id": "c", "label": "cat", "split": "test", "status": "missing", "reason": "no file c.mp4"},
    ]


def test_write_then_read_returns_the_same_rows_and_card(tmp_path: Path) -> None:
    manifest = make_manifest(_rows(), CARD, "toy")
    write_manifest(manifest, tmp_path / "toy" / "manifest.parquet")
    again = read_manifest(tmp_path / "toy" / "manifest.parquet")
    pd.testing.assert_frame_equal(again.frame, manifest.frame)
    assert again.card == manifest.card


def test_rows_that_were_altered_are_refused(tmp_path: Path) -> None:
    manifest = make_manifest(_rows(), CARD, "toy")
    write_manifest(Manifest(manifest.frame.assign(label=["dog", "dog", "cat"]), manifest.card), tmp_path / "m.parquet")
    with pytest.raises(UserError, match=r"m\.parquet: its rows are not those that its digest was made of"):
        read_manifest(tmp_path / "m.parquet")


def test_absent_paths_are_none_and_the_group_defaults_to_the_id(tmp_path: Path) -> None:
    write_manifest(make_manifest(_rows(), CARD, "toy"), tmp_path / "m.parquet")
    frame = read_manifest(tmp_path / "m.parquet").frame
    assert frame["audio"].iloc[2] is None and frame["sha256"].iloc[1] is None
    assert list(frame["group"]) == ["a", "speaker-1", "c"]
    assert list(frame["status"]) == ["ok", "ok", "missing"]


def test_class_index_is_the_position_in_the_card_not_the_alphabet() -> None:
    assert make_manifest(_rows(), CARD, "toy").label_index().tolist() == [1, 0, 1]


def test_media_root_starts_from_the_folder_of_the_manifest(tmp_path: Path) -> None:
    manifest = make_manifest(_rows(), CARD, "toy")
    assert manifest.media_root(tmp_path / "toy" / "m.parquet").resolve() == tmp_path / "elsewhere"
    absolute = make_manifest(_rows(), {**CARD, "media_root": "/media/clips"}, "toy")
    assert absolute.media_root(tmp_path / "toy" / "m.parquet") == Path("/media/clips")


@pytest.mark.parametrize(
    ("row", "change", "message"),
    [
        (1, {"id": "a"}, r"toy, row 2: id 'a' already stands in row 1"),
        (2, {"id": ""}, r"toy, row 3: the id is empty"),
        (2, {"split": "dev"}, r"toy, row 3: split 'dev' is unknown; use one of train, val, test"),
        (0, {"label": "fox"}, r"toy, row 1: label 'fox' is unknown; use one of dog, cat"),
        (1, {"status": "lost"}, r"toy, row 2: status 'lost' is unknown"),
        (1, {"visual": None}, r"toy, row 2: status is ok but a media path is empty"),
    ],
)
def test_a_malformed_row_is_named(row: int, change: dict[str, Any], message: str) -> None:
    rows = _rows()
    rows[row].update(change)
    with pytest.raises(UserError, match=message):
        make_manifest(rows, CARD, "toy")


def test_clips_of_one_modality_need_its_file_alone() -> None:
    rows = [{**row, "visual": None} for row in _rows()]
    manifest = make_manifest(rows, {**CARD, "modalities": ["audio"]}, "toy")
    assert manifest.modalities == ["audio"] and make_manifest(_rows(), CARD, "toy").modalities == ["audio", "visual"]
    rows[1]["audio"] = None
    with pytest.raises(UserError, match=r"toy, row 2: status is ok but a media path is empty; name its audio file"):
        make_manifest(rows, {**CARD, "modalities": ["audio"]}, "toy")


def test_repeated_classes_no_rows_and_lacking_columns_are_refused() -> None:
    with pytest.raises(UserError, match="class names repeat"):
        make_manifest(_rows(), {**CARD, "classes": ["dog", "cat", "dog"]}, "toy")
    with pytest.raises(UserError, match="has no rows"):
        make_manifest([], CARD, "toy")
    good = make_manifest(_rows(), CARD, "toy")
    with pytest.raises(UserError, match="toy: lacks group"):
        check_manifest(Manifest(good.frame.drop(columns="group"), good.card), "toy")


def test_foreign_and_absent_files_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"id": ["a"]}).to_parquet(tmp_path / "foreign.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(UserError, match=r"foreign\.parquet: a Parquet file without a data set card"):
        read_manifest(tmp_path / "foreign.parquet")
    with pytest.raises(UserError, match=r"text\.parquet: not a readable Parquet file"):
        read_manifest(tmp_path / "text.parquet")
    with pytest.raises(UserError, match=r"none\.parquet: no such manifest"):
        read_manifest(tmp_path / "none.parquet")


def test_digest_follows_the_content_and_not_the_place() -> None:
    digest = make_manifest(_rows(), CARD, "toy").card["digest"]
    assert make_manifest(_rows(), {**CARD, "media_root": "/other"}, "toy").card["digest"] == digest
    changed = _rows()
    changed[0]["sha256"] = "1" * 64
    assert make_manifest(changed, CARD, "toy").card["digest"] != digest
    assert make_manifest(_rows(), {**CARD, "classes": ["cat", "dog"]}, "toy").card["digest"] != digest
    made_here = {**CARD, "kind": "synthetic"}  # another build of the encoder writes other bytes
    assert len({make_manifest(rows, made_here, "toy").card["digest"] for rows in (_rows(), changed)}) == 1


LABELLINGS = {"speech": ["non-speech", "speech"]}


def _labelled(second: list[str]) -> list[dict[str, Any]]:
    extra = [{"label_speech": label, "planted_audio_speech": 0.5} for label in second]
    return [{**row, **more} for row, more in zip(_rows(), extra, strict=False)]


def test_the_same_clips_can_have_a_second_labelling(tmp_path: Path) -> None:
    rows = _labelled(["speech", "non-speech"])
    manifest = make_manifest(rows, {**CARD, "labellings": LABELLINGS}, "toy")
    write_manifest(manifest, tmp_path / "manifest.parquet")
    read = read_manifest(tmp_path / "manifest.parquet")
    assert read.labellings == LABELLINGS
    assert read.label_index("speech").tolist() == [1, 0] and read.label_index().tolist() == [1, 0]
    assert read.frame["planted_audio_speech"].tolist() == [0.5, 0.5]
    other = make_manifest(_labelled(["speech", "speech"]), {**CARD, "labellings": LABELLINGS}, "toy")
    assert other.card["digest"] != manifest.card["digest"]


def test_a_second_labelling_names_its_own_classes_only() -> None:
    with pytest.raises(UserError, match=r"toy, row 2: label_speech 'music' is unknown; use one of non-speech, speech"):
        make_manifest(_labelled(["speech", "music"]), {**CARD, "labellings": LABELLINGS}, "toy")
