"""How a run came to be, read from its record.json, and the commands that make exactly this run again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.plan.digest import code_digest
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
    def runs(self) -> Path:
        """The folder results/<name>/runs."""
        return self.folder.parents[3]

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
    reads = {name: path for name, path in job["reads"].items() if path.endswith(".json")}
    outputs = [f"{job['folder']}/{name}" for name in job["writes"]]
    return canonical_json(
        [{**wanted, "settings": run.record["settings"], "inputs": reads, "outputs": outputs, "choose": None}]
    )


def commands(run: Run) -> list[str]:
    """Shell commands, run at the root of the checkout, that make this run again beside it and compare the bytes."""
    record, job = run.record, run.record["job"]
    step = [f"{name}={value}" for name, value in run.instruction_set.get("pinned", {}).items()]
    step += ["avbalance", "train" if run.trained else "combine", "--code", record["code"]["digest"], "--out", RERUN]
    if run.trained:
        for name in ("manifest", "audio", "visual"):
            step += [f"--{name}", record["paths"][name]] if name in record["paths"] else []
        device = record["device"]
        step += ["--inputs", str(run.runs), "--cache", f"{RERUN}/cache"]
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
    """The record in words, one fact a line, settings last."""
    record, job, code = run.record, run.record["job"], run.record["code"]
    device = record["device"]
    facts = {
        "run": f"{job['run']}, seed {job['seed']}, method {job['method']}",
        "finished": f"{record['finished']}, {record['wall_s']} s, {record['cpu_s']} s of CPU time, "
        f"at most {record['peak_memory_mb']} MB",
        "code": f"digest {code['digest']}, commit {code['commit']}"
        + {True: " with uncommitted changes", False: "", None: " (no git)"}[code["dirty"]],
        "settings": f"digest {record['settings_digest'][:16]}",
        **_data_facts(run),
        "device": f"{device['kind']}, {device['threads']} thread(s) of {device['cores']} cores, {device['processor']}, "
        f"{device['system']}",
        "instructions": _instructions(run),
        "versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }
    if "made_as" in record:
        facts["taken over"] = f"trained as {record['made_as']['folder']}, whose settings are the same"
    for name, digest in sorted(record["inputs"].items()):
        facts[f"input {name}"] = f"sha256 {digest[:16]}"
    width = max(len(name) for name in facts)
    settings = [
        f"  {part}.{name}: {canonical_json(value)}"
        for part, values in record["settings"].items()
        for name, value in values.items()
    ]
    return [str(run.folder), *(f"  {name:<{width}}  {text}" for name, text in facts.items()), *settings]


def _instructions(run: Run) -> str:
    known = run.instruction_set
    pins = ", ".join(f"{name}={value}" for name, value in known.get("pinned", {}).items())
    return f"{known.get('torch', 'not recorded')}, {f'pinned by {pins}' if pins else 'not pinned'}"


def _data_facts(run: Run) -> dict[str, str]:
    record = run.record
    if not run.trained:
        return {"joins": ", ".join(f"{name}: {path}" for name, path in record["job"]["predictions"].items())}
    data = record["data"]
    lost = ", ".join(f"{name}: {count}" for name, count in data["losses"].items()) or "none"
    return {
        "data": f"{record['paths']['manifest']}, sha256 {data['manifest_sha256'][:16]}, features {data['digest'][:16]}",
        "clips": f"{', '.join(f'{name} {count}' for name, count in data['clips'].items())}; lost: {lost}",
        "training": f"{record['epochs_run']} epochs, epoch {record['selected_epoch']} selected, "
        f"{record['parameters']:,} parameters",
    }
