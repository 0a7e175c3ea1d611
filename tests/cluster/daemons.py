"""Servers that a test starts, on this machine and for itself, and surely ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REQUIRED = "AVBALANCE_REQUIRE_CLUSTER"  # set where these tests must run: a missing program is then an error
POLL_S = 0.1


def program(name: str) -> str | None:
    """Path of a program; servers lie where users' shells do not look."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def need(programs: Sequence[str], packages: str, root: bool = True) -> None:
    """Skip the test with a printed reason, or fail where AVBALANCE_REQUIRE_CLUSTER=1, unless all of it is here."""
    absent = [name for name in programs if program(name) is None]
    reason = f"{', '.join(absent)} not installed: apt-get install {packages}" if absent else None
    if root and os.geteuid() != 0:
        reason = "needs root: these servers start others' jobs"
    if reason and os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{reason} ({REQUIRED}=1)", pytrace=False)
    if reason:
        pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(condition: Callable[[], bool], timeout_s: float, what: Callable[[], str]) -> None:
    """Ask until the condition holds; raises AssertionError with `what()` when it does not in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"not within {timeout_s} s: {what()}"
        time.sleep(POLL_S)


@dataclass
class Daemon:
    """A server in the foreground, in a session of its own; what it prints goes to `log`."""

    command: list[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [program(self.command[0]) or self.command[0], *self.command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self, number: signal.Signals = signal.SIGTERM, patience_s: float = 5.0) -> None:
        """Send a signal and wait for the end; kill what does not end."""
        if self.alive:
            self.process.send_signal(number)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""
