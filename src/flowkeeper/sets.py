"""Published result sets: which there are, which is meant, and what one consists of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flowkeeper import drivers
from flowkeeper.bring import bring_all
from flowkeeper.checkout import Checkout, published_sets, read_pointer
from flowkeeper.errors import UserError
from flowkeeper.files import md5_file, place_copy
from flowkeeper.interface import ResultSet, Workflow
from flowkeeper.ledger import Ledger, read_ledger
from flowkeeper.programs import Say
from flowkeeper.records import locked
from flowkeeper.seen import Memory, stat_of
from flowkeeper.words import listed


@dataclass(frozen=True)
class SharedSet:
    """A published result set.

    size: bytes of all its files. files: md5 of each by its path, inputs that sets share not among them, the ledger and
    bulk files among them if they were published.
    """

    results: ResultSet
    size: int
    files: dict[str, str]
    ledger: Ledger

    @cached_property
    def inputs(self) -> dict[str, str]:
        """md5 of the inputs behind the set, which it shares with others, by their path."""
        folder = f"{self.results.workflow.inputs}/"
        return {path: entry.md5 for path, entry in self.ledger.entries.items() if path.startswith(folder)}

    @cached_property
    def bulk(self) -> dict[str, str]:
        name = self.results.workflow.bulk.file
        return {path: md5 for path, md5 in self.files.items() if Path(path).name == name}

    def size_of(self, paths: Iterable[str]) -> int:
        """Bytes of some files; of bulk files only the sum is known, so they count when all are among them."""
        wanted, sizes = set(paths), {path: entry.size for path, entry in self.ledger.entries.items()}
        known = sum(size for path, size in sizes.items() if path in wanted)
        all_bulk = self.size - sum(size for path, size in sizes.items() if path in self.files)
        return known + all_bulk if self.bulk and wanted.issuperset(self.bulk) else known


def chosen(workflow: Workflow, root: Path, name: str | None, unpublished: bool = False) -> ResultSet:
    """The result set meant: `name`, else the default configuration's, else the only one that is published.

    unpublished: sets of which there are files count, too. Raises UserError when there is no such set.
    """
    names = published_sets(workflow, root)
    known = [path.name for path in (root / workflow.results).glob("*/")] if unpublished else names
    if name is not None:
        if name not in known:
            read_pointer(workflow, root, f"{workflow.results}/{name}")
        return ResultSet(workflow, root, name)
    default = workflow.default_name(root)
    if default is not None and default in (*names, *known):
        return ResultSet(workflow, root, default)
    if len(names) == 1:
        return ResultSet(workflow, root, names[0])
    if not names:
        folder = workflow.results
        raise UserError(
            f"{folder}: this commit has no published result set ({folder}/NAME.dvc); `git pull`, or publish."
        )
    raise UserError(f"several result sets are published; name one of {', '.join(names)}.")


def refuse_while_running(workflow: Workflow, root: Path) -> None:
    """Raise UserError while a snakemake works here: it would see files appear and vanish."""
    folder = root / workflow.state / "drivers"
    drivers.release_dead_locks(root, folder)
    if locked(root) or not drivers.alone(folder):
        raise UserError(
            "a snakemake is at work in this folder; wait for its end (after a crash of the machine: `snakemake"
            " --unlock`)."
        )


def read_shared(checkout: Checkout, results: ResultSet, say: Say) -> SharedSet:
    """Listing and ledger of a published set, fetched where they are not in DVC's cache; nothing is placed.

    Raises UserError when they cannot be had, are of another version, or contradict each other.
    """
    pointer, path = checkout.pointer(results.folder), results.ledger_file
    bring_all(checkout, {pointer.folder: pointer.listing}, say, target=path)
    files = checkout.cache.listing(pointer)
    if path not in files:
        raise UserError(
            f"{results.folder}.dvc: has no {Path(path).name}; it was not published with"
            f" `{checkout.workflow.command} publish`, {checkout.publish_again}."
        )
    bring_all(checkout, {path: files[path]}, say)
    shared = SharedSet(results, pointer.size, files, _arrived_ledger(checkout, results, files[path]))
    other = [path for path, entry in shared.ledger.entries.items() if files.get(path, entry.md5) != entry.md5]
    if other:
        raise UserError(
            f"{results.folder}.dvc: its ledger is that of another publication ({listed(other)});"
            f" {checkout.publish_again}."
        )
    return shared


def _arrived_ledger(checkout: Checkout, results: ResultSet, md5: str) -> Ledger:
    """The ledger in DVC's cache, read from a copy with its proper name, so that messages can name it."""
    copy = results.state / "arriving" / results.ledger_file
    place_copy(checkout.cache.path(md5), copy)
    ledger = read_ledger(results, copy)
    copy.unlink()
    return ledger


def is_here(root: Path, memory: Memory, path: str, md5: str) -> bool:
    """Whether a file has these bytes; it is read only when it has changed since it was seen."""
    stat = stat_of(root / path)
    return stat is not None and (memory.md5(path, stat) or md5_file(root / path)) == md5
