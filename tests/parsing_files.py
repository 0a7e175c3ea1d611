"""Made-up predictions of the tasks parsing and localisation, and a paper with the runs of avvp-gradient-modulation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from avbalance.evaluation.paper import Paper, declarations_of
from avbalance.evaluation.predictions import write_predictions
from avbalance.plan.config import load_paper

REPOSITORY = Path(__file__).parents[1]
FOLDER = REPOSITORY / "workflow" / "papers" / "avvp-gradient-modulation"
CLASSES = ("Speech", "Car", "Frying_(food)")
SEGMENTS = 10
VIDEOS = 40


def int_lists(rows: Sequence[Sequence[int] | None]) -> pa.Array:
    return pa.array(rows, pa.list_(pa.int16()))


def float_lists(values: np.ndarray) -> pa.Array:
    """Rows of (N, ...) as lists of float32."""
    return pa.array(list(values.reshape(len(values), -1).astype(np.float32)), pa.list_(pa.float32()))


def cells(masks: np.ndarray) -> list[list[int]]:
    """Numbers c * T + t of the active cells of (N, C, T)."""
    return [np.flatnonzero(mask).tolist() for mask in masks]


def parsing_table(
    ids: Sequence[str],
    segments: np.ndarray,
    truth: np.ndarray,
    repaired: np.ndarray | None = None,
    **changes: Any,
) -> pa.Table:
    """Predictions that find `segments` (N, 2, C, T) where `truth` (N, 2, C, T) is right, all gates open."""
    n = len(ids)
    columns = {
        "id": pa.array(ids),
        "split": pa.array(["test"] * n),
        "condition": pa.array(["both"] * n),
        "checkpoint": pa.array(["selected"] * n),
        "frame_prob": float_lists(np.where(segments.transpose(0, 3, 1, 2), 0.9, 0.1)),
        "video_prob": float_lists(np.full((n, 3, segments.shape[2]), 0.8)),
        "truth_audio": int_lists(cells(truth[:, 0])),
        "truth_visual": int_lists(cells(truth[:, 1])),
        "truth_audio_repaired": int_lists([None] * n if repaired is None else cells(repaired)),
    }
    card = {"task": "parsing", "classes": list(CLASSES), "segments": SEGMENTS, "gate": "modality"}
    return with_card(pa.table({**columns, **changes}), card)


def localisation_table(ids: Sequence[str], label: np.ndarray, logits: np.ndarray, splits: Sequence[str]) -> pa.Table:
    """label (N, T); logits (N, T, C)."""
    n = len(ids)
    columns = {
        "id": pa.array(ids),
        "split": pa.array(splits),
        "condition": pa.array(["both"] * n),
        "checkpoint": pa.array(["selected"] * n),
        "label": int_lists(label.tolist()),
        "logits": float_lists(logits),
        "logits_audio": pa.nulls(n, pa.list_(pa.float32())),
        "logits_visual": pa.nulls(n, pa.list_(pa.float32())),
    }
    card = {"task": "localisation", "classes": [*CLASSES, "Background"], "segments": label.shape[1]}
    return with_card(pa.table(columns), card)


def with_card(table: pa.Table, card: Mapping[str, Any]) -> pa.Table:
    return table.replace_schema_metadata({b"avbalance": json.dumps(card).encode()})


def at_checkpoint(table: pa.Table, checkpoint: str) -> pa.Table:
    """The same rows under another checkpoint."""
    place = table.schema.names.index("checkpoint")
    return table.set_column(place, "checkpoint", pa.array([checkpoint] * table.num_rows))


def write(path: Path, *tables: pa.Table) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables(tables), path)
    return str(path)


def declarations() -> dict[str, Any]:
    """What the paper declares, as the commands read it."""
    return declarations_of(load_paper(REPOSITORY, FOLDER.name) | {"confidence": {}})


def labels() -> dict[str, str]:
    """Run -> label as in paper.yaml."""
    paper = load_paper(REPOSITORY, FOLDER.name)
    return {run: declared["label"] for run, declared in paper["runs"].items()}


def timelines(generator: np.random.Generator, videos: int = VIDEOS) -> np.ndarray:
    """Truth (N, 2, C, T): events of one to ten seconds of about half the classes, others in each modality."""
    occurs = generator.random((videos, 2, len(CLASSES), 1)) < 0.5
    bounds = np.sort(generator.integers(0, SEGMENTS + 1, (2, videos, 2, len(CLASSES), 1)), axis=0)
    seconds = np.arange(SEGMENTS)
    return occurs & (seconds >= bounds[0]) & (seconds < bounds[1])


def made_up_paper(folder: Path, seeds: Mapping[str, Sequence[int]], repaired: bool = True) -> Paper:
    """A paper whose runs on LLP are wrong in the fewer cells, the later they stand in `seeds` (run -> seeds).

    CREMA-D and AVE have both of their runs, three checkpoints each.
    """
    generator = np.random.default_rng(3)
    truth = timelines(generator)
    second = truth[:, 0] ^ (generator.random(truth[:, 0].shape) < 0.01) if repaired else None
    ids = [f"clip{number:02d}" for number in range(VIDEOS)]
    runs = []
    for place, (run, own) in enumerate(seeds.items()):
        for seed in own:
            wrong = np.random.default_rng([place, seed]).random(truth.shape) < 0.30 - 0.02 * place
            path = folder / "llp" / run / f"seed{seed}" / "predictions.parquet"
            write(path, parsing_table(ids, truth ^ wrong, truth, second))
            history(path.with_name("history.csv"), 0.5 - 0.05 * place + 0.01 * seed)
            runs.append({"run": run, "dataset": "made-llp", "seed": seed, "predictions": str(path)})
    for run, quality in (("ogm", 0.5), ("ogm-dgm", 0.6)):
        path = folder / "cremad" / run / "seed0" / "predictions.parquet"
        classified(path, quality)
        runs.append({"run": run, "dataset": "made-cremad", "seed": 0, "predictions": str(path)})
    for run, quality in (("psp", 0.5), ("psp-dgm", 0.6)):
        path = folder / "ave" / run / "seed0" / "predictions.parquet"
        located(path, quality)
        runs.append({"run": run, "dataset": "made-ave", "seed": 0, "predictions": str(path)})
    known = labels()
    roles = {"llp": "LLP", "cremad": "CREMA-D", "ave": "AVE"}
    return Paper.from_dict(
        {
            "slug": "avvp-gradient-modulation",
            "title": "A made-up paper",
            "published": str(FOLDER / "published"),
            "datasets": {
                role: {"label": label, "data": f"made-{role}", "describe": f"synthetic stand-in for {label}"}
                for role, label in roles.items()
            },
            "labels": known,
            "runs": [{**run, "label": known[run["run"]]} for run in runs],
        }
    )


def history(path: Path, gap: float) -> None:
    """Eight epochs in which the audio loss is above the visual one by `gap`."""
    epochs = np.arange(1, 9)
    falling = 1 / epochs
    columns = {"epoch": epochs, "train_loss": 3 * falling, "loss_audio": falling + gap, "loss_visual": falling}
    pd.DataFrame(columns).to_csv(path, index=False)


def classified(path: Path, quality: float) -> None:
    """Classification of 60 clips of 6 classes, of which `quality` is right; better at the checkpoint best-test."""
    parts = []
    for checkpoint, more in (("selected", 0.0), ("last", -0.1), ("best-test", 0.05)):
        label = np.arange(60) % 6
        right = np.arange(60) < round(60 * (quality + more))
        logits = np.eye(6)[np.where(right, label, (label + 1) % 6)]
        parts.append(
            pd.DataFrame({"id": [f"c{number:02d}" for number in range(60)], "label": label.astype("int16")}).assign(
                split="test", condition="both", checkpoint=checkpoint, logits=list(logits)
            )
        )
    write_predictions(path, pd.concat(parts, ignore_index=True))


def located(path: Path, quality: float) -> None:
    """Localisation of 30 clips of 10 seconds, of which `quality` is right; 15 clips validate."""
    generator = np.random.default_rng(4)
    label = generator.integers(0, 4, (45, SEGMENTS))
    right = np.arange(45 * SEGMENTS).reshape(45, SEGMENTS) % 100 < 100 * quality
    logits = np.eye(4)[np.where(right, label, (label + 1) % 4)]
    splits = ["test"] * 30 + ["val"] * 15
    table = localisation_table([f"a{number:02d}" for number in range(45)], label, logits, splits)
    write(path, table, at_checkpoint(table, "last"))
