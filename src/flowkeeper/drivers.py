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
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from flowkeeper.files import exclusive
from flowkeeper.records import mark_incomplete, read_record

HERE = socket.gethostname()
_LOCKS = Path(".snakemake/locks")
_BELIEVED_S = 3600.0  # how long a process of another machine is believed while it holds no lock: planning takes less
_registered: dict[Path, ExitStack] = {}  # the lock file of this process, and what holds it


@dataclass(frozen=True)
class Driver:
    """Another main process of Snakemake, by its lock file; since: when it came (s)."""

    path: Path
    host: str
    pid: int
    since: float

    def lives(self) -> bool:
        """Whether it lives, or cannot be judged from here."""
        try:
            with FileLock(self.path, blocking=False, fallback_to_soft=False):
                # Its lock could be taken: it is dead, unless another machine holds it on a disk whose locks do not
                # reach here.
                return self.host != HERE
        except (Timeout, OSError):
            return True


def register(folder: Path) -> None:
    """Hold a lock file in `folder` for as long as this process lives; raises UserError when the disk refuses."""
    name = f"{HERE}-{os.getpid()}-{uuid.uuid4().hex[:8]}.lock"
    held = ExitStack()
    held.enter_context(exclusive(folder.absolute() / name, "has this name"))
    _registered[folder.absolute() / name] = held
    atexit.register(_leave, folder.absolute() / name, os.getpid())


def _leave(path: Path, pid: int) -> None:
    if os.getpid() == pid:  # a forked child inherits the call
        path.unlink(missing_ok=True)


def alone(folder: Path | None = None) -> bool:
    """Whether no other registered process lives, or may live, in the checkout whose drivers lie in `folder`.

    Without a folder it is the one in which this process registered; one that did not is taken for alone.
    """
    folders = {path.parent for path in _registered} if folder is None else {folder}
    return not any(driver.lives() for each in folders for driver in _others(each))


def release_dead_locks(root: Path, folder: Path) -> str | None:
    """Delete the lock files that only dead processes can have made; returns what was done in one sentence, or None.

    Kept are locks that a living process, or one that cannot be judged from here, may hold, and locks older than every
    driver: these belong to a snakemake that never registered, of which Snakemake itself speaks. What dead processes
    left in `folder` is removed.
    """
    locks, others, now = _locks(root), _others(folder), time.time()
    # Without any lock of Snakemake's nothing is at stake, and an old entry of another machine is a dead one's.
    believed = [driver for driver in others if locks or driver.host == HERE or now - driver.since < _BELIEVED_S]
    alive = [driver for driver in believed if driver.lives()]
    dead = [driver for driver in others if driver not in alive]
    free = {
        lock
        for lock, made in locks.items()
        if any(driver.since <= made for driver in dead) and not any(driver.since <= made for driver in alive)
    }
    for lock in free:
        _give_up(root, lock)
    released = []
    for driver in dead:
        own = {lock for lock, made in locks.items() if driver.since <= made}
        released += [driver.pid] if own & free else []
        # Kept as long as one of its locks is: the next snakemake must still be able to tell whose that is.
        if own <= free:
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
    drivers = []
    for path in sorted(folder.absolute().glob("*.lock")):
        with suppress(OSError, ValueError):  # it ended at this moment, or is no driver's
            host, pid, _ = path.name.rsplit("-", 2)
            if path not in _registered:
                drivers.append(Driver(path, host, int(pid), path.stat().st_mtime))
    return drivers
