"""Files that appear whole or not at all, locks between processes, and the digests that identify content."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from flowkeeper.errors import UserError

log = logging.getLogger(__name__)

DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM}
_FULL_BYTES = 1 << 16  # with less than this left a disk counts as full


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let any OSError of the block end in one sentence on `path`, a UserError."""
    try:
        yield
    except OSError as error:
        raise _refused(path, error.strerror) from error


def _refused(path: str | os.PathLike[str], reason: str | None) -> UserError:
    return UserError(f"{path}: cannot be written ({reason}); free the disk or fix permissions.")


@contextmanager
def atomic_path(path: str | os.PathLike[str], durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place on success, remove it on failure.

    Parent folders are made. What a killed process left of its temporary file, the next writer of the same file takes
    over; two writers wait for each other. durable: flush the content to disk before the rename, so that a machine
    that loses its power leaves the old file or the new one; False for callers that write a thousand files and notice
    lost ones. Raises UserError when the folder cannot be written to or the disk is full.
    """
    target = Path(path)
    begin = os.fsdecode(os.fsencode(target.name)[:100])  # a name may be of full length already
    temporary = target.with_name(f".{begin}.partial")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        claim = _claim(temporary)
    with claim:
        try:
            yield temporary
            with writing(target):
                if durable:
                    with open(temporary, "rb") as handle:
                        os.fsync(handle.fileno())
                os.replace(temporary, target)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            reason = _disk_reason(error, target.parent) if isinstance(error, Exception) else None
            if reason is None:
                raise
            raise _refused(target, reason) from error


def _claim(temporary: Path) -> BinaryIO:
    """Open `temporary`, empty, for this writer alone; closing the file gives it free."""
    while True:
        handle = temporary.open("ab")
        with suppress(OSError):  # on a disk without locks nothing keeps two writers apart
            fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle.fileno()), os.stat(temporary)):
                handle.truncate(0)
                return handle
        handle.close()  # while this writer waited the other one renamed or removed the file


def _disk_reason(error: Exception, folder: Path) -> str | None:
    """Why the disk refused what was written to `folder`; None when `error` has another cause.

    torch, safetensors and NumPy report a full disk with errors of their own that bear no number.
    """
    if isinstance(error, UserError):
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return error.strerror if error.errno in DISK_ERRORS else None
    full = os.strerror(errno.ENOSPC)
    # Libraries wrap the error: their text, or a disk without room, is what is left to tell it by.
    return full if full in str(error) or shutil.disk_usage(folder).free < _FULL_BYTES else None


def place_copy(source: Path, target: Path) -> None:
    """Copy a file so that it appears whole; raises UserError when the disk refuses."""
    with atomic_path(target, durable=False) as temporary:
        shutil.copyfile(source, temporary)


@contextmanager
def exclusive(path: str | os.PathLike[str], what: str, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file `path` for as long as the block runs; at most one process does. Yields whether it is held.

    Parent folders are made. While another process holds the lock one line is logged, "waiting: another process
    <what>", and the wait ends when the other's block does; without `wait` the block runs at once, with False. A
    process that dies, however it dies, loses the lock. The file stays. Not re-entrant. Raises UserError when the disk
    refuses the file or knows no locks.
    """
    target = Path(path)
    lock = FileLock(target, fallback_to_soft=False)  # a soft lock would outlive a process that is killed
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if wait:
                log.info("waiting: another process %s", what)
                lock.acquire()
    except OSError as error:
        raise UserError(
            f"{target}: cannot be locked ({error.strerror}); fix permissions, or work on a disk that knows locks."
        ) from error
    try:
        yield lock.is_locked
    finally:
        lock.release()


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Raise UserError unless files can be made in `folder`, or, where it is absent, in the folder above that exists."""
    path = Path(folder).absolute()
    existing = next(each for each in (path, *path.parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{existing}: cannot be written to; fix permissions, or mount the disk for writing.")


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest_json(value: Any) -> str:
    """sha256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file; raises UserError naming the file when it is absent or broken."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file.") from error
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it to have it made again.") from error


def sha256_file(path: str | os.PathLike[str]) -> str:
    """sha256 (hex) of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def md5_file(path: str | os.PathLike[str]) -> str:
    """md5 (hex) of a file's bytes, DVC's own address of them; raises UserError when the disk cannot read it."""
    try:
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); fix permissions or delete it.") from error
