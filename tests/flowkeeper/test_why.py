"""Reasons of pending jobs, in words: fabricated dry runs and records against a small plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small import HISTORY, PREDICTIONS, TABLE, Clone, SmallPlan

from flowkeeper.code import Code
from flowkeeper.digests import save_closures, save_settings, settings_digest
from flowkeeper.dry_run import DryRun, PendingJob
from flowkeeper.interface import Step
from flowkeeper.ledger import Entry, Ledger, write_ledger
from flowkeeper.records import mark_incomplete, write_record
from flowkeeper.why import Pending, ending, told

MEASURES = "results/demo/measures.csv"
SETTINGS = '[{"code":"c","run":"greedy","seed":0,"settings":{"epochs":3}}]'
ENTRY = ("steps.train",)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A checkout whose plan has three steps, of one small package."""
    source = tmp_path / "src" / "steps"
    source.mkdir(parents=True)
    for name in ("__init__", "train"):
        (source / f"{name}.py").write_text("")
    code = Code({"steps": source})
    digest = code.digest(*ENTRY)
    steps = [
        Step((PREDICTIONS, HISTORY), SETTINGS, digest),
        Step((MEASURES,), '{"what":"all"}', digest),
        Step((TABLE,), "{}", digest),
    ]
    plan = SmallPlan(files=(PREDICTIONS, HISTORY, MEASURES, TABLE), codes={ENTRY: digest})
    return Clone(tmp_path, plan, changes={"code": code, "steps": lambda plan: steps})


def step_of(clone: Clone, path: str) -> Step:
    return next(step for step in clone.workflow.steps(clone.plan) if path in step.outputs)


def record(clone: Clone, path: str, settings: str | None = None, code: str | None = None, **changes: Any) -> None:
    """Let Snakemake have recorded a finished step, perhaps of other settings or code."""
    step = step_of(clone, path)
    params = sorted([repr(settings or step.settings), repr(code or step.code)])
    facts = {"params": params, "input": [], "record_format_version": 6, "starttime": 1.0, "endtime": 2.0}
    write_record(clone.root, path, facts | changes)


def job(path: str, rule: str = "train_greedy", reads: tuple[str, ...] = (), **reasons: Any) -> PendingJob:
    return PendingJob(rule, "", reads, (path,), reasons)


def pending(clone: Clone, *jobs: PendingJob, unrecorded: int = 0) -> Pending:
    return Pending(clone.results, clone.plan, DryRun(jobs, unrecorded=unrecorded))


def lines(clone: Clone, *jobs: PendingJob, limit: int | None = 8) -> list[str]:
    return list(told(pending(clone, *jobs), limit))


def test_settings_that_a_rule_names_by_digest_are_told(clone: Clone) -> None:
    former = SETTINGS.replace('"epochs":3', '"epochs":99')
    record(clone, PREDICTIONS, settings_digest(SETTINGS))
    assert "settings changed" not in "".join(lines(clone, job(PREDICTIONS, updated=("data/a",))))
    record(clone, PREDICTIONS, settings_digest(former))
    changed = job(PREDICTIONS, params=("before",))
    assert "  settings changed (what they were before is not recorded here)" in lines(clone, changed)
    save_settings(clone.workflow, clone.root, [former])
    assert "  settings changed: settings.epochs: 99 -> 3 (greedy seed 0)" in lines(clone, changed)


def test_settings_code_and_files_of_one_job_are_all_told(clone: Clone) -> None:
    former = SETTINGS.replace('"epochs":3', '"epochs":99').replace('"c"', '"of before"')
    record(clone, PREDICTIONS, former, "0" * 16)
    assert lines(clone, job(PREDICTIONS, missing=(PREDICTIONS,), updated=("data/b", "data/a"))) == [
        "1 train job:",
        "  code changed (what it was before is not recorded here)",
        "  settings changed: settings.epochs: 99 -> 3 (greedy seed 0)",
        f"  made before, but deleted or not fetched ({PREDICTIONS})",
        "  content changed: data/a",
        "  content changed: data/b",
        "    train_greedy",
        "",
    ]


def test_modules_are_named_once_their_closure_was_saved(clone: Clone) -> None:
    record(clone, PREDICTIONS)
    save_closures(clone.workflow, clone.root, clone.plan.codes)
    (clone.root / "src/steps/train.py").write_text("X = 1\n")
    edited = clone.workflow.code.digest(*ENTRY)
    step = Step((PREDICTIONS,), SETTINGS, edited)
    clone.changes["steps"] = lambda plan: [step]
    clone.plan.codes[ENTRY] = edited
    assert "  code changed: steps.train" in lines(clone, job(PREDICTIONS, params=("...",)))


