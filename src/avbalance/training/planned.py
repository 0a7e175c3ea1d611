"""A run as it is planned: what it reads, what it depends on, and what it finds by validation."""

from __future__ import annotations

import csv
import json
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from avbalance.errors import UserError
from avbalance.features.store import open_store
from avbalance.provenance.run_record import pinned, versions
from avbalance.training.protocol import Protocol
from flowkeeper.files import digest_json, sha256_file

READABLE = (".json", ".safetensors")  # of the files that a run needs of others, those that its method gets to read
_PROTOCOL = {name: field.default for name, field in Protocol.model_fields.items() if not field.is_required()}


@dataclass(frozen=True)
class PlannedRun:
    """One run with one seed, as planned (see plan/training.py).

    settings: as written. inputs: files of other runs by name. choose: of a run that finds an option, or all settings,
    by validation: the option if it is one, and what each candidate tried. code: digest of its own code, in a cell of
    several methods.
    """

    run: str
    seed: int
    method: str
    settings: dict[str, Any]
    folder: str
    inputs: dict[str, str]
    outputs: list[str]
    choose: dict[str, Any] | None = None
    code: str = ""

    @property
    def names(self) -> list[str]:
        """Names of the files that it leaves."""
        return [Path(path).name for path in self.outputs]


def run_key(run: PlannedRun, needs: dict[str, Path], data: str, device: torch.device) -> str:
    """Digest of what a finished run depends on: code, settings, seed, inputs, data, torch and kind of device.

    Defaults of the protocol are spelt out. An instruction set is part of it where the environment pins one; otherwise
    the runs that a colleague finished on another processor stay valid, and their records name it.
    """
    known = {name: sha256_file(path) for name, path in needs.items()}
    facts = {"needs": known, "code": run.code, "data": data, "device": device.type}
    return _key(run.settings, pinned(), method=run.method, seed=run.seed, **facts)


def recorded_key(record: Any) -> str:
    """The key of a run by what its record says of it: the key that stands there may be another run's.

    "" for a record that says too little, or that tells of another torch than this one.
    """
    try:
        job, device = record["job"], record["device"]
        needs = {name: record["inputs"][name] for name, path in job["reads"].items() if path.endswith(READABLE)}
        pins = device.get("instruction_set", {}).get("pinned", {})
        facts = {"needs": needs, "code": record["code"]["digest"], "data": record["data"]["digest"]}
        facts |= {"device": device["kind"], "method": job["method"], "seed": job["seed"]}
        same_torch = record["versions"]["torch"] == versions()["torch"]
        return _key(record["settings"], pins, **facts) if same_torch else ""
    except (KeyError, TypeError, AttributeError):
        return ""


def _key(settings: dict[str, Any], pins: dict[str, str], **facts: Any) -> str:
    """Digest of method, seed, needs, code, data and device, the `facts`, with settings, pins and this torch."""
    whole = {**settings, "protocol": {**_PROTOCOL, **settings["protocol"]}}
    instruction_set = {"instruction_set": pins} if pins else {}
    return digest_json({**facts, "settings": whole, "torch": torch.__version__, **instruction_set})


def check_inputs(run: PlannedRun, source: Path, made: Container[str] = ()) -> None:
    """Raise UserError when a file of another run is missing, unless it is one of those that will be `made` before."""
    for path in run.inputs.values():
        if path not in made and not (source / path).is_file():
            raise UserError(f"{source / path}: missing, and run {run.run} (seed {run.seed}) needs it; make it first.")


def check_recipes(run: PlannedRun, stores: dict[str, Path | None]) -> None:
    """Raise UserError unless each store is of the recipe that the run's settings name, and absent where it is null."""
    for modality, folder in stores.items():
        wanted = run.settings["data"][f"{modality}_recipe"]
        stored = open_store(folder).card["recipe"]["name"] if folder else None
        if stored != wanted:
            shown = f"{folder}: a store of recipe {stored}" if folder else f"no {modality} store"
            fix = f"the store of {wanted}" if wanted else f"no {modality} store"
            raise UserError(
                f"{shown}, and run {run.run} is declared with {wanted or 'none'}; give it {fix}, or set "
                f"data.{modality}_recipe to {stored or 'null'}."
            )


def chosen_settings(run: PlannedRun, source: Path) -> dict[str, Any]:
    """The run's settings with what the candidate of the best validation metric tried.

    That is the option of `choose` or, where it names none, all settings but `data`.
    """
    settings: dict[str, Any] = json.loads(json.dumps(run.settings))
    if run.choose:
        value = run.choose["candidates"][choice_of(run, source)["chosen"]]
        if run.choose.get("option"):
            settings.setdefault("method", {})[run.choose["option"]] = value
        else:
            settings = {**value, "data": settings["data"]}
    return settings


def choice_of(run: PlannedRun, source: Path) -> dict[str, Any]:
    """What was chosen of what: the metric, and of each candidate what it tried and its best value on validation.

    Of equal ones the first by name is chosen.
    """
    assert run.choose is not None
    metric = run.settings["protocol"].get("metric", _PROTOCOL["metric"])
    scores = {name: _best_value(source / run.inputs[f"candidate {name}"], metric) for name in run.choose["candidates"]}
    tried = [
        {"run": name, "seed": run.choose["seeds"][name], "tried": told, "score": scores[name]}
        for name, told in _told(run.choose).items()
    ]
    return {"metric": metric, "candidates": tried, "chosen": max(sorted(scores), key=lambda name: scores[name])}


def _told(choose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Candidate -> what it tried by the name of the setting: of whole settings those in which candidates differ."""
    if choose.get("option"):
        return {name: {choose["option"]: value} for name, value in choose["candidates"].items()}
    flat = {
        name: {f"{part}.{key}": value for part in settings for key, value in settings[part].items() if part != "data"}
        for name, settings in choose["candidates"].items()
    }
    keys = dict.fromkeys(key for own in flat.values() for key in own)
    differing = [key for key in keys if len({json.dumps(own.get(key)) for own in flat.values()}) > 1]
    return {name: {key: own.get(key) for key in differing} for name, own in flat.items()}


def _best_value(history: Path, metric: str) -> float:
    with open(history, encoding="utf-8", newline="") as handle:
        return max(float(row[f"val_{metric}"]) for row in csv.DictReader(handle))
