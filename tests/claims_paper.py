"""A made-up paper on one data set of two halves, and what comparisons of its runs come to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avbalance.declared import read
from avbalance.evaluation.declarations import check_claims, claim_model
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import Block
from avbalance.evaluation.outcomes import Outcome, judged
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.evaluation.predictions import write_predictions
from avbalance.table_files import write_parquet

N = 200
SEEDS = (0, 1, 2)
SLUG = "balanced-audiovisual"  # whose kinds the made-up paper may use
DIFFERENCE = {
    "kind": "difference", "datasets": ["set"], "subsets": ["audio_preferred"], "left": ["fused"], "right": ["audio"]
}  # fmt: skip


def made(folder: Path) -> tuple[Paper, dict[str, Any]]:
    """The paper and what it declares.

    200 clips, the front half audio-preferred: audio is right on 3/4 of it, fused on all, other on none; slight wins 12
    and loses 17 clips of it against audio. Seeds turn the clips of each half.
    """
    ids = [f"{number:03d}" for number in range(N)]
    front = np.arange(N) < N // 2
    slight = front & (np.arange(N) % 4 != 0)
    slight[np.flatnonzero(front & ~slight)[:12]] = True
    slight[np.flatnonzero(front & (np.arange(N) % 4 == 1))[:17]] = False
    right = {
        "audio": front & (np.arange(N) % 4 != 0),
        "fused": front,
        "other": np.zeros(N, dtype=bool),
        "slight": slight,
    }
    runs = []
    for name, correct in right.items():
        for seed in SEEDS:
            turned = np.concatenate([np.roll(half, seed) for half in np.split(correct, 2)])
            path = folder / f"{name}-{seed}.parquet"
            logits = [[1.0, 0.0] if good else [0.0, 1.0] for good in turned]
            frame = pd.DataFrame({"id": ids, "label": 0, "logits": logits})
            write_predictions(path, frame.assign(split="test", condition="both", checkpoint="selected"))
            runs.append(RunFile(name, name.capitalize(), "d", seed, str(path)))
    values = np.where(front, 0.3, -0.3) + np.linspace(0, 0.2, N) * np.where(front, 1, -1)
    subsets = [
        pd.DataFrame({"id": ids, "definition": name, "discrepancy": values, "preferred": "-"})
        for name in ("estimated", "planted", *(f"seed-matched-{seed}" for seed in SEEDS))
    ]
    write_parquet(folder / "subsets.parquet", pd.concat(subsets))
    (folder / "published.csv").write_text(
        "dataset,method,subset,accuracy\nD,Fused,audio_preferred,80\nD,Audio,audio_preferred,70\n"
        "D,Slight,audio_preferred,75\nD,Fused,visual_preferred,10\nD,Audio,visual_preferred,20\nD,Fused,overall,66\n"
        "D,Audio,overall,45\n"
    )
    datasets = {
        "set": DatasetInfo("set", "D", "d", "made up", subsets=str(folder / "subsets.parquet")),
        "absent": DatasetInfo("absent", "E", None, ""),
    }
    labels = {run.run: run.label for run in runs} | {"never": "Never"}
    paper = Paper(SLUG, "Title", str(folder), datasets, labels, tuple(runs))
    return paper, {"published": [{"file": "published.csv", "value": "accuracy"}], "statistics": {"draws": 300}}


def evidence_of(paper: Paper, declared: Mapping[str, Any], measurements: Path | None = None) -> Evidence:
    return Evidence(paper, check_claims(declared, paper.folders, "a-paper"), measurements)


def block_of(slug: str, **block: Any) -> Block:
    """A typed block, as it may stand in the claims of a paper."""
    claim = {"id": "C", "text": "t", "tests": [block]}
    return read(claim_model((slug,)), claim, "claims.yaml").tests[0]


def outcomes_of(evidence: Evidence, protocol: str = "none", **block: Any) -> list[Outcome]:
    """What a block comes to, every comparison judged alone."""
    trials = block_of(evidence.paper.slug, **block).trials(evidence, protocol)
    return [outcome for each in trials for outcome in judged([each], 0.95)]


def outcome_of(evidence: Evidence, protocol: str = "none", **block: Any) -> Outcome:
    (outcome,) = outcomes_of(evidence, protocol, **block)
    return outcome
