"""Slurm's queue as a driver must know it: whether Slurm answers, and what a killed driver left there."""

from __future__ import annotations

import getpass
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowkeeper.errors import UserError
from flowkeeper.programs import TIMED_OUT, run

ANSWER_S = 60.0  # how long one command of Slurm may take
CANCEL_S = 120.0  # how long cancelled jobs may take to end: Slurm kills them KillWait seconds after a polite word
_POLL_S = 1.0
_ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
}  # fmt: skip


@dataclass(frozen=True)
class Queued:
    """A job that Slurm knows: its number, state, name, and the folder that it was submitted from."""

    number: str
    state: str
    name: str
    folder: str

    @property
    def ended(self) -> bool:
        return self.state in _ENDED


def complaint(command: str) -> str | None:
    """What Slurm says when it does not answer a question about jobs; None when it does.

    command: squeue or sacct, of which the latter needs an accounting database.
    """
    asked = {"squeue": ["squeue", "--noheader", "--name", "nobody"], "sacct": ["sacct", "-X", "-n", "--name", "nobody"]}
    try:
        _ask(asked[command])
    except UserError as error:
        return str(error)
    return None


def remembered_s() -> int | None:
    """Seconds for which squeue still shows a job that ended (MinJobAge); None when Slurm does not say."""
    try:
        age = re.search(r"^MinJobAge\s*=\s*(\d+) sec", _ask(["scontrol", "show", "config"]), re.MULTILINE)
    except UserError:
        return None
    return int(age[1]) if age else None


def own_jobs() -> list[Queued]:
    """The user's jobs that squeue shows, ended ones included; raises UserError when Slurm does not answer."""
    user = ["squeue", "--user", getpass.getuser(), "--states=all", "--noheader", "--format=%i|%T|%j|%Z"]
    return [Queued(*line.split("|", 3)) for line in _ask(user).splitlines() if line.count("|") >= 3]


def left_behind(root: Path, prefix: str) -> list[Queued]:
    """Jobs that were submitted from `root` under a name that begins with `prefix` and have not ended."""
    jobs = [job for job in own_jobs() if job.name.startswith(f"{prefix}_") and not job.ended]
    return [job for job in jobs if os.path.realpath(job.folder) == os.path.realpath(root)]


def cancel(jobs: Sequence[Queued], pause: Callable[[float], None] = time.sleep) -> None:
    """Cancel jobs and wait until Slurm has ended them; raises UserError when it does not."""
    numbers = {job.number for job in jobs}
    _ask(["scancel", *sorted(numbers)])
    end = time.monotonic() + CANCEL_S
    while left := sorted(job.number for job in own_jobs() if job.number in numbers and not job.ended):
        if time.monotonic() > end:
            raise UserError(
                f"Slurm has not ended the jobs {', '.join(left)} of an earlier snakemake within {CANCEL_S:.0f} s of"
                f" `scancel {' '.join(left)}`; wait until `squeue` shows them no more, and start again."
            )
        pause(_POLL_S)


def _ask(command: Sequence[str]) -> str:
    """What a command of Slurm prints; raises UserError with its complaint."""
    try:
        done = run(command, None, lambda line: None, timeout_s=ANSWER_S)
    except UserError as error:
        raise UserError(f"{command[0]}: no such program; start snakemake on a login node of the cluster.") from error
    if done.status == TIMED_OUT:
        raise UserError(f"{command[0]} has not answered for {ANSWER_S:.0f} s")
    if done.status != 0:
        said = " ".join(done.errors.split()) or done.fault
        raise UserError(said if command[0] in said else f"{command[0]}: {said}")
    return done.output