def test_a_file_that_only_the_ledger_knows_was_not_fetched(clone: Clone) -> None:
    header = {"format": 2, "name": "demo", "record_format_version": 6}
    record = {"params": [], "record_format_version": 6, "starttime": 1.0, "endtime": 2.0}
    entry = Entry(path=PREDICTIONS, size=1, md5="0" * 32, record=record)
    write_ledger(clone.results.ledger, Ledger(header, {PREDICTIONS: entry}))
    absent = job(PREDICTIONS, missing=(PREDICTIONS,))
    assert lines(clone, absent)[1] == f"  made before, but deleted or not fetched ({PREDICTIONS})"
    clone.results.ledger.unlink()
    assert lines(clone, absent)[1] == f"  never made ({PREDICTIONS})"


def test_jobs_that_follow_name_the_causes_and_not_the_chain(clone: Clone) -> None:
    chain = (
        job(PREDICTIONS, updated=("data/list.csv",)),
        job(MEASURES, "measure", follows=(PREDICTIONS,)),
        job(TABLE, "table", follows=(MEASURES, "results/from/elsewhere")),
    )
    assert lines(clone, *chain)[4:] == ["2 jobs:", "  follows from: train_greedy", "    measure", "    table", ""]


def test_input_files_that_came_and_went(clone: Clone) -> None:
    record(clone, MEASURES, input=["a", "b"])
    assert lines(clone, job(MEASURES, "measure", ("b", "c"), inputs=()))[1:3] == [
        "  further input: c",
        "  input no longer read: a",
    ]


def test_interrupted_forced_command_and_environment(clone: Clone) -> None:
    forced = job(PREDICTIONS, forced=())
    assert lines(clone, forced)[1] == "  forced on the command line"
    mark_incomplete(clone.root, PREDICTIONS)
    assert lines(clone, forced)[1] == "  its last run was interrupted"
    assert lines(clone, job(MEASURES, "measure", command=(), environment=()))[1:3] == [
        "  the command of its rule changed (workflow/rules, rule measure)",
        "  its software environment changed (envs)",
    ]


@pytest.mark.parametrize("params", [None, 3, ["'"], ["f()"], ["[" * 300], [4]])
def test_a_record_that_makes_no_sense_costs_the_details_only(clone: Clone, params: Any) -> None:
    record(clone, PREDICTIONS, params=params)
    assert lines(clone, job(PREDICTIONS, params=("before: 'x' now: 'y' ",)))[:3] == [
        "1 train job:",
        "  params changed: before: 'x' now: 'y'",
        "    train_greedy",
    ]


def test_long_lists_are_cut_and_say_so(clone: Clone) -> None:
    jobs = [job(f"results/demo/t{number}", f"table_{number}", missing=(TABLE,)) for number in range(12)]
    cut = lines(clone, *jobs)
    assert cut[:2] == ["12 table jobs:", "  never made"]
    assert len(cut) == 2 + 8 + 2 and cut[-2] == "    and 4 more (--all shows them)"
    assert len(lines(clone, *jobs, limit=None)) == 2 + 12 + 1


def test_the_last_line_counts_jobs_or_files(clone: Clone) -> None:
    jobs = (job(PREDICTIONS), job(MEASURES, "measure"), job(MEASURES, "measure"))
    assert list(ending(pending(clone, *jobs), [])) == ["3 jobs pending: 1 train, 2 measure"]
    assert list(ending(pending(clone, jobs[0]), [])) == ["1 job pending: 1 train"]
    assert list(ending(pending(clone), ["x"])) == ["Nothing to be done: what you asked for is up to date."]
    first, *others = clone.plan.artifacts()
    for path in others:
        clone.write(path, json.dumps(path).encode(), 1.0)
    assert list(ending(pending(clone), [])) == [
        "Nothing to be done: 3 files are up to date; absent, and needed by nothing: 1."
    ]
    clone.write(first, b"", 1.0)
    note, line = ending(pending(clone, unrecorded=2), [])
    assert line == "Nothing to be done: all 4 files are up to date."
    assert note.startswith("note: 2 finished jobs have no record") and note.endswith("or type: keep fetch demo")
