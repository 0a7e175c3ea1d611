"""Who drives a checkout, and whose lock may be taken away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from avbalance.provenance import drivers
from avbalance.provenance.records import incomplete_files, record_path, write_record

NOTE = (
    "note: the lock of a snakemake that was killed (process {}) is taken away; "
    "unfinished jobs go on from their saved state."
)
# Registers, says so, and ends when a line comes in.
DRIVER = """
import sys
from pathlib import Path
from avbalance.provenance import drivers
drivers.register(Path(sys.argv[1]))
print("registered", flush=True)
sys.stdin.readline()
"""


@contextmanager
def driver(root: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has registered."""
    command = [sys.executable, "-c", DRIVER, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "registered\n"
            yield process
        finally:
            process.kill()


def killed_driver(root: Path) -> int:
    """The number of a process that registered and was killed with no chance to clean up."""
    with driver(root) as process:
        process.kill()
        process.wait()
    return process.pid


def lock(root: Path, number: int = 0) -> Path:
    """A lock file as Snakemake leaves it."""
    path = root / ".snakemake" / "locks" / f"{number}.output.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("results/demo/table1.csv\n")
    return path


def entries(root: Path) -> list[Path]:
    return sorted((root / ".avbalance" / "drivers").glob("*"))


def alter(root: Path, **facts: Any) -> None:
    """Change the facts in the only entry, without changing its time."""
    (path,) = entries(root)
    times = path.stat()
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_an_entry_lives_as_long_as_its_process_and_goes_when_that_ends_of_itself(tmp_path: Path) -> None:
    assert drivers.alone(tmp_path)
    with driver(tmp_path) as process:
        (path,) = entries(tmp_path)
        assert str(process.pid) in path.name
        assert not drivers.alone(tmp_path)
        process.communicate("end\n")
    assert entries(tmp_path) == []
    assert drivers.alone(tmp_path)


def test_a_forked_child_does_not_take_its_parents_entry_along(tmp_path: Path) -> None:
    script = DRIVER.replace("sys.stdin.readline()", "import os; child = os.fork(); child or sys.exit(0); os.wait()")
    script += "print(len(list(Path(sys.argv[1]).rglob('*.json'))), flush=True)\n"
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "1"


def test_one_is_alone_with_ones_own_entry(tmp_path: Path) -> None:
    script = DRIVER.replace("sys.stdin.readline()", "print(drivers.alone(Path(sys.argv[1])))")
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["registered", "True"]


def test_the_lock_of_a_dead_process_is_taken_away(tmp_path: Path) -> None:
    with driver(tmp_path) as process:
        locks = [lock(tmp_path), lock(tmp_path, 1)]
    assert entries(tmp_path)
    assert drivers.release_dead_locks(tmp_path) == NOTE.format(process.pid)
    assert not any(path.exists() for path in locks)
    assert entries(tmp_path) == []
    assert drivers.release_dead_locks(tmp_path) is None


def test_files_that_a_killed_run_made_without_a_record_are_made_again(tmp_path: Path) -> None:
    """Killed between the start of a job and the mark of its outputs, Snakemake leaves a job that ends unmarked."""
    folder = tmp_path / "results" / "demo"
    folder.mkdir(parents=True)
    names = ["recorded.csv", "unrecorded.csv", "half-recorded.csv", "unlisted.csv"]
    for name in names:
        (folder / name).write_text("1")
    record = {"rule": "table", "starttime": 1.0, "endtime": 2.0}
    write_record(tmp_path, "results/demo/recorded.csv", record)
    record_path(tmp_path, "results/demo/half-recorded.csv").write_text('{"rule": "ta')
    with driver(tmp_path):
        lock(tmp_path).write_text("".join(f"results/demo/{name}\n" for name in [*names[:3], "absent.csv"]))
        (tmp_path / ".snakemake" / "locks" / "0.input.lock").write_text("results/demo/unlisted.csv\n")
    assert drivers.release_dead_locks(tmp_path) is not None
    assert incomplete_files(tmp_path) == ["results/demo/half-recorded.csv", "results/demo/unrecorded.csv"]


def test_without_a_lock_a_dead_entry_is_only_removed(tmp_path: Path) -> None:
    killed_driver(tmp_path)
    assert drivers.release_dead_locks(tmp_path) is None
    assert entries(tmp_path) == []


def test_the_lock_of_a_living_process_stays(tmp_path: Path) -> None:
    with driver(tmp_path):
        path = lock(tmp_path)
        assert drivers.release_dead_locks(tmp_path) is None
        assert path.exists()
        assert len(entries(tmp_path)) == 1


def test_a_lock_that_a_dead_or_a_living_process_may_hold_stays_until_both_are_dead(tmp_path: Path) -> None:
    dead = killed_driver(tmp_path)
    with driver(tmp_path) as living:
        path = lock(tmp_path)
        assert drivers.release_dead_locks(tmp_path) is None
        assert path.exists()
    note = drivers.release_dead_locks(tmp_path)
    assert note == NOTE.format(", ".join(str(pid) for pid in sorted((dead, living.pid))))
    assert not path.exists()


def test_a_process_that_came_after_the_lock_does_not_keep_it(tmp_path: Path) -> None:
    dead = killed_driver(tmp_path)
    path = lock(tmp_path)
    time.sleep(0.05)  # coarser than the clock of any file system in use
    with driver(tmp_path):
        assert drivers.release_dead_locks(tmp_path) == NOTE.format(dead)
    assert not path.exists()


def test_a_lock_of_a_snakemake_that_never_registered_stays(tmp_path: Path) -> None:
    alone = lock(tmp_path)
    assert drivers.release_dead_locks(tmp_path) is None
    time.sleep(0.05)
    killed_driver(tmp_path)  # it came later: the lock is not its own
    assert drivers.release_dead_locks(tmp_path) is None
    assert alone.exists()


def test_a_number_that_another_process_bears_by_now_is_a_dead_process(tmp_path: Path) -> None:
    dead = killed_driver(tmp_path)
    path = lock(tmp_path)
    alter(tmp_path, pid=os.getppid())  # lives, but was not started when the entry's process was
    assert drivers.alone(tmp_path)
    assert drivers.release_dead_locks(tmp_path) == NOTE.format(os.getppid())
    assert not path.exists()
    assert dead != os.getppid()


def test_after_a_restart_of_the_machine_every_process_is_dead(tmp_path: Path) -> None:
    with driver(tmp_path) as process:
        path = lock(tmp_path)
        alter(tmp_path, boot="before", space="another")
        assert drivers.alone(tmp_path)
        assert drivers.release_dead_locks(tmp_path) == NOTE.format(process.pid)
    assert not path.exists()


@pytest.mark.parametrize("facts", [{"host": "elsewhere"}, {"space": "another container"}])
def test_what_cannot_be_judged_is_believed(tmp_path: Path, facts: dict[str, str]) -> None:
    killed_driver(tmp_path)
    alter(tmp_path, **facts)
    path = lock(tmp_path)
    assert not drivers.alone(tmp_path)
    assert drivers.release_dead_locks(tmp_path) is None
    assert path.exists()
    os.utime(entries(tmp_path)[0], (0, 0))  # as long as there is a lock, however old
    assert drivers.release_dead_locks(tmp_path) is None
    assert path.exists()


def test_a_foreign_entry_without_a_lock_is_forgotten_after_an_hour(tmp_path: Path) -> None:
    killed_driver(tmp_path)
    alter(tmp_path, host="elsewhere")
    drivers.release_dead_locks(tmp_path)
    assert entries(tmp_path)
    os.utime(entries(tmp_path)[0], (time.time() - 3700,) * 2)
    drivers.release_dead_locks(tmp_path)
    assert entries(tmp_path) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_what_is_no_entry_is_passed_over(tmp_path: Path, content: str) -> None:
    folder = tmp_path / ".avbalance" / "drivers"
    folder.mkdir(parents=True)
    (folder / "host-1.json").write_text(content)
    path = lock(tmp_path)
    assert drivers.alone(tmp_path)
    assert drivers.release_dead_locks(tmp_path) is None
    assert path.exists()


def test_without_proc_the_start_comes_from_ps(monkeypatch: pytest.MonkeyPatch) -> None:
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: not str(path).startswith("/proc") and exists(path))
    try:
        mine, parents = drivers._started(os.getpid()), drivers._started(os.getppid())
    except FileNotFoundError:
        pytest.skip("there is no program ps")
    assert mine is not None
    assert parents is not None
    assert len(mine.split()) == 5  # Sat Nov 21 11:04:29 2026
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert drivers._started(gone.pid) is None
