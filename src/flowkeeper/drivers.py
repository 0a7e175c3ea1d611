"""Which snakemakes work in a checkout: each holds a lock file, so that Snakemake's own lock of a dead one can be told.

Snakemake's lock files name the files of a run but not the process that runs. After `kill -9` they stay and every later
snakemake refuses to work until a person unlocks. Here each main process holds drivers/<host>-<pid>-<mark>.lock in the
state folder and removes it at its end; one that nobody holds is that of a killed snakemake. A lock of Snakemake's can
only belong to a process that came before it, so the times of the two files, given by one file system, say whose it may
be. Whether another machine's process holds a file is not known on every disk; it is taken for alive.
"""

from __future__ import annotations

import atexit
import os
import socket
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from flowkeeper.errors import UserError
from flowkeeper.records import mark_incomplete, read_record

_LOCKS = Path(".snakemake/locks")
_BELIEVED_S = 3600.0  # how long a process of another machine is believed while it holds no lock: planning takes less
_registered: list[FileLock] = []  # the lock file of this process


@dataclass(frozen=True)
class Driver:
    """Another main process of Snakemake, by its lock file; since: when it came (s)."""

    path: Path
    since: float

    @property
    def pid(self) -> int:
        return int(self.path.stem.rsplit("-", 2)[1])

    @property
    def here(self) -> bool:
        """Whether it is, or was, on this machine."""
        return self.path.stem.rsplit("-", 2)[0] == socket.gethostname()

    def lives(self) -> bool:
        """Whether it lives, or cannot be judged from here."""
        lock = FileLock(self.path, fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except (Timeout, OSError):
            return True
        lock.release()
        return not self.here

    def believed(self, locked: bool) -> bool:
        """Whether it is taken for living; one of another machine only while there are locks, or for a while."""
        return self.lives() and (locked or self.here or time.time() - self.since < _BELIEVED_S)


def register(folder: Path) -> None:
    """Hold a lock file in `folder` for as long as this process lives; raises UserError when the disk refuses."""
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.lock"
    lock = FileLock(folder.absolute() / name, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise UserError(
            f"{folder / name}: cannot be locked ({error.strerror}); mend the rights, or work on a disk that knows"
            " locks."
        ) from error
    _registered.append(lock)
    atexit.register(_leave, Path(lock.lock_file), os.getpid())


def _leave(path: Path, pid: int) -> None:
    if os.getpid() == pid:  # a forked child inherits the call
        path.unlink(missing_ok=True)


def alone(folder: Path | None = None) -> bool:
    """Whether no other registered process lives, or may live, in the checkout whose drivers lie in `folder`.

    Without a folder it is the one in which this process registered; one that did not is taken for alone.
    """
    if folder is None:
        folder = Path(_registered[0].lock_file).parent if _registered else None
    return folder is None or not any(driver.lives() for driver in _others(folder))


def release_dead_locks(root: Path, folder: Path) -> str | None:
    """Delete the lock files that only dead processes can have made; returns what was done in one sentence, or None.

    Kept are locks that a living process, or one that cannot be judged from here, may hold, and locks older than every
    driver: these belong to a snakemake that never registered, of which Snakemake itself speaks. What dead processes
    left in `folder` is removed.
    """
    locks, others = _locks(root), _others(folder)
    alive = [driver for driver in others if driver.believed(bool(locks))]
    dead = [driver for driver in others if driver not in alive]
    kept = {
        lock
        for lock, made in locks.items()
        if any(driver.since <= made for driver in alive) or not any(driver.since <= made for driver in dead)
    }
    for lock in locks.keys() - kept:
        _give_up(root, lock)
    released = []
    for driver in dead:
        own = {lock for lock, made in locks.items() if driver.since <= made}
        if own - kept:
            released.append(driver.pid)
        if not own & kept:
            driver.path.unlink(missing_ok=True)
    if not released:
        return None
    return (
        f"note: the lock of a snakemake that was killed (process {', '.join(map(str, sorted(released)))}) is taken"
        " away; unfinished jobs go on from their saved state."
    )


def _locks(root: Path) -> dict[Path, float]:
    """Snakemake's lock files and when they were made."""
    times = {}
    for path in (root / _LOCKS).glob("*.lock"):
        with suppress(FileNotFoundError):  # its snakemake ends at this moment
            times[path] = path.stat().st_mtime
    return times


def _give_up(root: Path, lock: Path) -> None:
    """Delete the lock file of a killed run; files that it made and left without a record are to be made again.

    Snakemake starts a job and then marks its outputs as unfinished. Killed in between, it leaves a job that ends
    unmarked: its files would count as finished, and without a record no later change of settings would be noticed.
    """
    if lock.name.endswith(".output.lock"):
        with suppress(FileNotFoundError):  # another snakemake does the same at this moment
            for path in lock.read_text(encoding="utf-8").splitlines():
                if (root / path).exists() and read_record(root, path) is None:
                    mark_incomplete(root, path)
    lock.unlink(missing_ok=True)


def _others(folder: Path) -> list[Driver]:
    """Every registered process but this one; what is no lock file of a driver is passed over."""
    own = {Path(lock.lock_file) for lock in _registered}
    drivers = []
    for path in sorted(folder.absolute().glob("*-*-*.lock")):
        with suppress(OSError, ValueError):  # ended at this moment; no driver's
            driver = Driver(path, path.stat().st_mtime)
            if path not in own and driver.pid:
                drivers.append(driver)
    return drivers
