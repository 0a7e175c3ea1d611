"""Snakemake's executor for Slurm, with guards: `--executor slurm-guarded`, as in profiles/slurm.

The executor of which this one is made (snakemake-executor-plugin-slurm 2.8) has four ways to wait for ever, or to lose
sight of a job. Here

- a driver starts only when Slurm answers, and first cancels what a killed driver of the same folder left in the queue;
- while Slurm does not answer, jobs are kept in mind and submissions wait; after `patience` seconds the driver ends;
- a job of which Slurm has no memory any more ends the driver, too;
- a submission that fails is a failed job, also where several jobs share it.

Jobs that run when a driver ends go on; the next driver cancels them, and their work is taken up from the saved state.

Snakemake imports this module before the workflow has put its own folder on the path. So flowkeeper is imported inside
of functions: the one that is installed may belong to another checkout.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_slurm as slurm  # type: ignore[import-untyped]
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo  # type: ignore[import-untyped]

from snakemake_executor_plugin_slurm_guarded.startup import check

check(sys.argv)

common_settings = slurm.common_settings

_AGAIN = "jobs in Slurm's queue go on; when Slurm answers, type the same command again, and nothing is lost"
_REMEMBERED_S = 240  # the executor looks at least every 180 s
# Short beside the minutes of a job, and long enough not to burden a scheduler that is in trouble.
_POLL_S = 5.0


def _queue() -> Any:
    """flowkeeper's module on Slurm's queue; see above."""
    from flowkeeper import slurm as queue

    return queue


@dataclass
class ExecutorSettings(slurm.ExecutorSettings):  # type: ignore[misc]
    """Settings of the executor for Slurm, and how long it is waited for."""

    patience: int = field(
        default=3600,
        metadata={"help": "Seconds for which Slurm may leave every question unanswered before snakemake ends."},
    )


class Executor(slurm.Executor):  # type: ignore[misc]
    """See the module's docstring."""

    def __init__(self, workflow: Any, logger: Any) -> None:
        self._silent_since: float | None = None
        self._looked = time.monotonic()
        self._told: set[int] = set()
        super().__init__(workflow, logger)  # starts the thread that looks at the jobs, before __post_init__

    def __post_init__(self, test_mode: bool = False) -> None:
        settings = self.workflow.executor_settings
        settings.status_attempts = 1  # this class repeats the question, and forgets no job meanwhile
        from flowkeeper.errors import UserError
        from flowkeeper.patches import shorten_names_of_groups

        _refuse_unless_answered(settings.status_command)
        super().__post_init__(test_mode)
        shorten_names_of_groups()
        try:
            self._cancel_leftovers(settings.jobname_prefix)
        except UserError as error:
            raise WorkflowError(str(error)) from error

    def _cancel_leftovers(self, prefix: str) -> None:
        from flowkeeper import drivers

        if not prefix or not drivers.alone():
            return  # they may belong to a snakemake that makes other files of this folder
        left = _queue().left_behind(Path.cwd(), prefix)
        if left:
            numbers = ", ".join(job.number for job in left)
            self.logger.info(
                f"note: Slurm still had jobs of an earlier snakemake in this folder ({numbers}); they are cancelled,"
                " and their work goes on from its saved state."
            )
            _queue().cancel(left)

    def get_account_arg(self, job: Any) -> Iterator[str]:
        """The account of a job; without one Slurm takes the user's default, where the other class guesses."""
        if job.resources.get("slurm_account"):
            yield from super().get_account_arg(job)
        else:
            yield ""

    def run_job(self, job: Any) -> None:
        """Submit a job or a group of jobs once Slurm answers."""
        try:
            self._wait_for_answer()
            super().run_job(job)
        except Exception as error:
            # The other class reports failures of single jobs; for a group the report itself fails and is lost.
            # An AttributeError is that second failure; the first one, of the submission, is its context.
            reason = error.__context__ if isinstance(error, AttributeError) and error.__context__ else error
            self._report_job_error_threadsafe(SubmittedJobInfo(job), f"The submission failed: {reason}")

    def _wait_for_answer(self) -> None:
        end = time.monotonic() + self.workflow.executor_settings.patience
        while (said := _queue().complaint("squeue")) is not None:
            if time.monotonic() > end:
                raise WorkflowError(f"Slurm does not answer ({said})")
            time.sleep(_POLL_S)

    def report_job_success(self, job_info: SubmittedJobInfo) -> None:
        self._told.add(id(job_info))
        super().report_job_success(job_info)

    def report_job_error(self, job_info: SubmittedJobInfo, msg: str | None = None, **kwargs: Any) -> None:
        self._told.add(id(job_info))
        if msg and job_info.job.is_group():
            self.logger.error(msg)  # a group keeps it to itself
        super().report_job_error(job_info, msg=msg, **kwargs)

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncIterator[SubmittedJobInfo]:
        """Yield the jobs that are still to be watched; raises WorkflowError when there is no sense in watching."""
        self._told.clear()
        kept = [job async for job in super().check_active_jobs(active_jobs)]
        accounted = self._told.union(map(id, kept))
        forgotten = [job for job in active_jobs if id(job) not in accounted]
        if forgotten:
            self._wait_or_end()
        elif active_jobs:
            self._look_for_forgotten(kept)
        for job in (*kept, *forgotten):
            yield job

    async def sleep(self) -> None:
        """Wait before the next look: the other class waits longer each time, here `seconds-between-status-checks`."""
        longest = self.workflow.remote_execution_settings.seconds_between_status_checks
        await asyncio.sleep(min(self.next_seconds_between_status_checks, longest))

    def _wait_or_end(self) -> None:
        """Slurm did not answer: say so once, and end when it has been so for too long."""
        command, patience = self.workflow.executor_settings.status_command, self.workflow.executor_settings.patience
        said = _queue().complaint(command) or "no reason given"
        if self._silent_since is None:
            self._silent_since = time.monotonic()
            self.logger.warning(f"Slurm does not answer ({said}); waiting for it, {patience} s at most.")
        elif time.monotonic() - self._silent_since > patience:
            raise WorkflowError(f"Slurm has not answered for {patience} s ({said}); {_AGAIN}.")

    def _look_for_forgotten(self, kept: list[SubmittedJobInfo]) -> None:
        """Slurm answered: after a long silence find out whether it has forgotten jobs that ended meanwhile."""
        from flowkeeper.errors import UserError

        before, self._looked, self._silent_since = self._looked, time.monotonic(), None
        if self._looked - before < _REMEMBERED_S or self.workflow.executor_settings.status_command != "squeue":
            return
        try:
            known = {job.number for job in _queue().own_jobs()}
        except UserError:
            return  # the next look tells
        gone = sorted(job.external_jobid for job in kept if job.external_jobid not in known)
        if gone:
            raise WorkflowError(f"Slurm no longer knows the jobs {', '.join(gone)}, which ended unobserved; {_AGAIN}.")


def _refuse_unless_answered(command: str) -> None:
    """Raise WorkflowError unless Slurm answers with the command that will ask for the state of jobs."""
    said = _queue().complaint(command)
    if said is not None and command == "sacct" and _queue().complaint("squeue") is None:
        raise WorkflowError(
            f"sacct, by which the state of jobs would be asked for, does not answer ({said}); set"
            " `slurm-guarded-status-command: squeue` in the profile."
        )
    if said is not None:
        raise WorkflowError(f"Slurm does not answer ({said}); start again when `squeue` does.")
    age = _queue().remembered_s()
    if command == "squeue" and age is not None and age < _REMEMBERED_S:
        raise WorkflowError(
            f"squeue shows jobs only for {age} s after their end (MinJobAge), which may be over before snakemake looks;"
            " set `slurm-guarded-status-command: sacct` in the profile."
        )
