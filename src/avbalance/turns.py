"""Whose turn it is to write some files: one process at a time, and who came last writes last.

After `kill -9` of snakemake its steps live on. The next snakemake starts the same steps again, perhaps with other
settings: were both to write, the older one might write last, below the newer one's record. So a step takes its turn at
all files that it makes; a step that finds at its turn, or while it is at work, that a later one waits has had its day.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from avbalance.errors import UserError
from avbalance.files import exclusive


@dataclass(frozen=True)
class Turn:
    """The turn of this process; `locks` are lock files that bear the ticket of the last comer."""

    locks: tuple[Path, ...]
    ticket: str

    def check(self) -> None:
        """Raise UserError when a later process waits for its turn."""
        if any(lock.read_text(encoding="ascii") != self.ticket for lock in self.locks):
            raise UserError("a later snakemake has started this step again; it goes on from what is saved.")


@contextmanager
def turn(paths: Sequence[Path], folder: Path) -> Iterator[Turn]:
    """Wait for the turn to write `paths`, files or folders, and keep it for as long as the block runs.

    folder: where the lock files lie; every writer of the same files must name the same one. Raises UserError when
    meanwhile a later process came for one of the files, or when the disk refuses.
    """
    names = sorted({hashlib.sha256(os.path.realpath(path).encode()).hexdigest()[:32] for path in paths})
    mine = Turn(tuple(folder / f"turn-{name}.lock" for name in names), uuid.uuid4().hex)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for lock in mine.locks:
            lock.write_text(mine.ticket, encoding="ascii")  # one that is half written is not the ticket of an older one
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); free the disk or mend the rights.") from error
    with ExitStack() as held:
        for lock in mine.locks:  # in one order for all, so that two processes never wait for each other
            held.enter_context(exclusive(lock, "still makes the same files"))
        mine.check()
        yield mine
