"""Moments at which a kill of Snakemake itself could leave a file that counts as finished without a record.

A record that is cut short reads as no record, and a file without a record is never made again for changed settings:
Snakemake compares with nothing. Between the start of a job and its last record the marks in .snakemake/incomplete
protect its outputs; these tests say that they do, with the Snakemake that is installed.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest
from smoke_tier import TABLES
from snakemake.persistence.file import FilePersistence
from snakemake_interface_executor_plugins.settings import ExecMode
from workspace import Workspace

from flowkeeper.records import mark_incomplete, record_path


def test_marks_are_removed_after_the_last_record_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    persistence = FilePersistence(path=tmp_path / ".snakemake")
    settings = SimpleNamespace(keep_metadata=True)
    persistence.dag = SimpleNamespace(  # type: ignore[assignment]
        workflow=SimpleNamespace(exec_mode=ExecMode.DEFAULT, execution_settings=settings)
    )
    monkeypatch.setattr(persistence, "_get_key", str)
    monkeypatch.setattr(persistence, "_write_record", lambda key, record: order.append(f"record {key}"))
    monkeypatch.setattr(persistence, "_unmark_incomplete", lambda key: order.append(f"unmark {key}"))
    for part in ("_code", "_input", "_log", "_params", "_conda_env", "_software_stack_hash"):
        monkeypatch.setattr(persistence, part, lambda job: None)
    job: Any = MagicMock(input=[], shellcmd="", container_img_url=None)
    job.rule.name = "tables"
    absent = AsyncMock(return_value=False)
    job.output = [MagicMock(__str__=lambda self, name=name: name, exists=absent) for name in "ab"]
    asyncio.run(persistence.finished(job))
    assert order == ["record a", "record b", "unmark a", "unmark b"]


@pytest.mark.slow
def test_a_job_whose_record_was_being_written_is_done_again(workspace: Workspace) -> None:
    record = record_path(workspace.root, TABLES[0])
    record.write_bytes(record.read_bytes()[:100])
    assert workspace.plan().idle, "by itself a record that is cut short says nothing"
    for path in TABLES:
        mark_incomplete(workspace.root, path)
    assert workspace.plan().kinds == {"tables": 1, "crate": 1, "page": 1}
    done = workspace.snakemake()
    assert done.status == 0, done.output[-3000:]
    assert workspace.plan().idle
    assert record.read_text().endswith("}")


# Registers as a snakemake does, locks the files that follow and is killed.
KILLED = """
import os, signal, sys
from pathlib import Path
from flowkeeper import drivers
drivers.register(Path(".avbalance/drivers"))
Path(".snakemake/locks").mkdir(exist_ok=True)
Path(".snakemake/locks/0.output.lock").write_text("\\n".join(sys.argv[1:]))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_job_that_ended_unmarked_is_done_again(workspace: Workspace) -> None:
    """Killed after the start of the job and before its outputs were marked, which is a matter of milliseconds.

    The files have other bytes than those that were made here before, whose records would come back by themselves.
    """
    for path in TABLES:
        record_path(workspace.root, path).unlink()
        with open(workspace.root / path, "a") as file:
            file.write("\n")
    assert "tables" not in workspace.plan().kinds, "by itself an output without a record is taken as it is"
    subprocess.run(
        [sys.executable, "-c", KILLED, *TABLES], cwd=workspace.root, env=workspace.environment(), check=False
    )
    done = workspace.plan()
    assert "note: the lock of a snakemake that was killed" in done.output
    assert done.kinds == {"tables": 1, "crate": 1, "page": 1}
    assert workspace.snakemake().status == 0
    assert workspace.plan().idle


# Sends this process SIGTERM in the moment in which the scheduler's own thread holds the scheduler's lock.
STRUCK = """
import os, signal
from snakemake.scheduling.job_scheduler import JobScheduler
finish = JobScheduler._finish_jobs

def struck(self):
    assert self._lock.locked()
    if self._tofinish:
        os.kill(os.getpid(), signal.SIGTERM)
    finish(self)

JobScheduler._finish_jobs = struck
from snakemake.cli import main
main([])
"""


@pytest.mark.slow
def test_sigterm_in_any_moment_ends_snakemake(workspace: Workspace) -> None:
    for path in TABLES:
        (workspace.root / path).unlink()
    (workspace.root / "struck.py").write_text(STRUCK)
    struck = workspace.run(".venv/bin/python struck.py", timeout_s=300)
    assert struck.status != 0
    assert "Will exit after finishing currently running jobs" in struck.output
    assert "Traceback" not in struck.output
    assert workspace.snakemake().status == 0
    assert workspace.plan().idle
