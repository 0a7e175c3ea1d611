"""A small result set made by pretended jobs: files, Snakemake's records of them, a ledger, and what comes after."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avbalance.provenance.ledger import Ledger, build_ledger, ledger_path, write_ledger
from avbalance.provenance.records import RECORD_FORMAT_VERSION, read_record, write_record

NAME = "demo"
BEGIN = 1_700_000_000.25  # when the first job began (s); each takes 10 s
MANIFEST = "data/clips/manifest.parquet"
INDEX, CARD = "results/demo/features/clips/index.parquet", "results/demo/features/clips/card.json"
RUN = "results/demo/runs/greedy/seed0"
PREDICTIONS, HISTORY = f"{RUN}/predictions.parquet", f"{RUN}/history.csv"
TABLE = "results/demo/papers/table1.md"
JOBS = {"dataset": [MANIFEST], "features": [CARD, INDEX], "train": [HISTORY, PREDICTIONS], "table": [TABLE]}
FILES = [path for paths in JOBS.values() for path in paths]


@dataclass(frozen=True)
class Checkout:
    root: Path

    def job(self, rule: str, begun: float, code: str = "v1", content: str | None = None) -> None:
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

    def publish(self) -> Ledger:
        """Write the ledger of everything that is there."""
        ledger = build_ledger(self.root, NAME, FILES, {"commit": "c0ffee"})
        write_ledger(ledger_path(self.root, NAME), ledger)
        return ledger

    def fetch(self, other: Checkout, paths: list[str] = FILES) -> None:
        """Bring the ledger and some files of `other`: what has the same bytes stays, the rest gets a new time."""
        ledger = str(ledger_path(Path(), NAME))
        for number, path in enumerate([ledger, *paths]):
            content, target = (other.root / path).read_bytes(), self.root / path
            if not target.exists() or target.read_bytes() != content:
                self.write(path, content, 1_800_000_000 + random.uniform(0, 1000) + number)

    def copy(self, target: Path) -> Checkout:
        shutil.copytree(self.root, target, symlinks=True)
        return Checkout(target)

    def record(self, path: str) -> dict[str, Any]:
        found = read_record(self.root, path)
        assert found is not None, f"no record of {path}"
        return found

    def time(self, path: str) -> float:
        return os.lstat(self.root / path).st_mtime

    def state(self) -> dict[str, Any]:
        """Content and time of every file; of those in hidden folders, records and stamps, the content alone."""
        paths = [path.relative_to(self.root) for path in sorted(self.root.rglob("*")) if path.is_file()]
        return {
            str(path): (self.root / path).read_bytes() if str(path).startswith(".") else self._content_and_time(path)
            for path in paths
        }

    def _content_and_time(self, path: Path) -> tuple[bytes, float]:
        return (self.root / path).read_bytes(), self.time(str(path))


def make_everything(root: Path, code: str = "v1", begun: float = BEGIN) -> Checkout:
    """Run every job, one after the other."""
    checkout = Checkout(root)
    for number, rule in enumerate(JOBS):
        checkout.job(rule, begun + 20 * number, code)
    return checkout


def record_of(rule: str, code: str) -> dict[str, Any]:
    """What Snakemake records of a job, without its times."""
    return {
        "rule": rule,
        "input": [],
        "log": [f"logs/{rule}.log"],
        "shellcmd": f"python -m avbalance {rule}",
        "params": [repr(code)],
        "code": "python -m avbalance",
        "record_format_version": RECORD_FORMAT_VERSION,
        "conda_env": None,
        "container_img_url": None,
        "software_stack_hash": "d41d8cd98f00b204e9800998ecf8427e",
        "job_hash": random.getrandbits(40),
        "incomplete": False,
        "external_jobid": None,
        "input_checksums": {},
    }
