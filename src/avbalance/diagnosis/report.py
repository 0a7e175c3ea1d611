"""verdict.json and verdict.md of a diagnosis: the answers, what forbids to trust them, and every number behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from avbalance.data.manifest import read_manifest
from avbalance.diagnosis.answers import read_answers
from avbalance.diagnosis.findings import ENSEMBLE, JOINT, findings, with_best_joint
from avbalance.diagnosis.gates import Gate, gates
from avbalance.diagnosis.verdict import Verdict, verdicts
from avbalance.errors import UserError
from avbalance.evaluation.paper import DatasetInfo, Paper
from flowkeeper.files import atomic_path, write_json

NEEDED = ("audio", "visual", JOINT, ENSEMBLE)
LABELS = {"audio": "Sound alone", "visual": "Pictures alone", JOINT: "Trained together", ENSEMBLE: "Mean of both alone"}


def write_verdict(paper: Paper, role: str, out: Path) -> None:
    """Write verdict.json and verdict.md into the folder `out`; raises UserError where a needed run is absent."""
    info = paper.dataset(role)
    runs = dict.fromkeys(run.run for run in paper.runs_on(info.data))
    absent = [name for name in NEEDED if name not in runs]
    if absent:
        raise UserError(f"{paper.slug}: a verdict needs the run {absent[0]!r} on {info.data}; do not leave it out.")
    answers = with_best_joint({name: read_answers(paper.run_files(role, name)) for name in runs})
    found = findings(answers, _groups(info))
    told = gates(answers, found, _frames(info))
    answered = verdicts(found, told)
    content = {"data": info.data, "describe": info.describe, "gates": [asdict(gate) for gate in told]}
    write_json(out / "verdict.json", {**content, "verdicts": [asdict(each) for each in answered], "findings": found})
    with atomic_path(out / "verdict.md") as temporary:
        temporary.write_text("\n".join(lines(info.describe, found, told, answered)) + "\n", encoding="utf-8")


def lines(describe: str, found: Mapping[str, Any], told: Sequence[Gate], answered: Sequence[Verdict]) -> list[str]:
    """The verdict as Markdown."""
    made = [
        f"# {describe}",
        "",
        f"{found['clips']} test clips of {found['classes']} classes, {found['seeds']} seeds.",
        "",
    ]
    if told:
        made += ["## Read this first", "", *(f"- {gate.sentence}" for gate in told), ""]
    made += ["## Answers", "", "| Question | Answer | |", "|---|---|---|"]
    made += [f"| {each.question} | **{each.answer}** | {each.sentence} |" for each in answered]
    made += ["", "## Accuracy on test clips (%)", "", "| Model | Accuracy | 95 % interval |", "|---|---|---|"]
    for run, label in LABELS.items():
        made.append(_row(label, found["accuracy"][run]))
    made += [_row(run, value) for run, value in found["accuracy"].items() if run not in LABELS]
    made += [f"| Most frequent class | {found['chance']:.1f} | |", ""]
    made += ["## What the modalities tell (bits a clip)", "", "| | Information | 95 % interval |", "|---|---|---|"]
    made += [_row(name.replace("_", " "), value, 2) for name, value in found["information"].items()]
    return made


def _row(label: str, value: Mapping[str, Any], digits: int = 1) -> str:
    number, low, high = (f"{value[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"| {label} | {number} | {low} to {high} |"


def _groups(info: DatasetInfo) -> dict[str, str]:
    """Clip id -> group, where a group has several clips; else nothing."""
    frame = read_manifest(Path(str(info.manifest))).frame if info.manifest else pd.DataFrame()
    if "group" not in frame or frame["group"].is_unique:
        return {}
    return dict(zip(frame["id"].astype(str), frame["group"].astype(str), strict=True))


def _frames(info: DatasetInfo) -> dict[str, int]:
    """How many clips have fewer pictures than their recipe keeps."""
    if "visual" not in info.features:
        return {}
    index = pd.read_parquet(info.features["visual"], columns=["row", "n_frames"])
    kept = index[index["row"] >= 0]["n_frames"]
    wanted = int(kept.max()) if len(kept) else 0
    return {"clips": len(kept), "wanted": wanted, "fewer": int((kept < wanted).sum())}
