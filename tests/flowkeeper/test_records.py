"""Snakemake's private files as the installed Snakemake reads and writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small import record_of
from snakemake.persistence import RECORD_FORMAT_VERSION as INSTALLED
from snakemake.persistence.file import FilePersistence

from flowkeeper.records import (
    RECORD_FORMAT_VERSION,
    incomplete_files,
    locked,
    read_record,
    record_path,
    recorded_files,
    write_record,
)

RECORD = record_of("train", "v1") | {"starttime": 1_700_000_000.125, "endtime": 1_700_000_001.1234567}
LONG = f"results/demo/{'a-rather-long-folder/' * 20}predictions.parquet"
NAMES = ["results/demo/table1.md", LONG, "results/größe/表1.md", f"results/{'ü' * 180}/table1.md"]
# base64 turns 189 bytes into 252 characters, 190 into 256: between them lies what one name can hold.
NAMES += ["n" * size for size in (189, 190, 191, 192, 381, 382)]


@pytest.fixture
def persistence(tmp_path: Path) -> FilePersistence:
    return FilePersistence(path=tmp_path / ".snakemake")


def test_the_format_is_that_of_the_installed_snakemake() -> None:
    assert RECORD_FORMAT_VERSION == INSTALLED


@pytest.mark.parametrize("name", NAMES, ids=lambda name: f"{name[:12]}-{len(name)}")
def test_records_lie_where_snakemake_looks(tmp_path: Path, persistence: FilePersistence, name: str) -> None:
    assert str(record_path(tmp_path, name)) == persistence._record_path(persistence._metadata_path, name)


@pytest.mark.parametrize(("told", "longest"), [(143, 143), (0, 255)])  # an encrypted home; a disk that knows no limit
def test_the_longest_name_of_the_disk_counts(
    tmp_path: Path, persistence: FilePersistence, monkeypatch: pytest.MonkeyPatch, told: int, longest: int
) -> None:
    monkeypatch.setattr(os, "pathconf", lambda folder, what: told)
    path = record_path(tmp_path, LONG)
    assert str(path) == persistence._record_path(persistence._metadata_path, LONG)
    assert max(map(len, path.parts)) == longest


@pytest.mark.parametrize("name", [NAMES[0], LONG, NAMES[2]])
def test_snakemake_reads_what_was_written_and_migrates_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    migrated = []
    monkeypatch.setattr(FilePersistence, "migrate_v1_to_v2", lambda self: migrated.append(self))
    write_record(tmp_path, name, RECORD)
    record = FilePersistence(path=tmp_path / ".snakemake")._read_record(name)
    assert record is not None
    assert dict(record.items()) == RECORD
    assert migrated == []
    assert recorded_files(tmp_path) == {name}
    (tmp_path / ".snakemake" / "incomplete").rmdir()
    FilePersistence(path=tmp_path / ".snakemake")
    assert len(migrated) == 1, "without that folder it would"


@pytest.mark.parametrize("name", [NAMES[0], LONG, NAMES[2]])
def test_what_snakemake_wrote_is_read(tmp_path: Path, persistence: FilePersistence, name: str) -> None:
    write_record(tmp_path, "other", RECORD)
    model = persistence._read_record("other")
    assert model is not None
    persistence._write_record(name, model)
    assert read_record(tmp_path, name) == RECORD
    assert read_record(tmp_path, "results/demo/never-made.md") is None


@pytest.mark.parametrize("kept", [0, 1, 100])
def test_a_truncated_record_is_none(tmp_path: Path, kept: int) -> None:
    write_record(tmp_path, "out", RECORD)
    path = record_path(tmp_path, "out")
    path.write_bytes(path.read_bytes()[:kept])
    assert read_record(tmp_path, "out") is None


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"rule": "train"}', '{"starttime": 1.0, "endtime": null}', '"\\udcff"']
)
def test_a_record_without_times_is_none(tmp_path: Path, content: str) -> None:
    write_record(tmp_path, "out", RECORD)
    record_path(tmp_path, "out").write_text(content)
    assert read_record(tmp_path, "out") is None


def test_unfinished_outputs_are_named(tmp_path: Path, persistence: FilePersistence) -> None:
    assert incomplete_files(tmp_path) == []
    for name in NAMES[:3]:
        persistence._mark_incomplete(name, None)
    marks = tmp_path / ".snakemake" / "incomplete"
    (marks / "migration_underway").touch()
    (marks / f"{record_path(tmp_path, NAMES[0]).name}~").touch()
    assert incomplete_files(tmp_path) == sorted(NAMES[:3])
    persistence._unmark_incomplete(LONG)
    assert incomplete_files(tmp_path) == sorted([NAMES[0], NAMES[2]])


def test_the_lock_is_seen(tmp_path: Path, persistence: FilePersistence) -> None:
    assert not locked(tmp_path / "elsewhere")
    assert not locked(tmp_path)
    persistence._write_locks("output", ["results/demo/table1.md"])
    assert locked(tmp_path)
    persistence._delete_locks()
    assert not locked(tmp_path)
