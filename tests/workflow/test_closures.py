"""The digest of a step covers what the step imports: compared with the modules that its processes had loaded.

The closure behind a digest is read from the source. An import that reading does not find would let edited code pass
unnoticed; so each process of the smoke run noted its modules at its end (tests/workspace.py).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from smoke_tier import PAPER
from workspace import Workspace

from avbalance.digest import CODE, DIGEST_CACHE
from avbalance.plan.plan import Plan, load_plan_for
from flowkeeper.digests import settings_digest
from flowkeeper.interface import Step
from flowkeeper.records import read_record

# The command line, what it asks before a step begins, and the waiting for other processes: no result depends on them.
OF_AVBALANCE = (
    "__main__ checkout cli names job_commands user_commands workflow gpus papers plan digest errors screen own_methods"
)
OF_FLOWKEEPER = "digests code commands interface writers errors files"
COMMAND_LINE = {
    *("avbalance", *(f"avbalance.{name}" for name in (*OF_AVBALANCE.split(), "provenance", "provenance.run_record"))),
    *("flowkeeper", *(f"flowkeeper.{name}" for name in OF_FLOWKEEPER.split())),
}


@pytest.fixture
def plan(smoke: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The plan of the smoke run; its cache of digests is kept elsewhere."""
    monkeypatch.chdir(tmp_path)
    return load_plan_for(smoke.root, [], [])


def loaded(workspace: Workspace, plan: Plan) -> dict[Step, set[str]]:
    """Modules that the processes of each step had loaded at their end, those of their decoders included.

    A process is known by the log that it wrote to, a decoder by its parent.
    """
    processes = workspace.processes()
    logs = {process["pid"]: process["log"] for process in processes}
    found: dict[Any, set[str]] = defaultdict(set)
    for process in processes:
        found[logs[process["parent"]] if is_decoder(process) else process["log"]] |= set(process["modules"])
    return {step: found.get(log_of(workspace, step), set()) for step in plan.steps()}


def is_decoder(process: dict[str, Any]) -> bool:
    return str(process["argv"][0]).endswith("features/pool.py")


def log_of(workspace: Workspace, step: Step) -> int:
    record = read_record(workspace.root, step.outputs[0])
    assert record is not None
    return (workspace.root / record["log"][0]).stat().st_ino


def holes(plan: Plan, found: dict[Step, set[str]]) -> dict[str, set[str]]:
    """First output of a step -> modules that it loaded though its digest does not cover them."""
    covered = {digest: closure(entries) for entries, digest in plan.codes.items()}
    # The folder of a paper is a package without a file of its own.
    folders = {name for names in found.values() for name in names if CODE.file(name) is None}
    missed = {step.outputs[0]: found[step] - covered[step.code] - COMMAND_LINE - folders for step in found}
    return {path: modules for path, modules in missed.items() if modules}


def source_modules(plan: Plan) -> set[str]:
    return {name for dataset in plan.datasets for name in closure(plan.source_entries(dataset))}


def closure(entries: tuple[str, ...]) -> set[str]:
    return set(replace(CODE, cache=DIGEST_CACHE).closure(*entries))


def test_rules_give_their_jobs_what_the_plan_says(smoke: Workspace, plan: Plan) -> None:
    known = {path: step for step in plan.steps() for path in step.outputs}
    assert set(known) == set(plan.artifacts())
    for path, step in known.items():
        record = read_record(smoke.root, path)
        assert record is not None, path
        assert sorted(record["params"]) == sorted([repr(settings_digest(step.settings)), repr(step.code)]), path


def test_no_step_loads_a_module_that_its_digest_does_not_cover(smoke: Workspace, plan: Plan) -> None:
    found = loaded(smoke, plan)
    assert [step.outputs[0] for step, modules in found.items() if "avbalance.cli" not in modules] == []
    assert any(map(is_decoder, smoke.processes())), "decoders are looked at too"
    missed = holes(plan, found)
    # Making features loads the module that can make absent media again. Whatever it is, the manifest's checksums decide
    # about the media, and its code is behind the manifest.
    for job in plan.feature_jobs:
        missed.get(plan.feature_files(job)[0], set()).difference_update(source_modules(plan))
    assert {path: modules for path, modules in missed.items() if modules} == {}


def test_a_job_whose_code_was_edited_while_it_waited_stops(workspace: Workspace) -> None:
    output = f"{PAPER}/lost_clips.csv"
    record = read_record(workspace.root, output)
    assert record is not None
    command = f'export PATH="$PWD/.venv/bin:$PATH"; {record["shellcmd"]}'
    before = (workspace.root / output).read_bytes()
    (workspace.root / output).unlink()
    module = workspace.root / "src/avbalance/reporting/facts.py"
    planned = module.read_text(encoding="utf-8")
    module.write_text(f"{planned}\nEDITED = True\n", encoding="utf-8")
    assert workspace.run(command).status == 2
    assert "avbalance.reporting.facts changed meanwhile" in (workspace.root / record["log"][0]).read_text()
    assert not (workspace.root / output).exists()
    module.write_text(planned, encoding="utf-8")
    assert workspace.run(command).status == 0
    assert (workspace.root / output).read_bytes() == before
