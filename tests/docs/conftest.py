"""A newcomer's clone: a copy of the working tree in the smoke tier, in which everything was made once."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    """A finished script: exit status, both outputs together, CPU seconds of all its processes."""

    status: int
    output: str
    cpu_s: float


@dataclass(frozen=True)
class Clone:
    """The copy at `root`. Its own code is used, with the packages of the environment that runs the tests."""

    root: Path

    def run(self, script: str) -> Done:
        """Run a bash script in the clone, as a reader would, with one thread and no cache of the user's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTEST"))}
        own = {
            "PYTHONPATH": str(self.root / "src"),
            "OMP_NUM_THREADS": "1",
            "XDG_CACHE_HOME": str(self.root / ".cache"),
        }
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.root,
            env=kept | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=900,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
        return Done(done.returncode, done.stdout, used)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other test process works in the clone."""
        with open(self.root.with_suffix(".lock"), "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def copy_working_tree(target: Path) -> None:
    """What git would carry, as it stands now; no clone, so that uncommitted work is tested."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, target / name)


def borrow_environment(target: Path) -> None:
    """A .venv of links to the one in use, marked as ready: nothing is installed again."""
    (target / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".ready":
            (target / ".venv" / entry.name).symlink_to(entry)
    (target / ".venv" / ".ready").touch()


def make_clone(root: Path) -> dict[str, Any]:
    """Copy, choose the smoke tier, run `make smoke` and then `snakemake`; returns what both said."""
    copy_working_tree(root)
    config = root / "config" / "config.yaml"
    lines = config.read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("tier:") for line in lines) == 1
    config.write_text("\n".join("tier: smoke" if line.startswith("tier:") else line for line in lines) + "\n")
    borrow_environment(root)
    clone = Clone(root)
    return {"first": vars(clone.run("make smoke")), "second": vars(clone.run(".venv/bin/snakemake"))}


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The one clone of this test session, shared by all of its processes."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    found = Clone(shared / "newcomer")
    with found.alone():
        if not (found.root / "made.json").exists():
            shutil.rmtree(found.root, ignore_errors=True)
            found.root.mkdir()
            made = make_clone(found.root)
            (found.root / "made.json").write_text(json.dumps(made))
    return found


@pytest.fixture(scope="session")
def made(clone: Clone) -> dict[str, Done]:
    """What `make smoke` and the `snakemake` after it said."""
    return {name: Done(**said) for name, said in json.loads((clone.root / "made.json").read_text()).items()}
