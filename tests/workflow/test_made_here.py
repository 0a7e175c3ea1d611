"""What is noticed of results that were made here and never published, and whose code a checkout runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from smoke_tier import PAPER, RUNS
from workspace import Workspace

VERIFY = ".venv/bin/python -m avbalance verify || true"


def flip_in_silence(path: Path) -> None:
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_records_that_were_deleted_come_back_so_that_an_edit_is_still_noticed(workspace: Workspace) -> None:
    shutil.rmtree(workspace.root / ".snakemake")
    planned = workspace.plan()
    assert planned.idle
    assert "files of smoke that were made here had gone from .snakemake; they are back" in planned.output
    workspace.edit("src/avbalance/methods/greedy.py", "math.log10(bypass / main)", "math.log2(bypass / main)")
    assert workspace.plan().kinds["train"] == 1


def test_a_byte_that_changed_in_silence_is_told_by_the_own_ledger_or_else_by_the_run_cache(
    workspace: Workspace,
) -> None:
    table, predictions = f"{PAPER}/table2.csv", f"{RUNS}/greedy/seed0/predictions.parquet"
    said = workspace.run(VERIFY).output
    assert said.startswith("results/smoke: not published, good: ") and " absent: 0, damaged: 0\n" in said
    for path in (table, predictions):
        flip_in_silence(workspace.root / path)
    said = workspace.run(VERIFY).output
    assert all(f"{path}: content differs from its recorded md5" in said for path in (table, predictions))
    (workspace.root / ".avbalance/ledgers/smoke.jsonl").unlink()  # as in a checkout of before there was one
    said = workspace.run(VERIFY).output
    assert f"{predictions}: content differs from its recorded sha256" in said and table not in said


def test_an_edit_here_counts_though_another_checkout_is_installed(workspace: Workspace, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(workspace.root / "src", other / "src")
    workspace.edit("src/avbalance/methods/greedy.py", "math.log10(bypass / main)", "math.log2(bypass / main)")
    installed = {"PYTHONPATH": str(other / "src")}
    assert workspace.snakemake("-n --quiet rules", **installed).kinds["train"] == 1
    said = workspace.run(".venv/bin/python -m avbalance why", **installed).output
    assert "code changed: avbalance.methods.greedy" in said
