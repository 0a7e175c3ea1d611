"""A place to start the workflow in: the repository's files by link, everything that is made stays there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LINKED = ("Snakefile", "workflow", "config", "profiles", "envs", "src", "CITATION.cff")

Workflow = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the repository's own files linked in, made the working directory."""
    for name in LINKED:
        (tmp_path / name).symlink_to(REPOSITORY / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def snakemake(workplace: Path) -> Workflow:
    """Run snakemake in the workplace, without a cache of the user's and with one thread."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(workplace / ".cache")}
        command = [sys.executable, "-m", "snakemake", *arguments]
        return subprocess.run(command, cwd=workplace, env=environment, capture_output=True, text=True, timeout=1200)

    return run
