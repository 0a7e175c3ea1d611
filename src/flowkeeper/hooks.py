"""What a workflow does before it plans, before it runs and when it ends; called from its Snakefile."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from flowkeeper import drivers
from flowkeeper.digests import save_closures, save_settings
from flowkeeper.errors import UserError
from flowkeeper.files import check_writable
from flowkeeper.interface import ResultSet, WorkflowPlan
from flowkeeper.ledger import remember_own
from flowkeeper.patches import answer_in_a_thread
from flowkeeper.restore import restore
from flowkeeper.verify import verify
from flowkeeper.words import listed

Say = Callable[[str], None]
_NAMED = 5


def before_planning(results: ResultSet, say: Say) -> None:
    """Take away the lock of a killed snakemake and give files that were fetched their records and times.

    Does nothing to the results while another snakemake is at work. Raises UserError when published files are damaged,
    or when the folders cannot be written to in which Snakemake and this workflow keep what they must remember.
    """
    root, name = results.root, results.name
    for folder in (root / ".snakemake", results.state):
        check_writable(folder)
    try:
        check_writable(root / results.folder)
    except UserError as error:
        say(f"preflight: {error}")  # a plan alone needs no right to write there
    drivers.register(results.drivers)
    note = drivers.release_dead_locks(root, results.drivers)
    if note:
        say(note)
    if not drivers.alone(results.drivers):
        return
    done = restore(results)
    if done.restored:
        say(f"provenance: {done.restored} published files of {name} have their records and times.")
    if done.own:
        say(f"note: records of {done.own} files of {name} that were made here had gone from .snakemake; they are back.")
    if done.gone:
        back = results.type("repair", "--deleted")
        say(f"note: published files are gone: {listed(done.gone, _NAMED)}; {back} brings them back.")


def before_running(results: ResultSet, plan: WorkflowPlan, say: Say) -> None:
    """Remember what is behind each digest, and let the workflow keep what jobs are about to make again.

    Files that are damaged are not kept. Raises UserError when one of the folders that the jobs are to write to
    refuses, before any of them has worked in vain.
    """
    answer_in_a_thread(signal.SIGTERM)
    root, workflow, coming = results.root, results.workflow, _coming(results.root)
    for folder in sorted({root / "logs", *((root / path).parent for path in coming)}):
        check_writable(folder)
    save_settings(workflow, root, (step.settings for step in workflow.steps(plan)))
    save_closures(workflow, root, plan.codes)
    there = {path for path in coming if (root / path).exists()}
    damaged = [path for path, _ in verify(results, there).damaged] if there else []
    if damaged:
        say(
            f"note: damaged, and made again: {listed(damaged, _NAMED)}. To have published copies instead, end this and"
            f" type {results.type('repair')}."
        )
    workflow.keep(root, plan, there.difference(damaged))


def after_running(results: ResultSet, plan: WorkflowPlan, say: Say) -> None:
    """Remember how every file that is here was made, and its bytes, so that damage and lost records are noticed."""
    try:
        remember_own(results, [*plan.artifacts(), *plan.unasked()])
    except UserError as error:
        say(f"note: what was made is not remembered: {error}")


def _coming(root: Path) -> set[str]:
    """Files that this snakemake is about to make: it has locked them."""
    locks = (root / ".snakemake" / "locks").glob("*.output.lock")
    return {line for lock in locks for line in lock.read_text(encoding="utf-8").splitlines()}
