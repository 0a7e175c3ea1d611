"""After `kill -9` of snakemake alone its steps live on: what they still do must not harm what comes after them."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from interrupted import POLL_S, Run, Step
from smoke_tier import RUNS, cell_log
from workspace import Workspace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc: what is at work cannot be seen"),
]

GREEDY = f"{RUNS}/greedy/seed0"


def wait_for(condition: Callable[[], bool], run: Run, timeout_s: float = 600.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"what the test waits for never came: {run.text()[-3000:]}"
        time.sleep(POLL_S)


def orphaned_training(workspace: Workspace, log: Path) -> tuple[Run, Step]:
    """A snakemake that was killed, and the training that it started: stopped, with a state saved."""
    run = Run(workspace, log, ("--", f"{GREEDY}/predictions.parquet"), save_every_s=0.0)
    state = workspace.root / ".avbalance" / "state"
    try:
        wait_for(lambda: run.look() and any(state.glob("*-main.pt")), run)
        (step,) = run.working
        os.kill(step.pid, signal.SIGSTOP)
        run.strike("kill -9 of snakemake")
    except BaseException:
        run.end_all()
        raise
    return run, step


def set_epochs(workspace: Workspace, epochs: int) -> None:
    path = workspace.root / "config" / "tiers" / "smoke.yaml"
    kept = [line for line in path.read_text().splitlines() if not line.startswith("      greedy:")]
    place = next(number for number, line in enumerate(kept) if line.startswith("      ogm-ge:"))
    kept.insert(place, f"      greedy: {{settings: {{protocol: {{epochs: {epochs}}}}}}}")
    path.write_text("\n".join(kept) + "\n")


@pytest.mark.parametrize("then", [40, 4])
def test_a_training_that_lives_on_hands_over_and_never_writes_last(
    workspace: Workspace, tmp_path: Path, then: int
) -> None:
    """It was started for 40 epochs; the snakemake after it wants as many, or 4."""
    set_epochs(workspace, 40)
    killed, orphan = orphaned_training(workspace, tmp_path / "killed.log")
    set_epochs(workspace, then)
    run = Run(workspace, tmp_path / "next.log", killed.arguments)
    log = workspace.root / "logs" / "smoke" / f"{cell_log('greedy')}.log"
    try:
        waiting = "waiting: another process still makes the same files"
        wait_for(lambda: log.is_file() and waiting in log.read_text(), run)
        os.kill(orphan.pid, signal.SIGCONT)
        assert run.finish() == 0, run.text()[-3000:]
        killed.wait_for_orphans()
    finally:
        killed.end_all()
        run.end_all()
    assert ("greedy/seed0: resumed at epoch" in log.read_text()) == (then == 40), log.read_text()
    record = json.loads((workspace.root / GREEDY / "record.json").read_text())
    assert record["settings"]["protocol"]["epochs"] == then
    assert len((workspace.root / GREEDY / "history.csv").read_text().splitlines()) == 1 + then
    assert not list((workspace.root / "results").rglob("*.partial*"))
    assert workspace.plan(" ".join(killed.arguments)).idle
