"""The combine step: a run that joins the predictions of others and trains nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avbalance.analysis.learning import joined
from avbalance.evaluation.predictions import PREDICTIONS, read_predictions, write_predictions
from avbalance.methods import base as methods
from avbalance.provenance.run_record import RECORD, Clock, circumstances
from flowkeeper.files import digest_json, read_json, sha256_file, write_json


def combine_runs(jobs: list[dict[str, Any]], code: str, out: Path) -> None:
    """Write predictions.parquet and record.json of every combination below `out`.

    Each job: run, seed, method, folder and predictions (name -> file). Raises UserError when the runs cover
    other clips.
    """
    for job in jobs:
        _combine(job, code, out)


def _combine(job: dict[str, Any], code: str, out: Path) -> None:
    clock = Clock()
    method = methods.load(job["method"])()
    files = {name: Path(path) for name, path in job["predictions"].items()}
    frame = method.combine({name: read_predictions(path) for name, path in files.items()})  # type: ignore[attr-defined]
    folder = out / job["folder"]
    write_predictions(folder / PREDICTIONS, frame)
    write_json(
        folder / RECORD,
        {
            "job": {name: job[name] for name in ("folder", "run", "seed", "method", "predictions")},
            "inputs": {name: sha256_file(path) for name, path in files.items()},
            "learning": joined({name: _learning(path.with_name(RECORD)) for name, path in files.items()}),
            "settings": {},
            "settings_digest": digest_json({}),
            **circumstances(code, "cpu", 1, clock),
        },
    )


def _learning(record: Path) -> dict[str, Any] | None:
    """The block "learning" of a run's record; None for a record without one."""
    return read_json(record).get("learning") if record.is_file() else None
