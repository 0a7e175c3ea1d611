"""Files that appear whole or not at all, and what is said when the disk refuses them."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from processes import Other, other

from flowkeeper.errors import UserError
from flowkeeper.files import atomic_path, check_writable, exclusive, place_copy

SENTENCE = r"^\S+table\.csv: cannot be written \(.+\); (free the disk or fix permissions)\.$"
Usage = namedtuple("Usage", "total used free")


# Writes argument 1 many times, letter by letter, and fails when another writer was at the same temporary file.
MANY = """
import sys
from flowkeeper.files import atomic_path
for attempt in range(100):
    with atomic_path(sys.argv[1]) as temporary:
        with open(temporary, "w") as handle:
            for _ in range(1000):
                handle.write(sys.argv[2])
        assert temporary.read_text() == sys.argv[2] * 1000
"""


def write(path: Path, failure: BaseException | None = None) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        if failure is not None:
            raise failure


def test_a_file_appears_whole_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "table.csv"
    write(path)
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["table.csv"]


@pytest.mark.parametrize(
    "failure", [RuntimeError("in the code"), KeyboardInterrupt("stopped"), UserError("a wrong row.")]
)
def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(type(failure), match=str(failure)):
        write(path, failure)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_what_a_killed_writer_left_is_taken_over_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".table.csv.partial").write_text("half of it, longer than the new content")
    write(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "new"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_new_file_has_the_rights_that_the_user_gives(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write(tmp_path / "table.csv")
    finally:
        os.umask(mask)
    assert (tmp_path / "table.csv").stat().st_mode & 0o777 == 0o640


def test_many_writers_of_one_file_never_meet(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    writers = [subprocess.Popen([sys.executable, "-c", MANY, str(path), mark]) for mark in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert path.read_text() in ("a" * 1000, "b" * 1000)
    assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM])
def test_a_refusing_disk_ends_in_one_sentence(tmp_path: Path, number: int) -> None:
    path = tmp_path / "table.csv"
    with pytest.raises(UserError, match=SENTENCE) as raised:
        write(path, OSError(number, os.strerror(number)))
    assert os.strerror(number) in str(raised.value)
    assert os.listdir(tmp_path) == []


def test_a_disk_that_is_full_only_when_the_bytes_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UserError, match=SENTENCE):
        write(tmp_path / "table.csv")
    assert os.listdir(tmp_path) == []


# What torch, NumPy and safetensors say of a full disk: none has an error number, the last one makes room at once.
UNNUMBERED = [
    (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"), 0),
    (OSError("100000 requested and 8176 written"), 4096),
    (Exception("Error while serializing: I/O error: No space left on device (os error 28)"), 1 << 30),
]


@pytest.mark.parametrize(("failure", "free"), UNNUMBERED)
def test_a_full_disk_behind_a_library_ends_in_the_same_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, free: int
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(1 << 31, (1 << 31) - free, free))
    with pytest.raises(UserError, match=SENTENCE):
        write(tmp_path / "table.csv", failure)


@pytest.mark.parametrize("failure", [failure for failure, free in UNNUMBERED if free < 1 << 20])
def test_the_same_errors_on_a_roomy_disk_stay_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(1 << 31, 0, 1 << 31))
    with pytest.raises(type(failure)) as raised:
        write(tmp_path / "table.csv", failure)
    assert raised.value is failure


def test_folders_are_asked_before_work_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable(tmp_path / "results" / "demo")
    assert os.listdir(tmp_path) == []
    (tmp_path / "a file").write_text("where a folder should be")
    with pytest.raises(UserError, match=r"a file: cannot be written to; fix permissions"):
        check_writable(tmp_path / "a file" / "demo")
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(UserError, match=rf"^{tmp_path}: cannot be written to; fix permissions"):
        check_writable(tmp_path / "results" / "demo")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=SENTENCE):
        write(tmp_path / "results" / "table.csv")


def test_a_copy_may_have_a_name_of_full_length(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("new")
    place_copy(tmp_path / "source", tmp_path / "a" / ("n" * 255))
    assert (tmp_path / "a" / ("n" * 255)).read_text() == "new"
    assert os.listdir(tmp_path / "a") == ["n" * 255]


# Argument 1: the lock file. Says "held" when it has the lock, keeps it until a line comes in, then says "left".
HOLDER = """
import logging, sys
from flowkeeper.files import exclusive
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
with exclusive(sys.argv[1], "counts sheep"):
    print("held", flush=True)
    sys.stdin.readline()
    print("left", flush=True)
"""


def another_process(lock: Path) -> AbstractContextManager[Other]:
    return other(HOLDER, lock)


def test_a_second_process_says_that_it_waits_and_goes_on_when_the_first_has_left(tmp_path: Path) -> None:
    lock = tmp_path / "locks" / "sheep.lock"
    with another_process(lock) as first:
        assert first.heard() == "held"
        with another_process(lock) as second:
            assert second.heard() == "waiting: another process counts sheep"
            assert first.tell("go") == "left"
            assert second.heard() == "held"
    assert lock.exists()


def test_nobody_waits_for_a_process_that_was_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lock = tmp_path / "sheep.lock"
    with another_process(lock) as holder, caplog.at_level(logging.INFO):
        assert holder.heard() == "held"
        with exclusive(lock, "counts sheep", wait=False) as alone:
            assert not alone
        holder.kill()
        with exclusive(lock, "counts sheep") as alone:
            assert alone
    assert caplog.messages == []


def test_a_failure_inside_the_block_releases_the_lock_and_stays_what_it_is(tmp_path: Path) -> None:
    failure = OSError(errno.ENOENT, "gone")
    with pytest.raises(OSError) as raised, exclusive(tmp_path / "sheep.lock", "counts sheep"):
        raise failure
    assert raised.value is failure
    with another_process(tmp_path / "sheep.lock") as process:
        assert process.heard() == "held"


def test_a_lock_that_cannot_be_had_ends_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file where a folder should be")
    sentence = r"sheep\.lock: cannot be locked \(.+\); fix permissions"
    with pytest.raises(UserError, match=sentence), exclusive(tmp_path / "locks" / "sheep.lock", "counts sheep"):
        pass
