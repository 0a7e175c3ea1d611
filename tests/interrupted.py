"""A run of the workflow that is watched and interrupted: which steps are at work, and signals at chosen moments.

Needs /proc. A step is known by the log file that its job writes to; every snakemake has a session of its own, which its
steps share and keep when it dies.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from workspace import Workspace

POLL_S = 0.02


@dataclass(frozen=True)
class Step:
    """A process of our command line: its number, its subcommand, the stem of its job's log file below logs/<name>/."""

    pid: int
    command: str
    job: str


def session_of(pid: int) -> int | None:
    """The session of a process; None when it is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[3])


def members(session: int) -> list[int]:
    """Every living process of a session."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and session_of(int(name)) == session]


def step_of(pid: int) -> Step | None:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if arguments[1:3] != [b"-m", b"avbalance"]:
            return None
        log = Path(os.readlink(f"/proc/{pid}/fd/1").removesuffix(" (deleted)"))
    except (OSError, IndexError):
        return None
    parts = log.with_suffix("").parts
    return Step(pid, arguments[3].decode(), "/".join(parts[parts.index("logs") + 2 :]) if "logs" in parts else "")


def steps_of(session: int) -> list[Step]:
    return [step for pid in members(session) if (step := step_of(pid)) is not None]


@dataclass(frozen=True)
class Event:
    """What happened first or last before a moment: the start of snakemake, or the start or end of a job."""

    what: str  # "snakemake", "start", "end"
    job: str = ""


@dataclass
class Run:
    """A snakemake at work in a workspace, and what was seen of it: event -> seconds since its start."""

    workspace: Workspace
    log: Path
    arguments: tuple[str, ...] = ()
    save_every_s: float = 0.2
    seen: dict[Event, float] = field(default_factory=dict)
    working: list[Step] = field(default_factory=list)
    disturbed: bool = False

    def __post_init__(self) -> None:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [".venv/bin/snakemake", *self.arguments],
                cwd=self.workspace.root,
                env=self.workspace.environment(AVBALANCE_CHECKPOINT_EVERY=str(self.save_every_s)),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.started = time.monotonic()
        self.seen[Event("snakemake")] = 0.0

    @property
    def session(self) -> int:
        return self.process.pid

    @property
    def age(self) -> float:
        return time.monotonic() - self.started

    def look(self) -> bool:
        """Note what began and what ended; returns whether snakemake is still at work."""
        before = {step.job for step in self.working}
        alive = self.process.poll() is None
        self.working = steps_of(self.session)
        now = {step.job for step in self.working}
        for what, jobs in (("start", now - before), ("end", before - now)):
            self.seen.update({Event(what, job): self.age for job in jobs})
        return alive

    def watch(self, timeout_s: float = 1500.0) -> Iterator[None]:
        """Look again and again until snakemake has ended."""
        while self.look():
            assert self.age < timeout_s, f"no end after {timeout_s} s: {self.text()[-3000:]}"
            yield
            time.sleep(POLL_S)

    def finish(self) -> int:
        """Wait for the end; returns the exit status."""
        for _ in self.watch():
            pass
        return self.process.returncode

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def strike(self, kind: str) -> list[Step]:
        """Send what `kind` names, see KINDS; returns the steps that were at work."""
        self.working = steps_of(self.session)
        working, number = list(self.working), KINDS[kind][0]
        hit = [step.pid for step in sorted(working, key=lambda step: step.command != "train")]
        targets = {"snakemake": [self.process.pid], "step": hit[:1], "both": [self.process.pid, *hit]}[KINDS[kind][1]]
        for pid in targets:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        self.disturbed = True
        if self.process.pid in targets and number == signal.SIGKILL:
            self.process.wait()
        return working

    def end_all(self) -> None:
        """Kill whatever is left of the session."""
        while left := members(self.session):
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self.process.poll()
            time.sleep(POLL_S)

    def wait_for_orphans(self, timeout_s: float = 300.0) -> None:
        """Wait until no process of the session is left."""
        end = time.monotonic() + timeout_s
        while left := members(self.session):
            assert time.monotonic() < end, f"steps without a snakemake are still at work: {list(map(step_of, left))}"
            time.sleep(POLL_S)


# Signal and whom it is sent to. "step" is one step at work, a training if there is one.
KINDS = {
    "kill -9 of snakemake": (signal.SIGKILL, "snakemake"),
    "kill -9 of a step": (signal.SIGKILL, "step"),
    "kill -9 of both": (signal.SIGKILL, "both"),
    "SIGTERM to snakemake": (signal.SIGTERM, "snakemake"),
    "SIGTERM to a step": (signal.SIGTERM, "step"),
}
