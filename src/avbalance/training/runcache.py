"""Finished runs, kept by what made them, outside the workflow's outputs.

The key covers code, settings, data and seed. A workflow that asks again for a run that was made before (a new
seed beside it, another configuration, a killed cell) gets it linked in; only what is missing is trained.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from avbalance.errors import UserError
from avbalance.files import read_json, sha256_file, write_json

_CONTENTS = "contents.json"


@dataclass(frozen=True)
class RunCache:
    """Folders of finished runs below `root`, named by key."""

    root: Path

    def find(self, key: str) -> Path | None:
        """The folder of a finished run, or None; a folder whose files do not match their hashes is removed."""
        folder = self.root / key
        if not (folder / _CONTENTS).is_file():
            return None
        if not _intact(folder):
            shutil.rmtree(folder)
            return None
        return folder

    @contextmanager
    def create(self, key: str) -> Iterator[Path]:
        """Yield an empty folder to fill; on success it becomes the finished run `key`, otherwise it is removed."""
        folder, draft = self.root / key, self.root / f"{key}.{os.getpid()}.partial"
        for left in self.root.glob(f"{key}.*.partial"):
            if not _alive(int(left.name.split(".")[1])):  # of a process that was killed
                shutil.rmtree(left, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            yield draft
            write_json(draft / _CONTENTS, {path.name: sha256_file(path) for path in sorted(draft.iterdir())})
            if self.find(key) is None:  # else another process was faster, and may be linking from it
                shutil.rmtree(folder, ignore_errors=True)
                draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _alive(process: int) -> bool:
    """Whether another process of this number runs here."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def _intact(folder: Path) -> bool:
    """Whether all files of a finished run are there and match their hashes."""
    try:
        contents: dict[str, str] = read_json(folder / _CONTENTS)
        return all(sha256_file(folder / name) == digest for name, digest in contents.items())
    except (UserError, OSError, AttributeError):
        return False


_LINKED_BYTES = 1 << 22  # smaller files are copied: a link shares its time with every other place of the file


def _place(source: Path, target: Path) -> None:
    if source.stat().st_size >= _LINKED_BYTES:
        try:
            os.link(source, target)
            return
        except OSError:
            pass
    shutil.copyfile(source, target)


def link_files(source: Path, target: Path, names: list[str]) -> None:
    """Place files of `source` into `target`; each appears whole. Large ones are hard links where those are possible.

    The modification time becomes now: for Snakemake an output is as old as the job that placed it.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        temporary = target / f".{name}.{os.getpid()}.partial"
        temporary.unlink(missing_ok=True)
        _place(source / name, temporary)
        os.utime(temporary)
        os.replace(temporary, target / name)
        temporary.unlink(missing_ok=True)  # renaming one link of a file over another of the same file does nothing
