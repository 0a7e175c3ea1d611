"""What restore makes of every state of a file. Long, since every row of one decision table, `State`, is a test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small import (
    BEGIN,
    CARD,
    FILES,
    HISTORY,
    INDEX,
    JOBS,
    LATER,
    MANIFEST,
    PREDICTIONS,
    TABLE,
    Clone,
    making,
    record_of,
)

from flowkeeper import files as file_tools
from flowkeeper import restore as restoring
from flowkeeper.errors import UserError
from flowkeeper.ledger import read_ledger, remember_own
from flowkeeper.records import incomplete_files, record_path, write_record
from flowkeeper.restore import Restored
from flowkeeper.seen import memory_file


def assert_as_published(reader: Clone, maker: Clone, paths: list[str] = FILES) -> None:
    """Records and times are those of the maker's checkout."""
    for path in paths:
        assert reader.record(path) == maker.record(path), path
        assert reader.time(path) == pytest.approx(maker.time(path), abs=1e-5), path
    assert incomplete_files(reader.root) == []


@pytest.fixture
def restored(reader: Clone) -> Clone:
    """A checkout that fetched everything and restored it."""
    assert reader.restore() == Restored(len(FILES), 0, [])
    return reader


@pytest.fixture
def read_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose bytes were read."""
    names: list[str] = []
    md5_file = restoring.md5_file

    def note(path: Path) -> str:
        names.append(path.name)
        return md5_file(path)

    monkeypatch.setattr(restoring, "md5_file", note)
    return names


# --- The published bytes ---


def test_a_fetched_set_gets_its_records_and_times(restored: Clone, maker: Clone) -> None:
    assert_as_published(restored, maker)
    times = [max(restored.time(path) for path in paths) for paths in JOBS.values()]
    assert times == sorted(times), "no output is older than what it was made of"


def test_without_a_ledger_and_where_it_was_made_nothing_changes(maker: Clone) -> None:
    for result in (Restored(0, len(FILES), []), Restored(0, 0, [])):
        before = maker.state()
        assert maker.restore() == result
        after = maker.state()
        assert after.pop(str(memory_file(maker.results).relative_to(maker.root)))
        before.pop(str(memory_file(maker.results).relative_to(maker.root)), None)
        assert after == before
        maker.results.ledger.unlink(missing_ok=True)


def test_touched_files_get_their_times_back(restored: Clone, maker: Clone) -> None:
    os.utime(restored.root / INDEX)
    os.utime(restored.root / TABLE, (BEGIN - 100, BEGIN - 100))
    assert restored.restore() == Restored(2, len(FILES) - 2, [])
    assert_as_published(restored, maker)


def test_lost_and_truncated_records_come_back(restored: Clone, maker: Clone) -> None:
    record_path(restored.root, TABLE).unlink()
    assert restored.restore() == Restored(1, len(FILES) - 1, [])
    shutil.rmtree(restored.root / ".snakemake")
    assert restored.restore() == Restored(len(FILES), 0, [])
    record_path(restored.root, TABLE).write_text('{"rule": "tab')
    os.utime(restored.root / TABLE)
    assert restored.restore() == Restored(1, len(FILES) - 1, [])
    assert_as_published(restored, maker)


def test_an_equal_record_of_an_own_run_is_kept_and_the_file_gets_its_time(reader: Clone, maker: Clone) -> None:
    for rule in JOBS:
        reader.job(rule)
    own = {path: reader.record(path) for path in FILES}
    assert own != {path: maker.record(path) for path in FILES}, "at other times"
    assert reader.restore() == Restored(0, len(FILES), [])
    os.utime(reader.root / TABLE)
    assert reader.restore() == Restored(1, len(FILES) - 1, [])
    assert {path: reader.record(path) for path in FILES} == own
    assert reader.time(TABLE) == pytest.approx(own[TABLE]["endtime"], abs=1e-5)


def test_what_was_made_here_anew_with_equal_bytes_keeps_its_record(restored: Clone) -> None:
    restored.job("table", code="v2", content="v1")
    own, time = restored.record(TABLE), restored.time(TABLE)
    for _ in range(3):
        assert restored.restore() == Restored(0, len(FILES), [])
        assert (restored.record(TABLE), restored.time(TABLE)) == (own, time)
        os.utime(restored.results.ledger)  # as if it came again


def test_what_was_made_here_anew_with_other_bytes_stays_until_the_published_file_comes(
    restored: Clone, maker: Clone
) -> None:
    restored.job("table", code="v2")
    os.utime(restored.root / TABLE)  # and whatever became of its time
    own, time = restored.record(TABLE), restored.time(TABLE)
    assert restored.restore() == Restored(0, len(FILES), [])
    assert (restored.record(TABLE), restored.time(TABLE)) == (own, time)
    restored.copy_from(maker)
    assert restored.restore() == Restored(1, len(FILES) - 1, [])
    assert_as_published(restored, maker)


# --- Damage ---


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[Callable[[Path], None], str] = {
    truncate: "1000 bytes, recorded {size}",
    flip: "content differs from its recorded md5 {md5}",
    become_a_folder: "not a file",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("first", [True, False], ids=["on arrival", "later"])
def test_damage_is_named_with_the_repair_and_nothing_is_written(
    reader: Clone, damage: Callable[[Path], None], first: bool
) -> None:
    if not first:
        reader.restore()
    os.utime(reader.root / TABLE)
    damage(reader.root / INDEX)
    entry = read_ledger(reader.results).entries[INDEX]
    before = reader.state()
    for _ in range(2):
        with pytest.raises(UserError) as raised:
            reader.restore()
        assert str(raised.value).splitlines() == [
            "results/demo: 1 file is not what was published:",
            f"  {INDEX}: {DAMAGES[damage].format(size=entry.size, md5=entry.md5)}",
            "run `keep repair demo`, or delete what is named here to have it computed again.",
        ]
    assert reader.state() == before


def test_a_damaged_file_that_was_deleted_no_longer_stands_in_the_way(restored: Clone) -> None:
    truncate(restored.root / INDEX)
    with pytest.raises(UserError):
        restored.restore()
    restored.delete(INDEX)
    assert restored.restore() == Restored(0, len(FILES) - 1, [INDEX])
    restored.job("features", code="v2")
    assert restored.restore() == Restored(0, len(FILES), [])


def test_what_an_unfinished_job_left_is_for_snakemake_to_make_again(restored: Clone) -> None:
    restored.delete(HISTORY)
    restored.write(PREDICTIONS, b"of a job that was killed before it was recorded", LATER)
    marks = restored.root / ".snakemake" / "incomplete"
    for path in (HISTORY, PREDICTIONS):
        (marks / record_path(restored.root, path).name).write_text("{}")
    before = restored.record(PREDICTIONS)
    assert restored.restore() == Restored(0, len(FILES) - 1, [HISTORY])
    assert restored.record(PREDICTIONS) == before
    for path in marks.iterdir():
        path.unlink()
    with pytest.raises(UserError, match=PREDICTIONS):
        restored.restore()


# --- Absent files ---


def test_a_deleted_file_is_told_once_and_a_link_to_nothing_is_absent(restored: Clone) -> None:
    restored.delete(TABLE)
    (restored.root / TABLE).symlink_to("nowhere")
    assert restored.restore() == Restored(0, len(FILES) - 1, [TABLE])
    assert restored.restore() == Restored(0, len(FILES) - 1, [])


def test_a_part_of_a_set_is_restored_and_the_rest_when_it_comes(tmp_path: Path, maker: Clone) -> None:
    reader = Clone(tmp_path / "part")
    part = [MANIFEST, PREDICTIONS, TABLE]
    reader.copy_from(maker, part)
    assert reader.restore() == Restored(3, 0, [])
    assert_as_published(reader, maker, part)
    os.utime(reader.results.ledger)
    assert reader.restore() == reader.restore() == Restored(0, 3, [])
    reader.copy_from(maker)
    assert reader.restore() == Restored(3, 3, [])
    assert_as_published(reader, maker)


def test_absent_files_have_records_without_which_snakemake_compares_nothing(tmp_path: Path, maker: Clone) -> None:
    reader = Clone(tmp_path / "part")
    reader.copy_from(maker, [TABLE, PREDICTIONS])
    for _ in range(2):
        reader.restore()
        assert {path: reader.record(path) for path in FILES} == {path: maker.record(path) for path in FILES}
        record_path(reader.root, HISTORY).unlink()


def test_records_of_a_job_that_was_done_here_stay_whatever_of_its_outputs_was_deleted(restored: Clone) -> None:
    restored.job("train", code="v2")
    own = restored.record(HISTORY)
    restored.delete(HISTORY)
    restored.restore()
    os.utime(restored.results.ledger)  # as if it were another one
    restored.restore()
    assert restored.record(HISTORY) == own
    restored.delete(PREDICTIONS)
    assert restored.restore().gone == [PREDICTIONS]
    assert restored.record(HISTORY) == own


# --- Versions of a set ---


def next_version(maker: Clone) -> Clone:
    """The maker's set after a change: trained and printed anew, of which the history has equal bytes."""
    second = maker.copy(maker.root.with_name("second"))
    second.job("train", code="v2")
    second.write(HISTORY, (maker.root / HISTORY).read_bytes(), second.record(HISTORY)["endtime"])
    second.job("table", LATER + 20, "v2")
    second.write_down()
    return second


