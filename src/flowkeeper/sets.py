"""Which result set is meant, and whether it may be changed now."""

from __future__ import annotations

from pathlib import Path

from flowkeeper import drivers
from flowkeeper.checkout import published_sets, read_pointer
from flowkeeper.errors import UserError
from flowkeeper.interface import ResultSet, Workflow
from flowkeeper.records import locked


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
