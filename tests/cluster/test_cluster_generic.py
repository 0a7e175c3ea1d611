"""The profile for any scheduler, with the scripts that stand for one: neither packages nor root are needed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import wait_for
from drivers_at_work import REPOSITORY, results
from interrupted import Run
from workspace import Workspace

PROFILE = REPOSITORY / "profiles" / "cluster-generic"
MOST = 10  # submissions for the whole smoke tier of a paper


class Jobs:
    """The three scripts, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _say(self, script: str, *words: str) -> str:
        command = [sys.executable, str(PROFILE / script), *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def submit(self, text: str) -> str:
        script = self.folder / "job.sh"
        script.write_text(text)
        return self._say("submit.py", str(script))

    def status(self, number: str) -> str:
        return self._say("status.py", number)

    def cancel(self, *numbers: str) -> None:
        self._say("cancel.py", *numbers)

    def watcher(self, number: str) -> int:
        """The process that watches the job."""
        return int((self.folder / ".avbalance" / "jobs" / f"{number}.lock").read_text())

    def wait_for(self, number: str, status: str) -> None:
        wait_for(lambda: self.status(number) == status, 180, lambda: f"{status}: {self.status(number)}")


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    found = Jobs(tmp_path)
    yield found
    for lock in tmp_path.glob(".avbalance/jobs/*.lock"):
        found.cancel(lock.stem)


@pytest.mark.parametrize(("status", "said"), [("0", "success"), ("3", "failed")])
def test_a_job_runs_free_of_the_terminal_and_leaves_its_status(jobs, status, said):
    number = jobs.submit(f"until [ -e go ]; do sleep 0.1; done; echo here; exit {status}")
    assert jobs.status(number) == "running"
    (jobs.folder / "go").touch()
    jobs.wait_for(number, said)
    assert (jobs.folder / ".avbalance" / "jobs" / f"{number}.log").read_text() == "here\n"


def test_jobs_are_cancelled_with_their_processes(jobs):
    numbers = [jobs.submit("sleep 60 & echo $! > child; wait") for _ in range(2)]
    wait_for(lambda: (jobs.folder / "child").exists(), 180, lambda: "no child")
    jobs.cancel(*numbers)
    for number in numbers:
        jobs.wait_for(number, "failed")
    child = int((jobs.folder / "child").read_text())
    wait_for(lambda: not _lives(child), 60, lambda: "the child lives")


def test_a_job_that_is_killed_has_failed(jobs):
    number = jobs.submit("exec sleep 60")
    group = jobs.watcher(number)
    os.killpg(group, signal.SIGKILL)
    jobs.wait_for(number, "failed")
    jobs.cancel(number)


def test_unknown_jobs_have_failed_and_cannot_be_cancelled(jobs):
    assert jobs.status("17") == "failed"
    jobs.cancel("17")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc: what is at work cannot be seen")
def test_the_smoke_tier_of_which_a_driver_is_killed(smoke, tmp_path, monkeypatch):
    """Few submissions, the bytes of a plain run, one GPU for each training."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    workspace = smoke.copy(tmp_path / "workspace")
    workspace.clear()
    arguments = ("--workflow-profile", "profiles/cluster-generic", "--seconds-between-status-checks", "1")
    first = Run(workspace, tmp_path / "first.log", arguments)
    try:
        trained = workspace.root / "logs" / "smoke" / "train"
        wait_for(lambda: trained.exists() and any(trained.rglob("*.log")), 1500, first.text)
        first.process.kill()
        first.process.wait()
        second = Run(workspace, tmp_path / "second.log", arguments)
        try:
            assert second.finish() == 0, second.text()[-3000:]
        finally:
            second.end_all()
    finally:
        first.end_all()
        end_jobs(workspace)
    assert 0 < (first.text() + second.text()).count("with external jobid") <= MOST
    assert results(workspace.root) == results(smoke.root)
    for log in trained.rglob("*.log"):
        assert re.search(r"^uses GPU [0-3]$", log.read_text(encoding="utf-8"), re.MULTILINE), log
    assert workspace.plan().settled


def end_jobs(workspace: Workspace) -> None:
    jobs = Jobs(workspace.root)
    jobs.cancel(*(lock.stem for lock in workspace.root.glob(".avbalance/jobs/*.lock")))
