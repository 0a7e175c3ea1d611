"""A disk that is full or read-only: one clear sentence, nothing half-written, and after mending the run finishes.

The disks are small or read-only mounts inside a mount namespace of the test's own, which ends with its processes.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from functools import cache

import pytest
from smoke_tier import PAPER, RUNS
from workspace import Workspace

pytestmark = pytest.mark.slow

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
DATA = "data/synthetic-balanced-smoke"
FEATURES = "results/smoke/features/synthetic-balanced-smoke"
GREEDY = f"{RUNS}/greedy/seed0/predictions.parquet"


@cache
def no_mounts() -> str | None:
    """Why mounts cannot be tried here; None when they can."""
    if shutil.which("unshare") is None:
        return "there is no program unshare"
    probe = [*NAMESPACE, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/mnt"]
    done = subprocess.run(probe, capture_output=True, text=True)
    return None if done.returncode == 0 else f"mounts are not permitted: {done.stderr.strip()}"


def on_a_bad_disk(workspace: Workspace, spoil: str, mend: str, target: str) -> str:
    """Run `snakemake <target>` after `spoil` and again after `mend`; what the first said.

    Asserts that the first fails without a traceback, leaving nothing half-written, and that the second succeeds.
    """
    if (reason := no_mounts()) is not None:
        pytest.skip(reason)
    found = "find data results .avbalance -name '*.partial*'"
    script = f"""
        {spoil}
        status=0; .venv/bin/snakemake {target} > first.txt 2>&1 || status=$?
        {found} > half-written.txt
        {mend}
        .venv/bin/snakemake {target} > second.txt 2>&1 || {{ cat second.txt; exit 1; }}
        {found} >> half-written.txt
        exit $((status == 0 ? 77 : 0))
    """
    done = workspace.run(f"{shlex.join(NAMESPACE)} bash -euo pipefail -c {shlex.quote(script)}")
    first = (workspace.root / "first.txt").read_text() if (workspace.root / "first.txt").exists() else ""
    assert done.status != 77, f"it went well on a bad disk: {first[-2000:]}"
    assert done.status == 0, first[-3000:] + done.output[-3000:]
    assert (workspace.root / "half-written.txt").read_text() == ""
    assert "Traceback" not in first, first[-5000:]
    return first


def small(folder: str, size: str) -> tuple[str, str]:
    """Commands that put a disk of `size` in the place of a folder, and that make it large enough."""
    mount = f"mkdir -p {folder}; mount -t tmpfs -o size={size} tmpfs {folder}"
    return mount, f"mount -o remount,size=500m {folder}"


def full_after_planning(folder: str, target: str) -> tuple[str, str]:
    """The same for a folder in which planning keeps files of its own: 16 kB are left beside these."""
    mount, mend = small(folder, "500m")
    used = f"$(df -k --output=used {folder} | tail -1)"
    return f"{mount}; .venv/bin/snakemake -n {target}; mount -o remount,size=$(({used} + 16))k {folder}", mend


def read_only(folder: str) -> tuple[str, str]:
    """Commands that make a folder read-only, for root too, and writable again."""
    spoil = f"mkdir -p {folder}; mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}"
    return spoil, f"mount -o remount,bind,rw {folder}"


FULL = r"^error: \S+: cannot be written \(No space left on device\); free the disk or fix permissions\.$"
FORECAST = r"^error: \S+: the (extraction|feature store) needs [\d,]+ bytes but only [\d,]+ are free; free the disk"
# Where the disk is small, its size (None: what planning keeps there, and 16 kB), what is asked for, what is said.
# What lies in the folder otherwise is out of sight.
FULL_DISKS = {
    "media": (DATA, "256k", f"{DATA}/manifest.parquet", FULL),
    "features": (FEATURES, "256k", f"{FEATURES}/visual-fps1-middle-32-4s/card.json", FORECAST),
    "a finished run": (f"{RUNS}/greedy", "16k", GREEDY, FULL),
    "states and the run cache": (".avbalance", None, GREEDY, FULL),
    "a table": (PAPER, "12k", f"{PAPER}/table2.md", FULL),
    "a figure": (PAPER, "64k", f"{PAPER}/figure1.pdf", FULL),
}


@pytest.mark.parametrize("which", FULL_DISKS)
def test_a_full_disk_ends_in_one_sentence_and_then_goes_on(workspace: Workspace, which: str) -> None:
    folder, size, target, sentence = FULL_DISKS[which]
    if target == GREEDY:
        shutil.rmtree(workspace.root / RUNS / "greedy")
    disk = small(folder, size) if size is not None else full_after_planning(folder, target)
    said = on_a_bad_disk(workspace, *disk, f"-- {target}")
    assert re.search(sentence, said, re.MULTILINE), said[-5000:]


READ_ONLY = {
    "results": f"{PAPER}/table2.md",
    "logs": f"{PAPER}/table2.md",
    "data": f"{DATA}/manifest.parquet",
    ".avbalance": f"{PAPER}/table2.md",
    ".snakemake": f"{PAPER}/table2.md",
}


@pytest.mark.parametrize("folder", READ_ONLY)
def test_a_read_only_folder_ends_in_one_sentence_before_any_work(workspace: Workspace, folder: str) -> None:
    target = READ_ONLY[folder]
    (workspace.root / target).unlink()
    said = on_a_bad_disk(workspace, *read_only(folder), f"-- {target}")
    sentence = r"^(error|preflight): \S+: cannot be written to; fix permissions, or mount the disk for writing\.$"
    assert re.search(sentence, said, re.MULTILINE), said[-5000:]
    assert ", see logs/" not in said, "a job began"
