"""What was last seen of a result set's files, so that nothing is read again that has not changed.

provenance/<name>.json of the state folder: {"ledger": [time, size], "files": {path: [time, size, md5] | null}}; the
time is the modification time in nanoseconds, null stands for a file that was absent, and for the md5 of one that was
not as published.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from flowkeeper.files import write_json
from flowkeeper.interface import ResultSet

NO_FILE = -1  # in place of the size of a folder or a device
SAME_TIME_S = 1e-3  # a time that went through a float, or through a file system with coarser times

Stat = tuple[int, int]  # modification time (ns) of the path itself, size of its content (bytes)
Seen = tuple[int, int, str | None]  # the same, and the md5 of a file that was as published
UNSEEN: Seen = (-1, -1, None)  # unlike any file: the next look is a real one


@dataclass(frozen=True)
class Memory:
    """Ledger and files of one result set as they were when all was well; a file that was absent is None."""

    ledger: Stat | None = None
    files: dict[str, Seen | None] = field(default_factory=dict)

    def md5(self, path: str, stat: Stat | None) -> str | None:
        """The md5 of a file that has not changed since; None when it is not known."""
        seen = self.files.get(path)
        return seen[2] if seen is not None and seen[:2] == stat else None

    def was_here(self, path: str) -> bool:
        return self.files.get(path) is not None


def stat_of(path: Path) -> Stat | None:
    """Time and size of a file; of a link its own time and the size behind it; None when there is nothing."""
    try:
        own = os.lstat(path)
        behind = os.stat(path) if stat.S_ISLNK(own.st_mode) else own
    except (FileNotFoundError, NotADirectoryError):
        return None
    return own.st_mtime_ns, behind.st_size if stat.S_ISREG(behind.st_mode) else NO_FILE


def has_time(stat: Stat, seconds: float) -> bool:
    """Whether a file has this modification time (s)."""
    return abs(stat[0] / 1e9 - seconds) < SAME_TIME_S


def memory_file(results: ResultSet) -> Path:
    return results.state / "provenance" / f"{results.name}.json"


def read_memory(results: ResultSet) -> Memory:
    """The memory of a result set; an empty one, which vouches for nothing, when there is none that can be read."""
    try:
        content = json.loads(memory_file(results).read_bytes())
        (time_ns, size), files = content["ledger"], content["files"]
        seen = {path: (each[0], each[1], each[2]) if each else None for path, each in files.items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return Memory()
    return Memory((time_ns, size), seen)


def write_memory(results: ResultSet, memory: Memory) -> None:
    write_json(memory_file(results), {"ledger": memory.ledger, "files": memory.files})
