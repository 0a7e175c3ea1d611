"""Files that appear whole or not at all, and what is said when the disk refuses them."""

from __future__ import annotations

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from avbalance import cli
from avbalance.errors import UserError
from avbalance.files import atomic_path

SENTENCE = r"^\S+table\.csv: cannot be written \(.+\); (free the disk or mend the rights)\.$"
Usage = namedtuple("Usage", "total used free")


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


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES])
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


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=SENTENCE):
        write(tmp_path / "results" / "table.csv")


def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user (root) may write everywhere: a read-only folder cannot be tried")
        with pytest.raises(UserError, match=SENTENCE):
            write(tmp_path / "table.csv")
    finally:
        tmp_path.chmod(0o700)


def test_the_command_line_says_it_in_one_sentence_wherever_it_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results/smoke")

    monkeypatch.setattr(cli, "_methods", refuse)
    assert cli.main(["methods"]) == 2
    assert capsys.readouterr().err == (
        f"error: results/smoke: {os.strerror(errno.ENOSPC)}; free the disk or mend the rights.\n"
    )


def test_the_command_line_hides_no_other_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(options: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "gone", "somewhere")

    monkeypatch.setattr(cli, "_methods", fail)
    with pytest.raises(FileNotFoundError):
        cli.main(["methods"])
