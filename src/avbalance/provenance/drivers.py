"""Who drives this checkout: every main process of Snakemake registers, so that the lock of a dead one can be told.

Snakemake's lock files name the files of a run but not the process that runs. After `kill -9` they stay and every later
snakemake refuses to work until a person unlocks. Here each main process leaves an entry, .avbalance/drivers/<host>-
<pid>.json, and removes it at its end; an entry without its process is a killed snakemake. A lock file can only belong
to a process that registered before the lock was made, so the times of the two files, given by one file system, say
whose it may be. What cannot be known, processes on another machine above all, is believed to live.
"""

from __future__ import annotations

import atexit
import os
import re
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.files import read_json, write_json
from avbalance.provenance.records import mark_incomplete, read_record

_FOLDER = Path(".avbalance/drivers")
_LOCKS = Path(".snakemake/locks")
_BELIEVED_S = 3600.0  # how long a process of another machine is believed while it holds no lock: planning takes less


@dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken for a later one of the same number.

    started: what the system says of its start. boot: the running of the machine, space: the table of process numbers
    (containers on one machine have their own); both empty where the system tells none.
    """

    pid: int
    host: str
    started: str
    boot: str
    space: str


def register(root: Path) -> None:
    """Leave an entry for this process; it is removed when the process ends of itself.

    Raises UserError when the folder cannot be written to.
    """
    me = _me()
    path = root.absolute() / _FOLDER / f"{me.host}-{me.pid}.json"
    write_json(path, asdict(me))
    atexit.register(_leave, path, me.pid)


def release_dead_locks(root: Path) -> str | None:
    """Delete the lock files that only dead processes can have made; returns what was done in one sentence, or None.

    Kept are locks that a living process, or one that cannot be judged from here, may hold, and locks older than every
    entry: these belong to a snakemake that never registered, of which Snakemake itself speaks. Entries of dead
    processes are removed.
    """
    locks = _locks(root)
    others = [(path, process, since) for path, process, since in _entries(root) if process != _me()]
    alive = [since for _, process, since in others if _believed(process, since, bool(locks))]
    dead = [entry for entry in others if not _believed(entry[1], entry[2], bool(locks))]
    left = {
        lock
        for lock, made in locks.items()
        if any(since <= made for since in alive) or not any(since <= made for _, _, since in dead)
    }
    for lock in locks.keys() - left:
        _give_up(root, lock)
    released = []
    for path, process, since in dead:
        own = {lock for lock, made in locks.items() if since <= made}
        if own - left:
            released.append(process.pid)
        if not own & left:
            path.unlink(missing_ok=True)
    if not released:
        return None
    numbers = ", ".join(str(pid) for pid in sorted(released))
    return (
        f"note: the lock of a snakemake that was killed (process {numbers}) is taken away; "
        "unfinished jobs go on from their saved state."
    )


def _locks(root: Path) -> dict[Path, float]:
    """The lock files and when they were made."""
    found = {}
    for path in (root / _LOCKS).glob("*.lock"):
        with suppress(FileNotFoundError):  # its snakemake ends at this moment
            found[path] = path.stat().st_mtime
    return found


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


def alone(root: Path) -> bool:
    """Whether no other registered process lives, or may live, in this checkout."""
    return not any(process != _me() and _lives(process) for _, process, _ in _entries(root))


def _entries(root: Path) -> list[tuple[Path, Process, float]]:
    """Path, process and time of every entry; what is no entry (any more) is passed over."""
    found = []
    for path in sorted((root / _FOLDER).glob("*.json")):
        try:
            content: Any = read_json(path)
            found.append((path, Process(**content), path.stat().st_mtime))
        except (UserError, OSError, TypeError):
            continue
    return found


def _leave(path: Path, pid: int) -> None:
    if os.getpid() == pid:  # a forked child inherits the call
        path.unlink(missing_ok=True)


def _me() -> Process:
    pid = os.getpid()
    return Process(pid, socket.gethostname(), _started(pid) or "", _boot(), _space())


def _here(process: Process) -> bool:
    """Whether this process can judge that one by its number."""
    same_boot = process.boot == _boot()
    return process.host == socket.gethostname() and (not same_boot or process.space == _space())


def _believed(process: Process, since: float, locked: bool) -> bool:
    """Whether the process is taken for living; one of another machine only while there are locks, or for a while."""
    return _lives(process) and (locked or _here(process) or time.time() - since < _BELIEVED_S)


def _lives(process: Process) -> bool:
    """Whether the process lives, or cannot be judged from here."""
    if not _here(process):
        return True
    return process.boot == _boot() and _started(process.pid) == process.started


def _started(pid: int) -> str | None:
    """When the process `pid` of this machine was started, in the system's own words; None when there is none."""
    if Path("/proc/self/stat").exists():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        state, *fields = stat.rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    environment = {**os.environ, "LC_ALL": "C"}
    shown = subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stdout
    return " ".join(shown.split()) or None


def _boot() -> str:
    """An identifier of this running of the machine; empty where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _space() -> str:
    """An identifier of the table that process numbers of this process refer to; empty where there is only one."""
    try:
        return re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))
    except OSError:
        return ""
