"""A small workflow without Snakemake: pretended jobs, and clones, with real git and DVC, between which they go."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flowkeeper.checkout import Cache, read_pointer
from flowkeeper.code import Code
from flowkeeper.errors import UserError
from flowkeeper.fetch import fetch
from flowkeeper.interface import ResultSet, Workflow
from flowkeeper.ledger import Ledger, build_ledger, write_ledger
from flowkeeper.programs import program
from flowkeeper.publish import publish
from flowkeeper.records import RECORD_FORMAT_VERSION, read_record, write_record
from flowkeeper.repair import Repaired, repair
from flowkeeper.restore import Restored, restore

NAME = "demo"
BEGIN = 1_700_000_000.25  # when the first job began (s); each takes 10 s
LATER = BEGIN + 5000
MANIFEST = "data/clips/manifest.parquet"
INDEX, CARD = "results/demo/features/clips/index.parquet", "results/demo/features/clips/card.json"
RUN = "results/demo/runs/greedy/seed0"
PREDICTIONS, HISTORY = f"{RUN}/predictions.parquet", f"{RUN}/history.csv"
TABLE = "results/demo/papers/table1.md"
JOBS = {"dataset": [MANIFEST], "features": [CARD, INDEX], "train": [HISTORY, PREDICTIONS], "table": [TABLE]}
FILES = [path for paths in JOBS.values() for path in paths]
LEDGER = f"results/{NAME}/provenance.jsonl"
ARRAY = "results/demo/features/clips/features.npy"
ARRAY_BYTES = bytes(range(256)) * 40
ARRAY_CARD = {"sha256": hashlib.sha256(ARRAY_BYTES).hexdigest()}
DVC_FILES = {
    ".dvc/config": "[core]\n    analytics = false\n    autostage = false\n    check_update = false\n",
    ".dvc/.gitignore": "/cache\n/tmp\n/config.local\n",
    ".dvcignore": "/data/*\n!/data/*/\n/data/*/*\n!/data/*/manifest.parquet\n/results/*/features/**/features.npy\n"
    "/results/**/.*\n",
    ".gitignore": "/.snakemake/\n/.keeper/\n/data/\n/results/?*/\n",
}


@dataclass(frozen=True)
class SmallPlan:
    """What one configuration makes."""

    name: str = NAME
    files: tuple[str, ...] = tuple(FILES)
    config: dict[str, Any] = field(default_factory=lambda: {"name": NAME})
    codes: dict[tuple[str, ...], str] = field(default_factory=dict)

    def artifacts(self) -> list[str]:
        return list(self.files)

    def unasked(self) -> list[str]:
        return []

    def bulk(self) -> list[str]:
        return [ARRAY]


def checksums(root: Path, name: str) -> Iterator[tuple[str, str]]:
    """Of arrays the card beside them knows the sha256."""
    for array in (root / "results" / name).glob("features/**/features.npy"):
        card = array.with_name("card.json")
        yield str(array.relative_to(root)), json.loads(card.read_text())["sha256"] if card.exists() else ""


def workflow_of(plan: SmallPlan, **changes: Any) -> Workflow:
    facts: dict[str, Any] = {
        "command": "keep",
        "code": Code({}),
        "load_plan": lambda root, files, pairs: plan,
        "steps": lambda plan: (),
        "default_name": lambda root: None,
        "kinds": {"tables": lambda path: path.startswith("papers/"), "records": lambda path: path.endswith(".csv")},
        "versions": lambda: {"python": "3.11.0"},
        "checksums": checksums,
        "state": ".keeper",
    }
    return Workflow(**facts | changes)


@dataclass
class Clone:
    """A checkout, and what was said in it by the last command."""

    root: Path
    plan: SmallPlan = field(default_factory=SmallPlan)
    said: list[str] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)  # of the workflow

    @property
    def workflow(self) -> Workflow:
        return workflow_of(self.plan, **self.changes)

    @property
    def results(self) -> ResultSet:
        return ResultSet(self.workflow, self.root, self.plan.name)

    # --- What jobs do ---

    def job(self, rule: str, begun: float = LATER, code: str = "v1", content: str | None = None) -> None:
        """What snakemake leaves of a finished job: its outputs, ten seconds later, and their records."""
        record = record_of(rule, code)
        for number, path in enumerate(JOBS[rule]):
            self.write(path, f"{path} by {content or code}\n".encode() * 100, begun + 10 + number)
            times = {"starttime": begun + number / 1000, "endtime": begun + 10 + number}
            write_record(self.root, path, record | times)

    def write(self, path: str, content: bytes, time: float) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(content)
        os.utime(target, (time, time))

    def run_all(self, code: str = "v1") -> Clone:
        for number, rule in enumerate(JOBS):
            self.job(rule, BEGIN + 20 * number, code)
        return self

    # --- The ledger without DVC ---

    def write_down(self, paths: list[str] = FILES) -> Ledger:
        """Write the ledger of everything that is there."""
        ledger = build_ledger(self.results, paths, {"commit": "c0ffee"})
        write_ledger(self.results.ledger, ledger)
        return ledger

    def copy_from(self, other: Clone, paths: list[str] = FILES) -> None:
        """Bring the ledger and some files of `other`: what has the same bytes stays, the rest gets a new time."""
        for number, path in enumerate([LEDGER, *paths]):
            content, target = (other.root / path).read_bytes(), self.root / path
            if not target.exists() or target.read_bytes() != content:
                self.write(path, content, 1_800_000_000 + random.uniform(0, 1000) + number)

    def copy(self, target: Path) -> Clone:
        shutil.copytree(self.root, target, symlinks=True)
        return Clone(target)

    def restore(self) -> Restored:
        return restore(self.results)

    # --- Sharing ---

    def publish(self, bulk: bool = False, dry: bool = False) -> str:
        """What publishing says."""
        self.said.clear()
        publish(self.workflow, self.root, [], [], bulk, dry, self.said.append)
        return "\n".join(self.said)

    def fetch(self, *only: str, name: str | None = None, bulk: bool = False) -> Restored:
        self.said.clear()
        return fetch(self.workflow, self.root, name, only, bulk, self.said.append)

    def repair(self, deleted: bool = False) -> Repaired:
        self.said.clear()
        return repair(self.workflow, self.root, None, deleted, self.said.append)

    def git(self, *words: str) -> str:
        return self._run("git", *words)

    def dvc(self, *words: str) -> str:
        return self._run(program("dvc"), *words)

    def _run(self, *words: str) -> str:
        done = subprocess.run(words, cwd=self.root, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "work")

    def clone(self, target: Path) -> Clone:
        subprocess.run(["git", "clone", "-q", str(self.root), str(target)], check=True)
        clone = Clone(target)
        clone.introduce()
        return clone

    def introduce(self) -> None:
        self.git("config", "user.name", "somebody")
        self.git("config", "user.email", "somebody@example.org")

    # --- What is there ---

    @property
    def commands(self) -> list[str]:
        """What was run on behalf of the last command, without the settings that every command asks for."""
        shown = [line.removeprefix("$ ") for line in self.said if line.startswith("$ ")]
        return [line for line in shown if not line.startswith("dvc config")]

    def record(self, path: str) -> dict[str, Any]:
        record = read_record(self.root, path)
        assert record is not None, f"no record of {path}"
        return record

    def time(self, path: str) -> float:
        return os.lstat(self.root / path).st_mtime

    def contents(self, *paths: str) -> dict[str, bytes]:
        return {path: (self.root / path).read_bytes() for path in paths}

    def files(self) -> dict[str, bytes]:
        """Content of everything under data/ and results/ but the pointers."""
        below = [path for name in ("data", "results") for path in sorted((self.root / name).rglob("*"))]
        paths = [str(path.relative_to(self.root)) for path in below if path.is_file() and path.suffix != ".dvc"]
        return self.contents(*paths)

    def state(self) -> dict[str, Any]:
        """Content and time of every file; of those in hidden folders, records and notes, the content alone."""
        paths = [str(path.relative_to(self.root)) for path in sorted(self.root.rglob("*")) if path.is_file()]
        return {
            path: content if path.startswith(".") else (content, self.time(path))
            for path, content in self.contents(*paths).items()
        }

    def listed(self, folder: str) -> set[str]:
        """Files that the pointer of a folder stands for."""
        return set(Cache(self.root / ".dvc" / "cache").listing(read_pointer(self.workflow, self.root, folder)))

    # --- What goes wrong ---

    def damage(self, path: str, keep_times: bool = True) -> None:
        """Change the last byte of a file."""
        target = self.root / path
        before, content = target.stat(), target.read_bytes()
        target.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        if keep_times:
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))

    def delete(self, *paths: str) -> None:
        for path in paths:
            (self.root / path).unlink()

    def pretend_at_work(self) -> None:
        """Leave the lock of a snakemake that works."""
        lock = self.root / ".snakemake" / "locks" / "0.output.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()


def refusal(clone: Clone, *only: str, name: str | None = None, bulk: bool = False) -> str:
    """Why nothing was fetched: one sentence, and nothing under data/ and results/ has changed."""
    before = clone.files()
    with pytest.raises(UserError) as caught:
        clone.fetch(*only, name=name, bulk=bulk)
    said = str(caught.value)
    assert clone.files() == before
    assert "\n" not in said and "Traceback" not in said
    return said


def record_of(rule: str, code: str) -> dict[str, Any]:
    """What Snakemake records of a job, without its times."""
    return {
        "rule": rule,
        "input": [],
        "log": [f"logs/{rule}.log"],
        "shellcmd": f"python -m steps {rule}",
        "params": [repr(code)],
        "code": "python -m steps",
        "record_format_version": RECORD_FORMAT_VERSION,
        "conda_env": None,
        "container_img_url": None,
        "software_stack_hash": "d41d8cd98f00b204e9800998ecf8427e",
        "job_hash": random.getrandbits(40),
        "incomplete": False,
        "external_jobid": None,
        "input_checksums": {},
    }


def making(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in ("starttime", "endtime", "job_hash")}


def address(store: Path, content: bytes) -> Path:
    """Where DVC keeps some bytes, in its cache or in a folder that is a remote."""
    md5 = hashlib.md5(content).hexdigest()
    return store / "files" / "md5" / md5[:2] / md5[2:]


def spoil(store: Path, content: bytes) -> Path:
    """Damage DVC's object of some bytes."""
    target = address(store, content)
    target.chmod(0o644)
    target.write_bytes(b"bad")
    return target


def begin(root: Path, remote: Path) -> Clone:
    """Somebody who has made a result set and chosen a remote; nothing is published."""
    for name, text in DVC_FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    clone = Clone(root).run_all()
    clone.write(CARD, json.dumps(ARRAY_CARD).encode(), clone.record(CARD)["endtime"])
    (root / ARRAY).write_bytes(ARRAY_BYTES)
    remote.mkdir()
    clone.git("init", "-q", "-b", "main")
    clone.introduce()
    # Relative, so that publisher and remote can be copied together.
    clone.dvc("remote", "add", "--quiet", "--default", "store", os.path.relpath(remote, root))
    clone.commit()
    return clone
