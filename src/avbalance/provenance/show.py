"""How a run came to be, read from its record.json, and the commands that make exactly this run again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from avbalance.digest import code_digest
from avbalance.errors import UserError
from avbalance.plan.entries import combining_entries, training_entries
from avbalance.provenance.run_record import RECORD, RECORD_VERSION, code_state
from flowkeeper.files import canonical_json, read_json

RERUN = "rerun"  # folder into which the shown commands train


@dataclass(frozen=True)
class Run:
    """A finished run: its folder results/<name>/runs/<slug>/<dataset>/<run>/seed<k> and its record."""

    folder: Path
    record: dict[str, Any]

    @property
    def trained(self) -> bool:
        """False for a combination of other runs."""
        return "predictions" not in self.record["job"]

    @property
    def instruction_set(self) -> dict[str, Any]:
        """Empty for a run that was recorded before records had it."""
        return dict(self.record["device"].get("instruction_set", {}))


def find_run(given: str) -> Run:
    """The run whose folder or record.json is `given`.

    Raises UserError when there is no run, when several lie below the folder, and for a record of another version.
    """
    path = Path(given)
    path = path.parent if path.name == RECORD else path
    if not (path / RECORD).is_file():
        below = sorted(str(record.parent) for record in path.glob(f"**/{RECORD}"))
        hint = f"; name one of its {len(below)} runs, such as {below[0]}" if below else ""
        raise UserError(f"{path}: no folder of a run (it has no {RECORD}){hint}.")
    record = read_json(path / RECORD)
    version = record.get("record_version") if isinstance(record, dict) else None
    if version != RECORD_VERSION:
        raise UserError(
            f"{path / RECORD}: a record of version {version}, this avbalance reads version {RECORD_VERSION}; "
            "check out the commit that made it, or run snakemake to make it anew."
        )
    return Run(path, record)


def job_of(run: Run) -> str:
    """The job as JSON, as the steps `train` and `combine` read it; options that were chosen then are fixed now."""
    job = run.record["job"]
    wanted = {name: job[name] for name in ("folder", "run", "seed", "method")}
    if not run.trained:
        return canonical_json([{**wanted, "predictions": job["predictions"]}])
    # Histories were read only to choose an option, which the record now holds.
    reads = {name: path for name, path in job["reads"].items() if path.endswith(".json")}
    outputs = [f"{job['folder']}/{name}" for name in job["writes"]]
    return canonical_json(
        [{**wanted, "settings": run.record["settings"], "inputs": reads, "outputs": outputs, "choose": None}]
    )


def commands(run: Run) -> list[str]:
    """Shell commands, run at the root of the checkout, that make this run again beside it and compare the bytes."""
    record, job, device = run.record, run.record["job"], run.record["device"]
    step = [f"{name}={value}" for name, value in run.instruction_set.get("pinned", {}).items()]
    step += ["avbalance", "train" if run.trained else "combine", "--code", record["code"]["digest"], "--out", RERUN]
    if run.trained:
        for name in ("manifest", "audio", "visual"):
            step += [f"--{name}", record["paths"][name]] if name in record["paths"] else []
        step += ["--inputs", str(run.folder.parents[3]), "--cache", f"{RERUN}/cache"]
        step += ["--device", device["kind"], "--threads", str(device["threads"])]
    made = [f"{shlex.join(['avbalance', 'show', str(run.folder), '--job'])} | {shlex.join(step)}"]
    if run.trained and "predictions.parquet" not in job["writes"]:
        return made
    files = [f"{folder}/predictions.parquet" for folder in (run.folder, f"{RERUN}/{job['folder']}")]
    return [*made, shlex.join(["cmp", *files])]


def _entries(run: Run) -> list[str]:
    """Modules behind the run."""
    method, settings = run.record["job"]["method"], run.record["settings"]
    if not run.trained:
        return combining_entries(method)
    return training_entries([(method, settings["model"]["name"], settings["data"].get("task"))])


def code_note(run: Run) -> str:
    """Whether the code of this checkout is the one that made the run, and what to check out if it is not."""
    code = run.record["code"]
    if code_digest(*_entries(run)) == code["digest"]:
        return "The code of this checkout is the one that made it."
    if code["dirty"] is not False:
        where = "outside git" if code["dirty"] is None else f"with uncommitted changes on commit {code['commit']}"
        return f"The code here is another, and the run was made {where}: no commit is known to hold its code."
    if code_state(Path.cwd())["commit"] == code["commit"]:
        return "The code here has changed since: put uncommitted changes aside (git stash)."
    return f"The code here is another: git checkout {code['commit']}"


def lines(run: Run) -> list[str]:
    """The record, one fact a line."""
    record = yaml.safe_dump(run.record, sort_keys=False, allow_unicode=True, width=110)
    return [str(run.folder), *(f"  {line}" for line in record.splitlines())]
