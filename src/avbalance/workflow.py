"""What flowkeeper must know of this workflow: its plan, its code, and what else is known of the bytes of its files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from avbalance.digest import CODE, DIGEST_CACHE
from avbalance.provenance.run_record import versions
from flowkeeper.interface import Workflow

STATE = ".avbalance"
_RUNS = f"{STATE}/runs"  # the run cache, see training/runcache.py


def _load_plan(root: Path, configfiles: Sequence[str], pairs: Sequence[str]) -> Any:
    from avbalance.plan.plan import load_plan_for

    return load_plan_for(root, configfiles, pairs)


def _default_name(root: Path) -> str | None:
    from avbalance.checkout import BASE
    from avbalance.plan.config import load_config, load_yaml

    return str(load_config(root, load_yaml(root / BASE))["name"]) if (root / BASE).is_file() else None


def checksums(root: Path, name: str) -> Iterator[tuple[str, str]]:
    """Files of a result set whose sha256 the run cache or the card of their feature store knows."""
    folder = root / "results" / name
    for record in sorted(folder.glob("runs/**/record.json")):
        contents = _facts(root / _RUNS / str(_facts(record).get("key")) / "contents.json")
        for file, sha256 in contents.items():
            if file != record.name:  # it names the run, and equal runs of two papers share the other files
                yield str((record.parent / file).relative_to(root)), sha256
    for array in sorted(folder.glob("features/**/features.npy")):
        yield str(array.relative_to(root)), _sha256_of_array(array)


def _sha256_of_array(array: Path) -> str:
    """That of array.json if it belongs to the card (an array made again may have other bytes), else the card's."""
    card, own = _facts(array.with_name("card.json")), _facts(array.with_name("array.json"))
    sha256 = own.get("sha256") if own.get("card_sha256") == card.get("sha256") else card.get("sha256")
    return str(sha256 or "")


def _facts(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def keep_runs(root: Path, plan: Any, paths: set[str]) -> None:
    """Put finished runs whose files are about to be made again into the run cache.

    A job makes all seeds of its cell; the seeds that are there already, made here or fetched, must not be trained again
    only because Snakemake removes a job's outputs first.
    """
    from avbalance.training.runcache import RunCache

    cache = RunCache(root / _RUNS)
    for cell in plan.cells:
        for job in cell.jobs:
            files = plan.run_files(job)
            if paths.issuperset(files):
                cache.adopt(root / plan.runs / job.folder, [Path(path).name for path in files])


WORKFLOW = Workflow(
    command="avbalance",
    code=replace(CODE, cache=DIGEST_CACHE),
    load_plan=_load_plan,
    steps=lambda plan: plan.steps(),
    default_name=_default_name,
    kinds={
        "tables": lambda path: path.startswith("papers/") or "/" not in path,
        "predictions": lambda path: (
            "/" in path and not path.startswith("papers/") and not path.endswith(".safetensors")
        ),
        "records": lambda path: path.startswith("runs/") and path.endswith((".json", ".csv")),
        "models": lambda path: path.endswith(".safetensors"),
    },
    versions=versions,
    checksums=checksums,
    keep=keep_runs,
    state=STATE,
)
