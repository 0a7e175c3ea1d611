"""The traps of Snakemake that this workflow is built around, each sprung on purpose, with real snakemake.

Everything starts from one finished run of the smoke tier (tests/workspace.py). What happened is counted per kind of
rule: the first word of the rules' names.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from smoke_tier import EVERYTHING, PAPER, RUNS, TRAINED, cell_log, contents, job_log
from workspace import REPOSITORY, Workspace

from avbalance.plan.plan import load_plan_for
from flowkeeper.dry_run import dry_run

MOST_TORCH = 25


def reports(root: Path) -> dict[str, bytes]:
    """Tables, figures, claims and measurements."""
    return contents(root, PAPER)


def half_written(root: Path) -> list[str]:
    return [str(path) for name in ("data", "results", ".avbalance") for path in (root / name).rglob("*.partial*")]


@pytest.fixture
def fresh(workspace: Workspace) -> Workspace:
    """A copy in which nothing was made."""
    workspace.clear()
    return workspace


# --- Which target, which profile, whose python ---


def test_a_bare_dry_run_of_a_fresh_tree_plans_everything(fresh: Workspace) -> None:
    done = fresh.snakemake("-n --quiet rules")
    assert "Nothing to be done" not in done.output
    assert done.jobs["all"] == 1
    assert done.kinds == EVERYTHING


def test_the_plan_lists_exactly_the_files_that_are_made(fresh: Workspace) -> None:
    jobs = dry_run(fresh.root, ["--config", "tier=demo"], []).jobs  # the paper tier: test_paper_tier.py
    plan = load_plan_for(fresh.root, [], ["tier=demo"])
    listed = plan.artifacts()
    assert len(listed) == len(set(listed))
    assert {path for job in jobs for path in job.outputs} == set(listed)
    assert set(listed).isdisjoint({*plan.unasked(), *plan.bulk()})


def test_the_default_profile_and_the_python_of_the_environment_are_found(workspace: Workspace, tmp_path: Path) -> None:
    profiles, output = workspace.root / "profiles", workspace.root / PAPER / "lost_clips.csv"
    assert yaml.safe_load((profiles / "default" / "config.yaml").read_text())["max-checksum-file-size"] == "1TB"
    decoys = tmp_path / "decoys"
    decoys.mkdir()
    for name in ("python", "python3"):
        (decoys / name).write_text("#!/bin/sh\necho a python without packages >&2\nexit 97\n")
        (decoys / name).chmod(0o755)
    output.unlink()
    workspace.forget_processes()
    done = workspace.snakemake(PATH=f"{decoys}:/usr/bin:/bin")  # nothing was activated
    assert done.status == 0, done.output[-3000:]
    assert re.search(r"^Provided cores: \d+$", done.output, re.MULTILINE)
    (job,) = (process for process in workspace.processes() if "losses" in process["argv"])
    assert Path(str(job["python"])).resolve() == (workspace.root / ".venv/bin/python").resolve()
    output.unlink()
    (profiles / "default").rename(profiles / "elsewhere")
    assert "--cores" in workspace.snakemake().output, "without the profile a bare call ends with this demand"


# --- What must be done again, and no more than that: see also test_rerun_truth.py ---


def test_a_new_seed_trains_itself_only(workspace: Workspace) -> None:
    old = contents(workspace.root, f"{RUNS}/baseline/seed0")
    workspace.edit("config/tiers/smoke.yaml", "seeds: [0]\n", "seeds: [0, 1]\n")
    target = f"{RUNS}/baseline/seed1/predictions.parquet"
    done = workspace.snakemake(target)
    assert done.status == 0, done.output[-3000:]
    log = job_log(workspace, cell_log("baseline"))
    assert re.search(r"^baseline seed 0: found in the run cache \([0-9a-f]{12}\)$", log, re.MULTILINE)
    assert "seed 1: found" not in log
    assert "seed0: epoch" not in log
    assert "seed1: epoch 3/3" in log
    assert contents(workspace.root, f"{RUNS}/baseline/seed0") == old
    new = contents(workspace.root, f"{RUNS}/baseline/seed1")
    assert len(new) == len(old)
    assert new[target] != old[target.replace("seed1", "seed0")]


# --- What a kill and a failure leave ---


def wait_for(condition: Any, process: subprocess.Popen[bytes], timeout_s: float = 600.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert process.poll() is None, "the workflow ended before it could be killed"
        assert time.monotonic() < end, "what the test waits for never came"
        time.sleep(0.005)


@pytest.mark.slow
def test_a_killed_training_goes_on_and_ends_in_the_same_bytes(workspace: Workspace) -> None:
    before = reports(workspace.root)
    folder = workspace.root / RUNS / "greedy"
    trained = contents(folder, ".")
    state = workspace.root / ".avbalance" / "state"
    shutil.rmtree(workspace.root / ".avbalance" / "runs")
    shutil.rmtree(folder)
    shutil.rmtree(workspace.root / PAPER)
    # States are saved every 20 seconds, this training takes two: here at every step.
    environment = workspace.environment(AVBALANCE_CHECKPOINT_EVERY="0")
    with open(workspace.root / "killed.log", "wb") as log:
        process = subprocess.Popen(
            [".venv/bin/snakemake"], cwd=workspace.root, env=environment, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(lambda: any(state.glob("*-main.pt")), process)
    finally:
        kill_session(process)
    assert not folder.exists() or not contents(folder, ".")
    assert list(state.glob("*-main.pt")), "the state to resume from"
    assert not list((workspace.root / "results").rglob("*.pt")), "state lies outside the outputs, which are deleted"
    done = workspace.snakemake()
    assert done.status == 0, done.output[-3000:]
    assert "note: the lock of a snakemake that was killed" in done.output
    assert re.search(r"greedy/seed0: resumed at epoch \d, step \d", job_log(workspace, cell_log("greedy")))
    assert not list(state.glob("*")), "nothing is left of a finished training"
    assert half_written(workspace.root) == []
    after = contents(folder, ".")
    assert {name for name in after if after[name] != trained[name]} == {"seed0/record.json"}  # times and memory
    assert reports(workspace.root) == before
    assert workspace.plan().idle


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """kill -9 snakemake and its jobs, which are in one session but in groups of their own."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,sess="], capture_output=True, text=True, check=True).stdout
    sessions = {int(pid): int(session) for pid, session in (line.split() for line in listed.splitlines())}
    for pid in [pid for pid, session in sessions.items() if session == process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.wait()


def test_a_failed_job_leaves_nothing_half_written_and_the_reason_on_the_screen(workspace: Workspace) -> None:
    greedy = "src/avbalance/methods/greedy.py"
    line = '        log["speed_difference"] = self.speeds.difference\n'
    failure = "        if epoch == 1:\n            raise UserError('the second epoch is haunted.')\n"
    workspace.edit(greedy, line, line + failure)
    others = contents(workspace.root, f"{RUNS}/baseline", f"{RUNS}/audio")
    done = workspace.snakemake()
    assert done.status != 0
    assert "error: the second epoch is haunted." in done.output  # show-failed-logs
    assert "Traceback" not in job_log(workspace, cell_log("greedy"))
    assert not (workspace.root / RUNS / "greedy").exists() or not contents(workspace.root, f"{RUNS}/greedy")
    assert half_written(workspace.root) == []
    assert contents(workspace.root, f"{RUNS}/baseline", f"{RUNS}/audio") == others
    workspace.edit(greedy, failure, "")
    done = workspace.snakemake(f"{RUNS}/greedy/seed0/predictions.parquet")
    assert done.status == 0, done.output[-3000:]
    assert "seed 0: found in the run cache" in job_log(workspace, cell_log("greedy"))  # as before the change


# --- Processes: how many, how heavy, how many threads ---


def test_planning_imports_no_torch(smoke: Workspace) -> None:
    done = smoke.snakemake("-n", PYTHONPROFILEIMPORTTIME="1")
    assert done.idle, done.output[-3000:]
    imported = set(re.findall(r"^import time: +\d+ \| +\d+ \| +([\w.]+)$", done.output, re.MULTILINE))
    assert "avbalance.plan.plan" in imported
    heavy = {"torch", "torchvision", "torchaudio", "sklearn", "av", "matplotlib"}
    assert imported.isdisjoint(heavy), imported & heavy


def steps(workspace: Workspace) -> Iterable[tuple[str, dict[str, Any]]]:
    """Subcommand and note of every process of our command line."""
    for process in workspace.processes():
        program, *arguments = process["argv"]
        if program.endswith("avbalance/__main__.py"):
            yield arguments[0], process


def test_few_processes_import_torch(smoke: Workspace) -> None:
    with_torch = [step for step, process in steps(smoke) if process["torch"]]
    assert 0 < len(with_torch) <= MOST_TORCH
    assert set(with_torch) == {"train"}


def test_a_job_computes_with_one_thread(smoke: Workspace) -> None:
    found = list(steps(smoke))
    assert {process["threads"] for step, process in found if step == "train"} == {1}
    assert {process["omp"] for _, process in found} == {"1"}
    records = list((smoke.root / RUNS).glob("*/seed0/record.json"))
    trained = [json.loads(path.read_text()) for path in records]
    assert {record["device"]["threads"] for record in trained if "device" in record} == {1}


# --- Configurations side by side ---


def test_configurations_share_a_checkout_without_harm(workspace: Workspace) -> None:
    before = contents(workspace.root, "data", "results/smoke")
    (workspace.root / "second.yaml").write_text("name: second\ntier: smoke\n")
    arguments = "--configfile second.yaml"
    planned = workspace.plan(arguments)
    assert planned.kinds["train"] == TRAINED
    assert "dataset" not in planned.kinds, "the same data set is not generated twice"
    target = f"{RUNS}/greedy/seed0/predictions.parquet".replace("smoke", "second", 1)
    done = workspace.snakemake(f"{arguments} -- {target}")
    assert done.status == 0, done.output[-3000:]
    log = (workspace.root / "logs/second" / f"{cell_log('greedy')}.log").read_text()
    assert "found in the run cache" in log, "what the first configuration trained is taken over"
    assert contents(workspace.root, "data", "results/smoke") == before
    assert workspace.plan().idle


# --- The rule files themselves ---

RULE_FILES = sorted((REPOSITORY / "workflow" / "rules").glob("*.smk"))


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_a_rule_file_opens_with_its_contract(path: Path) -> None:
    contract = re.match(r'"""(.+?)"""', path.read_text(encoding="utf-8"), re.DOTALL)
    assert contract
    for word in ("Purpose:", "Inputs:", "Outputs:"):
        assert contract[1].count(word) == 1


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_rules_avoid_what_reruns_or_loses_work(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\bdirectory\(", text), "a folder as output is deleted whole"
    assert not re.search(r"^\s*(script|notebook):", text, re.MULTILINE), "a comment in a script retrains"
    assert not re.search(r"^\s*run:", text, re.MULTILINE)
    rules = len(re.findall(r"^ *rule\b.*:$", text, re.MULTILINE))
    for keyword in ("output", "log", "conda", "params", "shell"):
        assert len(re.findall(rf"^ +{keyword}:$", text, re.MULTILINE)) == rules, keyword
    assert text.count("code=") == rules, "every rule knows the digest of its code"


def test_no_second_pipeline_beside_the_workflow() -> None:
    assert [path for path in REPOSITORY.glob("**/dvc.yaml") if ".venv" not in path.parts] == []


def test_nobody_is_told_to_bless_old_results() -> None:
    commands = {"Makefile": (REPOSITORY / "Makefile").read_text(encoding="utf-8")}
    for page in [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md"), *REPOSITORY.glob("config/*.md")]:
        fenced = re.findall(r"^ *```\w*\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        commands[str(page.relative_to(REPOSITORY))] = "\n".join(fenced)
    for path in (*REPOSITORY.glob("profiles/*/config.yaml"), *REPOSITORY.glob(".ci/*")):
        commands[str(path.relative_to(REPOSITORY))] = path.read_text(encoding="utf-8")
    assert len(commands) > 5
    assert [name for name, text in commands.items() if re.search(r"--touch\b|^touch:", text, re.MULTILINE)] == []
