"""What was last seen of a result set's files, so that nothing is read again that has not changed.

.avbalance/provenance/<name>.json: {"ledger": [time, size], "files": {path: [time, size, md5] | null}}; the time is
the modification time in nanoseconds, null stands for a file that was absent, and for the md5 of one that was not as
published.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from avbalance.errors import UserError
from avbalance.files import write_json

NO_FILE = -1  # in place of the size of a folder or a device

Stat = tuple[int, int]  # modification time (ns) of the path itself, size of its content (bytes)


@dataclass(frozen=True)
class Seen:
    """What a file was like: `stat` is None for an absent one, `md5` None for one that was not as published."""

    stat: Stat | None
    md5: str | None = None


UNSEEN = Seen((-1, -1))  # unlike any file: the next look is a real one


@dataclass(frozen=True)
class Stamp:
    """Ledger and files of one result set as they were when all was well."""

    ledger: Stat | None = None
    files: dict[str, Seen] = field(default_factory=dict)


def stat_of(path: Path) -> Stat | None:
    """Time and size of a file; of a link its own time and the size behind it; None when there is nothing."""
    try:
        own = os.lstat(path)
        behind = os.stat(path) if stat.S_ISLNK(own.st_mode) else own
    except (FileNotFoundError, NotADirectoryError):
        return None
    return own.st_mtime_ns, behind.st_size if stat.S_ISREG(behind.st_mode) else NO_FILE


def md5_file(path: Path) -> str:
    """md5 (hex) of a file's bytes, DVC's own address of them; raises UserError when the disk cannot read it."""
    try:
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); mend the rights or delete it.") from error


def stamp_path(root: Path, name: str) -> Path:
    return root / ".avbalance" / "provenance" / f"{name}.json"


def read_stamp(root: Path, name: str) -> Stamp:
    """The stamp of a result set; an empty one, which vouches for nothing, when there is none that can be read."""
    try:
        found = json.loads(stamp_path(root, name).read_bytes())
        time_ns, size = found["ledger"]
        files = {path: Seen(None) if seen is None else _seen(*seen) for path, seen in found["files"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Stamp()
    return Stamp((time_ns, size), files)


def _seen(time_ns: int, size: int, md5: str | None) -> Seen:
    return Seen((time_ns, size), md5)


def write_stamp(root: Path, name: str, stamp: Stamp) -> None:
    files = {path: None if seen.stat is None else [*seen.stat, seen.md5] for path, seen in stamp.files.items()}
    write_json(stamp_path(root, name), {"ledger": stamp.ledger, "files": files})
