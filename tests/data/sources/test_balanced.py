"""The balanced set: the distributed annotation, joined with media."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from clip_files import touch

from avbalance.data import sources
from avbalance.errors import UserError

A, B, C = "-_aaaaaaaaa", "bbbbbb_bbbb", "cccccccccc-"


def _balanced(root: Path, **options: Any) -> dict[str, Any]:
    where = {"annotation": str(root / "annotation.json"), "media_root": str(root)}
    return {"kind": "balanced", "describe": "toy", "options": {**where, **options}}


def _annotation(root: Path, **changes: Any) -> None:
    database = {
        f"{A}_000007_000017": {"subset": "training", "label": "singing"},
        f"{B}_30": {"subset": "validation", "label": "cutting"},
        C: {"subset": "testing", "label": "singing"},
        **changes,
    }
    (root / "annotation.json").write_text(json.dumps({"labels": ["singing", "cutting"], "database": database}))


def test_balanced_clips_may_be_hdf5_with_pickles_or_plain_media(tmp_path: Path) -> None:
    _annotation(tmp_path)
    touch(tmp_path / "video", f"{A}_000007_000017.h5", f"{B}_30.hdf5", f"{B}_30.mp4", f"{C}.mp4")
    touch(tmp_path / "audio", f"{A}_000007_000017.pkl", f"{A}_000007_000017.wav", f"{B}_30.pkl")
    manifest = sources.build("bal", _balanced(tmp_path), tmp_path / "out")
    rows = manifest.frame.set_index("id")
    first = rows.loc[f"{A}_000007_000017"]
    assert (first.visual, first.audio) == (f"video/{A}_000007_000017.h5", f"audio/{A}_000007_000017.wav")
    assert (rows.loc[f"{B}_30"].visual, rows.loc[f"{B}_30"].audio) == (f"video/{B}_30.hdf5", f"audio/{B}_30.pkl")
    assert rows.loc[C].status == "missing" and rows.loc[C].reason == "no file with the sound"
    assert list(rows["split"]) == ["train", "val", "test"] and list(rows["group"]) == [A, B, C]
    assert manifest.classes == ["singing", "cutting"]  # the annotation's order, not the alphabet's


def test_differences_from_the_published_sizes_are_reported_in_the_card(tmp_path: Path) -> None:
    _annotation(tmp_path)
    card = sources.build("bal", _balanced(tmp_path, allow_missing=True), tmp_path / "out").card
    assert card["size_differences"] == [
        "train: 1 clips, published 28949",
        "val: 1 clips, published 3018",
        "test: 1 clips, published 3884",
    ]


def test_a_list_without_class_names_has_those_of_its_clips(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clips = {
        f"{B}_30": {"subset": "validation", "label": "singing"},
        f"{B}_90": {"subset": "training", "label": "cutting"},
        f"{A}_5": {"subset": "testing", "label": "cutting"},
    }
    (tmp_path / "annotation.json").write_text(json.dumps(clips))
    with caplog.at_level(logging.WARNING):
        manifest = sources.build("bal", _balanced(tmp_path, allow_missing=True), tmp_path / "out")
    assert manifest.classes == ["cutting", "singing"] and list(manifest.frame["split"]) == ["val", "train", "test"]
    assert manifest.card["size_differences"] == [] and manifest.card["shared_videos"] == {"train and val": 1}
    assert caplog.messages[0] == (
        f"{tmp_path / 'annotation.json'}: 1 of 2 videos have clips in more than one part (train and val 1), left as "
        f"they are; first: {B}"
    )
    (tmp_path / "annotation.json").write_text(json.dumps({**clips, f"{C}_1": {"subset": "testing"}}))
    with pytest.raises(UserError, match=r"annotation\.json, row 4: malformed entry"):
        sources.build("bal", _balanced(tmp_path, allow_missing=True), tmp_path / "out")


@pytest.mark.parametrize("entry", [{"subset": "train", "label": "singing"}, {"subset": "testing", "label": "eating"}])
def test_a_bad_annotation_entry_is_named(tmp_path: Path, entry: dict[str, str]) -> None:
    _annotation(tmp_path, odd=entry)
    with pytest.raises(UserError, match=r"annotation\.json, row 4: malformed entry 'odd'"):
        sources.build("bal", _balanced(tmp_path, allow_missing=True), tmp_path / "out")


def test_a_json_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "annotation.json").write_text('{"labels": []}')
    with pytest.raises(UserError, match="lacks 'labels' or 'database'"):
        sources.build("toy", _balanced(tmp_path, allow_missing=True), tmp_path / "out")


def test_what_is_absent_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    source = sources.read_source(_balanced(tmp_path))
    assert "Balanced-Audiovisual-Dataset" in str(source.missing())
    _annotation(tmp_path)
    assert "video: no such folder" in str(source.missing())
    assert sources.read_source(_balanced(tmp_path, allow_missing=True)).missing() is None
