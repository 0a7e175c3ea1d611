"""Reasons of pending jobs, in words: fabricated dry runs and records against the real plan of the smoke tier."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from avbalance.plan import digest as digest_module
from avbalance.plan.commandline import load_plan_for
from avbalance.plan.digest import module_file
from avbalance.plan.plan import Plan
from avbalance.plan.steps import Step, steps
from avbalance.provenance.closures import save_closures
from avbalance.provenance.dryrun import DryRun, PendingJob
from avbalance.provenance.ledger import Job, Ledger, Output, ledger_path, write_ledger
from avbalance.provenance.records import record_path, write_record
from avbalance.provenance.settings import save_settings, settings_digest
from avbalance.provenance.why import Inquiry, ending, told

REPOSITORY = Path(__file__).parents[2]
GREEDY = "results/smoke/runs/balanced-audiovisual/synthetic-balanced-smoke/greedy/seed0/predictions.parquet"
MEASUREMENTS = "results/smoke/papers/balanced-audiovisual/measurements.parquet"
HEADER = {"format": 1, "name": "smoke", "record_format_version": 6}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    module_file.cache_clear()
    yield
    module_file.cache_clear()


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    with chdir(tmp_path_factory.mktemp("plan")):  # the cache of digests comes to lie there
        found = load_plan_for(REPOSITORY, [], ["tier=smoke"])
        assert list(steps(found))
    return found


def step_of(plan: Plan, path: str) -> Step:
    return next(step for step in steps(plan) if path in step.outputs)


def record_of(step: Step, **changes: Any) -> dict[str, Any]:
    """What Snakemake writes of a finished step, whose settings are kept here as the main process keeps them."""
    save_settings(Path(), [step.spec])
    return {
        "params": sorted([repr(settings_digest(step.spec)), repr(step.code)]), "input": [], "record_format_version": 6,
        "starttime": 1.0, "endtime": 2.0, **changes,
    }  # fmt: skip


def pending(plan: Plan, path: str, rule: str = "train_greedy", reads: tuple[str, ...] = (), **reasons: Any) -> Any:
    return PendingJob(rule, "", reads, step_of(plan, path).outputs, reasons)


def lines(plan: Plan, *jobs: PendingJob, limit: int | None = 8) -> list[str]:
    return list(told(Inquiry(Path(), plan, DryRun(jobs)), limit))


def test_settings_code_and_files_of_one_job_are_all_told(plan: Plan) -> None:
    step = step_of(plan, GREEDY)
    former = json.loads(step.spec)
    former[0]["settings"]["protocol"]["epochs"] = 99
    write_record(Path(), GREEDY, record_of(dataclasses.replace(step, spec=json.dumps(former), code="0" * 16)))
    assert lines(plan, pending(plan, GREEDY, missing=(GREEDY,), updated=("data/b", "data/a"))) == [
        "1 train job:",
        "  code changed (what it was before is not recorded here)",
        "  settings changed: settings.protocol.epochs: 99 -> 3 (greedy seed 0)",
        f"  made before, but deleted or not fetched ({GREEDY})",
        "  content changed: data/a",
        "  content changed: data/b",
        "    train_greedy",
        "",
    ]


def test_modules_are_named_once_their_closure_was_saved(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = step_of(plan, GREEDY)
    write_record(Path(), GREEDY, record_of(step))
    save_closures(Path(), plan.codes)
    source = tmp_path / "avbalance"
    for path in (digest_module.SOURCE).rglob("*.py"):
        (source / path.relative_to(digest_module.SOURCE)).parent.mkdir(parents=True, exist_ok=True)
        (source / path.relative_to(digest_module.SOURCE)).write_bytes(path.read_bytes())
    (source / "methods/greedy.py").write_text((source / "methods/greedy.py").read_text() + "X = 1\n")
    monkeypatch.setattr(digest_module, "SOURCE", source)
    module_file.cache_clear()
    edited = load_plan_for(REPOSITORY, [], ["tier=smoke"])
    assert "  code changed: avbalance.methods.greedy" in lines(edited, pending(edited, GREEDY, params=("...",)))


def test_a_file_that_only_the_ledger_knows_was_not_fetched(plan: Plan) -> None:
    step = step_of(plan, GREEDY)
    ledger = Ledger(HEADER, (Job(record_of(step), (Output(GREEDY, 1, "0" * 32, 1.0, 2.0),)),))
    write_ledger(ledger_path(Path(), "smoke"), ledger)
    job = pending(plan, GREEDY, missing=(GREEDY,))
    assert lines(plan, job)[1] == f"  made before, but deleted or not fetched ({GREEDY})"
    ledger_path(Path(), "smoke").unlink()
    assert lines(plan, job)[1] == f"  never made ({GREEDY})"


def test_jobs_that_follow_name_the_causes_and_not_the_chain(plan: Plan) -> None:
    table = MEASUREMENTS.replace("measurements.parquet", "table2.csv")
    chain = (
        pending(plan, GREEDY, updated=("data/list.csv",)),
        pending(plan, MEASUREMENTS, "measure", follows=(GREEDY,)),
        pending(plan, table, "table", follows=(MEASUREMENTS, "results/from/elsewhere")),
    )
    assert lines(plan, *chain)[4:] == ["2 jobs:", "  follows from: train_greedy", "    measure", "    table", ""]


def test_input_files_that_came_and_went(plan: Plan) -> None:
    write_record(Path(), MEASUREMENTS, record_of(step_of(plan, MEASUREMENTS), input=["a", "b"]))
    assert lines(plan, pending(plan, MEASUREMENTS, "measure", ("b", "c"), inputs=()))[1:3] == [
        "  further input: c",
        "  input no longer read: a",
    ]


def test_interrupted_forced_command_and_environment(plan: Plan) -> None:
    forced = pending(plan, GREEDY, forced=())
    assert lines(plan, forced)[1] == "  forced on the command line"
    mark = record_path(Path(), GREEDY).relative_to(".snakemake/metadata")
    (Path(".snakemake/incomplete") / mark).parent.mkdir(parents=True)
    (Path(".snakemake/incomplete") / mark).write_text("{}")
    assert lines(plan, forced)[1] == "  its last run was interrupted"
    assert lines(plan, pending(plan, MEASUREMENTS, "measure", command=(), environment=()))[1:3] == [
        "  the command of its rule changed (workflow/rules, rule measure)",
        "  its software environment changed (envs)",
    ]


@pytest.mark.parametrize("params", [None, 3, ["'"], ["f()"], ["[" * 300], [4]])
def test_a_record_that_makes_no_sense_costs_the_details_only(plan: Plan, params: Any) -> None:
    write_record(Path(), GREEDY, record_of(step_of(plan, GREEDY), params=params))
    assert lines(plan, pending(plan, GREEDY, params=("before: 'x' now: 'y' ",)))[:3] == [
        "1 train job:",
        "  params changed: before: 'x' now: 'y'",
        "    train_greedy",
    ]


def test_long_lists_are_cut_and_say_so(plan: Plan) -> None:
    paths = [step.outputs[0] for step in steps(plan)][:12]
    jobs = [pending(plan, path, f"table_{number}", missing=(path,)) for number, path in enumerate(paths)]
    cut = lines(plan, *jobs, limit=8)
    assert cut[:2] == ["12 table jobs:", "  never made"]
    assert len(cut) == 2 + 8 + 2 and cut[-2] == "    and 4 more (--all shows them)"
    assert len(lines(plan, *jobs, limit=None)) == 2 + 12 + 1


def test_the_last_line_counts_jobs_or_files(plan: Plan) -> None:
    jobs = (pending(plan, GREEDY), pending(plan, MEASUREMENTS, "measure"), pending(plan, MEASUREMENTS, "measure"))
    assert list(ending(Path(), plan, DryRun(jobs), [])) == ["3 jobs pending: 1 train, 2 measure"]
    assert list(ending(Path(), plan, DryRun(jobs[:1]), [])) == ["1 job pending: 1 train"]
    assert list(ending(Path(), plan, DryRun(()), ["x"])) == ["Nothing to be done: what you asked for is up to date."]
    files = [Path(path) for path in plan.artifacts()]
    for path in files[1:]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (line,) = ending(Path(), plan, DryRun(()), [])
    assert line == f"Nothing to be done: {len(files) - 1} files are up to date; absent, and needed by nothing: 1."
    files[0].parent.mkdir(parents=True, exist_ok=True)
    files[0].touch()
    (note, line) = ending(Path(), plan, DryRun((), unrecorded=2), [])
    assert line == f"Nothing to be done: all {len(files)} files are up to date."
    assert note.startswith("note: 2 finished jobs have no record")
