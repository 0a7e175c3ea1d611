"""One writer at a time, and the one that came last writes last."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from processes import Other, other

from flowkeeper.errors import UserError
from flowkeeper.writers import only_writer

# Writes argument 2 and onwards, with the locks in argument 1; at every line that comes in it looks for later ones.
WRITER = """
import logging, sys
from pathlib import Path
from flowkeeper.errors import UserError
from flowkeeper.writers import only_writer
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
try:
    with only_writer([Path(path) for path in sys.argv[2:]], Path(sys.argv[1])) as mine:
        print("at work", flush=True)
        for line in sys.stdin:
            if line == "end\\n":
                break
            mine.check()
            print("still", flush=True)
    print("done", flush=True)
except UserError as error:
    print(error, flush=True)
"""
WAITING = "waiting: another process still makes the same files"
OVER = "a later snakemake has started this step again; it goes on from what is saved."


def writer(folder: Path, *paths: Path) -> AbstractContextManager[Other]:
    return other(WRITER, folder, *paths)


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    return tmp_path / "locks"


def test_a_later_writer_of_one_of_the_files_waits_and_the_first_learns_of_it(locks: Path, tmp_path: Path) -> None:
    a, b, c = (tmp_path / name for name in "abc")
    with writer(locks, a, b) as first:
        assert first.heard() == "at work"
        assert first.tell("look") == "still"
        with writer(locks, c, b) as second:
            assert second.heard() == WAITING
            assert first.tell("look") == OVER
            assert second.heard() == "at work"
            assert second.tell("end") == "done"


def test_a_writer_that_does_not_look_ends_its_work_first(locks: Path, tmp_path: Path) -> None:
    with writer(locks, tmp_path / "a") as first:
        assert first.heard() == "at work"
        with writer(locks, tmp_path / "a") as second:
            assert second.heard() == WAITING
            assert first.tell("end") == "done"
            assert second.heard() == "at work"


def test_of_several_who_wait_only_the_last_one_writes(locks: Path, tmp_path: Path) -> None:
    with writer(locks, tmp_path / "a") as first:
        assert first.heard() == "at work"
        with writer(locks, tmp_path / "a") as second:
            assert second.heard() == WAITING
            with writer(locks, tmp_path / "a") as third:
                assert third.heard() == WAITING
                first.tell("end")
                assert third.heard() == "at work"
                assert third.tell("end") == "done"
                assert second.heard() == OVER


def test_nobody_waits_for_the_dead_or_for_writers_of_other_files(locks: Path, tmp_path: Path) -> None:
    with writer(locks, tmp_path / "a") as first, writer(locks, tmp_path / "b") as second:
        assert first.heard() == "at work"
        assert second.heard() == "at work"
        first.kill()
        with writer(locks, tmp_path / "a") as third:
            assert third.heard() == "at work"


def test_one_file_is_meant_however_it_is_called(locks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    with writer(locks, tmp_path / "results" / "a") as first:
        assert first.heard() == "at work"
        with writer(locks, Path("link/results/b/../a")) as second:
            assert second.heard() == WAITING


def test_locks_that_cannot_be_had_end_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file where a folder should be")
    sentence = r"locks: cannot be written \(.+\); free the disk or fix permissions\.$"
    with pytest.raises(UserError, match=sentence), only_writer([tmp_path / "a"], tmp_path / "locks"):
        pass
