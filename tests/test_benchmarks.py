"""Benchmarks are no tests, but they call the code: a changed signature must not go unnoticed until somebody times."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
# Those that take seconds; planning and the networks of full size run the same entry points for minutes.
QUICK = "import sys, pathlib, run; run.store(pathlib.Path(sys.argv[1])); run.augmentation(); run.gaps.main()"


@pytest.mark.slow
def test_the_quick_benchmarks_run_and_print_ratios(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "benchmarks"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", QUICK, str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("times as fast") == 3
