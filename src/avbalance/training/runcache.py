"""Finished runs, kept by what made them, outside the workflow's outputs.

The key covers code, settings, data and seed. A workflow that asks again for a run that was made before (a new
seed beside it, another configuration, a killed cell) gets it linked in; only what is missing is trained.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.provenance.run_record import RECORD
from flowkeeper.files import exclusive, read_json, sha256_file, write_json

_CONTENTS = "contents.json"
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RunCache:
    """Folders of finished runs below `root`, named by key."""

    root: Path

    def find(self, key: str, key_of: Callable[[Any], str] | None = None) -> Path | None:
        """The folder of a finished run, or None; a folder whose files do not match their hashes is removed.

        So is one whose record is, by `key_of`, that of another run: what `adopt` took over came from elsewhere.
        """
        folder = self.root / key
        if not (folder / _CONTENTS).is_file():
            return None
        if not _intact(folder) or (key_of is not None and key_of(read_json(folder / RECORD)) != key):
            shutil.rmtree(folder)
            return None
        return folder

    @contextmanager
    def create(self, key: str) -> Iterator[Path]:
        """Yield an empty folder to fill; on success it becomes the finished run `key`, otherwise it is removed.

        Only one process may be at the same key (files.exclusive): what another one left unfinished is removed.
        """
        folder, draft = self.root / key, self.root / f"{key}.partial"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            yield draft
            write_json(draft / _CONTENTS, {path.name: sha256_file(path) for path in sorted(draft.iterdir())})
            # A damaged run of this key may lie there: renaming onto a folder that is not empty would fail.
            shutil.rmtree(folder, ignore_errors=True)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def adopt(self, folder: Path, names: Sequence[str]) -> bool:
        """Keep a run that lies finished in `folder` (its files are `names`) under the key that its record tells.

        For runs that came from elsewhere, before the workflow deletes them to make them anew beside others.
        Returns whether the run is in the cache now; False when files are absent or the record knows no key.
        """
        files = [folder / name for name in names]
        if RECORD not in names or not all(path.is_file() for path in files):
            return False
        key = str(read_json(folder / RECORD).get("key"))
        if not _KEY.fullmatch(key):
            return False
        if not (self.root / key / _CONTENTS).is_file():
            lock = self.root.parent / "locks" / f"run-{key[:32]}.lock"
            with exclusive(lock, "trains the same run"), self.create(key) as draft:
                for path in files:
                    _place(path, draft / path.name)
        return True


def _intact(folder: Path) -> bool:
    """Whether all files of a finished run are there and match their hashes."""
    try:
        contents: dict[str, str] = read_json(folder / _CONTENTS)
        return all(sha256_file(folder / name) == digest for name, digest in contents.items())
    except (UserError, OSError, AttributeError):
        return False


_LINKED_BYTES = 1 << 22  # smaller files are copied: a link shares its time with every other place of the file


def _place(source: Path, target: Path) -> None:
    """Link or copy a file; raises UserError when the disk refuses."""
    if source.stat().st_size >= _LINKED_BYTES:
        try:
            os.link(source, target)
            return
        except OSError:
            pass
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror}); free the disk or fix permissions.") from error


def link_files(source: Path, target: Path, names: list[str]) -> None:
    """Place files of `source` into `target`; each appears whole. Large ones are hard links where those are possible.

    The modification time becomes now: for Snakemake an output is as old as the job that placed it.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        # Not the name that files.atomic_path uses: it would empty a link, and with it the file in the cache.
        temporary = target / f".{name}.link.partial"
        temporary.unlink(missing_ok=True)
        try:
            _place(source / name, temporary)
            os.utime(temporary)
            os.replace(temporary, target / name)
        finally:
            temporary.unlink(missing_ok=True)  # renaming one link of a file over another of the same file does nothing
