"""One process at a time writes the outputs of a step, and the one that came last writes last.

After `kill -9` of snakemake its steps live on. The next snakemake starts the same steps again, perhaps with other
settings: were both to write, the older one might write last, below the newer one's record. So a step locks all files
that it makes. One that finds a later one waiting, when it gets the locks or while it is at work, ends.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flowkeeper.errors import UserError
from flowkeeper.files import exclusive, writing


@dataclass(frozen=True)
class Writer:
    """The process that may write some files; each lock file bears the mark of the process that came last."""

    locks: tuple[Path, ...]
    mark: str

    def check(self) -> None:
        """Raise UserError when a later process waits for one of the files."""
        if any(lock.read_text(encoding="ascii") != self.mark for lock in self.locks):
            raise UserError("a later snakemake has started this step again; it goes on from what is saved.")


@contextmanager
def only_writer(paths: Sequence[Path], folder: Path) -> Iterator[Writer]:
    """Wait until no other process writes `paths`, files or folders, and let none begin while the block runs.

    folder: where the lock files lie; every writer of the same files must name the same one. Raises UserError when
    meanwhile a later process came for one of the files, or when the disk refuses.
    """
    names = sorted({hashlib.sha256(os.path.realpath(path).encode()).hexdigest()[:32] for path in paths})
    writer = Writer(tuple(folder / f"writer-{name}.lock" for name in names), uuid.uuid4().hex)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for lock in writer.locks:
            lock.write_text(writer.mark, encoding="ascii")  # one that is half written is not the mark of an older one
    with ExitStack() as held:
        for lock in writer.locks:  # in one order for all, so that two processes never wait for each other
            held.enter_context(exclusive(lock, "still makes the same files"))
        writer.check()
        yield writer