def test_versions_of_a_set_replace_one_another(reader: Clone, maker: Clone) -> None:
    second = next_version(maker)
    for version in (maker, second, maker, second):
        reader.copy_from(version)
        assert reader.restore().gone == []
        for path in FILES:
            assert making(reader.record(path)) == making(version.record(path)), path
        assert_as_published(reader, version, [TABLE, PREDICTIONS])
        assert reader.restore() == Restored(0, len(FILES), [])


def test_records_of_absent_files_follow_the_version_of_the_set(reader: Clone, maker: Clone) -> None:
    second = next_version(maker)
    reader.restore()
    reader.delete(HISTORY)
    for version in (second, maker, second):
        reader.copy_from(version, [path for path in FILES if path != HISTORY])
        reader.restore()
        assert making(reader.record(HISTORY)) == making(version.record(HISTORY))


def test_equal_bytes_get_the_record_of_the_version_that_came(restored: Clone, maker: Clone) -> None:
    second = next_version(maker)
    shutil.rmtree(restored.results.state)
    restored.copy_from(second)
    restored.restore()
    assert restored.record(HISTORY) == second.record(HISTORY)


def test_an_earlier_version_of_a_file_sends_to_fetch_and_a_later_one_stays(restored: Clone, maker: Clone) -> None:
    second = next_version(maker)
    restored.copy_from(second, [TABLE])
    before = restored.state()
    with pytest.raises(UserError) as raised:
        restored.restore()
    assert str(raised.value).splitlines() == [
        "results/demo: 1 file is not what was published:",
        f"  {PREDICTIONS}: an earlier version, get the published one with `keep fetch demo`",
        "run `keep fetch demo`, or delete what is named here to have it computed again.",
    ]
    assert restored.state() == before
    truncate(restored.root / CARD)
    with pytest.raises(UserError, match=r"run `keep repair demo`, or delete"):
        restored.restore()
    restored.copy_from(second)
    restored.restore()
    restored.copy_from(maker, [TABLE])
    restored.restore()
    assert_as_published(restored, maker, [TABLE])
    assert restored.record(PREDICTIONS) == second.record(PREDICTIONS)


