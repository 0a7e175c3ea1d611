"""What happens before planning, before the first job and at the end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from small import FILES, HISTORY, INDEX, JOBS, NAME, PREDICTIONS, TABLE, Clone

from flowkeeper import drivers, hooks
from flowkeeper.errors import UserError
from flowkeeper.hooks import after_running, before_planning, before_running
from flowkeeper.ledger import own_entries


@pytest.fixture(autouse=True)
def _as_snakemake_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this process is changed by patches or registrations."""
    monkeypatch.setattr(hooks, "answer_in_a_thread", lambda number: None)
    monkeypatch.setattr(drivers, "register", lambda folder: None)


def plan(clone: Clone) -> list[str]:
    said: list[str] = []
    before_planning(clone.results, said.append)
    return said


def run(clone: Clone, paths: list[str]) -> list[str]:
    """What is said before jobs make these files."""
    lock = clone.root / ".snakemake" / "locks" / "0.output.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text("".join(f"{path}\n" for path in paths))
    said: list[str] = []
    before_running(clone.results, clone.plan, said.append)
    lock.unlink()
    return said


def test_what_came_back_and_what_is_gone_is_told(reader: Clone) -> None:
    assert plan(reader) == [f"provenance: {len(FILES)} published files of {NAME} have their records and times."]
    assert plan(reader) == []
    reader.delete(TABLE)
    assert plan(reader) == [f"note: published files are gone: {TABLE}; `keep repair demo --deleted` brings them back."]


def test_records_that_somebody_deleted_are_told(tmp_path: Path) -> None:
    made = Clone(tmp_path).run_all()
    after_running(made.results, made.plan, lambda line: pytest.fail(line))
    assert set(own_entries(made.results)) == set(FILES)
    shutil.rmtree(made.root / ".snakemake")
    assert plan(made) == [
        f"note: records of {len(FILES)} files of demo that were made here had gone from .snakemake; they are back."
    ]


def test_folders_that_refuse_end_it_and_a_plan_needs_no_results(reader: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = [reader.root / "results" / NAME]
    monkeypatch.setattr(os, "access", lambda path, mode: path not in refusing)
    assert plan(reader)[0].startswith(f"preflight: {refusing[0]}: cannot be written to")
    refusing.append(reader.results.state)
    with pytest.raises(UserError, match="cannot be written to; fix permissions"):
        plan(reader)


def test_what_is_about_to_be_made_again_is_kept_unless_it_is_damaged(reader: Clone) -> None:
    kept: list[set[str]] = []
    reader.changes["keep"] = lambda root, plan, paths: kept.append(paths)
    reader.restore()
    assert run(reader, [*JOBS["train"], "results/demo/new/file.csv"]) == []
    reader.damage(PREDICTIONS)
    (said,) = run(reader, [*JOBS["train"], INDEX])
    assert said.startswith(f"note: damaged, and made again: {PREDICTIONS}.") and "`keep repair demo`" in said
    assert kept == [set(JOBS["train"]), {HISTORY, INDEX}]


def test_a_first_run_has_nothing_to_keep(tmp_path: Path) -> None:
    assert run(Clone(tmp_path), FILES) == []
