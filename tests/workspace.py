"""A scratch copy of the working tree in which the smoke tier was run once, and what tests do with such copies.

The first test that asks for the fixture `smoke` pays for the run; all tests of the session share it, under pytest-xdist
too. Tests that change anything work on a copy (fixture `workspace`), which costs a fraction of a second.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
MADE = (".avbalance", ".snakemake", "data", "logs", "results")  # what the workflow writes
# Python imports a module of this name at its start, in every job, because the workflow puts src/ on the path.
SPY = '''"""Notes at the end of each process what it was and what it used."""

import atexit
import json
import os
import sys


def note():
    torch, used = sys.modules.get("torch"), os.times()
    try:
        log = os.fstat(1).st_ino  # a job writes to its log, and no two jobs have the same
    except OSError:
        log = None
    line = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "log": log,
        "modules": sorted(name for name in sys.modules if name.split(".")[0] in ("avbalance", "flowkeeper")),
        "argv": sys.argv,
        "python": sys.executable,
        "torch": torch is not None,
        "threads": torch.get_num_threads() if torch else None,
        "omp": os.environ.get("OMP_NUM_THREADS"),
        "cpu_s": used.user + used.system,
    }
    with open(os.path.join(os.path.dirname(__file__), os.pardir, "processes.jsonl"), "a") as handle:
        handle.write(json.dumps(line) + "\\n")


atexit.register(note)
'''


@dataclass(frozen=True)
class Done:
    """A finished script: exit status, both outputs together, CPU seconds of all its processes."""

    status: int
    output: str
    cpu_s: float

    @property
    def idle(self) -> bool:
        """Whether snakemake found nothing to do."""
        return self.status == 0 and "Nothing to be done" in self.output

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be done but the page, after runs were made by name: it tells of their records."""
        return self.idle or set(self.jobs) <= {"page", "all"}

    @property
    def jobs(self) -> dict[str, int]:
        """The table of jobs that snakemake prints: rule name -> number."""
        assert self.status == 0, self.output[-3000:]
        return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", self.output, re.MULTILINE) if name != "total"}

    @property
    def kinds(self) -> Counter[str]:
        """Jobs per first word of the rule's name, without the target `all`."""
        counts: Counter[str] = Counter()
        for name, number in self.jobs.items():
            counts[name.split("_")[0]] += number
        counts.pop("all", None)
        return counts


@dataclass(frozen=True)
class Workspace:
    """A copy of the working tree at `root`. Its own code is used, with the packages of the tests' environment."""

    root: Path

    def environment(self, **own: str) -> dict[str, str]:
        """A reader's environment: nothing of make, pytest or the user's caches; `own` variables are added."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTEST"))}
        kept.pop("OMP_NUM_THREADS", None)
        return kept | {"PYTHONPATH": str(self.root / "src"), "XDG_CACHE_HOME": str(self.root / ".cache")} | own

    def run(self, script: str, timeout_s: float = 2400, **own: str) -> Done:
        """Run a bash script at the root of the copy."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.root,
            env=self.environment(**own),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=timeout_s,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
        return Done(done.returncode, done.stdout, used)

    def snakemake(self, arguments: str = "", **own: str) -> Done:
        """Run the workflow."""
        return self.run(f".venv/bin/snakemake {arguments}", **own)

    def plan(self, arguments: str = "") -> Done:
        """What the workflow would do."""
        return self.snakemake(f"-n --quiet rules {arguments}")

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace the one occurrence of `old` in a file."""
        text = (self.root / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path}: {old!r} occurs {text.count(old)} times"
        (self.root / path).write_text(text.replace(old, new), encoding="utf-8")

    def processes(self) -> list[dict[str, Any]]:
        """What the processes since the last `forget_processes` noted at their end."""
        path = self.root / "processes.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def forget_processes(self) -> None:
        (self.root / "processes.jsonl").unlink(missing_ok=True)

    def copy(self, target: Path) -> Workspace:
        """An independent copy with the same modification times."""
        shutil.copytree(self.root, target, symlinks=True)
        return Workspace(target)

    def clear(self) -> None:
        """Remove everything that the workflow made."""
        for name in MADE:
            shutil.rmtree(self.root / name, ignore_errors=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other test process works in the copy."""
        with open(self.root.with_suffix(".lock"), "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def copy_working_tree(target: Path) -> None:
    """What git would carry, as it stands now; no clone, so that uncommitted work is tested."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
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


ONE_PAPER = "papers: {balanced-audiovisual: {}}"  # first line of config/config.yaml in a workspace


def choose_smoke_tier(root: Path) -> None:
    """Make smoke the tier of config/config.yaml, and one paper all of it, so that a bare `snakemake` is quick."""
    config = root / "config" / "config.yaml"
    lines = config.read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("tier:") for line in lines) == 1
    lines = ["tier: smoke" if line.startswith("tier:") else line for line in lines]
    config.write_text("\n".join([ONE_PAPER, *lines]) + "\n")


def make_smoke(root: Path) -> dict[str, Done]:
    """Copy the working tree, choose the smoke tier, run `make smoke` and then `snakemake`; what both said."""
    copy_working_tree(root)
    choose_smoke_tier(root)
    borrow_environment(root)
    (root / "src" / "sitecustomize.py").write_text(SPY)
    workspace = Workspace(root)
    return {"first": workspace.run("make smoke"), "second": workspace.run(".venv/bin/snakemake")}


def shared_smoke(folder: Path) -> tuple[Workspace, dict[str, Done]]:
    """The one run of this test session in `folder`, made by the first process that asks; what its commands said."""
    found = Workspace(folder / "smoke")
    said = folder / "smoke.json"
    with found.alone():
        if not said.exists():
            shutil.rmtree(found.root, ignore_errors=True)
            found.root.mkdir()
            said.write_text(json.dumps({name: asdict(done) for name, done in make_smoke(found.root).items()}))
    return found, {name: Done(**done) for name, done in json.loads(said.read_text()).items()}
