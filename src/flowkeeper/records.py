"""Snakemake's own records in .snakemake/: how each output was made, which are unfinished, whether a run holds the lock.

The layout of these files is private to Snakemake, whose version is pinned; tests compare with the installed one.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowkeeper.files import atomic_path, write_json, writing

RECORD_FORMAT_VERSION = 6
TIMES = ("starttime", "endtime")  # they differ between the outputs of one job; endtime is the file's own time

Record = dict[str, Any]


def record_path(root: Path, path: str) -> Path:
    """Where Snakemake, working in `root`, keeps the record of its output `path`."""
    return _place(root / ".snakemake" / "metadata", path)


def _place(folder: Path, path: str) -> Path:
    """`path` in URL-safe base64; what is longer than a file name may be goes on in a folder named @..."""
    longest = _longest_name(folder) - 1
    code = urlsafe_b64encode(path.encode()).decode()
    parts = [code[start : start + longest] for start in range(0, len(code), longest)]
    return folder.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])


def _longest_name(folder: Path) -> int:
    try:
        return os.pathconf(folder, "PC_NAME_MAX") or 255
    except FileNotFoundError:
        return _longest_name(folder.parent)


def read_record(root: Path, path: str) -> Record | None:
    """The record of an output; None when there is none or it was not written to its end."""
    try:
        record = json.loads(record_path(root, path).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    timed = isinstance(record, dict) and all(isinstance(record.get(name), int | float) for name in TIMES)
    return record if timed else None


def write_record(root: Path, path: str, record: Record) -> None:
    """Make `record` Snakemake's record of the output `path`; raises UserError when the disk refuses."""
    incomplete = root / ".snakemake" / "incomplete"
    with writing(incomplete):  # first: Snakemake takes a metadata folder without it for a layout of long ago
        incomplete.mkdir(parents=True, exist_ok=True)
    with atomic_path(record_path(root, path), durable=False) as temporary:
        temporary.write_text(json.dumps(record), encoding="utf-8")
        temporary.chmod(0o660)  # as Snakemake does: a group may share a checkout


def recorded_files(root: Path) -> set[str]:
    """Every path that has a record."""
    return set(_paths(root / ".snakemake" / "metadata"))


def mark_incomplete(root: Path, path: str) -> None:
    """Have the output `path` made again, as Snakemake does with one whose job did not end."""
    write_json(_place(root / ".snakemake" / "incomplete", path), {"external_jobid": None})


def incomplete_files(root: Path) -> list[str]:
    """Outputs of jobs that began and did not end, sorted."""
    return sorted(_paths(root / ".snakemake" / "incomplete"))


def _paths(folder: Path) -> Iterator[str]:
    for base, _, names in os.walk(folder):
        begun = "".join(part[1:] for part in Path(base).relative_to(folder).parts)
        for name in names:
            try:
                yield b64decode(begun + name, altchars=b"-_", validate=True).decode()
            except ValueError:
                continue  # not a record: what a killed write left, a mark of Snakemake's


def locked(root: Path) -> bool:
    """Whether a snakemake holds the lock of the working directory `root`, alive or not."""
    return any((root / ".snakemake" / "locks").glob("*.lock"))