# --- What was made here and is not published ---


def test_records_that_were_deleted_come_back_where_the_bytes_are_the_same(tmp_path: Path) -> None:
    made = Clone(tmp_path).run_all()
    remember_own(made.results, FILES)
    own, time = made.record(TABLE), made.time(TABLE)
    shutil.rmtree(made.root / ".snakemake")
    os.utime(made.root / TABLE)
    made.damage(INDEX)
    made.delete(HISTORY)
    assert made.restore() == Restored(0, 0, [], own=len(FILES) - 2)
    assert (made.record(TABLE), made.time(TABLE)) == (own, pytest.approx(time, abs=1e-5))
    assert not record_path(made.root, INDEX).exists(), "it is not what was made"
    assert made.restore() == Restored(0, 0, [])


def test_beside_a_published_set_they_come_back_too(restored: Clone) -> None:
    extra = "results/demo/papers/table2.md"
    restored.write(extra, b"mine", LATER)
    write_record(restored.root, extra, record_of("table", "v1") | {"starttime": LATER - 1, "endtime": LATER})
    remember_own(restored.results, [*FILES, extra])
    for quick in (True, False):
        record_path(restored.root, extra).unlink()
        if not quick:
            os.utime(restored.results.ledger)
        assert restored.restore() == Restored(0, len(FILES), [], own=1)
        assert restored.record(extra)["endtime"] == LATER


