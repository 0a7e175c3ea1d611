"""Snakemake as the driver of a cluster, and the processes that its jobs are."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from daemons import POLL_S, wait_for
from slurm_cluster import Cluster, SlurmJob

REPOSITORY = Path(__file__).parents[2]
QUICK = ("--slurm-guarded-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "2")


@dataclass
class Driver:
    """A snakemake with profiles/slurm in a folder; what it says goes to `log`."""

    folder: Path
    log: Path
    environment: dict[str, str]
    arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        profile = ["--workflow-profile", str(REPOSITORY / "profiles" / "slurm"), *QUICK]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).parent / "snakemake"), *profile, *self.arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def finish(self, timeout_s: float = 1500) -> int:
        """Wait for the end; returns the exit status."""
        wait_for(lambda: self.process.poll() is not None, timeout_s, lambda: self.text()[-3000:])
        return self.process.returncode

    def wait_until_it_says(self, words: str, timeout_s: float = 600) -> None:
        wait_for(lambda: words in self.text(), timeout_s, lambda: f"{words!r} in {self.text()[-3000:]}")

    def kill(self) -> None:
        """kill -9 of snakemake alone: what it has submitted goes on."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Kill it and what it started on this machine, if it is at work."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @property
    def submitted(self) -> list[str]:
        """Numbers of the jobs that it submitted."""
        return re.findall(r"has been submitted with SLURM jobid (\d+)", self.text())


def processes_of(job: str) -> list[int]:
    """Every process of a Slurm job: they have its number in their environment."""
    word = f"SLURM_JOB_ID={job}".encode()
    return [pid for pid in _pids() if word in _read(pid, "environ").split(b"\0")]


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def trains(job: str) -> bool:
    """Whether a training of the job has begun."""
    return any(b"avbalance\0train" in _read(pid, "cmdline") for pid in processes_of(job))


def wait_for_training(cluster: Cluster, driver: Driver) -> SlurmJob:
    """The first job of the driver that trains."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert driver.process.poll() is None, driver.text()[-3000:]
        for job in cluster.jobs():
            if job.active and job.number in driver.submitted and trains(job.number):
                return job
        time.sleep(POLL_S)
    raise AssertionError(f"no training began: {driver.text()[-3000:]}")


def lose_power(cluster: Cluster, job: SlurmJob) -> None:
    """Let the job's node die with everything that runs on it, the server of the node first."""
    cluster.kill_node(job.node)
    guards = [pid for pid in _pids() if _read(pid, "cmdline").startswith(f"slurmstepd: [{job.number}.".encode())]
    for pid in [*guards, *processes_of(job.number)]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def results(root: Path) -> dict[str, bytes]:
    """Everything that was made and shared, but for files that tell times: records of runs, notes on arrays."""
    files = [*(root / "results").rglob("*"), *(root / "data").glob("*/manifest.parquet")]
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in files
        if path.is_file() and path.name not in ("record.json", "array.json")
    }
