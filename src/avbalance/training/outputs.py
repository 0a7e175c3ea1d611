"""What a finished training leaves: predictions, history, weights, confidences, and whether it has learned."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from avbalance.analysis.learning import exempt, guessing_loss, judged
from avbalance.errors import UserError
from avbalance.methods.base import Indices
from avbalance.training.data import Clips
from avbalance.training.loop import Trainer
from avbalance.training.tasks.base import Place
from flowkeeper.files import atomic_path, canonical_json, read_json

_METADATA = "avbalance"  # key of the facts about a run in the header of its weights
_FEATURES = ("audio_recipe", "visual_recipe", "standardise")


def train_and_predict(trainer: Trainer, folder: Path) -> None:
    """Train the run and write its files, all but those of its method and its record."""
    trainer.train()
    with atomic_path(folder / "predictions.parquet") as temporary:
        pq.write_table(_predictions(trainer), temporary, compression="zstd")
    _write_history(folder / "history.csv", trainer.history)
    tensors = {name: value.contiguous().cpu() for name, value in trainer.model.state_dict().items()}
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(tensors, temporary, {_METADATA: canonical_json(trainer.facts)})
    if trainer.protocol.record_confidence:
        _write_confidence(folder / "confidence.npz", trainer)


def _predictions(trainer: Trainer) -> pa.Table:
    """What every kept state of the model says of the parts that the task keeps; the selected one stays in place."""
    task, clips, tables = trainer.task, trainer.source.clips, []
    for checkpoint in (*task.checkpoints, "best-test"):
        if checkpoint in trainer.states:
            trainer.model.load_state_dict(trainer.states[checkpoint])
            for split in task.parts:
                for condition, outputs in task.conditions(trainer, split, checkpoint):
                    place = Place(split, checkpoint, condition)
                    tables.append(task.predictions(clips, trainer.parts[split], place, outputs))
    trainer.model.load_state_dict(trainer.states["selected"])
    return pa.concat_tables(tables)


def _write_history(path: Path, history: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _write_confidence(path: Path, trainer: Trainer) -> None:
    clips = trainer.source.clips
    arrays: dict[str, Any] = {"val_accuracy": np.array([row["val_accuracy"] for row in trainer.history])}
    for split, rows in trainer.course.confidence.items():
        arrays[f"ids_{split}"] = clips.ids[trainer.parts[split]]
        arrays[f"labels_{split}"] = clips.labels[trainer.parts[split]]
        arrays[f"confidence_{split}"] = np.stack(rows).astype(np.float32)
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays)


def learning(trainer: Trainer) -> dict[str, Any]:
    """Whether the finished run, its selected model in place, has learned and converged: the record's block."""
    train, val, metric = trainer.parts["train"], trainer.parts["val"], trainer.protocol.metric
    if not len(train):
        return exempt("no clip was left to train on", validation_clips=len(val))
    own, guess = trainer.task.clip_scores(trainer.source.clips, val, trainer.outputs(val), metric)
    loss = guessing_loss(trainer.source.targets[torch.as_tensor(train)].numpy())
    selected = trainer.course.selected_epoch + 1
    verdict = judged(trainer.history, metric, selected, trainer.protocol.epochs, own, guess, loss)
    if trainer.method.card.fits:
        kept = ("metric", "validation_clips", "value", "chance", "margin", "margin_error", "final_loss", "guess_loss")
        return exempt("a reference, fitted without epochs", **{name: verdict[name] for name in kept})
    return verdict


class Tensors(dict[str, torch.Tensor]):
    """The weights of a finished run by name; `facts`: what is known of their training, see `facts_of`."""

    facts: dict[str, Any]


def read_need(path: Path) -> Any:
    """Content of a file that a run needs of another: JSON, or `Tensors`; raises UserError when it is damaged."""
    if path.suffix == ".json":
        return read_json(path)
    try:
        with safe_open(path, "pt") as handle:
            weights = Tensors({name: handle.get_tensor(name) for name in handle.keys()})  # noqa: SIM118
            weights.facts = json.loads((handle.metadata() or {}).get(_METADATA, "{}"))
    except SafetensorError as error:
        raise UserError(f"{path}: not a readable safetensors file; delete it to have its run made again.") from error
    return weights


def facts_of(settings: dict[str, Any], clips: Clips, parts: dict[str, Indices]) -> dict[str, Any]:
    """What the weights of a run say of themselves.

    Settings of the network, what it reads, labelling, classes, and a digest of the training clips' ids.
    """
    return {
        "model": settings["model"],
        "features": {name: settings["data"].get(name) for name in _FEATURES},
        "labelling": clips.labelling,
        "classes": clips.classes,
        "train_ids": clips.used_ids_digest(parts["train"]),
    }