# --- What is remembered ---


def test_a_second_call_reads_neither_ledger_nor_files(
    restored: Clone, monkeypatch: pytest.MonkeyPatch, read_files: list[str]
) -> None:
    monkeypatch.setattr(restoring, "read_ledger", lambda results: pytest.fail("the ledger was read"))
    before = restored.state()
    assert restored.restore() == Restored(0, len(FILES), [])
    assert restored.state() == before
    assert read_files == []


def test_only_changed_files_are_read(restored: Clone, read_files: list[str]) -> None:
    os.utime(restored.root / INDEX)
    os.utime(restored.results.ledger)
    restored.restore()
    assert read_files == [Path(INDEX).name]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"ledger": [1, 2], "files": {"a": [1]}}', '{"ledger": null}'])
def test_a_broken_memory_vouches_for_nothing(restored: Clone, maker: Clone, content: str) -> None:
    memory_file(restored.results).write_text(content)
    os.utime(restored.root / TABLE)
    assert restored.restore() == Restored(1, len(FILES) - 1, [])
    assert_as_published(restored, maker)


# --- Interruptions and obstacles ---


class Killed(BaseException):
    """The end of the process."""


@pytest.mark.parametrize("survived", range(0, 3 * len(FILES), 2))
def test_a_call_that_was_killed_is_finished_by_the_next(
    reader: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    reader.delete(HISTORY)
    whole = reader.copy(tmp_path / "whole")
    whole.restore()
    done: list[str] = []

    def until_killed(name: str, function: Callable[..., None]) -> Callable[..., None]:
        def write(*arguments: Any, **named: Any) -> None:
            if len(done) == survived:
                raise Killed
            done.append(name)
            function(*arguments, **named)

        return write

    with monkeypatch.context() as patch:
        for module, name in ((restoring, "write_record"), (os, "utime"), (restoring, "write_memory")):
            patch.setattr(module, name, until_killed(name, getattr(module, name)))
        try:
            reader.restore()
        except Killed:
            assert not memory_file(reader.results).exists(), "it is written last"
        else:
            assert done[-1] == "write_memory" and survived >= 2 * len(FILES)
    reader.restore()
    assert reader.state() == whole.state()
    assert reader.restore() == Restored(0, len(FILES) - 1, [])


def test_a_link_gets_the_time_and_its_target_does_not(reader: Clone, maker: Clone, tmp_path: Path) -> None:
    cached = tmp_path / "cache" / "object"
    cached.parent.mkdir()
    (reader.root / INDEX).rename(cached)
    cached.chmod(0o444)
    (reader.root / INDEX).symlink_to(cached)
    time = cached.stat().st_mtime
    assert reader.restore() == Restored(len(FILES), 0, [])
    assert cached.stat().st_mtime == time
    assert_as_published(reader, maker)
    assert reader.restore() == Restored(0, len(FILES), [])
    reader.delete(INDEX)
    (reader.root / INDEX).symlink_to(maker.root / TABLE)
    with pytest.raises(UserError, match=rf"{INDEX}: \d+ bytes, recorded"):
        reader.restore()


def test_files_of_others_keep_their_time(reader: Clone, maker: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    utime = os.utime

    def refuse(path: Path, *arguments: Any, **named: Any) -> None:
        if path.name == Path(INDEX).name:
            raise PermissionError(1, "Operation not permitted")
        utime(path, *arguments, **named)

    monkeypatch.setattr(os, "utime", refuse)
    assert reader.restore().restored == len(FILES)
    assert reader.record(INDEX) == maker.record(INDEX)
    assert_as_published(reader, maker, [path for path in FILES if path != INDEX])
    assert reader.restore() == Restored(0, len(FILES), [])


def test_a_file_that_cannot_be_read_is_named(reader: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: Any, digest: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(file_tools.hashlib, "file_digest", fail)
    before = reader.state()
    with pytest.raises(UserError, match=r"^\S+: cannot be read \(Input/output error\); fix permissions or delete it\."):
        reader.restore()
    assert reader.state() == before
