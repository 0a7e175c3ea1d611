"""What the workflow does before it plans and before it runs; called from workflow/rules/common.smk."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from snakemake.scheduling.job_scheduler import JobScheduler

from avbalance.errors import UserError
from avbalance.files import check_writable
from avbalance.plan.cells import SeededRun
from avbalance.plan.plan import Plan
from avbalance.plan.steps import steps
from avbalance.provenance import drivers
from avbalance.provenance.closures import save_closures
from avbalance.provenance.restore import restore
from avbalance.provenance.settings import save_settings
from avbalance.provenance.signals import answer_in_a_thread
from avbalance.training.runcache import RunCache
from avbalance.wakeups import look_once_at_a_time

_NAMED = 5


def before_planning(root: Path, name: str, say: Callable[[str], None]) -> None:
    """Take away the lock of a killed snakemake and give fetched files of `results/<name>` their records and times.

    Does nothing to the results while another snakemake is at work. Raises UserError when published files are damaged,
    or when the folders cannot be written to in which Snakemake and this workflow keep what they must remember.
    """
    for folder in (".snakemake", ".avbalance"):
        check_writable(root / folder)
    try:
        check_writable(root / "results" / name)
    except UserError as error:
        say(f"preflight: {error}")  # a plan alone needs no right to write there
    drivers.register(root)
    note = drivers.release_dead_locks(root)
    if note:
        say(note)
    if not drivers.alone(root):
        return
    restored = restore(root, name)
    if restored.restored:
        say(f"provenance: {restored.restored} published files of {name} have their records and times.")
    if restored.gone:
        more = f" and {len(restored.gone) - _NAMED} more" if len(restored.gone) > _NAMED else ""
        say(
            f"note: published files are gone: {', '.join(restored.gone[:_NAMED])}{more}; "
            f"`avbalance repair {name} --deleted` brings them back."
        )


def before_running(root: Path, plan: Plan) -> None:
    """Write what is behind each digest, of settings and of code, and keep finished runs of the jobs about to be done.

    From here on SIGTERM ends this snakemake once its running jobs are done, whatever it was doing.

    A job makes all seeds of its cell; the seeds that are there already, made here or fetched, must not be trained
    again only because Snakemake removes a job's outputs first. Raises UserError when one of the folders that the jobs
    are to write to refuses, before any of them has worked in vain.
    """
    answer_in_a_thread(signal.SIGTERM)
    look_once_at_a_time(JobScheduler)
    coming = _coming(root)
    for folder in sorted({root / "logs", *((root / path).parent for path in coming)}):
        check_writable(folder)
    save_settings(root, (step.spec for step in steps(plan)))
    save_closures(root, plan.codes)
    cache = RunCache(root / ".avbalance" / "runs")
    for cell in plan.cells:
        if not coming.isdisjoint(plan.cell_files(cell)):
            for job in cell.jobs:
                cache.adopt(root / plan.runs / job.folder, _names(job))


def _names(job: SeededRun) -> list[str]:
    return [Path(path).name for path in job.outputs()]


def _coming(root: Path) -> set[str]:
    """Files that this snakemake is about to make: it has locked them."""
    locks = (root / ".snakemake" / "locks").glob("*.output.lock")
    return {line for lock in locks for line in lock.read_text(encoding="utf-8").splitlines()}
