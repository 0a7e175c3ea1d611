"""Which snakemakes work in a checkout, and whose lock may be taken away."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import Other, other

from flowkeeper import drivers
from flowkeeper.records import incomplete_files, record_path, write_record

NOTE = (
    "note: the lock of a snakemake that was killed (process {}) is taken away; "
    "unfinished jobs go on from their saved state."
)
# Registers, says so, and ends when a line comes in.
DRIVER = """
import sys
from pathlib import Path
from flowkeeper import drivers
drivers.register(Path(sys.argv[1]))
print("registered", flush=True)
sys.stdin.readline()
"""


def folder(root: Path) -> Path:
    return root / "drivers"


def entries(root: Path) -> list[Path]:
    return sorted(folder(root).glob("*"))


def alone(root: Path) -> bool:
    return drivers.alone(folder(root))


def release(root: Path) -> str | None:
    return drivers.release_dead_locks(root, folder(root))


@contextmanager
def driver(root: Path) -> Iterator[Other]:
    """Another process that has registered."""
    with other(DRIVER, folder(root)) as process:
        assert process.heard() == "registered"
        yield process


def killed_driver(root: Path) -> int:
    """The number of a process that registered and was killed with no chance to clean up."""
    with driver(root) as process:
        process.kill()
    return process.pid


def lock(root: Path, number: int = 0) -> Path:
    """A lock file as Snakemake leaves it."""
    path = root / ".snakemake" / "locks" / f"{number}.output.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("results/demo/table1.csv\n")
    return path


def move_elsewhere(root: Path) -> Path:
    """Let the only entry be that of a process on another machine, without changing its time."""
    (path,) = entries(root)
    return path.rename(path.with_name(f"else-where-{path.name.rsplit('-', 2)[1]}-0123abcd.lock"))


def test_an_entry_lives_as_long_as_its_process_and_goes_when_that_ends_of_itself(tmp_path: Path) -> None:
    assert alone(tmp_path)
    with driver(tmp_path) as process:
        (path,) = entries(tmp_path)
        assert str(process.pid) in path.name
        assert not alone(tmp_path)
        process.process.communicate("end\n")
    assert entries(tmp_path) == []
    assert alone(tmp_path)


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("import os; os.fork() or sys.exit(0); os.wait(); print(len(list(Path(sys.argv[1]).iterdir())))", "1"),
        ("print(drivers.alone(Path(sys.argv[1])), drivers.alone())", "True True"),
    ],
    ids=["a forked child does not take the entry along", "alone with the own entry"],
)
def test_an_entry_of_ones_own(tmp_path: Path, last: str, said: str) -> None:
    script = DRIVER.replace("sys.stdin.readline()", last)
    with other(script, folder(tmp_path)) as process:
        assert [process.heard(), process.heard()] == ["registered", said]


def test_who_registered_knows_of_others_without_being_told_where(tmp_path: Path) -> None:
    script = DRIVER.replace("sys.stdin.readline()", "print(drivers.alone())")
    with driver(tmp_path), other(script, folder(tmp_path)) as process:
        assert [process.heard(), process.heard()] == ["registered", "False"]


def test_the_lock_of_a_dead_process_is_taken_away(tmp_path: Path) -> None:
    with driver(tmp_path) as process:
        locks = [lock(tmp_path), lock(tmp_path, 1)]
        assert release(tmp_path) is None
        assert all(path.exists() for path in locks), "it lives"
    assert release(tmp_path) == NOTE.format(process.pid)
    assert not any(path.exists() for path in locks)
    assert entries(tmp_path) == []
    assert release(tmp_path) is None


def test_files_that_a_killed_run_made_without_a_record_are_made_again(tmp_path: Path) -> None:
    """Killed between the start of a job and the mark of its outputs, Snakemake leaves a job that ends unmarked."""
    made = tmp_path / "results" / "demo"
    made.mkdir(parents=True)
    names = ["recorded.csv", "unrecorded.csv", "half-recorded.csv", "unlisted.csv"]
    for name in names:
        (made / name).write_text("1")
    record = {"rule": "table", "starttime": 1.0, "endtime": 2.0}
    write_record(tmp_path, "results/demo/recorded.csv", record)
    record_path(tmp_path, "results/demo/half-recorded.csv").write_text('{"rule": "ta')
    with driver(tmp_path):
        lock(tmp_path).write_text("".join(f"results/demo/{name}\n" for name in [*names[:3], "absent.csv"]))
        (tmp_path / ".snakemake" / "locks" / "0.input.lock").write_text("results/demo/unlisted.csv\n")
    assert release(tmp_path) is not None
    assert incomplete_files(tmp_path) == ["results/demo/half-recorded.csv", "results/demo/unrecorded.csv"]


def test_without_a_lock_a_dead_entry_is_only_removed(tmp_path: Path) -> None:
    killed_driver(tmp_path)
    assert release(tmp_path) is None
    assert entries(tmp_path) == []


def test_a_lock_that_a_dead_or_a_living_process_may_hold_stays_until_both_are_dead(tmp_path: Path) -> None:
    dead = killed_driver(tmp_path)
    with driver(tmp_path) as living:
        path = lock(tmp_path)
        assert release(tmp_path) is None
        assert path.exists()
    assert release(tmp_path) == NOTE.format(", ".join(str(pid) for pid in sorted((dead, living.pid))))
    assert not path.exists()


def test_a_process_that_came_after_the_lock_does_not_keep_it(tmp_path: Path) -> None:
    dead = killed_driver(tmp_path)
    path = lock(tmp_path)
    time.sleep(0.05)  # coarser than the clock of any file system in use
    with driver(tmp_path):
        assert release(tmp_path) == NOTE.format(dead)
    assert not path.exists()


def test_a_lock_of_a_snakemake_that_never_registered_stays(tmp_path: Path) -> None:
    path = lock(tmp_path)
    assert release(tmp_path) is None
    time.sleep(0.05)
    killed_driver(tmp_path)  # it came later: the lock is not its own
    assert release(tmp_path) is None
    assert path.exists()


def test_a_process_of_another_machine_is_believed_as_long_as_there_is_a_lock(tmp_path: Path) -> None:
    killed_driver(tmp_path)
    entry = move_elsewhere(tmp_path)
    path = lock(tmp_path)
    os.utime(entry, (0, 0))  # however old
    assert not alone(tmp_path)
    assert release(tmp_path) is None
    assert path.exists() and entry.exists()
    path.unlink()
    os.utime(entry)
    release(tmp_path)
    assert entry.exists(), "it may be planning"
    os.utime(entry, (time.time() - 3700,) * 2)
    release(tmp_path)
    assert entries(tmp_path) == []


@pytest.mark.parametrize("name", ["x.lock", "host-pid-mark.lock", "host-1.json"])
def test_what_is_no_entry_is_passed_over(tmp_path: Path, name: str) -> None:
    folder(tmp_path).mkdir()
    (folder(tmp_path) / name).touch()
    path = lock(tmp_path)
    assert alone(tmp_path)
    assert release(tmp_path) is None
    assert path.exists()
