"""verdict.json and verdict.md of a diagnosis: the answers, what forbids to trust them, and every number behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from avbalance.data.manifest import read_card, read_manifest
from avbalance.diagnosis.answers import ENSEMBLE, JOINT, read_answers
from avbalance.diagnosis.findings import findings, with_best_joint
from avbalance.diagnosis.gates import gates, withheld
from avbalance.diagnosis.report_tables import ReportTable, markdown, tables
from avbalance.diagnosis.verdict import headline, verdicts
from avbalance.errors import UserError
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.features.recipes import VisualRecipe, get_visual_recipe
from flowkeeper.files import atomic_path, write_json

NEEDED = ("audio", "visual", JOINT, ENSEMBLE)


def write_verdict(paper: Paper, role: str, out: Path) -> None:
    """Write verdict.json and verdict.md into the folder `out`; raises UserError where a needed run is absent."""
    info = paper.dataset(role)
    runs = dict.fromkeys(run.run for run in paper.runs_on(info.data))
    absent = [name for name in NEEDED if name not in runs]
    if absent:
        raise UserError(f"{paper.slug}: a verdict needs the run {absent[0]!r} on {info.data}; do not leave it out.")
    answers = with_best_joint({name: read_answers(paper.run_files(role, name)) for name in runs})
    card = read_card(info.manifest) if info.manifest else {}
    measured = findings(answers, _groups(info), card.get("classes"))
    told = gates(answers, measured, _frames(info))
    answered = verdicts(measured, told)
    content = {
        "data": info.data,
        "describe": info.describe,
        "headline": headline(answered, measured),
        "gates": [asdict(gate) for gate in told],
        "odd": card.get("odd", []),
        "verdicts": [asdict(each) for each in answered],
        "tables": [asdict(table) for table in tables(measured, told, paper.labels)],
        "withheld": withheld(told),
        "findings": measured,
    }
    write_json(out / "verdict.json", content)
    with atomic_path(out / "verdict.md") as temporary:
        temporary.write_text("\n".join(lines(content)) + "\n", encoding="utf-8")


def lines(content: Mapping[str, Any]) -> Iterator[str]:
    """The verdict as Markdown; content: that of verdict.json."""
    measured = content["findings"]
    yield from (f"# {content['headline']}", "", f"{content['describe']}: {measured['clips']} test clips of")
    yield f"{measured['classes']} classes, {measured['seeds']} seeds."
    for title, sentences in (
        ("Read this first", [gate["sentence"] for gate in content["gates"]]),
        ("Found in the folder", content["odd"]),
    ):
        if sentences:
            yield from ("", f"## {title}", "", *(f"- {sentence}" for sentence in sentences))
    yield from ("", "## Answers", "", "| Question | Answer | |", "|---|---|---|")
    for each in content["verdicts"]:
        yield f"| {each['question']} | **{each['answer']}** | {each['sentence']} |"
    for table in content["tables"]:
        yield from markdown(ReportTable(**table))


def _groups(info: DatasetInfo) -> dict[str, str]:
    """Clip id -> group, where a group has several clips; else nothing."""
    frame = read_manifest(Path(str(info.manifest))).frame if info.manifest else pd.DataFrame()
    if "group" not in frame or frame["group"].is_unique:
        return {}
    return dict(zip(frame["id"].astype(str), frame["group"].astype(str), strict=True))


def _frames(info: DatasetInfo) -> dict[str, int]:
    """How many clips have less than half of the pictures that their recipe has room for."""
    if "visual" not in info.features:
        return {}
    path = Path(info.features["visual"])
    recipe = get_visual_recipe(path.parent.name.removeprefix("visual-"))
    index = pd.read_parquet(path, columns=["row", "n_frames"])
    kept = index[index["row"] >= 0]["n_frames"]
    wanted = recipe.max_frames if isinstance(recipe, VisualRecipe) else 0
    return {"clips": len(kept), "wanted": wanted, "fewer": int((2 * kept < wanted).sum())}
